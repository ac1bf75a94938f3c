// A folder being edited: additions and removals over a base that lies in IPFS, written as new blocks at the end. Nothing of
// it is visible before somebody has the CID of its root.
import { describe, entriesOf, writeFolder } from "./ipfs-dag.js";
import { malformed, noSuchPath } from "./errors.js";

export class Folder {
  #changes = new Map();
  #base;

  /** `base`: the CID of the folder to start from, or null for an empty one. */
  constructor(base = null) {
    this.#base = base;
  }

  /** Put what lies at `cid` (`size` with all below it) at these names, in place of what was there. */
  add(names, cid, size) {
    const [name, ...rest] = names;
    if (rest.length === 0) {
      this.#changes.set(name, { cid, size });
      return;
    }
    this.#below(name).add(rest, cid, size);
  }

  /** Take away what lies at these names. `write` says 404 where nothing does. */
  remove(names) {
    const [name, ...rest] = names;
    if (rest.length === 0) this.#changes.set(name, null);
    else this.#below(name).remove(rest);
  }

  /** Make sure that there is a folder at these names. */
  makeFolder(names) {
    const [name, ...rest] = names;
    const below = this.#below(name);
    if (rest.length > 0) below.makeFolder(rest);
  }

  /** Write it. `blocks` takes new blocks, `load(cid)` gives old ones. Returns {cid, size}. */
  async write(blocks, load) {
    const entries = new Map();
    if (this.#base !== null) {
      for await (const { name, cid, size } of entriesOf(this.#base, load)) entries.set(name, { cid, size });
    }
    for (const [name, change] of this.#changes) {
      if (change === null) {
        if (!entries.delete(name)) throw noSuchPath(name);
      } else if (change instanceof Folder) {
        const old = entries.get(name);
        if (old !== undefined) await change.#startFrom(old.cid, name, load);
        entries.set(name, await change.write(blocks, load));
      } else {
        entries.set(name, change);
      }
    }
    return writeFolder(entries, blocks);
  }

  #below(name) {
    const there = this.#changes.get(name);
    if (there instanceof Folder) return there;
    if (there) throw malformed(`“${name}” is a file, so nothing can lie below it.`);
    const folder = new Folder();
    this.#changes.set(name, folder);
    return folder;
  }

  async #startFrom(cid, name, load) {
    if (describe(cid, await load(cid)).type !== "folder") {
      throw malformed(`“${name}” is a file, so nothing can lie below it.`);
    }
    this.#base = cid;
  }
}
