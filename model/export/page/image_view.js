// The very image that the network sees, pixel by pixel.

const COLOURS = {
  order: "Green grows from the first stroke to the last, so that lines turn from red and purple to yellow and white; blue tells their direction.",
  palette: "Every stroke has a colour of its own, so that the network sees their order.",
  gray: "Lines are white; their order is not seen.",
};

/** A canvas with the image, enlarged without blur by the page's style. */
class ImageView {
  constructor(canvas, about) {
    Object.assign(this, { canvas, about });
    canvas.width = canvas.height = about.size;
    this.context = canvas.getContext("2d");
    find("seen-caption").textContent = `${about.size} × ${about.size} pixels. ${COLOURS[about.encoding] ?? ""}`;
  }

  /** @param {Uint8Array | null} image (size, size, channels), or null for an empty one. */
  show(image) {
    const { size, channels } = this.about;
    const picture = this.context.createImageData(size, size);
    for (let pixel = 0; pixel < size * size; pixel++) {
      for (let k = 0; k < 3; k++) picture.data[4 * pixel + k] = image ? image[pixel * channels + (k % channels)] : 0;
      picture.data[4 * pixel + 3] = 255;
    }
    this.context.putImageData(picture, 0, 0);
  }
}
