// The page: its parts, and how they work together. Draw or open a picture, ask the service, show what it says.

import { showBoxes } from "./boxes.js";
import { curlCommand, standIn } from "./curl.js";
import { Drawing, movedRight, standApart } from "./drawing.js";
import { faultOf, useKey } from "./key.js";
import { Keyboard } from "./keyboard.js";
import { Pad } from "./pad.js";
import { pictureFrom, takePictures } from "./pictures.js";
import { hide, showDigit, showModel, showNothing, showNumber, showTrouble } from "./results.js";
import { SAMPLES, sampleButton, sampleStrokes } from "./samples.js";
import { Service, Trouble } from "./service.js";
import { pictureOf, sizeOfPicture } from "./strokes.js";
import { bringIntoView } from "./view.js";

/** Each mode has a paper of its own; `aspect` is its width over its height, `pen` the initial width of its pen in %. */
const MODES = {
  digit: { drawing: new Drawing(), aspect: 1, pen: 7, path: "v1/predict", query: "?include=seen", noun: "digit" },
  number: { drawing: new Drawing(), aspect: 2, pen: 6, path: "v1/read", query: "", noun: "number" },
};
/** Wait after a key: keys come in bursts. A pen's stroke is answered at once. */
const AFTER_KEYS_MILLISECONDS = 120;
/** The paper stays in place while the user draws; a hand that has rested this long has finished. */
const HAND_RESTS_MILLISECONDS = 1500;
/** Most pictures open faster than this, and need no notice. */
const OPENING_MILLISECONDS = 300;
/** What the page says about the paper. */
const NOTICES = {
  replaced: "Your drawing has taken the picture’s place. Undo brings it back.",
  eraser: "The eraser takes drawn lines away, not pictures. Clear takes a picture away.",
  noFile: "There is no file in what was dropped. Drop a picture’s file.",
  opening: "The picture is being opened …",
  unreadable: "This cannot be opened. Of a folder, drop a picture that is in it; a file that has changed, choose anew.",
};

/** Something else answers at the service's address. */
const NO_ANSWER = new Trouble("The answer is not one of this service’s.", "Check the page’s address, then try again.", true);

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);

const service = new Service();
let mode = MODES.digit;
let waiting = 0;
/** @type {WeakMap<Drawing, Promise<unknown>>} For each drawing, the file that was opened last, while it is read. */
const opened = new WeakMap();
const pad = new Pad(element("pad"), mode.drawing, pen, (stroke) => add(stroke));
new Keyboard(
  pad,
  element("cursor"),
  (words) => (element("cell").textContent = words),
  (stroke) => add(stroke, AFTER_KEYS_MILLISECONDS),
);

listen();
// Not always the first mode: browsers remember the choice when a page is reloaded.
enter(/** @type {any} */ (document.querySelector("[name=mode]:checked")).value);
fetch("health").then((response) => response.json()).then(({ model }) => showModel(model, false), () => showModel(null, false));

/** @returns {import("./pad.js").Pen} */
function pen() {
  return { width: element("size").value / 100, erases: document.querySelector("[name=pen]:checked[value=eraser]") !== null };
}

/** Switch to a mode, with its paper as it was left. @param {keyof typeof MODES} name @param {() => unknown} next */
function enter(name, next = changed) {
  mode = MODES[name];
  element("paper").style.setProperty("--aspect", mode.aspect);
  element("hint").textContent = `Draw a ${mode.noun} here`;
  element("size").value = mode.pen;
  showSamples(SAMPLES[name]);
  pad.show(mode.drawing, mode.aspect);
  next();
}

/** Copy the paper for one digit to the middle of the paper for numbers. */
function readSeveral() {
  const { digit, number } = MODES;
  const { strokes, picture } = digit.drawing;
  opened.delete(number.drawing);
  if (!picture) number.drawing.replace(movedRight(strokes, (number.aspect - digit.aspect) / 2));
  /** @type {any} */ (document.querySelector("[name=mode][value=number]")).checked = true;
  enter("number", changedElsewhere);
  if (picture) open(picture.blob, picture.name); // decoded again: each drawing frees its own bitmap
}

/** @param {string[]} samples */
function showSamples(samples) {
  const buttons = samples.map((digits) =>
    sampleButton(digits, () => edit((drawing) => drawing.replace(sampleStrokes(digits, mode.aspect)), changedElsewhere)),
  );
  element("samples").style.setProperty("--columns", String(Math.min(buttons.length, 5)));
  element("samples").replaceChildren(...buttons);
}

/** @param {import("./drawing.js").Stroke} stroke */
function add(stroke, milliseconds = 0) {
  if (stroke.erases && mode.drawing.empty) return; // it erases nothing, so there is nothing to undo
  opened.delete(mode.drawing); // a picture that is still being read comes too late
  const onPicture = mode.drawing.picture !== null;
  if (onPicture && stroke.erases) {
    notice(NOTICES.eraser);
    return;
  }
  mode.drawing.add(stroke);
  changed(milliseconds);
  if (onPicture) notice(NOTICES.replaced);
}

/** Show a picture on the paper of this mode, unless something else is put there before it has been read. */
async function open(/** @type {Blob} */ file, /** @type {string} */ name) {
  const { drawing } = mode;
  const reading = pictureFrom(file, name);
  opened.set(drawing, reading);
  const isAwaited = () => opened.get(drawing) === reading && drawing === mode.drawing;
  const slow = setTimeout(() => isAwaited() && noticeInView(NOTICES.opening), OPENING_MILLISECONDS);
  const picture = await reading.catch(() => null);
  clearTimeout(slow);
  if (opened.get(drawing) !== reading) return;
  if (picture) drawing.show(picture);
  if (picture && drawing === mode.drawing) changedElsewhere();
  if (!picture && drawing === mode.drawing) noticeInView(NOTICES.unreadable);
}

/** Say something about the paper, until it changes. @param {string} words */
function notice(words) {
  element("notice").textContent = words;
}

/** The same, brought into view: a file may be opened or dropped far from the paper. @param {string} words */
function noticeInView(words) {
  notice(words);
  bring("notice");
}

/** @param {(drawing: Drawing) => void} change @param {() => unknown} next */
function edit(change, next = changed) {
  opened.delete(mode.drawing);
  change(mode.drawing);
  next();
}

// An act that is not possible now changes nothing and asks nothing: its button is grey, but can be pressed.

function undo() {
  if (mode.drawing.canUndo) edit((drawing) => drawing.undo());
}

function redo() {
  if (mode.drawing.canRedo) edit((drawing) => drawing.redo());
}

function clear() {
  if (!mode.drawing.empty) edit((drawing) => drawing.clear());
}

/** Show the drawing and ask about it. @returns {Promise<boolean> | void} Whether it was answered, if asked at once. */
function changed(milliseconds = 0) {
  const { drawing } = mode;
  pad.redraw();
  notice("");
  element("hint").hidden = !drawing.empty;
  element("picture-name").hidden = drawing.picture === null || drawing.picture.bitmap !== null;
  namePicture();
  const possible = { undo: drawing.canUndo, redo: drawing.canRedo, clear: !drawing.empty, copy: !drawing.empty };
  // Not `disabled`: a button that has just been pressed would lose the focus.
  for (const [id, is] of Object.entries(possible)) element(id).setAttribute("aria-disabled", !is);
  element("copied").textContent = "";
  hide(element("command"), element("copy"));
  element("boxes").replaceChildren();
  element("result").setAttribute("aria-busy", String(!drawing.empty));
  clearTimeout(waiting);
  service.drop();
  if (milliseconds > 0) waiting = setTimeout(ask, milliseconds);
  else return ask();
}

/** The same after an act that may have happened far from the paper: brings the answer into view. */
async function changedElsewhere() {
  if (!(await changed())) return;
  clearTimeout(waiting); // it would bring the result into view again, after the user has scrolled on
  bring("result");
}

/** Bring a part of the page into view, unless a stroke is being drawn. @param {string} id */
function bring(id) {
  if (!pad.isDrawing) bringIntoView(element(id));
}

/** Show a name in place of a picture that the browser has not decoded. @param {string} remark */
function namePicture(remark = "") {
  element("picture-name").textContent = `${mode.drawing.picture?.name || "The picture"}${remark}`;
}

/** @returns {Promise<boolean>} Whether it was answered, and not replaced by another question. */
async function ask() {
  const { drawing, aspect, path, query, noun } = mode;
  if (drawing.empty) {
    showNothing(`Draw a ${noun}, or open a picture of one.`, mode === MODES.digit);
    return true;
  }
  const answered = await service.ask(path + query, sent);
  if (answered === null) return false;
  element("result").setAttribute("aria-busy", "false");
  if (answered instanceof Trouble) tell(answered);
  else show(answered, drawing, aspect);
  return true;
}

/** @param {Trouble} trouble */
function tell(trouble) {
  showTrouble(trouble, mode === MODES.digit);
  const canBeMended = trouble.needsKey || trouble.passes; // in the result, and not on the paper
  if (canBeMended) waiting = setTimeout(() => bring("result"), HAND_RESTS_MILLISECONDS);
}

/** @param {import("./service.js").Answered} answered @param {Drawing} drawing @param {number} aspect */
function show(answered, drawing, aspect) {
  try {
    if (mode === MODES.digit) showDigit(answered, standApart(drawing.strokes));
    else {
      showNumber(answered);
      const size = drawing.picture ?? sizeOfPicture(aspect);
      if (size.width > 0) showBoxes(element("boxes"), answered.answer.digits, size, aspect);
    }
    namePicture(" (this browser cannot show it)"); // only now: until it has been read, the file may be to blame
  } catch {
    tell(NO_ANSWER); // JSON of another shape
  }
}

/** The picture as it is sent: a file as it came, strokes as a PNG. @returns {Promise<Blob>} */
async function sent() {
  return mode.drawing.picture?.blob ?? pictureOf(mode.drawing.strokes, mode.aspect);
}

async function copy() {
  const { picture, empty } = mode.drawing;
  if (empty) return;
  const place = picture && picture.name === "" ? standIn(picture.blob) : "";
  const shell = navigator.userAgent.includes("Windows") ? " It is for a Unix shell, as Git Bash and WSL have." : "";
  const todo = (place && ` Put your file in place of ${place}.`) + shell;
  const command = await curlCommand(mode.path, await sent(), picture && (picture.name || place));
  try {
    await navigator.clipboard.writeText(command);
    element("copied").textContent = `Copied.${todo}`;
  } catch {
    // Browsers deny the clipboard to pages that came unencrypted from another machine.
    element("command").hidden = false;
    element("command").value = command;
    element("command").select();
    element("copied").textContent = `Here it is, to be copied by hand.${todo}`;
  }
}

function listen() {
  const [button, file, camera, photo, target] = ["open", "file", "camera", "photo", "paper"].map(element);
  takePictures({ open: button, file, camera, photo, target }, open, () => noticeInView(NOTICES.noFile));
  element("modes").addEventListener("change", (/** @type {any} */ event) => enter(event.target.value));
  element("size").addEventListener("input", () => (mode.pen = Number(element("size").value)));
  element("undo").addEventListener("click", undo);
  element("redo").addEventListener("click", redo);
  element("clear").addEventListener("click", clear);
  element("again").addEventListener("click", changedElsewhere);
  element("several").addEventListener("click", readSeveral);
  element("copy").addEventListener("click", copy);
  element("key-form").addEventListener("submit", takeKey);
  addEventListener("keydown", shortcut);
}

/** @param {SubmitEvent} event */
function takeKey(event) {
  event.preventDefault();
  const field = element("key");
  const given = field.value.trim();
  const fault = faultOf(given);
  field.setAttribute("aria-invalid", String(fault !== ""));
  element("key-fault").textContent = fault;
  element("key-fault").hidden = fault === "";
  if (fault) {
    field.focus();
    return;
  }
  useKey(given);
  field.value = "";
  changedElsewhere();
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  if (event.target === element("key")) return; // undo applies to the typed text there
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (command && (key === "y" || key === "z" && event.shiftKey)) redo();
  else if (command && key === "z") undo();
  else if (event.target === pad.canvas && (key === "delete" || key === "backspace")) clear();
  else return;
  event.preventDefault();
}
