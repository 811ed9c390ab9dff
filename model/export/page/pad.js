// The pad: pointers draw on it, and it shows the drawing.

const NEAR = 1000; // milliseconds after a pen's last event during which touches are the palm of the hand that holds it

/** The canvas that is drawn on. One contact draws at a time; a pen has precedence over fingers. */
class Pad {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Drawing} drawing
   * @param {() => void} beforeStroke is called when somebody begins to draw.
   */
  constructor(canvas, drawing, beforeStroke) {
    Object.assign(this, { canvas, drawing, beforeStroke, contact: null, kind: "", penSeen: -Infinity, open: true });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(type, (event) => this.up(event)); // a cancelled stroke is kept
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    for (const type of ["touchstart", "touchmove"]) { // or Scribble takes a pen's strokes for handwriting, on iPads
      canvas.addEventListener(type, (event) => event.preventDefault(), { passive: false });
    }
  }

  /** The side in CSS pixels. */
  get side() { return this.canvas.clientWidth || 1; }

  down(event) {
    if (event.pointerType === "pen") this.penSeen = event.timeStamp;
    if (!this.open || event.button !== 0) return;
    if (event.pointerType === "touch" && event.timeStamp - this.penSeen < NEAR) return;
    if (this.contact !== null) {
      if (event.pointerType !== "pen" || this.kind !== "touch") return;
      this.drawing.drop(); // the palm came down before the pen
    }
    this.beforeStroke();
    [this.contact, this.kind] = [event.pointerId, event.pointerType];
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {
      // The pointer is gone already, a tap: the stroke is its one point.
    }
    const { x, y, time } = this.placeOf(event, this.canvas.getBoundingClientRect());
    this.drawing.begin(x, y, time, this.side);
  }

  move(event) {
    if (event.pointerType === "pen") this.penSeen = event.timeStamp;
    if (event.pointerId !== this.contact) return;
    const events = event.getCoalescedEvents?.() ?? [];
    const box = this.canvas.getBoundingClientRect();
    for (const one of events.length ? events : [event]) {
      const { x, y, time } = this.placeOf(one, box);
      this.drawing.extend(x, y, time, this.side);
    }
  }

  up(event) {
    if (event.pointerId !== this.contact) return;
    this.contact = null;
    this.drawing.end();
  }

  /** End the stroke that is being drawn, and take none until `open` is true again. */
  close() {
    this.contact = null;
    this.open = false;
    this.drawing.end();
  }

  placeOf(event, box) {
    return { x: event.clientX - box.left, y: event.clientY - box.top, time: performance.timeOrigin + event.timeStamp };
  }

  /** Show strokes of the drawing, and the pen of the keyboard, if it is in use. */
  show(strokes, pen) {
    const context = prepare(this.canvas, this.side);
    if (strokes.length) paint(context, this.drawing.present, strokes, this.side, colourOf("--ink"));
    if (pen === null) return;
    context.strokeStyle = colourOf(pen.drawing ? "--warm" : "--accent");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(pen.x * this.side, pen.y * this.side, 8, 0, 2 * Math.PI);
    context.moveTo(pen.x * this.side + 3, pen.y * this.side);
    context.arc(pen.x * this.side, pen.y * this.side, 3, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Draws with the keys: arrows move the pen, the space bar lowers and lifts it. Places are shares of the pad, 0-1. */
class KeyboardPen {
  constructor(pad, announcer, moved) {
    Object.assign(this, { pad, x: 0.5, y: 0.5, lowered: false, shown: false });
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    pad.canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !pad.open || pad.contact !== null) return;
      const step = steps[event.key];
      if (step) this.move(step, event.shiftKey ? 0.08 : 0.02);
      else if (event.key === " ") this.press(announcer);
      else if (event.key === "Escape" && this.drawing) this.lift();
      else return;
      event.preventDefault();
      this.shown = true;
      moved();
    });
    pad.canvas.addEventListener("pointerdown", () => this.hide());
    pad.canvas.addEventListener("blur", () => { this.hide(); moved(); });
  }

  /** Whether the pen is down; what ends its stroke, such as the end of a round, lifts it. */
  get drawing() { return this.lowered && this.pad.drawing.drawn !== null; }

  move(step, length) {
    const clamp = (value) => Math.min(1, Math.max(0, value));
    [this.x, this.y] = [clamp(this.x + step[0] * length), clamp(this.y + step[1] * length)];
    if (this.drawing) this.pad.drawing.extend(...this.place());
  }

  press(announcer) {
    if (this.drawing) return this.lift();
    this.pad.beforeStroke();
    this.lowered = true;
    this.pad.drawing.begin(...this.place());
    announcer.tell("Pen down.");
  }

  lift() {
    this.lowered = false;
    this.pad.drawing.end();
  }

  hide() {
    if (this.drawing) this.lift();
    this.shown = false;
  }

  place() {
    const { side } = this.pad;
    return [this.x * side, this.y * side, performance.timeOrigin + performance.now(), side];
  }
}
