// The drawings that somebody kept with their words, for a file of drawings to train on.

const MOST_KEPT = 2000;
const MOST_SHOWN = 24;

/** The list of kept drawings, and the gallery that shows the latest. A drawing is in it once, with its latest word. */
class Kept {
  /**
   * @param {Storage} storage
   * @param {(named: Named) => void} opened is called when somebody chooses a drawing in the gallery.
   * @param {(text: string) => void} tell
   */
  constructor(storage, opened, tell) {
    Object.assign(this, { storage, opened, tell });
    const stored = storage.read("kept");
    /** @type {Named[]} */
    this.list = Array.isArray(stored) ? stored.filter((one) => isSketch(one?.sketch) && typeof one.word === "string") : [];
    this.show();
  }

  /** The word that a drawing was kept with as it is now, or null. @param {Sketch} sketch */
  wordOf(sketch) {
    const kept = this.list.find((one) => one.sketch.key === sketch.key);
    return kept && pointsOf(kept.sketch.strokes) === pointsOf(sketch.strokes) ? kept.word : null;
  }

  /** Keep drawings. @param {Named[]} drawings @returns how many of them there was room for. */
  keep(drawings) {
    const keys = new Set(drawings.map((one) => one.sketch.key));
    const others = this.list.filter((one) => !keys.has(one.sketch.key));
    const taken = drawings.slice(0, MOST_KEPT - others.length);
    this.become([...others, ...taken]);
    return taken.length;
  }

  remove(named) {
    this.become(this.list.filter((one) => one !== named));
    this.tell(`“${named.word}” is removed. ${this.total()}`);
  }

  become(list) {
    this.list = list;
    this.stored = this.storage.write("kept", list);
    this.show();
  }

  total() {
    return this.list.length ? `${counted(this.list.length, "drawing")} kept.` : "None are kept.";
  }

  show() {
    const some = this.list.slice(-MOST_SHOWN).reverse();
    find("gallery").replaceChildren(...some.map((named) => this.tile(named)));
    const hidden = this.list.length - some.length;
    find("kept-count").textContent = this.list.length
      ? `${this.total()}${hidden ? ` The latest ${some.length} are shown.` : ""} A saved file holds them all, ready to train on.`
      : "Keep drawings with their words, and save them as a file to train on.";
  }

  tile(named) {
    const open = make("button", { type: "button", className: "sheet", onclick: () => this.opened(named) }, thumbnail(named.sketch));
    open.setAttribute("aria-label", `Show the drawing of ${named.word}`);
    const remove = make("button", { type: "button", className: "remove", onclick: () => this.remove(named) }, "×");
    remove.setAttribute("aria-label", `Remove the drawing of ${named.word}`);
    return make("li", {}, open, named.word, remove);
  }
}
