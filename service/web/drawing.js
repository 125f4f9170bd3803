// A drawing: the acts that made it, which can be undone and redone. strokes.js paints it.
// Lengths and places are in heights of the paper, so that a drawing fits a paper of any size.

/**
 * @typedef {object} Stroke
 * @property {number[][]} points Places [x, y].
 * @property {number} width
 * @property {boolean} erases Takes ink away.
 * @property {boolean} [square] A single square instead of a line.
 *
 * @typedef {object} Picture A picture from outside; shown as the browser decodes it, sent unchanged.
 * @property {Blob} blob Its bytes, with the media type by which the service knows it.
 * @property {string} name The name of its file; empty if there is no file that the user could find.
 * @property {ImageBitmap | null} bitmap Upright and small enough to show; null if the browser cannot decode it.
 * @property {number} width Width in pixels of the picture as sent, turned upright.
 * @property {number} height
 *
 * @typedef {{left: number, top: number, right: number, bottom: number}} Box
 *
 * @typedef {{fresh: boolean, strokes: Stroke[], picture: Picture | null}} Act A fresh one starts on empty paper.
 */

/** Each takes its file's bytes, and up to 6 MB for its bitmap. */
const MOST_PICTURES = 10;
/** Least gap between two digits, in heights of all ink: parts of one digit are closer together. */
const GAP = 0.25;
/** Least height of a digit, in heights of all ink: a part of one, such as the bar of a 5, is lower. */
const TALL = 0.5;

export class Drawing {
  /** @type {Act[]} */ #done = [];
  /** @type {Act[]} */ #undone = [];

  /** @param {Stroke} stroke Drawn on top of other strokes; on a picture it starts a new drawing. */
  add(stroke) {
    this.#do({ fresh: this.picture !== null, strokes: [stroke], picture: null });
  }

  /** @param {Stroke[]} strokes */
  replace(strokes) {
    this.#do({ fresh: true, strokes, picture: null });
  }

  /** @param {Picture} picture */
  show(picture) {
    this.#do({ fresh: true, strokes: [], picture });
  }

  clear() {
    this.replace([]);
  }

  undo() {
    const act = this.#done.pop();
    if (act) this.#undone.push(act);
  }

  redo() {
    const act = this.#undone.pop();
    if (act) this.#done.push(act);
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** The picture that is shown; null if the paper has strokes or nothing. */
  get picture() {
    return this.#shown.at(-1)?.picture ?? null;
  }

  get strokes() {
    return this.#shown.flatMap((act) => act.strokes);
  }

  /** Whether there is nothing to read. */
  get empty() {
    return this.picture === null && this.strokes.every((stroke) => stroke.erases);
  }

  /** The acts that can be seen: those since the paper was last fresh. */
  get #shown() {
    const start = this.#done.findLastIndex((act) => act.fresh);
    return this.#done.slice(Math.max(start, 0));
  }

  /** @param {Act} act */
  #do(act) {
    this.#done.push(act);
    this.#undone.forEach(forget);
    this.#undone = [];
    while (this.#done.filter(({ picture }) => picture !== null).length > MOST_PICTURES) this.#forgetFirst();
  }

  /** Forget the oldest acts, up to the next fresh one, so that undo no longer reaches them. */
  #forgetFirst() {
    const next = this.#done.findIndex(({ fresh }, at) => at > 0 && fresh);
    this.#done.splice(0, next).forEach(forget);
  }
}

/** The same strokes further to the right. @param {Stroke[]} strokes @param {number} by @returns {Stroke[]} */
export function movedRight(strokes, by) {
  return strokes.map((stroke) => ({ ...stroke, points: stroke.points.map(([x, y]) => [x + by, y]) }));
}

/**
 * Whether strokes stand side by side as digits do: at least half as tall as all together, with wide gaps between them.
 * False if anything was erased: that may be one of the digits.
 * @param {Stroke[]} strokes
 */
export function standApart(strokes) {
  if (strokes.length < 2 || strokes.some((stroke) => stroke.erases)) return false;
  const boxes = strokes.map(boxOf).sort((one, other) => one.left - other.left);
  const all = boxes.reduce(around);
  const height = all.bottom - all.top;
  const columns = [boxes[0]];
  for (const box of boxes.slice(1)) {
    const last = columns[columns.length - 1];
    if (box.left > last.right + GAP * height) columns.push(box);
    else columns[columns.length - 1] = around(last, box);
  }
  return columns.filter(({ top, bottom }) => bottom - top >= TALL * height).length > 1;
}

/** @param {Stroke} stroke @returns {Box} */
function boxOf({ points, width }) {
  const edge = width / 2;
  return points.map(([x, y]) => ({ left: x - edge, top: y - edge, right: x + edge, bottom: y + edge })).reduce(around);
}

/** @param {Box} one @param {Box} other @returns {Box} */
function around(one, other) {
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}

/** Free the memory of a picture's bitmap. @param {Act} act */
function forget({ picture }) {
  picture?.bitmap?.close();
}
