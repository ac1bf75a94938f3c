// PUT and DELETE of hyper://KEY/…. A body is complete on disk before the drive is touched; then its blocks are appended, and
// one batch at the end makes all files of the request visible at once.
import { malformed, noSuchPath, notWritable } from "./errors.js";
import { decodePath, encodePath, splitFileName } from "./paths.js";
import { Spool } from "./spool.js";

const BLOCK_BYTES = 64 * 1024; // as hyperblobs has it
const APPEND_BYTES = 1024 * 1024;
const APPEND_BLOCKS = 256;

/** Hyperdrive takes a backslash for a slash, so a name with one would become a folder, or climb. */
export function checkNames(names) {
  if (names.some((name) => name.includes("\\"))) throw malformed("A name in the path holds a backslash, which Hyper cannot keep.");
  return names;
}

/** Appends files to a drive's blob core, small ones together. Only while the drive's writing lock is held. */
export class BlobWriter {
  #blocks = [];
  #bytes = 0;

  constructor(core) {
    this.core = core;
    this.start = core.length;
    this.length = core.length;
    this.byteLength = core.byteLength;
  }

  /** Append a file; returns the id that its entry carries. It is on disk after `flush`. */
  async write(source) {
    const id = { blockOffset: this.length, byteOffset: this.byteLength, blockLength: 0, byteLength: 0 };
    let block = [];
    let size = 0;
    for await (let chunk of source) {
      while (chunk.length) {
        const part = chunk.subarray(0, BLOCK_BYTES - size);
        chunk = chunk.subarray(part.length);
        block.push(part);
        size += part.length;
        if (size === BLOCK_BYTES) {
          await this.#add(Buffer.concat(block));
          [block, size] = [[], 0];
        }
      }
    }
    if (size) await this.#add(Buffer.concat(block));
    id.blockLength = this.length - id.blockOffset;
    id.byteLength = this.byteLength - id.byteOffset;
    return id;
  }

  async #add(block) {
    this.#blocks.push(block);
    this.#bytes += block.length;
    this.length += 1;
    this.byteLength += block.length;
    if (this.#bytes >= APPEND_BYTES || this.#blocks.length >= APPEND_BLOCKS) await this.flush();
  }

  async flush() {
    if (this.#blocks.length === 0) return;
    const blocks = this.#blocks;
    [this.#blocks, this.#bytes] = [[], 0];
    await this.core.append(blocks);
  }

  /** Free what was appended for files that will never be visible. */
  async discard() {
    if (this.core.length > this.start) await this.core.clear(this.start, this.core.length);
  }
}

/**
 * Change a drive's files in one step: `work(batch, writer)` puts and deletes. What it throws leaves nothing visible.
 */
export function change(open, signal, work) {
  return open.writing(async () => {
    signal.throwIfAborted();
    await open.recover(signal);
    const { core } = await open.drive.getBlobs();
    const writer = new BlobWriter(core);
    const batch = open.drive.batch();
    try {
      await batch.ready();
      const result = await work(batch, writer);
      await writer.flush();
      await batch.flush();
      open.written();
      return result;
    } catch (error) {
      await batch.close();
      await writer.discard().catch(() => {}); // a full disk; the blocks are in nobody's way
      throw error;
    }
  });
}

/** The reply to a write, with what the ledger wants to know. */
export function written(open, status, names, isFolder, { bytes, files }) {
  const url = open.url + encodePath(names).slice(1) + (isFolder && names.length ? "/" : "");
  return {
    status,
    headers: {
      ETag: String(open.drive.version),
      Link: `<${url}>; rel="canonical"`,
      "X-Peersky-Url": url,
      "X-Peersky-Root": open.url,
      "X-Peersky-Bytes": String(bytes),
      "X-Peersky-Files": String(files),
      ...(status === 201 ? { Location: url } : {}),
    },
    body: null,
  };
}

function requireOwn(open) {
  if (!open.record) throw notWritable("This drive belongs to somebody else. Make your own with POST hyper://localhost/?key=NAME.");
}

export async function put(open, request, spoolFolder) {
  requireOwn(open);
  const { names, isFolder } = decodePath(request.path);
  checkNames(names);
  const isForm = /^multipart\/form-data\b/i.test(request.headers.get("content-type") ?? "");
  if (isFolder && !isForm) throw malformed("A folder cannot be written with one body. Send a form, or name a file.");
  const date = Date.parse(request.headers.get("last-modified") ?? "");
  const mtime = Number.isNaN(date) ? Date.now() : date;
  const spool = await Spool.open(spoolFolder);
  try {
    const files = [];
    if (isForm) {
      for await (const { name, filename, body } of request.form()) {
        if (name !== "file" || filename === undefined) continue;
        const below = checkNames(splitFileName(filename));
        files.push({ path: `/${[...names, ...below].join("/")}`, part: await spool.add(body) });
      }
      if (files.length === 0) throw malformed('The form holds no file. Its entries must be named "file" and have a file name.');
    } else {
      files.push({ path: `/${names.join("/")}`, part: await spool.add(request.body) });
    }
    let bytes = 0;
    await change(open, request.signal, async (batch, writer) => {
      for (const { path, part } of files) {
        const blob = await writer.write(spool.read(part));
        await batch.putEntry(path, { blob, metadata: { mtime } });
        bytes += blob.byteLength;
      }
    });
    return written(open, 201, names, isForm, { bytes, files: files.length });
  } finally {
    await spool.close();
  }
}

/** DELETE of a file or a tree; the whole drive is hyper.js's business. */
export async function remove(open, request) {
  requireOwn(open);
  const { names, isFolder } = decodePath(request.path);
  checkNames(names);
  const path = `/${names.join("/")}`;
  let files = 0;
  await change(open, request.signal, async (batch) => {
    const keys = [];
    if (isFolder) {
      for await (const { key } of open.drive.list(path)) keys.push(key);
    } else if (await open.drive.entry(path)) {
      keys.push(path);
    }
    if (keys.length === 0) throw noSuchPath(`${encodePath(names)}${isFolder ? "/" : ""}`);
    for (const key of keys) await batch.del(key);
    files = keys.length;
  });
  return written(open, 200, names, isFolder, { bytes: 0, files });
}
