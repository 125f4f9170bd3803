// Takes pictures from outside: from a file, from a camera, dropped onto the page or pasted.

/** @typedef {import("./drawing.js").Picture} Picture */

/** Longest side of the bitmap that is shown: sharp on any screen, small in memory. */
const SHOWN_SIDE = 1200;
/** Six times the service's default limit: a larger file is not kept or shown; the service says what is wrong. */
const MOST_KEPT_BYTES = 100e6;
/** A decoded pixel takes 4 bytes; a phone's browser closes the page long before it takes a gigabyte. */
const MOST_SHOWN_PIXELS = 60e6;
/** The first bytes of each format, by which the service tells formats apart, whatever the file's name. */
const SIGNATURES = /** @type {[RegExp, string][]} */ ([
  [/^\x89PNG\r\n\x1a\n/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^RIFF....WEBP/s, "image/webp"],
  [/^BM....\0\0\0\0/s, "image/bmp"],
  [/^GIF8/, "image/gif"],
  [/^(II[*+]\0|MM\0[*+])/, "image/tiff"],
]);
const SIGNATURE_BYTES = 12;
/** For files that are not pictures: their own type could be one by which arrays are sent. */
const NO_PICTURE = "application/x-unknown";
/** The name that browsers give a pasted picture that comes from no file. */
const PASTED = "image.png";
/** A paste or drop here is meant for the field: office programs put a picture beside the copied text. */
const FIELD = "input[type=password]";

/**
 * @param {object} parts
 * @param {HTMLButtonElement} parts.open @param {HTMLInputElement} parts.file The file input that `open` clicks.
 * @param {HTMLButtonElement} parts.camera @param {HTMLInputElement} parts.photo The file input that takes a photo.
 * @param {HTMLElement} parts.target Marked while a file is dragged over the page.
 * @param {(file: File, name: string) => void} onFile The name is empty if there is no file that the user could find.
 * @param {() => void} onNoFile Called when something other than a file was dropped.
 */
export function takePictures({ open, file, camera, photo, target }, onFile, onNoFile) {
  open.addEventListener("click", () => file.click());
  camera.addEventListener("click", () => photo.click());
  file.addEventListener("change", () => take(chosen(file), (name) => name));
  photo.addEventListener("change", () => take(chosen(photo), () => ""));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    target.toggleAttribute("data-over", true);
  });
  addEventListener("dragleave", () => target.toggleAttribute("data-over", false));
  addEventListener("drop", (event) => {
    if (isForField(event) && !event.dataTransfer?.files.length) return;
    event.preventDefault(); // the browser would open the file in place of the page
    target.toggleAttribute("data-over", false);
    if (!take(event.dataTransfer?.files, (name) => name)) onNoFile();
  });
  addEventListener("paste", (event) => {
    if (!isForField(event)) take(event.clipboardData?.files, (name) => (name === PASTED ? "" : name));
  });

  /**
   * @param {Iterable<File> | null | undefined} files
   * @param {(name: string) => string} nameOf
   * @returns {boolean} Whether there is a file.
   */
  function take(files, nameOf) {
    const [first] = files ?? [];
    if (first) onFile(first, nameOf(first.name));
    return first !== undefined;
  }
}

/** @param {Event} event */
function isForField(event) {
  return event.target instanceof Element && event.target.matches(FIELD);
}

/** @param {HTMLInputElement} input */
function chosen(input) {
  const files = [...(input.files ?? [])];
  input.value = ""; // so that choosing the same file again is a change
  return files;
}

/**
 * Read a whole file, so that later changes on the disk don't matter, and decode it for showing. The service may still
 * read a file that the browser cannot decode.
 * @param {File} file
 * @param {string} name
 * @returns {Promise<Picture>}
 * @throws {DOMException} The file cannot be read: it is a folder, or gone.
 */
export async function pictureFrom(file, name) {
  const type = typeOf(await file.slice(0, SIGNATURE_BYTES).arrayBuffer(), file.type);
  if (file.size > MOST_KEPT_BYTES) return { blob: file.slice(0, file.size, type), name, bitmap: null, width: 0, height: 0 };
  const blob = new Blob([await file.arrayBuffer()], { type });
  try {
    return { blob, name, ...(await decoded(blob)) };
  } catch {
    return { blob, name, bitmap: null, width: 0, height: 0 };
  }
}

/** @param {ArrayBuffer} start The first bytes of a file. @param {string} named The type that its name suggests. */
function typeOf(start, named) {
  const letters = String.fromCharCode(...new Uint8Array(start));
  const known = SIGNATURES.find(([signature]) => signature.test(letters));
  return known?.[1] ?? (named.startsWith("image/") ? named : NO_PICTURE);
}

/** @param {Blob} blob */
async function decoded(blob) {
  const size = await sizeOf(blob);
  if (size.width * size.height > MOST_SHOWN_PIXELS) throw new RangeError("too many pixels to be shown");
  const whole = await createImageBitmap(blob); // turned upright
  const { width, height } = whole;
  const scale = Math.min(1, SHOWN_SIDE / Math.max(width, height));
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const bitmap = await createImageBitmap(whole, { resizeWidth, resizeHeight, resizeQuality: "high" });
  whole.close();
  return { bitmap, width, height };
}

/** The size that a picture states, before its pixels are decoded. @param {Blob} blob */
async function sizeOf(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
    return { width: image.naturalWidth, height: image.naturalHeight };
  } finally {
    URL.revokeObjectURL(image.src);
  }
}
