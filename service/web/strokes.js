// Paints strokes, on the screen and into the PNG that is sent.

/** @typedef {import("./drawing.js").Stroke} Stroke */

/** Ten times MNIST's side: more detail than the service keeps of a stroke, and quick to encode. */
const SENT_HEIGHT = 280;

/**
 * Paint strokes onto a context in the given ink; where nothing is drawn, it stays transparent.
 * @param {CanvasRenderingContext2D} context
 * @param {Stroke[]} strokes
 * @param {number} height Of the paper, in pixels of the context.
 * @param {string} ink
 */
export function paint(context, strokes, height, ink) {
  context.save();
  context.scale(height, height);
  context.lineCap = context.lineJoin = "round";
  context.fillStyle = context.strokeStyle = ink;
  for (const stroke of strokes) {
    context.globalCompositeOperation = stroke.erases ? "destination-out" : "source-over";
    if (stroke.square) paintSquare(context, stroke, height);
    else paintLine(context, stroke);
  }
  context.restore();
}

/**
 * The drawing as a PNG, dark on white.
 * @param {Stroke[]} strokes
 * @param {number} aspect The paper's width over its height.
 * @returns {Promise<Blob>}
 */
export function pictureOf(strokes, aspect) {
  const canvas = document.createElement("canvas");
  canvas.width = SENT_HEIGHT * aspect;
  canvas.height = SENT_HEIGHT;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  paint(context, strokes, SENT_HEIGHT, "black");
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(/** @type {Blob} */ (blob)), "image/png"));
}

/** The size in pixels of the picture that `pictureOf` makes. @param {number} aspect */
export function sizeOfPicture(aspect) {
  return { width: SENT_HEIGHT * aspect, height: SENT_HEIGHT };
}

/**
 * Paint a square with its edges between whole pixels: on fractions, two adjacent squares would leave a light line.
 * @param {CanvasRenderingContext2D} context
 * @param {Stroke} stroke
 * @param {number} height Of the paper, in pixels of the context.
 */
function paintSquare(context, { points: [[x, y]], width }, height) {
  // The sums of two adjacent squares may differ in the last bit: with the millionth of a pixel, both round a half up.
  const edge = (/** @type {number} */ place) => Math.round(place * height + 1e-6) / height;
  const [left, top] = [edge(x - width / 2), edge(y - width / 2)];
  context.fillRect(left, top, edge(x + width / 2) - left, edge(y + width / 2) - top);
}

/** @param {CanvasRenderingContext2D} context @param {Stroke} stroke */
function paintLine(context, { points, width }) {
  const [[x, y]] = points;
  if (points.every(([otherX, otherY]) => otherX === x && otherY === y)) {
    // A dot: a canvas need not draw the round ends of a line without length, and Safari does not.
    context.beginPath();
    context.arc(x, y, width / 2, 0, 2 * Math.PI);
    context.fill();
    return;
  }
  context.lineWidth = width;
  context.stroke(new Path2D(lineThrough(points)));
}

/**
 * A line through the midpoints of neighbouring points, curved towards the points: smooth, however fast the hand was.
 * @param {number[][]} points
 * @returns {string} Path data for SVG and Path2D.
 */
export function lineThrough(points) {
  const bends = points.slice(1, -1).map(([x, y], at) => {
    const [nextX, nextY] = points[at + 2];
    return `Q${x} ${y} ${(x + nextX) / 2} ${(y + nextY) / 2}`;
  });
  return [`M${points[0].join(" ")}`, ...bends, `L${points[points.length - 1].join(" ")}`].join("");
}
