// The drawing once more, as it was drawn.

const [LONGEST_PAUSE, LONGEST_REPLAY, STEP] = [250, 8000, 700]; // milliseconds; a step is a stroke at reduced motion

/** Shows a drawing in its own time: pauses are cut short, and a long drawing is shown faster. */
class Replay {
  /** @param {(strokes: Stroke[] | null) => void} show gets what is visible at a moment, in the end null. */
  constructor(show) {
    Object.assign(this, { show, frame: 0, running: false });
  }

  /** @param {Stroke[]} strokes */
  start(strokes) {
    this.stop();
    this.running = true;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const times = still ? strokes.map((stroke, k) => stroke.t.map(() => k * STEP)) : shortened(strokes);
    const end = times.at(-1).at(-1) + (still ? STEP : 0);
    let began = null;
    const step = (now) => {
      began ??= now;
      if (now - began > end) return this.stop();
      this.show(before(strokes, times, now - began));
      this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  stop() {
    if (!this.running) return;
    this.running = false;
    cancelAnimationFrame(this.frame);
    this.show(null);
  }
}

/** For every stroke, the moments at which its points are shown, in milliseconds. @param {Stroke[]} strokes */
function shortened(strokes) {
  let [last, now] = [strokes[0].t[0], 0];
  const times = strokes.map(({ t }) => t.map((moment) => {
    now += Math.min(LONGEST_PAUSE, Math.max(0, moment - last));
    last = moment;
    return now;
  }));
  const factor = Math.min(1, LONGEST_REPLAY / Math.max(now, 1));
  return times.map((stroke) => stroke.map((moment) => moment * factor));
}

/** The strokes up to a moment. */
function before(strokes, times, moment) {
  const visible = [];
  strokes.forEach(({ x, y, t }, k) => {
    const count = times[k].filter((time) => time <= moment).length;
    if (count) visible.push({ x: x.slice(0, count), y: y.slice(0, count), t: t.slice(0, count) });
  });
  return visible;
}
