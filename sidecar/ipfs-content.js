// Reads and writes trees of UnixFS through a back end (helia.js or kubo.js), with one patience for both: who asks for a block
// that is not here waits `lookupSeconds` for it, and then learns whether peers or the network were missing.
import { importFile } from "ipfs-unixfs-importer";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { balanced } from "ipfs-unixfs-importer/layout";
import { CID } from "multiformats/cid";
import { sha256 } from "multiformats/hashes/sha2";

import { describe, entriesOf, findEntry, parseFolder, RAW, readFile } from "./ipfs-dag.js";
import { noPeers, noSuchPath, offline } from "./errors.js";
import { translate } from "./ipfs-errors.js";
import { ipfsUrl } from "./ipfs-address.js";

const CHUNK_BYTES = 1_048_576;
// Blocks that are written at a time.
const BLOCKS_AT_ONCE = 8;
const ENTRIES_AT_ONCE = 16;
const FOLDER_BYTES = 1_048_576; // of folders whose links stay in memory; these take some ten times of that

export class Content {
  #backend;
  #lookupMs;
  #folders = new Map(); // CID -> {folder, bytes}, the longest unused first
  #folderBytes = 0;

  constructor(backend, lookupSeconds) {
    this.#backend = backend;
    this.#lookupMs = lookupSeconds * 1000;
  }

  /** The bytes of a block; P2PError 504 when nobody had it in time. */
  async load(cid, signal) {
    if (cid.multihash.code === 0) return cid.multihash.digest;
    const here = await this.#backend.local(cid);
    if (here !== null) return here;
    const patience = AbortSignal.timeout(this.#lookupMs);
    try {
      return await this.#backend.load(cid, { signal: AbortSignal.any([signal, patience]) });
    } catch (error) {
      signal.throwIfAborted();
      if (!patience.aborted) throw error;
      throw (await this.#backend.peers()) > 0 ? noPeers() : offline();
    }
  }

  /**
   * What lies at `names` below `root`: {cid, type: "file" | "folder" | "other", size, bytes: its block, of a file}. Throws 404
   * where nothing does.
   */
  async find(root, names, signal) {
    const path = `/${names.join("/")}`;
    const load = (cid) => this.load(cid, signal);
    const open = async (cid) => (await this.#known(cid)) ?? this.#remember(cid, await load(cid));
    try {
      let found = await this.#look(root, signal);
      for (const name of names) {
        const next = found.type === "folder" ? await findEntry(found.cid, name, open, load) : null;
        if (next === null) throw noSuchPath(path);
        found = await this.#look(next, signal);
      }
      return found;
    } catch (error) {
      throw translate(error, path);
    }
  }

  async #look(cid, signal) {
    if ((await this.#known(cid)) !== null) return { cid, type: "folder", size: null };
    const bytes = await this.load(cid, signal);
    const { type, size } = describe(cid, bytes);
    if (type === "folder") this.#remember(cid, bytes);
    return type === "file" ? { cid, type, size, bytes } : { cid, type, size };
  }

  /** A folder that was read before and whose block is still here, or null. */
  async #known(cid) {
    const key = cid.toString();
    const entry = this.#folders.get(key);
    if (entry === undefined || !(await this.#backend.isHere(cid))) return null;
    this.#folders.delete(key);
    this.#folders.set(key, entry);
    return entry.folder;
  }

  #remember(cid, bytes) {
    const entry = { folder: parseFolder(bytes), bytes: bytes.byteLength };
    const key = cid.toString();
    this.#folderBytes += entry.bytes - (this.#folders.get(key)?.bytes ?? 0);
    this.#folders.delete(key);
    this.#folders.set(key, entry);
    for (const [oldest, { bytes: freed }] of this.#folders) {
      if (this.#folderBytes <= FOLDER_BYTES) break;
      this.#folders.delete(oldest);
      this.#folderBytes -= freed;
    }
    return entry.folder;
  }

  /** Bytes `start`…`end` (excluded) of a file of one block that `find` found; null of others. */
  piece({ cid, bytes }, start, end) {
    return cid.code === RAW ? bytes.subarray(start, end) : null;
  }

  /** Bytes `start`…`end` (excluded) of the file that `find` found. */
  async *read({ cid, bytes }, start, end, signal) {
    if (end <= start) return;
    try {
      yield* readFile(cid, bytes, start, end, (block) => this.load(block, signal));
    } catch (error) {
      throw translate(error, ipfsUrl(cid));
    }
  }

  /** The entries of a folder with their {name, type, size}, in the order of their names. */
  async *list(cid, signal) {
    const names = [];
    for await (const entry of entriesOf(cid, (block) => this.load(block, signal))) names.push(entry);
    names.sort((a, b) => (a.name < b.name ? -1 : 1));
    let isNetworkTried = true;
    const look = async ({ name, cid: child, size }) => {
      if (child.code === RAW) return { name, type: "file", size };
      let bytes = await this.#backend.local(child);
      if (bytes === null && isNetworkTried) {
        bytes = await this.load(child, signal).catch((error) => {
          signal.throwIfAborted();
          isNetworkTried = false; // nobody has the rest either: list names at least
          if (error.status !== 504) throw error;
          return null;
        });
      }
      if (bytes === null) return { name, type: "file", size };
      const found = describe(child, bytes);
      return { name, type: found.type === "folder" ? "folder" : "file", size: found.size };
    };
    for (let at = 0; at < names.length; at += ENTRIES_AT_ONCE) {
      yield* await Promise.all(names.slice(at, at + ENTRIES_AT_ONCE).map(look));
    }
  }

  /** The entry of this name directly in the folder, or null. */
  async child(folder, name, signal) {
    try {
      return await this.find(folder, [name], signal);
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  /** Write a file from an async iterable to `sink`. Returns {cid, size: with its nodes, bytes: of the content}. */
  async write(body, sink, signal) {
    let bytes = 0;
    async function* counted() {
      for await (const chunk of body) {
        signal.throwIfAborted();
        bytes += chunk.byteLength;
        yield chunk;
      }
    }
    const chunks = counted();
    const { parts, isWhole } = await firstOf(chunks, CHUNK_BYTES);
    if (isWhole && bytes > 0 && bytes <= CHUNK_BYTES) {
      // What the importer makes of it, without its machinery.
      const block = Buffer.concat(parts);
      const cid = CID.createV1(RAW, await sha256.digest(block));
      await sink.put(cid, block);
      return { cid, size: bytes, bytes };
    }
    async function* content() {
      try {
        yield* parts;
        yield* chunks;
      } finally {
        await chunks.return();
      }
    }
    const { cid, size } = await importFile({ content: content() }, sink, {
      cidVersion: 1,
      rawLeaves: true,
      chunker: fixedSize({ chunkSize: CHUNK_BYTES }),
      layout: balanced({ maxChildrenPerNode: 1024 }),
      blockWriteConcurrency: BLOCKS_AT_ONCE,
    });
    return { cid, size: Number(size ?? bytes), bytes };
  }

  /** Where new blocks go. */
  sink() {
    return new Sink(this.#backend);
  }
}

/** The first parts of an async iterator: more than `most` bytes of it, or all there is. */
async function firstOf(iterator, most) {
  const parts = [];
  for (let bytes = 0; bytes <= most; bytes += parts.at(-1).byteLength) {
    const { done, value } = await iterator.next();
    if (done) return { parts, isWhole: true };
    parts.push(value);
  }
  return { parts, isWhole: false };
}

/** Takes blocks and writes a few at a time, so that many small files do not wait for the disk one by one. */
class Sink {
  #backend;
  #running = new Set();
  #error = null;

  constructor(backend) {
    this.#backend = backend;
  }

  async put(cid, bytes) {
    if (cid.multihash.code === 0) return cid;
    while (this.#running.size >= BLOCKS_AT_ONCE) await Promise.race(this.#running);
    if (this.#error !== null) throw this.#error;
    const write = this.#backend
      .put(cid, bytes)
      .catch((error) => {
        this.#error ??= error;
      })
      .finally(() => this.#running.delete(write));
    this.#running.add(write);
    return cid;
  }

  /** Wait until every block is written. Throws where one could not be. */
  async done() {
    await Promise.all(this.#running);
    if (this.#error !== null) throw this.#error;
  }
}
