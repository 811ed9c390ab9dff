// Drawings as lines of JSON, in the format of Google's raw drawings: `sketchpipe shards` reads them.

/**
 * A drawing and what it shows; `recognized` is whether the word was the network's first guess.
 * @typedef {{sketch: Sketch, word: string, recognized: boolean}} Named
 */

/** @param {Named} named */
function lineOf({ sketch, word, recognized }) {
  const timestamp = new Date(sketch.began).toISOString().replace("T", " ").replace("Z", " UTC");
  const drawing = sketch.strokes.map(({ x, y, t }) => (sketch.timed ? [x, y, t] : [x, y]));
  return JSON.stringify({ word, timestamp, recognized, key_id: sketch.key, drawing });
}

/**
 * The drawings of a file, and a sentence about the first line that holds none and the number of others.
 * @returns {{drawings: Named[], problem: string}}
 */
function readLines(text, name) {
  const drawings = [];
  const problems = [];
  text.replace(/^\ufeff/, "").split(/\r?\n/).forEach((line, k) => {
    if (!line.trim()) return;
    try {
      drawings.push(namedOf(JSON.parse(line)));
    } catch (error) {
      const reason = error instanceof SyntaxError ? "is not a line of JSON" : error.message;
      problems.push(`${name}, line ${k + 1} ${reason}`);
    }
  });
  const others = problems.length > 1 ? `, and ${counted(problems.length - 1, "other line")} too` : "";
  if (problems.length) return { drawings, problem: `${problems[0]}${others}.` };
  return { drawings, problem: drawings.length ? "" : `${name} holds no drawings.` };
}

/** @returns {Named} @throws {RangeError} with what is wrong, to go on from "line 3 ". */
function namedOf(line) {
  if (line === null || typeof line !== "object" || !Array.isArray(line.drawing)) throw new RangeError("has no list of strokes, `drawing`");
  const timed = line.drawing.every((stroke) => Array.isArray(stroke) && stroke.length === 3);
  let count = 0;
  const strokes = line.drawing.map((stroke) => {
    const [x, y, t] = Array.isArray(stroke) ? stroke : [];
    return { x, y, t: timed ? t : Array.isArray(x) ? x.map(() => 20 * count++) : x };
  });
  if (!areStrokes(strokes)) throw new RangeError("has a stroke that is not lists of x, of y and of milliseconds, equally long");
  if (pointsOf(strokes) > MOST_POINTS) throw new RangeError(`has more than ${MOST_POINTS.toLocaleString("en")} points`);
  const began = Date.parse(String(line.timestamp).replace(" UTC", "Z").replace(" ", "T"));
  const key = /^\d+$/.test(line.key_id) ? String(line.key_id) : newKey();
  const sketch = { key, began: Number.isFinite(began) ? began : Date.now(), zero: 0, timed, left: 0, top: 0, side: 1, strokes };
  return { sketch: framed(sketch), word: typeof line.word === "string" ? line.word : "", recognized: line.recognized === true };
}
