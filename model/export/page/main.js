// Puts the parts together, and guesses once a frame.

/** The page's parts, and what its buttons do. */
class Page {
  /** @param {Engine} engine */
  constructor(engine) {
    const { about } = engine;
    this.engine = engine;
    this.due = false;
    this.visible = null; // the strokes of a moment of the replay
    this.latest = null; // the last guess
    this.announcer = new Announcer(find("live"));
    this.storage = new Storage(`sketchpipe ${about.name} `);
    this.drawing = new Drawing(() => this.refresh());
    this.pad = new Pad(find("pad"), this.drawing, () => this.beginStroke());
    this.pen = new KeyboardPen(this.pad, this.announcer, () => this.refresh());
    this.guesses = new Guesses(about, this.announcer);
    this.imageView = new ImageView(find("seen"), about);
    this.replay = new Replay((strokes) => { this.visible = strokes; this.refresh(); });
    this.kept = new Kept(this.storage, (named) => this.open(named), (text) => this.tell(text));
    this.question = new Question(about.classes);
    const { drawing, pad, announcer } = this;
    this.summary = new Summary((drawings) => this.keep(drawings), () => this.play());
    this.game = new Game({ drawing, pad, announcer, about, ended: (rounds) => this.summary.show(rounds) });
    this.listen();
    describe(about);
    const stored = this.storage.read("drawing");
    if (isSketch(stored)) this.drawing.restore(stored);
  }

  listen() {
    const { drawing } = this;
    whenPressed("undo", () => this.change(() => drawing.undo()));
    whenPressed("redo", () => this.change(() => drawing.redo()));
    whenPressed("clear", () => this.change(() => drawing.clear(), "Cleared; undo brings it back."));
    whenPressed("replay", () => (this.replay.running ? this.replay.stop() : this.replay.start(drawing.strokes)));
    whenPressed("right", () => this.keep([this.named(this.guesses.word)]));
    whenPressed("wrong", () => this.askWord("What is it?", "Your answer is kept with the drawing.", this.guesses.words.slice(1)));
    whenPressed("fresh", () => this.change(() => drawing.clear(), "A new drawing."));
    whenPressed("save", () => this.save());
    whenPressed("picture", async () => download(fileName(this.title(), ".png"), await pictureOf(drawing.present)));
    whenPressed("share-button", async () => this.tell(await share(await pictureOf(drawing.present), this.title())));
    whenPressed("load", () => find("file").click());
    whenPressed("play", () => this.play());
    find("share-button").hidden = !canShare();
    find("file").addEventListener("change", async (event) => {
      await this.load([...event.target.files]);
      event.target.value = ""; // so that the same file can be chosen again
    });
    whenDropped((files) => { if (!this.game.running && !document.querySelector("dialog[open]")) this.load(files); });
    document.addEventListener("keydown", (event) => this.shortcut(event));
    new ResizeObserver(() => this.refresh()).observe(this.pad.canvas);
    window.addEventListener("resize", () => this.refresh()); // also when the page is zoomed
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      document.querySelectorAll(".gallery canvas").forEach((canvas) => canvas.redraw?.());
      this.refresh();
    });
  }

  shortcut(event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches("input") || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    const button = key === "z" ? (event.shiftKey ? "redo" : "undo") : key === "y" ? "redo" : null;
    if (button === null) return;
    event.preventDefault();
    find(button).click();
  }

  beginStroke() {
    this.replay.stop();
    this.tell("");
  }

  change(action, message = "") {
    if (!this.pad.open) return;
    this.replay.stop();
    action();
    this.tell(message);
  }

  /** Show everything anew in the next frame. */
  refresh() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.show();
    });
  }

  show() {
    const { drawing } = this;
    const strokes = this.visible ?? drawing.strokes;
    this.pad.show(strokes, this.pen.shown ? this.pen : null);
    find("hint").hidden = !drawing.empty || this.pen.shown;
    this.guess(strokes);
    enable(find("undo"), drawing.past.length > 0);
    enable(find("redo"), drawing.future.length > 0);
    for (const name of ["clear", "replay", "picture", "share-button"]) enable(find(name), !drawing.empty);
    enable(find("save"), !drawing.empty || this.kept.list.length > 0);
    find("replay-label").textContent = this.replay.running ? "Stop" : "Replay";
    this.showVerdict();
    if (drawing.drawn === null && !this.game.running) this.storeDrawing();
  }

  guess(strokes) {
    try {
      this.latest = strokes.length ? guessOf(this.engine, strokes) : null;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.guesses.refuse("That is too much to guess: undo some of it");
      return;
    }
    this.guesses.show(this.latest);
    this.imageView.show(this.latest?.image ?? null);
    if (this.visible === null) this.game.look(this.guesses.word);
  }

  showVerdict() {
    const { drawing, guesses } = this;
    find("verdict").hidden = drawing.empty || guesses.word === null || drawing.drawn !== null && drawing.strokes.length === 1;
    find("right").disabled = find("wrong").disabled = this.visible !== null; // in a replay the guess is of a part
    if (guesses.word === null || this.visible !== null) return;
    const kept = this.kept.wordOf(drawing.present);
    find("question").textContent = kept === null ? `Is “${guesses.word}” right?` : `Kept as “${kept}”.`;
    find("right").hidden = kept !== null;
    find("fresh").hidden = kept === null;
    find("wrong").textContent = kept === null ? "No, it is\u00a0…" : "Change the word";
  }

  storeDrawing() {
    const { present } = this.drawing;
    if (present === this.stored) return;
    this.stored = present;
    this.storage.write("drawing", present.strokes.length ? present : null);
  }

  /** Say something under the pad, and to screen readers. */
  tell(text) {
    find("told").textContent = text;
    if (text) this.announcer.tell(text);
  }

  /** @returns {Named} */
  named(word) {
    return { sketch: this.drawing.present, word, recognized: word === this.guesses.word };
  }

  title() {
    return this.kept.wordOf(this.drawing.present) ?? this.guesses.word ?? "drawing";
  }

  /** @param {Named[]} drawings */
  keep(drawings) {
    if (!drawings.length) return;
    const taken = this.kept.keep(drawings);
    const what = drawings.length === 1 ? `Kept as “${drawings[0].word}”.` : `${counted(taken, "drawing")} added.`;
    const room = taken < drawings.length ? ` There is room for ${MOST_KEPT.toLocaleString("en")} only.` : "";
    const lost = this.kept.stored ? "" : " This browser does not store them: save them before you close the page.";
    this.tell(`${what} ${this.kept.total()}${room}${lost}`);
    this.refresh();
  }

  async askWord(title, lead, guesses, optional = false) {
    this.replay.stop();
    const sketch = this.drawing.present;
    const word = await this.question.ask(title, lead, guesses, optional);
    if (word) this.keep([{ sketch, word, recognized: word === this.guesses.word }]);
    return word;
  }

  /** Save the kept drawings; the one on the pad too, once its word is known. */
  async save() {
    const { drawing, kept, guesses } = this;
    if (!drawing.empty && kept.wordOf(drawing.present) === null) {
      const lead = "The file holds each drawing with its word.";
      const word = await this.askWord("What did you draw?", lead, guesses.words, kept.list.length > 0);
      if (word === null) return;
    }
    download("drawings.ndjson", fileOf(kept.list));
    this.tell(`${counted(kept.list.length, "drawing")} saved in drawings.ndjson.`);
  }

  /** @param {File[]} files */
  async load(files) {
    const { drawings, problems } = await readFiles(files);
    this.keep(drawings.filter((named) => named.word)); // one without a word is only shown
    if (drawings.length) this.open(drawings[0]);
    this.tell([find("told").textContent, ...problems].filter(Boolean).join(" "));
  }

  /** @param {Named} named */
  open(named) {
    this.replay.stop();
    this.drawing.show(named.sketch);
    find("pad").scrollIntoView({ block: "nearest" });
  }

  play() {
    this.replay.stop();
    this.tell("");
    this.game.start();
    window.scrollTo(0, 0);
  }
}

/** Start the page; where that cannot be, say why in place of it. */
async function start() {
  const trouble = find("trouble");
  try {
    const needed = ["WebAssembly", "PointerEvent", "ResizeObserver", "HTMLDialogElement"];
    if (!needed.every((name) => name in window)) throw new Error(trouble.textContent);
    const page = new Page(await Engine.open());
    trouble.hidden = true;
    find("page").hidden = false;
    page.refresh();
    // For tests: what the page holds and last showed.
    window.sketchpipe = Object.freeze({ engine: page.engine, drawing: page.drawing, latest: () => page.latest });
  } catch (error) {
    trouble.textContent = error.message;
    trouble.className = "now";
    throw error;
  }
}

start();
