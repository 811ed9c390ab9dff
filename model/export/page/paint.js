// Strokes on a canvas: on the pad, in the galleries, in a picture.

/**
 * Size a canvas in the screen's own pixels and clear it.
 * @returns its context, in CSS pixels.
 */
function prepare(canvas, side, density = window.devicePixelRatio || 1) {
  const pixels = Math.max(1, Math.round(side * density));
  if (canvas.width !== pixels || canvas.height !== pixels) canvas.width = canvas.height = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(pixels / side, 0, 0, pixels / side, 0, 0);
  context.clearRect(0, 0, side, side);
  return context;
}

/** Draw strokes so that a sketch's square fills `side` pixels. */
function paint(context, sketch, strokes, side, colour) {
  const scale = side / sketch.side;
  const width = Math.max(1.5, side / 110);
  context.strokeStyle = context.fillStyle = colour;
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const { x, y } of strokes) {
    const [left, top] = [(x[0] - sketch.left) * scale, (y[0] - sketch.top) * scale];
    context.beginPath();
    if (x.every((value, k) => value === x[0] && y[k] === y[0])) {
      context.arc(left, top, width * 0.75, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    context.moveTo(left, top);
    for (let k = 1; k < x.length; k++) context.lineTo((x[k] - sketch.left) * scale, (y[k] - sketch.top) * scale);
    context.stroke();
  }
}

/** The page's colour of a name, as it is in the theme of now. */
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A small picture of a drawing, in the page's colours. @param {Sketch} sketch */
function thumbnail(sketch, side = 112) {
  const canvas = make("canvas");
  const redraw = () => paint(prepare(canvas, side, 2), framed(sketch), sketch.strokes, side, colourOf("--ink"));
  redraw();
  canvas.redraw = redraw;
  return canvas;
}

/** The sketch with the smallest square around all its strokes, and a margin of a twelfth. @param {Sketch} sketch */
function framed(sketch) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of sketch.strokes) {
    for (let k = 0; k < x.length; k++) {
      [left, right] = [Math.min(left, x[k]), Math.max(right, x[k])];
      [top, bottom] = [Math.min(top, y[k]), Math.max(bottom, y[k])];
    }
  }
  const side = Math.max(right - left, bottom - top, 1) * (1 + 2 / 12);
  return { ...sketch, left: (left + right - side) / 2, top: (top + bottom - side) / 2, side };
}
