// Bars: one line for each digit, with its share as a length and as a number.

/**
 * @typedef {object} Row
 * @property {number} digit
 * @property {number | null} share Null if not known yet.
 * @property {boolean} wins
 * @property {boolean} [doubted] Whether it doesn't look like a digit.
 */

/** @param {HTMLOListElement} list @param {Row[]} rows */
export function showBars(list, rows) {
  while (list.children.length > rows.length) list.lastElementChild?.remove();
  while (list.children.length < rows.length) list.append(emptyBar());
  rows.forEach((row, at) => fill(/** @type {HTMLElement} */ (list.children[at]), row));
}

/** A share as text; only a share of exactly 1 is 100 %. @param {number} share */
export function percent(share) {
  const whole = Math.round(100 * share);
  return whole === 100 && share < 1 ? "over 99 %" : `${whole} %`;
}

function emptyBar() {
  const bar = document.createElement("li");
  for (const name of ["digit", "track", "share", "mark"]) {
    const part = document.createElement("span");
    part.className = name;
    bar.append(part);
  }
  return bar;
}

/** @param {HTMLElement} bar @param {Row} row */
function fill(bar, { digit, share, wins, doubted = false }) {
  const [name, track, number, mark] = /** @type {HTMLElement[]} */ ([...bar.children]);
  name.textContent = doubted ? `${digit}?` : String(digit);
  track.style.setProperty("--share", String(share ?? 0));
  number.textContent = share === null ? "–" : `${tenths(share)} %`;
  mark.textContent = wins ? "most probable" : doubted ? "doesn't look like a digit" : "";
  bar.toggleAttribute("data-wins", wins);
}

/** @param {number} share */
function tenths(share) {
  return (share < 1 ? Math.min(100 * share, 99.9) : 100).toFixed(1);
}
