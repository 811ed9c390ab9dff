/** The kernels with which sketchpipe trains, as WebAssembly: they simplify, draw and name what is drawn here. */
class Engine {
  /** Opens what the page holds; an error's message is for the person who opened it. */
  static async open() {
    const held = (id) => document.getElementById(id).textContent;
    const about = JSON.parse(held("about"));
    const stack = about.engine.stack;
    const memory = new WebAssembly.Memory({ initial: stack / 65536 + 1 });
    let instance;
    try {
      const pointer = new WebAssembly.Global({ value: "i32", mutable: true }, stack);
      const imports = { env: { __linear_memory: memory, __stack_pointer: pointer } };
      ({ instance } = await WebAssembly.instantiate(bytesOf(held("kernels")), imports));
    } catch (error) {
      throw new Error(`This browser cannot run the page's WebAssembly; a newer one can. (${error.message})`);
    }
    return new Engine(about, memory, instance.exports, bytesOf(held("weights")));
  }

  constructor(about, memory, kernels, content) {
    this.about = about;
    this.memory = memory;
    this.kernels = kernels;
    const { stack, plan, halves, scales, floats } = about.engine;
    this.end = stack; // of what is in memory; the stack is below
    this.plan = this.room(plan.length, 8);
    this.weights = this.room(halves + scales, 4);
    this.floats = this.room(floats, 4);
    this.kept = this.end;
    this.view(BigInt64Array, this.plan).set(plan.map(BigInt));
    const weights = this.view(Float32Array, this.weights);
    const words = new Uint16Array(content.buffer, 0, halves);
    for (let k = 0; k < halves; k++) weights[k] = floatOf(words[k]);
    weights.set(new Float32Array(content.slice(2 * halves).buffer), halves);
  }

  /**
   * Simplifies a drawing as Google did.
   * @param {{x: ArrayLike<number>, y: ArrayLike<number>}[]} strokes of any unit, each with a point or more
   * @returns {{x: Uint8Array, y: Uint8Array, ends: number[]}} `ends`: where each stroke ends in x and y
   */
  simplify(strokes) {
    const { samples, points } = this.about.engine;
    const count = strokes.reduce((sum, stroke) => sum + stroke.x.length, 0);
    this.end = this.kept;
    const raw = [this.room(count, 8), this.room(count, 8)];
    const sampled = [this.room(samples, 8), this.room(samples, 8), this.room(samples, 8)];
    const ends = this.room(strokes.length, 8);
    const found = [this.room(2 * count, 1), this.room(2 * count, 1)];
    const [x, y] = raw.map((one) => this.view(Float64Array, one));
    const endings = this.view(BigInt64Array, ends);
    let at = 0;
    strokes.forEach((stroke, k) => {
      x.set(stroke.x, at);
      y.set(stroke.y, at);
      at += stroke.x.length;
      endings[k] = BigInt(at);
    });
    const size = this.call("simplify",
      ...this.given(...raw, ...sampled, ends), strokes.length, ...this.given(...found), 0, points);
    if (size < 0) throw new RangeError("This drawing is too long. Undo a stroke, or clear it.");
    const [simplifiedX, simplifiedY] = found.map((one) => this.view(Uint8Array, one).slice(0, size));
    return { x: simplifiedX, y: simplifiedY, ends: Array.from(this.view(BigInt64Array, ends), Number) };
  }

  /** The image that the network sees of what `simplify` returns: (size * size * channels) bytes, rows from the top. */
  render({ x, y, ends }) {
    const { lanes, block, fields, rows, table, by_segment, line_width, room } = this.about.engine;
    const { size, channels } = this.about;
    this.end = this.kept;
    const [strokeEnd, drawingEnd] = [this.room(ends.length, 8), this.room(1, 8)];
    const [bytesX, bytesY] = [this.room(x.length, 1), this.room(x.length, 1)];
    const [placedX, placedY] = [this.room(x.length, 4), this.room(x.length, 4)];
    const [width, colours] = [this.room(1, 4), this.room(table.length, 1)];
    const blocks = Math.ceil((x.length + ends.length) / block);
    const columns = blocks * block + 1;
    const runs = this.room(2 * ends.length + 2, 8);
    const points = this.room(rows * columns, 4);
    const inks = this.room(3 * columns, 1);
    const segments = this.room(blocks * block * fields, 4);
    const planes = this.room(3 * (size * (size + lanes) + lanes), 1);
    const image = this.room(size * size * channels, 1);
    this.view(BigInt64Array, strokeEnd).set(ends.map(BigInt));
    this.view(BigInt64Array, drawingEnd)[0] = BigInt(ends.length);
    this.view(Float32Array, width)[0] = line_width;
    this.view(Uint8Array, colours).set(table);
    this.view(Float32Array, points).fill(0);
    if (room === null) {
      this.view(Float32Array, placedX).set(x);
      this.view(Float32Array, placedY).set(y);
    } else {
      this.view(Uint8Array, bytesX).set(x);
      this.view(Uint8Array, bytesY).set(y);
      const box = this.given(bytesX, bytesY, strokeEnd, drawingEnd);
      this.call("centre", ...box, room, ...this.given(runs, placedX, placedY));
    }
    this.call("render",
      ...this.given(placedX, placedY, strokeEnd, drawingEnd, width), size / 256,
      colours.at, table.length / 3, 3, by_segment, points.at, rows, columns, inks.at, 3, columns,
      ...this.given(segments, planes), size, channels, ...this.given(image));
    return this.view(Uint8Array, image).slice();
  }

  /** The probability of each class for an image that `render` returns. */
  probabilities(image) {
    this.end = this.kept;
    const given = this.room(image.length, 1);
    this.view(Uint8Array, given).set(image);
    this.call("run", ...this.given(given, this.plan, this.weights, this.floats));
    const { logits, temperature } = this.about.engine;
    const found = this.view(Float32Array, this.floats).subarray(logits, logits + this.about.classes.length);
    const most = found.reduce((a, b) => Math.max(a, b), -Infinity);
    const shares = Array.from(found, (one) => Math.exp((one - most) / temperature));
    const total = shares.reduce((a, b) => a + b, 0);
    return Float32Array.from(shares, (one) => one / total);
  }

  /** Calls a kernel; one that raises an exception, which none should, returns the least integer. */
  call(name, ...values) {
    const returned = this.kernels[name](...values);
    if (returned === -(2 ** 31)) throw new Error(`The kernel ${name} failed; reload the page.`);
    return returned;
  }

  /** Takes memory for `length` numbers of `bytes` bytes each. */
  room(length, bytes) {
    const at = this.end;
    this.end = (at + length * bytes + 63) & ~63;
    const missing = this.end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return { at, length };
  }

  /** The numbers in memory that `room` took; valid until more memory is taken. */
  view(Type, { at, length }) {
    return new Type(this.memory.buffer, at, length);
  }

  /** Arrays of one axis as the kernels take them: each its address and its length. */
  given(...arrays) {
    return arrays.flatMap(({ at, length }) => [at, length]);
  }
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The number that 16 bits hold in half precision. */
function floatOf(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
