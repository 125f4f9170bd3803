// The paper on the screen: pointers draw on it, and it shows the drawing sharply at any size.

import { paint } from "./strokes.js";

/** The chequerboard below a transparent picture: black and white both contrast with either grey by 3 to 1. */
const GROUND = ["#6b6b6b", "#949494"];
/** Side of its squares, in heights of the paper: small beside a digit, and larger than a pixel. */
const GROUND_SQUARE = 1 / 28;

/**
 * @typedef {import("./drawing.js").Drawing} Drawing
 * @typedef {import("./drawing.js").Stroke} Stroke
 * @typedef {{erases: boolean, width: number}} Pen Its width in heights of the paper.
 */

/** The eraser end of a pen, as a bit of `PointerEvent.buttons`. */
const ERASER_BUTTON = 32;

export class Pad {
  /** @type {Drawing} */ #drawing;
  /** @type {Stroke | null} */ #stroke = null;
  /** @type {number | null} */ #pointer = null;
  #isTouch = false;
  #frame = 0;
  #aspect = 1;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Drawing} drawing
   * @param {() => Pen} pen Called at the start of each stroke.
   * @param {(stroke: Stroke) => void} onDrawn Called when a stroke has ended.
   */
  constructor(canvas, drawing, pen, onDrawn) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    this.#drawing = drawing;
    this.pen = pen;
    this.onDrawn = onDrawn;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#cancel(event));
    canvas.addEventListener("lostpointercapture", (event) => this.#up(event));
    // No menu during a stroke: it would swallow the pointer's release.
    canvas.addEventListener("contextmenu", (event) => this.#stroke && event.preventDefault());
    new ResizeObserver(() => this.#fit()).observe(canvas);
    addEventListener("resize", () => this.#fit()); // zooming changes the pixels, but not always the box
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => this.redraw());
    }
  }

  /** The paper's width over its height. */
  get aspect() {
    return this.#aspect;
  }

  /** Whether a stroke is being drawn. */
  get isDrawing() {
    return this.#stroke !== null;
  }

  /** @param {Drawing} drawing @param {number} aspect */
  show(drawing, aspect) {
    this.#drawing = drawing;
    this.#stroke = this.#pointer = null;
    this.#aspect = aspect;
    this.#fit();
  }

  /** Repaint the drawing with the next frame. */
  redraw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  /** Whether a stroke's ink is in a square around a place. @param {number} x @param {number} y */
  inked(x, y, side = 0) {
    if (this.#drawing.picture) return false;
    this.#paint(); // the last change may not be painted yet
    const height = this.canvas.height;
    const [left, top] = [x, y].map((middle) => Math.floor((middle - side / 2) * height));
    const pixels = Math.max(1, Math.floor(side * height));
    return this.context.getImageData(left, top, pixels, pixels).data.some((level, at) => at % 4 === 3 && level > 127);
  }

  #fit() {
    const box = this.canvas.getBoundingClientRect();
    const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
    if (width !== this.canvas.width || height !== this.canvas.height) Object.assign(this.canvas, { width, height });
    this.redraw();
  }

  #paint() {
    const { canvas, context } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const { picture } = this.#drawing;
    const stroke = picture && this.#stroke?.erases ? null : this.#stroke; // pictures cannot be erased
    if (picture?.bitmap && !stroke) this.#paintPicture(picture.bitmap);
    const strokes = picture ? [] : this.#drawing.strokes;
    const ink = getComputedStyle(canvas).color; // follows dark mode and forced colours
    paint(context, stroke ? [...strokes, stroke] : strokes, canvas.height, ink);
  }

  /** @param {ImageBitmap} bitmap */
  #paintPicture(bitmap) {
    const { canvas, context } = this;
    const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const width = bitmap.width * scale;
    const height = bitmap.height * scale;
    const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
    context.drawImage(bitmap, left, top, width, height);
    context.globalCompositeOperation = "destination-over"; // where the picture is transparent
    this.#paintGround(left, top, width, height);
    context.globalCompositeOperation = "source-over";
  }

  /** A chequerboard of greys. @param {number} left @param {number} top @param {number} width @param {number} height */
  #paintGround(left, top, width, height) {
    const { canvas, context } = this;
    const side = Math.max(1, Math.round(canvas.height * GROUND_SQUARE));
    for (let row = 0; row * side < height; row++) {
      for (let column = 0; column * side < width; column++) {
        const [x, y] = [column * side, row * side];
        context.fillStyle = GROUND[(row + column) % 2];
        context.fillRect(left + x, top + y, Math.min(side, width - x), Math.min(side, height - y));
      }
    }
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const isPenOverPalm = event.pointerType === "pen" && this.#isTouch;
    if (this.#pointer !== null && !isPenOverPalm || event.button > 0 && !(event.buttons & ERASER_BUTTON)) return;
    this.canvas.setPointerCapture(event.pointerId); // the stroke goes on outside the paper
    this.#pointer = event.pointerId;
    this.#isTouch = event.pointerType === "touch";
    const pen = this.pen();
    const erases = pen.erases || (event.buttons & ERASER_BUTTON) !== 0;
    this.#stroke = { points: [this.#place(event)], width: pen.width, erases };
    this.redraw();
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    if (event.buttons === 0) {
      this.#up(event); // the release was missed: a menu or another window took it
      return;
    }
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) this.#stroke?.points.push(this.#place(each));
    this.redraw();
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (event.pointerId !== this.#pointer || !this.#stroke) return;
    const stroke = this.#stroke;
    this.#stroke = this.#pointer = null;
    this.redraw();
    this.onDrawn(stroke);
  }

  /** The browser took the pointer for a gesture: it was no stroke. @param {PointerEvent} event */
  #cancel(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#stroke = this.#pointer = null;
    this.redraw();
  }

  /** @param {PointerEvent} event */
  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.height, (event.clientY - box.top) / box.height];
  }
}
