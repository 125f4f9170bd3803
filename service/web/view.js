// Brings a changed part of the page into view. The focus stays where it is.

/** Scrolls no further than needed, and smoothly unless the user prefers less motion. @param {HTMLElement} changed */
export function bringIntoView(changed) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  changed.scrollIntoView({ block: "nearest", behavior: still ? "instant" : "smooth" });
}
