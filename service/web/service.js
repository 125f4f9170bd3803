// Asks the service about a picture. Of several questions only the last one is answered.

import { givenKey } from "./key.js";

/**
 * @typedef {object} Answered
 * @property {any} answer The service's JSON.
 * @property {number} milliseconds From the request to the answer, as measured by this page.
 * @property {{name: string, milliseconds: number}[]} timings How long each part took, as the service states it.
 */

/** Longer than the service's own deadline, unless it was raised; an answer that takes longer is not coming. */
const LONGEST_MILLISECONDS = 30_000;
/** The slowest upload that is waited for: uploading takes time too, which a proxy may hide from the service. */
const SLOWEST_BYTES_PER_MILLISECOND = 50;

/** Why there is no answer, in words for the user. */
export class Trouble extends Error {
  /** Whether an API key is missing or wrong. */
  needsKey = false;

  /** @param {string} message @param {string} advice @param {boolean} passes Whether trying again can help. */
  constructor(message, advice, passes) {
    super(message);
    this.advice = advice;
    this.passes = passes;
  }
}

export class Service {
  /** @type {AbortController | null} */ #asking = null;

  /**
   * Send a picture; an earlier request is dropped.
   * @param {string} path
   * @param {() => Promise<Blob>} picture
   * @returns {Promise<Answered | Trouble | null>} Null if it was dropped.
   */
  async ask(path, picture) {
    this.drop();
    const asking = (this.#asking = new AbortController());
    let late = 0;
    try {
      const body = await picture();
      late = setTimeout(() => asking.abort(LATE), LONGEST_MILLISECONDS + body.size / SLOWEST_BYTES_PER_MILLISECOND);
      return await post(path, body, asking.signal);
    } catch (error) {
      if (asking.signal.reason === DROPPED) return null;
      if (asking.signal.reason === LATE) return new Trouble(TOO_LONG, "Try again, or send a smaller picture.", true);
      return error instanceof Trouble ? error : new Trouble(UNREACHABLE, "Check that it runs, then try again.", true);
    } finally {
      clearTimeout(late);
    }
  }

  /** Drop the request that is under way. */
  drop() {
    this.#asking?.abort(DROPPED);
    this.#asking = null;
  }
}

const DROPPED = "dropped";
const LATE = "late";
const UNREACHABLE = "The service cannot be reached.";
const TOO_LONG = "The service took too long.";

/** @param {string} path @param {Blob} body @param {AbortSignal} signal @returns {Promise<Answered>} */
async function post(path, body, signal) {
  signal.throwIfAborted();
  const started = performance.now();
  const headers = new Headers({ "Content-Type": body.type });
  const key = givenKey();
  if (key) headers.set("X-API-Key", key);
  const response = await fetch(path, { method: "POST", body, headers, signal });
  const answer = await response.json().catch(() => null);
  signal.throwIfAborted();
  if (!response.ok || answer === null) throw troubleOf(response, answer, body.size);
  const milliseconds = performance.now() - started;
  return { answer, milliseconds, timings: timingsOf(response.headers.get("Server-Timing") ?? "") };
}

/** Parse `decode;dur=1.2, infer;dur=0.3`. @param {string} header */
function timingsOf(header) {
  return [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, milliseconds]) => ({
    name,
    milliseconds: Number(milliseconds),
  }));
}

/**
 * @param {Response} response
 * @param {any} problem A problem document (RFC 9457), if it is one.
 * @param {number} sentBytes
 */
function troubleOf(response, problem, sentBytes) {
  const detail = typeof problem?.detail === "string" ? problem.detail : "";
  const seconds = response.headers.get("Retry-After");
  const wait = seconds ? `Try again in ${seconds} s.` : "Try again.";
  switch (response.status) {
    case 401: {
      const trouble = new Trouble(givenKey() ? "This key is not accepted." : "The service needs a key.", "Enter its API key.", false);
      return Object.assign(trouble, { needsKey: true });
    }
    case 404:
      return new Trouble("This service does not do that yet.", detail, false);
    case 413:
      return new Trouble("The picture is too large.", adviceOnSize(detail, sentBytes), false);
    case 415:
      return new Trouble("This kind of file is not read here.", "Send a PNG, JPEG, WebP, BMP, GIF or TIFF.", false);
    case 422:
      return new Trouble(detail || "Nothing can be read on this.", "", false);
    case 429:
      return new Trouble("The service is busy.", wait, true);
    case 503:
      return new Trouble("The service is not ready.", `${detail} ${wait}`.trim(), true);
    case 504:
      return new Trouble(TOO_LONG, wait, true);
  }
  const id = problem?.request_id ? `Its log has the reason under ${problem.request_id}.` : "";
  const passes = response.ok || response.status >= 500; // an answer cut off, or from a gateway in front
  return new Trouble("The service could not answer.", [detail, id].filter(Boolean).join(" "), passes);
}

/** What to do about a picture that is too large. @param {string} detail @param {number} sentBytes */
function adviceOnSize(detail, sentBytes) {
  const limit = /(\d+) bytes/.exec(detail); // of any body: the detail also addresses clients that send arrays
  if (limit === null && detail !== "") return detail; // it is about this picture
  const most = limit === null ? "" : `, and ${megabytes(Number(limit[1]), Math.floor)} is the most`;
  const remedy = "Make the picture smaller or crop it to the digits, then open it again.";
  return `Its file has ${megabytes(sentBytes, Math.ceil)}${most}. ${remedy}`;
}

/** In tenths, rounded so that an excess shows. @param {number} bytes @param {(tenths: number) => number} round */
function megabytes(bytes, round) {
  return `${round(bytes / 1e5) / 10} MB`;
}
