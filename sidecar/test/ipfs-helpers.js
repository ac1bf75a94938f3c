// What the tests of IPFS share besides helpers.js.
import { dirname, extname, join } from "node:path";
import { pathToFileURL } from "node:url";

import { Node } from "./helpers.js";

const MAIN = process.env.PEERSKY_SIDECAR ?? new URL("../../src/peersky/assets/sidecar/main.mjs", import.meta.url).pathname;

/** IPFS's libraries without our code, from beside the program under test. */
export function libraries() {
  return import(pathToFileURL(join(dirname(MAIN), "libraries", `ipfs${extname(MAIN)}`)));
}

/** A form of files {filename: text}, as a page sends it. */
export function formOf(files) {
  const form = new FormData();
  for (const [name, text] of Object.entries(files)) form.append("file", new Blob([text]), name);
  return form;
}

export function hostOf(url) {
  return /^\w+:\/\/([^/]+)/.exec(url)[1];
}

/** A started IPFS node that is connected to the peers at `addresses`. */
export async function startIpfs(addresses = [], config = {}, folder = null) {
  const node = await Node.start({ ipfsPeers: addresses, ...config }, folder);
  node.ipfs = (await node.admin("start", { protocols: ["ipfs"] })).ipfs;
  return node;
}

/** Two connected nodes. */
export async function startPair(config = {}) {
  const a = await startIpfs([], config);
  const b = await startIpfs(a.ipfs.addresses, config);
  return { a, b };
}
