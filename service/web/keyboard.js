// Draws with the keyboard: a cursor moves over the paper in squares, 28 to its height, as the model sees it.

/** @typedef {import("./pad.js").Pad} Pad @typedef {import("./drawing.js").Stroke} Stroke */

const ROWS = 28;
const STEPS = /** @type {Record<string, number[]>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
});

export class Keyboard {
  #column = ROWS / 2;
  #row = ROWS / 2;

  /**
   * @param {Pad} pad
   * @param {HTMLElement} cursor Shows where the next square is.
   * @param {(words: string) => void} say Tells users who cannot see the cursor.
   * @param {(stroke: Stroke) => void} onDrawn
   */
  constructor(pad, cursor, say, onDrawn) {
    this.pad = pad;
    this.cursor = cursor;
    this.say = say;
    this.onDrawn = onDrawn;
    pad.canvas.addEventListener("keydown", (event) => this.#press(event));
    pad.canvas.addEventListener("focus", () => this.#show(pad.canvas.matches(":focus-visible")));
    pad.canvas.addEventListener("pointerdown", () => this.#show(false));
    pad.canvas.addEventListener("blur", () => this.#show(false));
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault(); // these keys would scroll the page
    if (!step && event.repeat) return; // Space is held: the square would change back and forth
    if (step) this.#move(step, event.shiftKey);
    else this.#ink(!this.#inked());
    this.#show(true);
    this.say(`Row ${this.#row + 1}, column ${this.#column + 1}, ${this.#inked() ? "ink" : "empty"}`);
  }

  /** @param {number[]} step @param {boolean} drawing Whether the chosen pen or eraser draws along the way. */
  #move([columns, rows], drawing) {
    this.#column = Math.min(Math.max(this.#column + columns, 0), this.#columns - 1);
    this.#row = Math.min(Math.max(this.#row + rows, 0), ROWS - 1);
    if (!drawing) return;
    if (!this.pad.pen().erases) {
      if (!this.#inked()) this.#ink(true);
    } else if (this.#inked(1 / ROWS)) this.#ink(false);
  }

  /** @param {boolean} inks */
  #ink(inks) {
    this.onDrawn({ points: [this.#centre], width: 1 / ROWS, erases: !inks, square: true });
  }

  /** Whether there is ink in the square's middle, or anywhere in a square of this side around it. */
  #inked(side = 0) {
    const [x, y] = this.#centre;
    return this.pad.inked(x, y, side);
  }

  /** @param {boolean} shown */
  #show(shown) {
    this.#column = Math.min(this.#column, this.#columns - 1); // the paper may have become narrower
    this.cursor.hidden = !shown;
    this.cursor.style.setProperty("--column", String(this.#column / this.#columns));
    this.cursor.style.setProperty("--row", String(this.#row / ROWS));
    this.cursor.style.setProperty("--columns", String(this.#columns));
  }

  get #columns() {
    return Math.round(ROWS * this.pad.aspect);
  }

  get #centre() {
    return [(this.#column + 0.5) / ROWS, (this.#row + 0.5) / ROWS];
  }
}
