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
    this.stored = true;
    /** @type {Named[]} */
    this.list = [];
    this.list = this.latest();
    this.show();
  }

  /** The list as it is stored: another tab may have changed it. */
  latest() {
    const stored = this.stored ? this.storage.read("kept") : null;
    const isNamed = (one) => isSketch(one?.sketch) && typeof one.word === "string";
    return Array.isArray(stored) ? stored.filter(isNamed) : this.list;
  }

  /** The word that a drawing was kept with as it is now, or null. @param {Sketch} sketch */
  wordOf(sketch) {
    const kept = this.list.find((one) => one.sketch.key === sketch.key);
    return kept && pointsOf(kept.sketch.strokes) === pointsOf(sketch.strokes) ? kept.word : null;
  }

  /** Keep drawings. @param {Named[]} drawings @returns how many of them there was room for. */
  keep(drawings) {
    const list = new Map(this.latest().map((one) => [one.sketch.key, one]));
    let taken = 0;
    for (const one of drawings) {
      const isOld = list.delete(one.sketch.key); // so that it becomes the latest
      if (!isOld && list.size >= MOST_KEPT) continue;
      list.set(one.sketch.key, one);
      taken++;
    }
    this.become([...list.values()]);
    return taken;
  }

  remove(named) {
    this.become(this.latest().filter((one) => one.sketch.key !== named.sketch.key));
    const back = this.stored ? "" : " This browser does not store that: it is back when the page is opened again.";
    this.tell(`“${named.word}” is removed. ${this.total()}${back}`);
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
