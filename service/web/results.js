// Shows the answer: a digit, a number, or why there is neither.

import { percent, showBars } from "./bars.js";
import { givenKey } from "./key.js";

/** @typedef {import("./service.js").Answered} Answered @typedef {import("./service.js").Trouble} Trouble */

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

const NO_SHARES = Array(10).fill(null);
/** Controls beside an answer, for what can be done about it. */
const CONTROLS = ["again", "several", "key-form"];

/** Nothing has been asked. @param {string} invitation @param {boolean} bars Whether to show bars, without shares. */
export function showNothing(invitation, bars) {
  say(invitation, "");
  showNoReading(bars);
}

/** @param {Answered} answered Of `/v1/predict`, one picture. @param {boolean} several Whether it seems to show more. */
export function showDigit(answered, several) {
  const { digit, confidence, probabilities, seen, is_digit } = answered.answer.predictions[0];
  const likely = percent(confidence);
  // The closest digit is often one of several, as is the digit that is read where several stand far apart. Users easily
  // overlook that the other mode reads them all.
  const [question, controls] = several || is_digit === false ? ["Several digits?", ["several"]] : ["", []];
  if (is_digit === false) say("It doesn't look like a digit.", `Closest is ${digit}, ${likely}. ${question}`, controls);
  // If the sentence wraps, it does so after the digit.
  else say([`It looks like ${digit},`, likely].map(unbroken).join(" "), question, controls);
  showBig(is_digit === false ? "?" : String(digit));
  showSeen(seen ?? null);
  // Without a digit there is no winner.
  if (is_digit === false) showShares(probabilities, null, "If it were a digit: probability of each");
  else showShares(probabilities, digit);
  showFacts(answered);
}

/** @param {string} words */
const unbroken = (words) => words.replaceAll(" ", "\u00a0");

/** @param {Answered} answered Of `/v1/read`. */
export function showNumber(answered) {
  const { text, digits } = answered.answer;
  if (digits.length === 0) say("There is no digit on it.", "");
  else {
    const order = text.includes("\n") ? "line by line" : "left to right";
    say(`It reads ${text}`, `${counted(digits.length)}, ${order}.${doubts(digits)}`);
  }
  showBig(text);
  showSeen(null);
  const rows = digits.map((/** @type {any} */ { digit, confidence, is_digit }) => {
    return { digit, share: confidence, wins: false, doubted: is_digit === false };
  });
  title("Confidence in each digit", rows.length > 0);
  showBars(element("bars"), rows);
  showFacts(answered);
}

/** @param {number} count */
const counted = (count) => `${count} ${count === 1 ? "digit" : "digits"}`;

/** How many of them don't look like a digit, in words; empty if all do. @param {{is_digit?: boolean}[]} digits */
function doubts(digits) {
  const doubted = digits.filter(({ is_digit }) => is_digit === false).length;
  if (doubted === 0) return "";
  return ` ${doubted} of them ${doubted === 1 ? "doesn't" : "don't"} look like a digit.`;
}

/** @param {Trouble} trouble @param {boolean} bars Whether to show bars, without shares. */
export function showTrouble(trouble, bars) {
  const controls = trouble.needsKey ? ["key-form"] : trouble.passes ? ["again"] : [];
  say(trouble.message, trouble.advice, controls);
  showNoReading(bars);
  if (trouble.needsKey) element("documents").hidden = true;
}

/**
 * @param {{name: string, version: number} | null | undefined} model The model that answers, if it is known.
 * @param {boolean} answered Whether it has answered: until then it is unknown whether a key is needed.
 */
export function showModel(model, answered) {
  element("version").textContent = model ? `${model.name}, version ${model.version}` : "–";
  // A link cannot send a key: where one is needed, it would only lead to a refusal.
  element("documents").hidden = !model || !answered || givenKey() !== null;
  if (!model) return;
  for (const kind of ["report", "card"]) {
    element(kind).href = `v1/models/${model.name}/versions/${model.version}/${kind}`;
  }
}

/** @param {string} sentence @param {string} advice @param {string[]} controls Those that are shown. */
function say(sentence, advice, controls = []) {
  element("sentence").textContent = sentence;
  element("advice").textContent = advice;
  element("advice").hidden = advice === "";
  for (const id of CONTROLS) {
    if (controls.includes(id)) element(id).hidden = false;
    else hide(element(id), element("sentence"));
  }
}

/** Hide an element, without losing the focus. @param {HTMLElement} hidden @param {HTMLElement} next Takes the focus. */
export function hide(hidden, next) {
  if (hidden.contains(document.activeElement)) next.focus();
  hidden.hidden = true;
}

/** @param {boolean} bars */
function showNoReading(bars) {
  showBig("");
  showSeen(null);
  showShares(bars ? NO_SHARES : [], null);
  element("latency").textContent = element("timing").textContent = "–";
}

/** @param {string} text */
function showBig(text) {
  element("big").textContent = text;
  element("big").dataset.length = String(Math.min(text.length, 9));
}

/** @param {string | null} seen A data URL. */
function showSeen(seen) {
  element("seen").hidden = seen === null;
  if (seen !== null) element("seen-picture").src = seen;
  else element("seen-picture").removeAttribute("src");
}

/** @param {(number | null)[]} shares Of the digits 0 to 9. @param {number | null} winner @param {string} [of] */
function showShares(shares, winner, of = "Probability of each digit") {
  title(of, shares.length > 0);
  showBars(element("bars"), shares.map((share, digit) => ({ digit, share, wins: digit === winner })));
}

/** @param {string} text @param {boolean} shown */
function title(text, shown) {
  element("bars-title").textContent = text;
  element("bars-title").hidden = !shown;
}

/** @param {Answered} answered */
function showFacts({ answer, milliseconds, timings }) {
  showModel(answer.model, true);
  element("latency").textContent = `${milliseconds.toFixed(0)} ms`;
  const parts = timings.map(({ name, milliseconds }) => `${name} ${milliseconds.toFixed(1)} ms`);
  element("timing").textContent = parts.join(", ") || "–";
}
