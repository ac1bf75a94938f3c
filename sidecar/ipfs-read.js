// GET and HEAD of what lies at a path below a CID: files with ranges, folders with their index.html or as a list.
import mime from "mime";

import { malformed, noSuchPath } from "./errors.js";
import { sniff } from "./ipfs-sniff.js";
import { parseRange } from "./ranges.js";
import { contentType } from "./types.js";

const IMMUTABLE = "public, max-age=29030400, immutable";
const LISTING = "application/vnd.peersky.listing+json";
const SNIFFED_BYTES = 512;

/**
 * The reply to a GET or HEAD of `names` below the CID `root`.
 *
 * `shown` and `isFolder` are the path of the address that the reader sees and `urlOf(shown, isFolder)` that address;
 * `isImmutable` is false where it is a name, whose content may change.
 */
export async function read(content, request, { root, names, shown, isFolder, urlOf, isImmutable }) {
  const { signal, method, headers } = request;
  let found = await content.find(root, names, signal);
  let last = names.at(-1) ?? "";
  if (found.type === "other") throw malformed("What lies at this address is no file and no folder of IPFS.");
  if (found.type === "file" && isFolder && shown.length > 0) throw noSuchPath(urlOf(shown, true));
  if (found.type === "folder") {
    const isListed = headers.get("x-resolve") === "none" || request.query.has("noResolve");
    const accept = headers.get("accept") ?? "";
    const index = isListed ? null : await content.child(found.cid, "index.html", signal);
    if (!isFolder && shown.length > 0 && !isListed && !accept.includes("application/json")) {
      // Relative links of the page, or of the list, count from here.
      return { status: 302, headers: { Location: urlOf(shown, true) }, body: null };
    }
    if (index?.type !== "file") return list(content, request, found, urlOf(shown, true));
    found = index;
    last = "index.html";
  }
  return file(content, { method, headers, signal }, { found, name: last, link: urlOf(shown, isFolder), isImmutable });
}

async function file(content, { method, headers, signal }, { found, name, link, isImmutable }) {
  const { cid, size } = found;
  const etag = `"${cid}"`;
  const common = {
    ETag: etag,
    "Accept-Ranges": "bytes",
    "Cache-Control": isImmutable ? IMMUTABLE : "no-cache",
    Link: `<${link}>; rel="canonical"`,
  };
  const known = (headers.get("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(etag)) return { status: 304, headers: common, body: null };
  const type = await typeOf(content, found, name, signal);
  const condition = headers.get("if-range");
  const range = condition === null || condition === etag ? parseRange(headers.get("range"), size) : null;
  const { start, end } = range ?? { start: 0, end: size };
  const whole = { ...common, "Content-Type": type, "Content-Length": String(end - start) };
  if (range !== null) whole["Content-Range"] = `bytes ${start}-${end - 1}/${size}`;
  if (method === "HEAD") return { status: range === null ? 200 : 206, headers: whole, body: null };
  // The first bytes are fetched before the status is said: a block that nobody has is a 504 and no broken body.
  const body = content.piece(found, start, end) ?? (await started(content.read(found, start, end, signal)));
  return { status: range === null ? 200 : 206, headers: whole, body };
}

async function list(content, request, found, link) {
  const accept = request.headers.get("accept") ?? "";
  const isDetailed = accept.includes(LISTING);
  async function* json() {
    const encoder = new TextEncoder();
    let separator = "[";
    for await (const { name, type, size } of content.list(found.cid, request.signal)) {
      const entry = isDetailed ? { name, type, size, modified: null } : type === "folder" ? `${name}/` : name;
      yield encoder.encode(separator + JSON.stringify(entry));
      separator = ",";
    }
    yield encoder.encode(separator === "[" ? "[]" : "]");
  }
  const headers = {
    "Content-Type": isDetailed ? LISTING : "application/json; charset=utf-8",
    ETag: `"${found.cid}.list"`,
    "Cache-Control": "no-cache",
    Link: `<${link}>; rel="canonical"`,
  };
  return { status: 200, headers, body: request.method === "HEAD" ? null : await started(json()) };
}

async function typeOf(content, found, name, signal) {
  if (mime.getType(name) !== null) return contentType(name);
  const parts = [];
  for await (const part of content.read(found, 0, Math.min(found.size, SNIFFED_BYTES), signal)) parts.push(part);
  return sniff(Buffer.concat(parts), found.size);
}

/** The same iterable, whose first item is there already; what it throws first is thrown here. */
async function started(source) {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      yield* { [Symbol.asyncIterator]: () => iterator };
    } finally {
      await iterator.return?.();
    }
  })();
}
