// The curl command that asks what the page has asked.

/**
 * @param {string} path
 * @param {Blob} body
 * @param {string | null} fileName Of a picture that lies in a file; a drawing travels in the command.
 */
export async function curlCommand(path, body, fileName) {
  const url = quoted(new URL(path, document.baseURI).href);
  const header = quoted(`Content-Type: ${body.type}`);
  if (fileName !== null) return `curl --data-binary ${quoted(`@${fileName}`)} -H ${header} ${url}`;
  const picture = btoa(String.fromCharCode(...new Uint8Array(await body.arrayBuffer())));
  return `printf %s ${picture} | base64 -d | curl --data-binary @- -H ${header} ${url}`;
}

/** A word that a shell takes as it is. @param {string} word */
function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
