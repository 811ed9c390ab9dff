// The drawing's model: raw strokes with their milliseconds, and every earlier state to go back to.

/**
 * A stroke: coordinates in the drawing's own units, and whole milliseconds since the drawing's first point.
 * @typedef {{x: number[], y: number[], t: number[]}} Stroke
 *
 * A drawing. Its square of `side` units, from `left` and `top`, fills the pad, however large the pad is. A drawing that
 * is begun here has the pad's pixels of then as units, so that its numbers are those of the events. `key` is its
 * `key_id`; `began` the time of its first point and `zero` that from which its strokes now count, in milliseconds since
 * 1970; `timed` is false if it came from a file without times.
 * @typedef {{key: string, began: number, zero: number, timed: boolean, left: number, top: number, side: number,
 *   strokes: Stroke[]}} Sketch
 */

const MOST_POINTS = 100000; // sketchpipe reads raw drawings of so many points

const LONGEST_BREAK = 60000; // milliseconds: a longer one between two strokes, such as a night, counts as this

const blank = () => ({ key: "", began: 0, zero: 0, timed: true, left: 0, top: 0, side: 0, strokes: [] });

const pointsOf = (strokes) => strokes.reduce((sum, stroke) => sum + stroke.x.length, 0);

/** A new key_id: a random integer of 63 bits, in digits. */
function newKey() {
  return (crypto.getRandomValues(new BigUint64Array(1))[0] >> 1n).toString();
}

/** Whether a value, from storage or a file, is a list of strokes that can be drawn. */
function areStrokes(strokes) {
  const finite = (list) => Array.isArray(list) && list.every(Number.isFinite);
  return Array.isArray(strokes) && strokes.length > 0 && strokes.every((stroke) => {
    const { x, y, t } = stroke ?? {};
    return finite(x) && finite(y) && finite(t) && x.length > 0 && x.length === y.length && x.length === t.length;
  });
}

/** Whether a value from storage is a drawing. */
function isSketch(value) {
  return value !== null && typeof value === "object" && typeof value.key === "string" && areStrokes(value.strokes) &&
    [value.began, value.zero, value.left, value.top, value.side].every(Number.isFinite) && value.side > 0;
}

/** The drawing on the pad. States are never changed, but for the stroke that is being drawn: undo goes back to them. */
class Drawing {
  /** @param {() => void} changed is called after every change. */
  constructor(changed) {
    Object.assign(this, { changed, present: blank(), past: [], future: [], drawn: null });
  }

  /** @returns {Stroke[]} */
  get strokes() { return this.present.strokes; }
  get empty() { return this.strokes.length === 0; }
  get full() { return pointsOf(this.strokes) >= MOST_POINTS; }

  /** Begin a stroke at an offset on a pad of `side` pixels, at a time in milliseconds since 1970. */
  begin(x, y, time, side) {
    this.end();
    if (this.full) return;
    const last = this.strokes.at(-1)?.t.at(-1) ?? 0;
    const begun = this.empty
      ? { key: newKey(), began: time, zero: time, timed: true, left: 0, top: 0, side }
      : { zero: Math.max(this.present.zero, time - last - LONGEST_BREAK), timed: true };
    this.drawn = { x: [], y: [], t: [] };
    this.become({ ...this.present, ...begun, strokes: [...this.strokes, this.drawn] });
    this.extend(x, y, time, side);
  }

  /** Add a point to the stroke that is being drawn. */
  extend(x, y, time, side) {
    if (this.drawn === null || this.full) return;
    const { zero, left, top, side: units } = this.present;
    this.drawn.x.push(left + x * (units / side));
    this.drawn.y.push(top + y * (units / side));
    const before = this.drawn.t.at(-1) ?? this.strokes.at(-2)?.t.at(-1) ?? 0;
    this.drawn.t.push(Math.max(before, Math.round(time - zero))); // a clock may be set back between two visits
    this.changed();
  }

  end() {
    if (this.drawn === null) return;
    this.drawn = null;
    this.changed();
  }

  /** Take back the stroke that is being drawn, as if it had never begun. */
  drop() {
    if (this.drawn === null) return;
    this.drawn = null;
    this.present = this.past.pop();
    this.changed();
  }

  undo() { this.step(this.past, this.future); }
  redo() { this.step(this.future, this.past); }

  step(from, to) {
    this.end();
    if (!from.length) return;
    to.push(this.present);
    this.present = from.pop();
    this.changed();
  }

  clear() {
    if (!this.empty) this.show(blank());
  }

  /** Show another drawing; undo brings this one back. @param {Sketch} sketch */
  show(sketch) {
    this.end();
    this.become(sketch);
    this.changed();
  }

  become(sketch) {
    this.past.push(this.present);
    this.present = sketch;
    this.future = [];
  }

  /** Begin anew, without a past. @returns what `resume` takes to go on with the drawing that was here. */
  suspend() {
    this.end();
    const { present, past, future } = this;
    this.resume({ present: blank(), past: [], future: [] });
    return { present, past, future };
  }

  resume(states) {
    this.end();
    Object.assign(this, states);
    this.changed();
  }

  /** Go on with a drawing of an earlier visit; its last strokes can be undone one by one. @param {Sketch} sketch */
  restore(sketch) {
    const first = Math.max(0, sketch.strokes.length - 200); // each state is a list of its own
    const past = sketch.strokes.slice(first).map((_, k) =>
      first + k ? { ...sketch, strokes: sketch.strokes.slice(0, first + k) } : blank());
    this.resume({ present: sketch, past, future: [] });
  }
}
