// Sample digits, drawn by hand for this page: strokes on a grid of 28 squares.
// A point that is listed twice is a corner; elsewhere lines are curved.

import { lineThrough } from "./strokes.js";

/** @typedef {import("./drawing.js").Stroke} Stroke */

const GRID = 28;
const LINE_WIDTH = 2.2;
/** The distance from one digit of a number to the next, and the blank space before a digit's ink. */
const ADVANCE = 19;
const SIDE_BEARING = 4.5;
// The namespace's name; nothing is fetched from it.
const SVG = "http://www.w3.org/2000/svg";

const LINES = [
  ["11,5.5 8.5,9 8,14 9.5,20.5 14,23 18.5,20.5 20,14 18.5,7.5 14,5 10,6.5"],
  ["16,5 13,23"],
  ["8,9 10,5.5 14,5 18,6 19,10 16,15 8,22.5 8,22.5 21,22"],
  ["8,7 13,4.5 18.5,6.5 18,11.5 12.5,13.5 12.5,13.5 19.5,14.5 19.5,20.5 14,23.5 7.5,21"],
  ["11,5 7.5,15 7.5,15 20.5,14.5", "17.5,7 16,23"],
  ["19,5.5 10.5,5.5 10.5,5.5 9.5,13 9.5,13 15,11.5 19.5,15 18.5,21 13,23.5 8,21.5"],
  ["17,5 11,10 8.5,17 11,22.5 16,23 19.5,18.5 16.5,14.5 12,14.5 9.5,18"],
  ["8,6.5 20,6 20,6 16,13 12.5,23"],
  ["18.5,8 14.5,4.5 10,6.5 10.5,11 17,15.5 19,20 14.5,23.5 9.5,20.5 11,16 17,11.5 18.5,8"],
  ["18.5,9 15,5 10,7 9.5,12 14,14 18.5,9 18.5,9 18,16 16,23"],
];

/** The samples for the paper of one digit and for that of a number. */
export const SAMPLES = { digit: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], number: ["2026", "314", "90"] };

/**
 * The strokes of a sample, on a paper of that aspect.
 * @param {string} digits
 * @param {number} aspect
 * @returns {Stroke[]}
 */
export function sampleStrokes(digits, aspect) {
  const scale = 1 / Math.max(GRID, digits.length * ADVANCE / aspect);
  const left = (aspect / scale - digits.length * ADVANCE) / 2;
  const top = (1 / scale - GRID) / 2;
  return [...digits].flatMap((digit, at) =>
    LINES[Number(digit)].map((line) => ({
      points: placesOf(line).map(([x, y]) => [(x - SIDE_BEARING + left + at * ADVANCE) * scale, (y + top) * scale]),
      width: LINE_WIDTH * scale,
      erases: false,
    })),
  );
}

/** @param {string} line */
function placesOf(line) {
  return line.split(" ").map((place) => place.split(",").map(Number));
}

/**
 * A button that shows a sample.
 * @param {string} digits
 * @param {() => void} onPress
 */
export function sampleButton(digits, onPress) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", `Sample ${digits}`);
  const aspect = digits.length * ADVANCE / GRID;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${aspect} 1`);
  drawing.setAttribute("aria-hidden", "true");
  for (const { points, width } of sampleStrokes(digits, aspect)) {
    const line = document.createElementNS(SVG, "path");
    line.setAttribute("d", lineThrough(points));
    line.setAttribute("stroke-width", String(width));
    drawing.append(line);
  }
  button.append(drawing);
  button.addEventListener("click", onPress);
  return button;
}
