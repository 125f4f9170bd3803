// The curl command for the request that the page has sent.

import { givenKey } from "./key.js";

/**
 * The key itself is left out: commands are pasted into chats.
 * @param {string} path
 * @param {Blob} body
 * @param {string | null} fileName The picture's file; null for a drawing, which is put into the command.
 */
export async function curlCommand(path, body, fileName) {
  const url = quoted(new URL(path, document.baseURI).href);
  const headers = [`Content-Type: ${body.type}`, ...(givenKey() ? ["X-API-Key: YOUR-KEY"] : [])];
  const options = headers.map((header) => `-H ${quoted(header)}`).join(" ");
  if (fileName !== null) return `curl --data-binary ${quoted(`@${fileName}`)} ${options} ${url}`;
  const picture = btoa(String.fromCharCode(...new Uint8Array(await body.arrayBuffer())));
  return `printf %s ${picture} | base64 -d | curl --data-binary @- ${options} ${url}`;
}

/** A placeholder for a file that has no name, or one that the user would not find. @param {Blob} picture */
export function standIn(picture) {
  return `your-picture.${picture.type.replace("image/", "")}`;
}

/** Quotes a word so that a shell takes it literally. @param {string} word */
function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
