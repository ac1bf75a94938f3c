// Paths of P2P addresses: from the percent-encoded text of a URL to names and back.
import { malformed } from "./errors.js";

/**
 * The names in a percent-encoded path, each checked; a path that ends in "/" is a folder.
 * Throws 400 for a path that climbs, for text that is no UTF-8, and for names that no file can have.
 */
export function decodePath(raw) {
  const parts = raw.split("/").filter((part) => part !== "");
  let names;
  try {
    names = parts.map(decodeURIComponent);
  } catch {
    throw malformed("The address is not encoded correctly: after a % there must be two hexadecimal digits of UTF-8.");
  }
  return { names: checkNames(names), isFolder: raw === "" || raw.endsWith("/") };
}

/** The names in a file name of a form ("photos/a.jpg"), which is not percent-encoded. Throws 400 as `decodePath` does. */
export function splitFileName(filename) {
  const names = checkNames(filename.split("/").filter((part) => part !== ""));
  if (names.length === 0 || filename.endsWith("/")) throw malformed("A file of the form has no name.");
  return names;
}

function checkNames(names) {
  for (const name of names) {
    if (name === "." || name === "..") throw malformed("The path leads out of its folder, which is not allowed.");
    if (name.includes("/") || name.includes("\0")) throw malformed("A name in the path holds a character that no name can have.");
    if (Buffer.byteLength(name) > 255) throw malformed("A name in the path is longer than 255 bytes.");
  }
  return names;
}

/** A path as it stands in a URL, for names: "/a%20b/c". */
export function encodePath(names) {
  return names.map((name) => `/${encodeURIComponent(name)}`).join("");
}
