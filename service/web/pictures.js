// Takes pictures from outside: from a file, from a camera, dropped onto the page or pasted.

/** @typedef {import("./drawing.js").Picture} Picture */

/** Longest side of what is kept for showing: sharp on any screen, small in memory. */
const SHOWN_SIDE = 1200;

/**
 * @param {object} parts
 * @param {[HTMLButtonElement, HTMLInputElement][]} parts.inputs Buttons, each with the file input that it stands for.
 * @param {HTMLElement} parts.target Is marked while a file is held over the page.
 * @param {(file: File) => void} onFile
 */
export function takePictures({ inputs, target }, onFile) {
  for (const [button, input] of inputs) {
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      take(input.files);
      input.value = ""; // the same file again is a change again
    });
  }
  addEventListener("dragover", (event) => {
    event.preventDefault();
    target.toggleAttribute("data-over", true);
  });
  addEventListener("dragleave", () => target.toggleAttribute("data-over", false));
  addEventListener("drop", (event) => {
    event.preventDefault(); // the browser would open the file in place of the page
    target.toggleAttribute("data-over", false);
    take(event.dataTransfer?.files);
  });
  addEventListener("paste", (event) => take(event.clipboardData?.files));

  /** @param {FileList | null | undefined} files */
  function take(files) {
    if (files?.length) onFile(files[0]);
  }
}

/**
 * Decode a file for showing. One that the browser cannot decode may still be read by the service.
 * @param {File} file
 * @returns {Promise<Picture>}
 */
export async function pictureFrom(file) {
  const name = file.name || "the picture";
  try {
    const whole = await createImageBitmap(file); // turned upright
    const { width, height } = whole;
    const scale = Math.min(1, SHOWN_SIDE / Math.max(width, height));
    const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    const bitmap = await createImageBitmap(whole, { resizeWidth, resizeHeight, resizeQuality: "high" });
    whole.close();
    return { blob: file, name, bitmap, width, height };
  } catch {
    return { blob: file, name, bitmap: null, width: 0, height: 0 };
  }
}
