// Publishing the files of a page, and reading a page that was published. Uses fetch alone, as any P2P page could. Tested
// in Node with a fetch of the test's own.

import { isText, MAIN, safePath, typeOf } from "./files.js";

const EMPTY_IPFS = "ipfs://bafyaabakaieac/";
const APP = "Editor";
const MOST_FILES = 300;
const MOST_BYTES = 50_000_000;
const TEXTS = /^(?:text\/|application\/(?:json|xml|javascript)|image\/svg)/;

// A sentence for a person.
export class Failed extends Error {}

// Publishes and returns {to, url, root, name, paths}.
//
// to: "hyper" (a drive called `name`, which keeps its address) or "ipfs" (each version has its own).
// previous: what the last publication to hyper returned, so that files which are gone disappear there too.
export async function publish({ files, to, name, title = "", model = "", previous = null, signal, fetch }) {
  const paths = Object.keys(files).filter((path) => !isText(files[path]) || files[path].trim() || path === MAIN.html);
  if (!files[MAIN.html]?.trim()) throw new Failed("There is no index.html yet: a page needs one to be opened.");
  const form = new FormData();
  for (const path of paths) form.append("file", new Blob([files[path]], { type: typeOf(path) }), path);
  // What the user's archive lists beside the address; a header takes Latin letters only.
  const headers = { "Publication-App": APP };
  if (title) headers["Publication-Title"] = encodeURIComponent(title.toWellFormed());
  if (/^[\u0020-\u007e]+$/.test(model)) headers["Publication-Model"] = model;
  if (to === "ipfs") {
    const reply = await send(fetch, EMPTY_IPFS, { method: "PUT", body: form, headers, signal });
    const root = `${(reply.headers.get("location") || (await reply.text())).trim().replace(/\/+$/, "")}/`;
    return { to, url: root, root, name: "", paths };
  }
  const made = await send(fetch, `hyper://localhost/?key=${encodeURIComponent(name)}`, { method: "POST", signal });
  const root = `${(await made.text()).trim().replace(/\/+$/, "")}/`;
  await send(fetch, root, { method: "PUT", body: form, headers, signal });
  const gone = previous?.root === root ? previous.paths.filter((path) => !paths.includes(path)) : [];
  for (const path of gone) {
    // Somebody else may have removed it already.
    await send(fetch, root + encoded(path), { method: "DELETE", signal }, [404]);
  }
  return { to, url: root, root, name, paths };
}

// The files below an address, as a copy: {files, skipped}. `skipped` counts what was left out: names that no folder may hold,
// and what is too much.
export async function copySite(address, { signal, fetch, report = () => {} }) {
  const root = siteRoot(address);
  const files = {};
  const found = { skipped: 0, bytes: 0 };
  const folders = [""];
  while (folders.length) {
    const folder = folders.shift();
    for (const name of await listing(root + encoded(folder), { signal, fetch })) {
      const path = safePath(folder + name.replace(/\/$/, ""));
      if (path === null || Object.keys(files).length >= MOST_FILES || folders.length > MOST_FILES) found.skipped += 1;
      else if (name.endsWith("/")) folders.push(`${path}/`);
      else await take(path);
    }
  }
  async function take(path) {
    const reply = await send(fetch, root + encoded(path), { signal });
    const blob = await reply.blob();
    found.bytes += blob.size;
    if (found.bytes > MOST_BYTES) throw new Failed("This site is too large for the editor: it holds more than 50 MB.");
    files[path] = TEXTS.test(typeOf(path)) ? await blob.text() : blob;
    report(Object.keys(files).length);
  }
  if (!Object.keys(files).length) throw new Failed("There is nothing to copy at this address.");
  if (files[MAIN.html] === undefined) throw new Failed("This site has no index.html at its start, so it is no page that the editor can show.");
  return { files, skipped: found.skipped };
}

// The folder of the page that an address names.
export function siteRoot(address) {
  const text = String(address).trim();
  const match = /^(hyper|ipfs|ipns):\/\/([^/?#\s]+)([^?#]*)/i.exec(text);
  if (!match) throw new Failed("Give an address that begins with hyper://, ipfs:// or ipns://.");
  const [, scheme, host, path] = match;
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || "/";
  return `${scheme.toLowerCase()}://${host}${folder}`;
}

async function listing(url, { signal, fetch }) {
  const headers = { Accept: "application/json", "X-Resolve": "none" };
  const reply = await send(fetch, `${url}?noResolve`, { headers, signal });
  let names;
  try {
    names = JSON.parse(await reply.text());
  } catch {
    names = null;
  }
  if (!Array.isArray(names)) throw new Failed("This address is no folder whose files can be listed.");
  return names.filter((name) => typeof name === "string");
}

const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

async function send(fetch, url, options, alsoFine = []) {
  let reply;
  try {
    reply = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed("The peer-to-peer node did not answer. Look at peersky://settings/p2p, then try again.", { cause: error });
  }
  if (reply.ok || alsoFine.includes(reply.status)) return reply;
  const said = (await reply.text()).trim();
  const isSentence = said.length < 400 && !said.startsWith("<") && said;
  throw new Failed(isSentence ? said : `The peer-to-peer node answered with the error ${reply.status}.`);
}

// A name of a drive, made of a title.
export function driveName(title) {
  const plain = title.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || "my-page";
}
