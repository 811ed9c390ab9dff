// What the network thinks of the drawing: the headline, five bars, and all words on request.

const SHOWN = 5;

/**
 * What the engine makes of strokes: the image, the probabilities, and the classes with the most probable first.
 * @typedef {{simplified: object, image: Uint8Array, probabilities: Float32Array, order: number[]}} Guess
 */

/** @returns {Guess} @throws {RangeError} if the strokes are too long to be simplified. */
function guessOf(engine, strokes) {
  const simplified = engine.simplify(strokes);
  const image = engine.render(simplified);
  const probabilities = engine.probabilities(image);
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  return { simplified, image, probabilities, order };
}

/** A bar: a word and its probability. */
class Bar {
  constructor() {
    this.fill = make("i");
    this.word = make("span", { className: "word" });
    this.percent = make("span", { className: "percent" });
    this.item = make("li", {}, this.fill, this.word, this.percent);
  }

  show(word, share) {
    this.word.textContent = word;
    this.percent.textContent = word ? percent(share) : "";
    this.fill.style.transform = `scaleX(${share})`;
  }
}

/** The part of the page that says what the drawing looks like. */
class Guesses {
  constructor(about, announcer) {
    Object.assign(this, { about, announcer, said: "", guess: null });
    this.bars = Array.from({ length: Math.min(SHOWN, about.classes.length) }, () => new Bar());
    this.rows = [];
    find("bars").append(...this.bars.map((bar) => bar.item));
    const rest = find("rest");
    rest.hidden = about.classes.length <= SHOWN;
    rest.firstElementChild.textContent = `All ${counted(about.classes.length, "word")}`;
    rest.addEventListener("toggle", () => this.showAll());
    this.examples = sampleOf(about.asked, 3).map((label) => about.classes[label]);
  }

  /** The most probable word, or null without a drawing. */
  get word() { return this.guess && this.about.classes[this.guess.order[0]]; }

  /** The most probable words. */
  get words() { return this.guess ? this.guess.order.slice(0, SHOWN).map((label) => this.about.classes[label]) : []; }

  /** @param {Guess | null} guess is null if nothing is drawn. */
  show(guess) {
    this.guess = guess;
    find("headline").classList.toggle("empty", guess === null);
    if (guess === null) this.say("Draw anything:", this.examples.join(", ") + "\u00a0…", "", true);
    else {
      const share = guess.probabilities[guess.order[0]];
      const sure = share >= this.about.unsure_below;
      this.say(sure ? "It looks like" : "Not sure yet, perhaps", this.word, percent(share), !sure);
    }
    this.bars.forEach((bar, place) => {
      const label = guess?.order[place];
      bar.show(label === undefined ? "" : this.about.classes[label], guess?.probabilities[label] ?? 0);
    });
    this.showAll();
  }

  /** Say in the headline why there is no guess. */
  refuse(reason) {
    this.show(null);
    find("headline").classList.remove("empty");
    this.say(reason, "", "", true);
  }

  say(opinion, word, share, unsure) {
    find("opinion").textContent = opinion;
    find("named").textContent = word;
    find("share").textContent = share;
    find("headline").classList.toggle("unsure", unsure);
    const said = `${opinion} ${word}`;
    if (said !== this.said && this.guess !== null) this.announcer.tellGuess(said);
    this.said = said;
  }

  showAll() {
    if (!find("rest").open) return;
    if (!this.rows.length) {
      this.rows = this.about.classes.map(() => new Bar());
      find("all").append(...this.rows.map((row) => row.item));
    }
    this.rows.forEach((row, place) => {
      const label = this.guess?.order[place] ?? place;
      row.show(this.about.classes[label], this.guess?.probabilities[label] ?? 0);
    });
  }
}

/** `count` different members of a list, by chance, fewer if it has fewer. */
function sampleOf(list, count) {
  const left = [...list];
  const taken = [];
  while (left.length && taken.length < count) taken.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return taken;
}
