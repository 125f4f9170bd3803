// The curl command that asks what the page has asked.

import { givenKey } from "./key.js";

/**
 * The key itself stays out: commands are pasted into chats.
 * @param {string} path
 * @param {Blob} body
 * @param {string | null} fileName Of a picture; a drawing travels in the command.
 */
export async function curlCommand(path, body, fileName) {
  const url = quoted(new URL(path, document.baseURI).href);
  const headers = [`Content-Type: ${body.type}`, ...(givenKey() ? ["X-API-Key: YOUR-KEY"] : [])];
  const options = headers.map((header) => `-H ${quoted(header)}`).join(" ");
  if (fileName !== null) return `curl --data-binary ${quoted(`@${fileName}`)} ${options} ${url}`;
  const picture = btoa(String.fromCharCode(...new Uint8Array(await body.arrayBuffer())));
  return `printf %s ${picture} | base64 -d | curl --data-binary @- ${options} ${url}`;
}

/** Stands for a file that has no name, or none that whoever took the picture would find. @param {Blob} picture */
export function standIn(picture) {
  return `your-picture.${picture.type.replace("image/", "")}`;
}

/** A word that a shell takes as it is. @param {string} word */
function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
