// The game: a word, twenty seconds, and the network calls it when it sees it.

const ROUNDS = 6;
const SECONDS = 20;
const [TICK, INTERLUDE] = [100, 1800]; // milliseconds

/**
 * A round that was played: what was asked and drawn, after how many seconds the network named it, or null, and what it
 * saw instead.
 * @typedef {{word: string, sketch: Sketch, seconds: number | null, saw: string | null}} Round
 */

/** Asks for words, one after the other. The time of a round runs from its first stroke. */
class Game {
  /**
   * @param {{drawing: Drawing, pad: Pad, announcer: Announcer, about: object, ended: (rounds: Round[]) => void}} parts
   */
  constructor(parts) {
    Object.assign(this, parts, { running: false, words: [], rounds: [], seconds: 0, saw: null, timer: null, before: null });
    whenPressed("skip", () => this.close(null));
    whenPressed("stop", () => this.finish());
  }

  start() {
    const { about } = this;
    Object.assign(this, { running: true, rounds: [], before: this.before ?? this.drawing.suspend() });
    this.words = sampleOf(about.asked, ROUNDS).map((label) => about.classes[label]);
    document.body.classList.add("playing");
    find("game").hidden = false;
    this.ask();
  }

  /** The word that is asked for, or null between two rounds. */
  get word() { return this.open ? this.words[this.rounds.length] : null; }

  ask() {
    Object.assign(this, { open: true, seconds: 0, saw: null });
    this.pad.open = true;
    this.drawing.resume({ present: blank(), past: [], future: [] });
    find("round").textContent = `Round ${this.rounds.length + 1} of ${this.words.length}: draw`;
    find("asked").textContent = this.word;
    document.body.classList.remove("called");
    enable(find("skip"), true);
    this.showTime();
    find("asked").focus({ preventScroll: true });
    this.announcer.tell(`Draw ${this.word}. ${SECONDS} seconds from your first line.`);
    let last = performance.now();
    this.timer = setInterval(() => {
      const passed = Math.min(performance.now() - last, 5 * TICK); // a page in the background stands still
      last = performance.now();
      if (!this.drawing.empty) this.seconds += passed / 1000;
      this.showTime();
      if (this.seconds >= SECONDS) this.close(null);
    }, TICK);
  }

  showTime() {
    const left = Math.max(0, SECONDS - this.seconds);
    find("left").style.transform = `scaleX(${left / SECONDS})`;
    find("game").classList.toggle("short", left < 5);
    find("seconds").textContent = this.seconds ? `${Math.ceil(left)} s left` : `${SECONDS} s from your first line`;
  }

  /** The network's most probable word for what is drawn, or null. */
  look(word) {
    if (!this.running || !this.open || this.drawing.empty) return;
    this.saw = word;
    if (word === this.word) this.close(this.seconds);
  }

  /** End a round: it was named after some seconds, or not, which is null. */
  close(seconds) {
    if (!this.open) return;
    const { word } = this;
    this.pad.close();
    const { present } = this.drawing;
    this.rounds.push({ word, sketch: present, seconds, saw: this.saw });
    this.open = false;
    clearInterval(this.timer);
    enable(find("skip"), false);
    document.body.classList.toggle("called", seconds !== null);
    const called = seconds !== null ? `Yes, it is ${word}!` : this.saw ? `Not named. It saw ${this.saw}.` : "Skipped.";
    find("seconds").textContent = called;
    this.announcer.tell(called);
    this.timer = setTimeout(() => (this.rounds.length < this.words.length ? this.ask() : this.finish()), INTERLUDE);
  }

  /** End the game, also in the middle, and bring back the drawing that was here before it. */
  finish() {
    clearInterval(this.timer);
    clearTimeout(this.timer);
    Object.assign(this, { running: false, open: false });
    document.body.classList.remove("playing", "called");
    find("game").hidden = true;
    this.drawing.resume(this.before);
    this.before = null;
    this.pad.open = true;
    this.ended(this.rounds);
  }
}

/** A sentence about a round. @param {Round} round */
function resultOf({ sketch, seconds, saw }) {
  if (seconds !== null) return `named in ${seconds.toFixed(1)} s`;
  return sketch.strokes.length ? `it saw ${saw}` : "skipped";
}

/** Shows the rounds of a game and offers to keep the drawings. */
class Summary {
  /** @param {(drawings: Named[]) => void} keep @param {() => void} again */
  constructor(keep, again) {
    this.dialog = find("summary");
    whenPressed("keep-rounds", () => {
      keep(this.drawings);
      enable(find("keep-rounds"), false);
      find("keep-rounds").textContent = "Kept";
    });
    find("again").addEventListener("click", () => { this.dialog.close(); again(); });
    find("done").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => find("play").focus({ preventScroll: true }));
  }

  /** @param {Round[]} rounds */
  show(rounds) {
    if (!rounds.length) return find("play").focus();
    const drawn = rounds.filter((round) => round.sketch.strokes.length);
    this.drawings = drawn.map(({ word, sketch, seconds }) => ({ sketch, word, recognized: seconds !== null }));
    const named = rounds.filter((round) => round.seconds !== null).length;
    find("summary-title").textContent = `It named ${named} of ${counted(rounds.length, "drawing")}`;
    find("rounds").replaceChildren(...rounds.map((round) => {
      const sheet = make("div", { className: "sheet" }, round.sketch.strokes.length ? thumbnail(round.sketch) : make("canvas"));
      return make("li", {}, sheet, make("b", {}, round.word), make("small", {}, resultOf(round)));
    }));
    enable(find("keep-rounds"), drawn.length > 0);
    find("keep-rounds").textContent = "Keep the drawings";
    this.dialog.showModal();
    find("summary-title").focus();
  }
}
