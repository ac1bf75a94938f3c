// GET and HEAD of hyper://KEY/…: files, ranges, folders, old versions.
import { noPeers, noSuchPath, offline, P2PError } from "./errors.js";
import { decodePath, encodePath } from "./paths.js";
import { parseRange } from "./ranges.js";
import { contentType } from "./types.js";
import { cleanedUp } from "./waiting.js";

export const LISTING_TYPE = "application/vnd.peersky.listing+json";
const INDEX = "index.html";
const WHOLE_BYTES = 262_144; // what is no larger goes in one piece

/** Splits off `/$/version/N`: `{version (number or null), path}`. */
export function splitVersion(path) {
  const match = /^\/(?:\$|%24)\/version\/([^/]*)(\/.*)?$/i.exec(path);
  return match ? { version: match[1], path: match[2] ?? "/" } : { version: null, path };
}

/** Answer a GET or HEAD on an open drive. */
export async function read(open, request) {
  const { version, path } = splitVersion(request.path);
  const target = decodePath(path);
  await open.refresh(request.signal);
  let tree = open.drive;
  if (version !== null) {
    const number = /^\d{1,15}$/.test(version) ? Number(version) : 0;
    if (number < 1 || number > open.drive.version) throw noSuchPath(`version ${version}`);
    tree = open.drive.checkout(number);
  }
  const prefix = version === null ? open.url : `${open.url}$/version/${version}/`;
  const reader = new Reader(open, tree, prefix, request);
  try {
    return await (target.isFolder ? reader.folder(target.names) : reader.file(target.names));
  } finally {
    if (tree !== open.drive) await tree.close();
  }
}

class Reader {
  constructor(open, tree, prefix, request) {
    Object.assign(this, { open, tree, prefix, request });
    this.isListing = request.query.has("noResolve") || /\bnone\b/i.test(request.headers.get("x-resolve") ?? "");
  }

  entry(names) {
    return this.open.found(this.tree.entry(`/${names.join("/")}`, { follow: true }), this.request.signal);
  }

  headers(names, isFolder, version) {
    const url = this.prefix + encodePath(names).slice(1) + (isFolder && names.length ? "/" : "");
    return {
      ETag: String(version),
      Link: `<${url}>; rel="canonical"`,
      Allow: this.open.record ? "GET, HEAD, PUT, DELETE" : "GET, HEAD",
    };
  }

  async file(names) {
    let entry = await this.entry(names);
    if (!entry && !this.isListing) {
      const page = [...names.slice(0, -1), `${names.at(-1)}.html`];
      entry = await this.entry(page);
      if (entry) return this.serve(page, entry);
    }
    if (entry) return this.serve(names, entry);
    const path = encodePath(names);
    if (await this.#hasFolder(names)) {
      // Relative links in a folder's page only work below its slash.
      return { status: 302, headers: { Location: `${this.prefix}${path.slice(1)}/${this.#search()}` }, body: null };
    }
    throw noSuchPath(path);
  }

  async folder(names) {
    if (!this.isListing) {
      const index = await this.entry([...names, INDEX]);
      if (index) return this.serve([...names, INDEX], index, names);
    }
    const entries = [];
    const walk = async () => {
      for await (const found of this.#list(names)) entries.push(found);
    };
    await this.open.found(walk(), this.request.signal);
    if (entries.length === 0 && names.length > 0) throw noSuchPath(`${encodePath(names)}/`);
    const isDetailed = (this.request.headers.get("accept") ?? "").includes(LISTING_TYPE);
    const listing = isDetailed ? entries : entries.map(({ name, type }) => (type === "folder" ? `${name}/` : name));
    const body = Buffer.from(JSON.stringify(listing));
    const headers = {
      ...this.headers(names, true, this.tree.version),
      "Content-Type": isDetailed ? LISTING_TYPE : "application/json",
      "Content-Length": body.length,
    };
    return { status: 200, headers, body: this.request.method === "HEAD" ? null : body };
  }

  async *#list(names) {
    const folder = `/${names.join("/")}`;
    const start = names.length ? folder.length + 1 : 1;
    let last = null;
    for await (const { key, value } of this.tree.list(folder, { recursive: false })) {
      const [name, ...below] = key.slice(start).split("/");
      if (name === last) continue;
      last = name;
      if (below.length) yield { name, type: "folder", size: null, modified: null };
      else yield { name, type: "file", size: value.blob?.byteLength ?? 0, modified: value.metadata?.mtime ?? null };
    }
  }

  async #hasFolder(names) {
    const first = this.#list(names);
    const { done } = await this.open.found(first.next(), this.request.signal);
    await first.return();
    return !done;
  }

  #search() {
    const query = this.request.query.toString();
    return query && `?${query}`;
  }

  async serve(names, entry, folder) {
    const { blob, metadata } = entry.value;
    const size = blob?.byteLength ?? 0;
    const headers = {
      ...this.headers(folder ?? names, folder !== undefined, entry.seq + 1),
      "Content-Type": contentType(names.at(-1)),
      "Accept-Ranges": "bytes",
    };
    if (Number.isFinite(metadata?.mtime)) headers["Last-Modified"] = new Date(metadata.mtime).toUTCString();
    const range = parseRange(this.request.headers.get("range"), size);
    const { start, end } = range ?? { start: 0, end: size };
    headers["Content-Length"] = end - start;
    if (range) headers["Content-Range"] = `bytes ${start}-${end - 1}/${size}`;
    const status = range ? 206 : 200;
    if (this.request.method === "HEAD" || start === end) return { status, headers, body: null };
    const blobs = await this.open.found(this.open.drive.getBlobs(), this.request.signal);
    const part = { start, length: end - start, timeout: this.open.lookupMs };
    if (end - start > WHOLE_BYTES) return { status, headers, body: await this.#begun(blobs.createReadStream(blob, part)) };
    if (blob.blockLength > 1 || blob.blockMap) return { status, headers, body: await this.#here(blobs.get(blob, part)) };
    const block = await this.#here(blobs.core.get(blob.blockOffset, { timeout: this.open.lookupMs }));
    return { status, headers, body: block.subarray(start, end) };
  }

  /** The stream once its first block is here, so that "no peer has it" is still a status. */
  async #begun(source) {
    const blocks = source[Symbol.asyncIterator]();
    try {
      const first = await this.#here(blocks.next());
      return cleanedUp(blocks, () => source.destroy(), first);
    } catch (error) {
      source.destroy();
      throw error;
    }
  }

  async #here(blocks) {
    try {
      const found = await this.open.found(blocks, this.request.signal);
      if (found !== null) return found;
    } catch (error) {
      if (error instanceof P2PError) throw error;
    }
    throw (await this.open.network.isOffline()) ? offline() : noPeers();
  }
}
