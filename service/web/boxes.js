// Draws boxes onto the picture, around the digits that were found.

/** Room that a digit's label needs above its box, in heights of the paper. */
const ROOM = 0.16;

/**
 * @param {HTMLOListElement} list Covers the paper.
 * @param {{digit: number, box: number[], is_digit?: boolean}[]} digits Boxes [x, y, width, height] in pixels of the
 *   picture as sent.
 * @param {{width: number, height: number}} picture Its size in pixels.
 * @param {number} aspect The paper's width over its height; the whole picture is shown in its middle.
 */
export function showBoxes(list, digits, picture, aspect) {
  const scale = Math.min(aspect / picture.width, 1 / picture.height); // to heights of the paper
  const left = (aspect - picture.width * scale) / 2;
  const top = (1 - picture.height * scale) / 2;
  list.replaceChildren(
    ...digits.map(({ digit, box: [x, y, width, height], is_digit }) => {
      const box = document.createElement("li");
      const name = document.createElement("span");
      const doubted = is_digit === false;
      name.textContent = doubted ? `${digit}?` : String(digit);
      box.append(name);
      box.toggleAttribute("data-doubted", doubted);
      box.toggleAttribute("data-below", top + y * scale < ROOM);
      box.style.left = `${(100 * (left + x * scale)) / aspect}%`;
      box.style.top = `${100 * (top + y * scale)}%`;
      box.style.width = `${(100 * width * scale) / aspect}%`;
      box.style.height = `${100 * height * scale}%`;
      return box;
    }),
  );
}
