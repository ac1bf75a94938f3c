// Blocks on disk: one file each, named by its hash, put in place by a rename, so that kill -9 leaves whole blocks or
// none. Every read is checked against the hash: what the disk spoiled counts as missing and is fetched again.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { BaseBlockstore } from "blockstore-core";
import { NotFoundError } from "interface-store";
import toBuffer from "it-to-buffer";
import { base32 } from "multiformats/bases/base32";

import { diskError } from "./ipfs-errors.js";

const HASHES = new Map([[0x12, "sha256"], [0x13, "sha512"]]);
const TOUCHED = 1000;

export class BlockFiles extends BaseBlockstore {
  #index;
  #root;
  #temporary;
  #folders = new Set();
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
    return this.#index.get("SELECT 1 FROM blocks WHERE hash = ?", hash) !== undefined;
  }

  async put(cid, block) {
    const bytes = block instanceof Uint8Array ? block : await toBuffer(block);
    const hash = cid.multihash.bytes;
    if (this.hasHash(hash)) {
      this.#touch(hash);
      return cid;
    }
    const { folder, file } = this.#place(hash);
    const temporary = join(this.#temporary, String(this.#counter++));
    try {
      if (!this.#folders.has(folder)) {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        this.#folders.add(folder);
      }
      await writeFile(temporary, bytes, { mode: 0o600 });
      await rename(temporary, file);
      this.#index.run(
        "INSERT OR IGNORE INTO blocks (hash, size, used) VALUES (?, ?, ?)", hash, bytes.byteLength, Date.now(),
      );
    } catch (error) {
      await rm(temporary, { force: true });
      throw diskError(error);
    }
    this.onAdded(bytes.byteLength);
    return cid;
  }

  async *get(cid) {
    const hash = cid.multihash.bytes;
    if (!this.hasHash(hash)) throw new NotFoundError(`No block ${cid} is here`);
    let bytes = null;
    try {
      bytes = await readFile(this.#place(hash).file);
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    if (bytes === null || !isIntact(cid, bytes)) {
      await this.drop(hash);
      throw new NotFoundError(`The block ${cid} was spoiled`);
    }
    this.#touch(hash);
    yield bytes;
  }

  async delete(cid) {
    await this.drop(cid.multihash.bytes);
  }

  /** Forget a block by its multihash. */
  async drop(hash) {
    this.#index.run("DELETE FROM blocks WHERE hash = ?", hash);
    await unlink(this.#place(hash).file).catch(() => {});
  }

  // What the interface asks for besides; the cache is cleared by ipfs-cache.js, which knows blocks by their hash.
  async *getAll() {}

  /** Write down which blocks were read last. */
  flush() {
    const touched = [...this.#touched.values()];
    this.#touched.clear();
    this.#index.transaction(() => {
      for (const { hash, time } of touched) this.#index.run("UPDATE blocks SET used = ? WHERE hash = ?", time, hash);
    });
  }

  #touch(hash) {
    this.#touched.set(base32.baseEncode(hash), { hash, time: Date.now() });
    if (this.#touched.size >= TOUCHED) this.flush();
  }

  #place(hash) {
    const name = base32.baseEncode(hash);
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

/** Whether the bytes are those that the CID names; false for hash functions that we do not compute. */
export function isIntact(cid, bytes) {
  const name = HASHES.get(cid.multihash.code);
  if (name === undefined) return false;
  const digest = createHash(name).update(bytes).digest();
  return digest.subarray(0, cid.multihash.digest.byteLength).equals(cid.multihash.digest);
}
