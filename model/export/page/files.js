// Files out and in: drawings as ndjson, a picture as PNG, the system's share sheet, files dropped on the page.

const LARGEST_FILE = 50e6; // bytes
const PICTURE = 1024; // pixels
const NDJSON = "application/x-ndjson";

/** Hand a file to the browser's downloads. */
function download(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000); // a browser may ask where to put the file first
}

/** Kept drawings as a file of lines. @param {Named[]} list */
const fileOf = (list) => new Blob(list.map((named) => lineOf(named) + "\n"), { type: NDJSON });

/** A drawing as it is on the pad, black on white. @param {Sketch} sketch @returns {Promise<Blob>} */
function pictureOf(sketch) {
  const canvas = make("canvas");
  const context = prepare(canvas, PICTURE, 1);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, PICTURE, PICTURE);
  paint(context, sketch, sketch.strokes, PICTURE, "#000");
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** A name for a file that every system takes. */
const fileName = (word, suffix) => `${word.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "drawing"}${suffix}`;

/** Whether this browser has a share sheet for files; it may ask to look at one. */
function canShare() {
  try {
    return navigator.canShare({ files: [new File([""], "drawing.png", { type: "image/png" })] });
  } catch {
    return false;
  }
}

/** Offer a picture to the share sheet. @returns {Promise<string>} what to say if it was not shared. */
async function share(picture, word) {
  try {
    await navigator.share({ files: [new File([picture], fileName(word, ".png"), { type: "image/png" })], title: word });
    return "";
  } catch (error) {
    return error.name === "AbortError" ? "" : "This browser did not share the picture: save it instead.";
  }
}

/**
 * The drawings of files, and sentences about what could not be read.
 * @param {Iterable<File>} files
 * @returns {Promise<{drawings: Named[], problems: string[]}>}
 */
async function readFiles(files) {
  const drawings = [];
  const problems = [];
  for (const file of files) {
    if (file.size > LARGEST_FILE) {
      problems.push(`${file.name} is larger than ${LARGEST_FILE / 1e6} MB: take a part of it.`);
      continue;
    }
    try {
      const read = readLines(await file.text(), file.name);
      for (const one of read.drawings) drawings.push(one); // too many for the arguments of a call
      if (read.problem) problems.push(read.problem);
    } catch {
      problems.push(`${file.name} cannot be read: is it a folder?`);
    }
  }
  return { drawings, problems };
}

/** Call `take` with files that are dropped on the page, and show while they are dragged over it that it takes them. */
function whenDropped(take) {
  const veil = find("drop");
  const files = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!files(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}
