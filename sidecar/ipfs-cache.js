// What is kept and what may go. Pinned content is never evicted; of the rest, what was used longest ago goes first.
//
// A block's mark is the generation in which a walk from a pin reached it: marked with the current one it is pinned. Marks
// are set from the leaves up, so a marked node says that all below it is marked, and pinning an edited folder walks only
// what changed. Unpinning starts a new generation, which marks everything again before anything is evicted.
import toBuffer from "it-to-buffer";
import { CID } from "multiformats/cid";

import { linksOf, RAW } from "./ipfs-dag.js";

const GROWTH_BYTES = 16 * 1024 * 1024;
const BATCH = 256;
const MARKS = 1000; // written together

export class Cache {
  #index;
  #files;
  #uploads = new Set();
  #added = 0;
  #grew;

  /** `grew()` is called now and then when there is more that is not pinned. */
  constructor({ index, files, grew }) {
    this.#index = index;
    this.#files = files;
    this.#grew = grew;
    files.onAdded = (bytes) => this.#count(bytes);
  }

  /** Keep what is written from now on, until `release` of what this returns is called. */
  hold() {
    const upload = { since: Date.now() };
    this.#uploads.add(upload);
    return { release: () => this.#uploads.delete(upload) };
  }

  /** Pin everything below `root` for `owner`; `load` gives a block's bytes, also from the network. */
  async pin(root, owner, load) {
    let generation;
    this.#files.flush();
    do {
      generation = this.#generation();
      await this.#markBelow(root, load, generation);
    } while (generation !== this.#generation());
    // No await since the check: the pin counts before anything else can be evicted.
    this.#index.run(
      "INSERT OR IGNORE INTO pins (cid, owner, created) VALUES (?, ?, ?)", root.toString(), owner, Date.now(),
    );
  }

  /** Let go of the pins of `owner`, or of everybody (null). Returns whether there was one. */
  unpin(root, owner) {
    const found = owner === null
      ? this.#index.run("DELETE FROM pins WHERE cid = ?", root.toString())
      : this.#index.run("DELETE FROM pins WHERE cid = ? AND owner = ?", root.toString(), owner);
    if (found === 0) return false;
    this.#index.setFact("unmarked", 1);
    this.#grew();
    return true;
  }

  usage() {
    this.#files.flush();
    const total = this.#index.get("SELECT TOTAL(size) AS n FROM blocks").n;
    const pinned = this.#index.get("SELECT TOTAL(size) AS n FROM blocks WHERE mark = ?", this.#generation()).n;
    return { bytes: total, pinnedBytes: pinned, cacheBytes: total - pinned };
  }

  /** How much of it is not pinned, and when what goes next was used: {bytes, oldest}. */
  async state() {
    if (this.#index.fact("unmarked") === 1) await this.#markAgain();
    this.#files.flush();
    const oldest = this.#index.get("SELECT MIN(used) AS n FROM blocks WHERE mark < ?", this.#generation()).n;
    return { bytes: this.usage().cacheBytes, oldest: oldest ?? Infinity };
  }

  /**
   * Evict the least recently used blocks, none that was used after `before`, until `limit` bytes of cache are left. Returns
   * how many bytes went. Not to be called again before it has ended.
   */
  async evict(limit, before) {
    let { bytes } = await this.state();
    const generation = this.#generation();
    let freed = 0;
    while (bytes > limit) {
      const newest = Math.min(Date.now() + 1, before + 1, ...[...this.#uploads].map((upload) => upload.since));
      const rows = this.#index.all(
        "SELECT hash, size FROM blocks WHERE mark < ? AND used < ? ORDER BY used LIMIT ?", generation, newest, BATCH,
      );
      if (rows.length === 0) break;
      for (const { hash, size } of rows) {
        if (bytes <= limit) break;
        await this.#files.drop(hash);
        bytes -= size;
        freed += size;
      }
    }
    return freed;
  }

  #generation() {
    return this.#index.fact("generation") + 1;
  }

  async #markAgain() {
    this.#index.transaction(() => {
      this.#index.setFact("unmarked", 0);
      this.#index.setFact("generation", this.#generation());
    });
    try {
      for (const { cid } of this.#index.all("SELECT DISTINCT cid FROM pins")) {
        await this.#markBelow(CID.parse(cid), (block) => this.#local(block), this.#generation());
      }
    } catch (error) {
      this.#index.setFact("unmarked", 1);
      throw error;
    }
  }

  async #markBelow(root, load, generation) {
    const reached = new Map(); // not written yet, from the leaves up
    const write = () => {
      this.#files.flush(); // what was loaded on the way has no row yet
      this.#index.transaction(() => {
        for (const hash of reached.values()) this.#index.run("UPDATE blocks SET mark = ? WHERE hash = ?", generation, hash);
      });
      reached.clear();
    };
    const mark = async (cid) => {
      const hash = cid.multihash.bytes;
      const name = Buffer.from(hash).toString("latin1");
      if (cid.multihash.code === 0 || reached.has(name)) return;
      const row = this.#index.get("SELECT mark FROM blocks WHERE hash = ?", hash);
      if (row?.mark === generation) return;
      if (cid.code !== RAW || row === undefined) {
        const bytes = await load(cid);
        if (bytes === null) return;
        for (const child of linksOf(cid, bytes)) await mark(child);
      }
      reached.set(name, hash);
      if (reached.size >= MARKS) write();
    };
    await mark(root);
    write();
  }

  async #local(cid) {
    return this.#files.hasHash(cid.multihash.bytes) ? toBuffer(this.#files.get(cid)).catch(() => null) : null;
  }

  #count(bytes) {
    this.#added += bytes;
    if (this.#added < GROWTH_BYTES) return;
    this.#added = 0;
    this.#grew();
  }
}
