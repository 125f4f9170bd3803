// The API key, if the service needs one: kept by this tab, and gone when the tab is closed.

const NAME = "digits-api-key";
/** What the service accepts as a key and a header can carry: printable ASCII without blanks. */
const POSSIBLE = /^[!-~]+$/;

/** @type {string | null} */
let key = remembered();

/** The key to send, if one was given. */
export function givenKey() {
  return key;
}

/** Why this cannot be a key, in words; empty if it can. @param {string} given */
export function faultOf(given) {
  if (POSSIBLE.test(given)) return "";
  return "A key has only letters, digits and signs of plain English, and no blanks. Copy it anew, without quotes around it.";
}

/** @param {string} given A key without a fault. */
export function useKey(given) {
  key = given;
  try {
    sessionStorage.setItem(NAME, given);
  } catch {
    // With site data blocked, the key is kept until the user leaves the page.
  }
}

/** @returns {string | null} */
function remembered() {
  try {
    const kept = sessionStorage.getItem(NAME);
    return kept && POSSIBLE.test(kept) ? kept : null;
  } catch {
    return null; // site data is blocked
  }
}
