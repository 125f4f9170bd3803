// Brings into view what has changed out of it. The focus stays where it is.

/** Scrolls no further than is needed, and glides unless that is unwanted. @param {HTMLElement} changed */
export function bringIntoView(changed) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  changed.scrollIntoView({ block: "nearest", behavior: still ? "instant" : "smooth" });
}
