// Blocks on disk: one file each, named by its hash, put in place by a rename, so that kill -9 leaves whole blocks or
// none. Every read is checked against the hash: what the disk spoiled counts as missing and is fetched again.
import { createHash } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { BaseBlockstore } from "blockstore-core";
import { NotFoundError } from "interface-store";
import toBuffer from "it-to-buffer";
import { base32 } from "multiformats/bases/base32";

import { diskError } from "./ipfs-errors.js";

const HASHES = new Map([[0x12, "sha256"], [0x13, "sha512"]]);
const AT_ONCE_BYTES = 65_536; // goes to the system's cache in less time than another thread takes to be told to do it
const NOTED = 1000; // blocks whose rows are written together

export class BlockFiles extends BaseBlockstore {
  #index;
  #root;
  #temporary;
  #folders = new Set();
  #added = new Map(); // name -> row that is not written yet; after a kill the files themselves tell of these
  #touched = new Map();
  #counter = 0;
  /** Told how many bytes each new block has. */
  onAdded = () => {};

  constructor(directory, index) {
    super();
    this.#index = index;
    this.#root = join(directory, "blocks");
    this.#temporary = join(directory, "incoming");
  }

  /** Make the folders; after an end that was not orderly, list the blocks that the index does not know of. */
  async open() {
    await rm(this.#temporary, { recursive: true, force: true });
    await mkdir(this.#temporary, { recursive: true, mode: 0o700 });
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    if (this.#index.fact("open") === 1) {
      await this.#reconcile();
      this.#index.setFact("unmarked", 1);
    }
    this.#index.setFact("open", 1);
  }

  close() {
    this.flush();
    this.#index.setFact("open", 0);
  }

  async has(cid) {
    return this.hasHash(cid.multihash.bytes);
  }

  hasHash(hash) {
    return this.#has(hash, nameOf(hash));
  }

  #has(hash, name) {
    return this.#added.has(name) || this.#index.get("SELECT 1 FROM blocks WHERE hash = ?", hash) !== undefined;
  }

  /** Whether a block is here; if so, it was used now. */
  use(hash) {
    const name = nameOf(hash);
    const isHere = this.#has(hash, name);
    if (isHere) this.#touch(hash, name);
    return isHere;
  }

  async put(cid, block) {
    const bytes = block instanceof Uint8Array ? block : await toBuffer(block);
    const hash = cid.multihash.bytes;
    if (this.use(hash)) return cid;
    const name = nameOf(hash);
    const { folder, file } = this.#place(name);
    const temporary = join(this.#temporary, String(this.#counter++));
    try {
      if (!this.#folders.has(folder)) {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        this.#folders.add(folder);
      }
      if (bytes.byteLength > AT_ONCE_BYTES) {
        await writeFile(temporary, bytes, { mode: 0o600 });
        await rename(temporary, file);
      } else {
        writeFileSync(temporary, bytes, { mode: 0o600 });
        renameSync(temporary, file);
      }
      this.#added.set(name, { hash, size: bytes.byteLength, time: Date.now() });
      if (this.#added.size >= NOTED) this.flush();
    } catch (error) {
      await rm(temporary, { force: true });
      this.#noteInRoom();
      throw diskError(error);
    }
    this.onAdded(bytes.byteLength);
    return cid;
  }

  async *get(cid) {
    const hash = cid.multihash.bytes;
    const name = nameOf(hash);
    if (!this.#has(hash, name)) throw new NotFoundError(`No block ${cid} is here`);
    let bytes = null;
    try {
      bytes = await readFile(this.#place(name).file);
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    if (bytes === null || !isIntact(cid, bytes)) {
      await this.drop(hash);
      throw new NotFoundError(`The block ${cid} was spoiled`);
    }
    this.#touch(hash, name);
    yield bytes;
  }

  async delete(cid) {
    await this.drop(cid.multihash.bytes);
  }

  /** Forget a block by its multihash. */
  async drop(hash) {
    const name = nameOf(hash);
    this.#added.delete(name);
    this.#index.run("DELETE FROM blocks WHERE hash = ?", hash);
    await unlink(this.#place(name).file).catch(() => {});
  }

  // What the interface asks for besides; the cache is cleared by ipfs-cache.js, which knows blocks by their hash.
  async *getAll() {}

  /** Write down which blocks were added, and which were read last. Throws what keeps the database from it. */
  flush() {
    if (this.#added.size + this.#touched.size === 0) return;
    this.#index.transaction(() => {
      const add = "INSERT OR IGNORE INTO blocks (hash, size, used) VALUES (?, ?, ?)";
      for (const { hash, size, time } of this.#added.values()) this.#index.run(add, hash, size, time);
      for (const { hash, time } of this.#touched.values()) {
        this.#index.run("UPDATE blocks SET used = ? WHERE hash = ?", time, hash);
      }
    });
    this.#added.clear();
    this.#touched.clear();
  }

  /** Where the disk was full there is room for rows, since a block gave way. What has a row can be evicted. */
  #noteInRoom() {
    try {
      this.flush();
    } catch {
      // They are written with the next ones; the failure that is under way says what is wrong.
    }
  }

  #touch(hash, name) {
    this.#touched.set(name, { hash, time: Date.now() });
    if (this.#touched.size >= NOTED) this.flush();
  }

  #place(name) {
    // The last letters are evenly spread; the first ones name the hash function.
    const folder = join(this.#root, name.slice(-3, -1));
    return { folder, file: join(folder, name) };
  }

  async #reconcile() {
    for (const folder of await readdir(this.#root)) {
      for (const name of await readdir(join(this.#root, folder))) {
        let hash;
        try {
          hash = base32.baseDecode(name);
        } catch {
          continue;
        }
        if (this.hasHash(hash)) continue;
        const { size } = await stat(join(this.#root, folder, name));
        this.#index.run("INSERT OR IGNORE INTO blocks (hash, size, used) VALUES (?, ?, 0)", hash, size);
      }
    }
  }
}

/** The name of a block's file. */
function nameOf(hash) {
  return base32.baseEncode(hash);
}

/** Whether the bytes are those that the CID names; false for hash functions that we do not compute. */
export function isIntact(cid, bytes) {
  const name = HASHES.get(cid.multihash.code);
  if (name === undefined) return false;
  const digest = createHash(name).update(bytes).digest();
  return digest.subarray(0, cid.multihash.digest.byteLength).equals(cid.multihash.digest);
}
