// Drives that are open: our own (by origin and name) and others' (by key), each opened once.
import b4a from "b4a";
import crypto from "hypercore-crypto";
import Hyperdrive from "hyperdrive";
import z32 from "z32";
import { malformed, noPeers, noSuchKey, offline, P2PError } from "./errors.js";
import { within } from "./waiting.js";

const MOST_OPEN = 32; // of others; our own stay open once used
const REFRESH_MS = 2000; // a drive that is here is looked for news for this long, then served as it is
const RETRY_LOOKUP_MS = 3000;
const LOOKUP_AGAIN_MS = 10_000; // the swarm itself gives up on a peer that was away, until its next round in 10 minutes
const OFFLINE_MS = 2000; // without a network only the disk can answer; the rest of a drive that is here in part will not come
const GROWTH_BYTES = 16 * 1024 * 1024; // as often as that the cache is compared with its limit

/** The key (32 bytes) that a host is: 52 characters of z-base-32 or 64 hexadecimal ones; null for anything else. */
export function parseKey(host) {
  const text = host.toLowerCase();
  if (/^[0-9a-f]{64}$/.test(text)) return b4a.from(text, "hex");
  if (!/^[a-z0-9]{52}$/.test(text)) return null;
  try {
    return z32.decode(text);
  } catch {
    return null;
  }
}

/** One open drive. `record` is its row if it is ours, else undefined. */
class OpenDrive {
  users = 0;
  #lookedUpAt = -Infinity;
  #writing = Promise.resolve();

  constructor(drive, record, services) {
    this.drive = drive;
    this.record = record;
    this.key = b4a.toString(drive.key, "hex");
    this.url = `hyper://${z32.encode(drive.key)}/`;
    Object.assign(this, services); // network, records, lookupMs
    this.discovery = null;
    if (!record || record.shared) this.share();
  }

  /** Whether blocks that were once written here are missing (the storage was deleted, the identity kept). */
  get isLost() {
    return this.record !== undefined && this.drive.core.length < this.records.own(this.key).version;
  }

  share() {
    this.discovery ??= this.network.join(this.drive.discoveryKey);
  }

  async unshare() {
    this.discovery = null;
    await this.network.leave(this.drive.discoveryKey);
  }

  /** Run `work` while nobody else writes to this drive. */
  writing(work) {
    const result = this.#writing.then(work);
    this.#writing = result.catch(() => {});
    return result;
  }

  /** `promise`, for as long as a lookup may take; offline for less, unless all of it should be here. Throws 504. */
  async found(promise, signal) {
    const isOffline = await this.network.isOffline();
    const otherwise = () => {
      throw isOffline ? offline() : noPeers();
    };
    const isHere = this.record && !this.isLost;
    return within(promise, isOffline && !isHere ? OFFLINE_MS : this.lookupMs, otherwise, signal);
  }

  /** Wait until there is something to read, and, where peers are there, until it is the newest. Throws 504. */
  async refresh(signal) {
    const { core } = this.drive;
    if (this.record && !this.isLost) return;
    if (core.length === 0 || this.isLost) {
      await this.#firstBlocks(signal);
    } else {
      const isDue = core.peers.length === 0 && Date.now() - this.#lookedUpAt > LOOKUP_AGAIN_MS;
      const isSearching = isDue && !(await this.network.isOffline());
      if (isSearching || core.peers.length > 0) {
        await within(this.#update(isSearching), REFRESH_MS, () => {}, signal).catch((error) => {
          if (signal?.aborted) throw error;
        });
      }
    }
    await this.found(this.drive.getBlobs(), signal);
  }

  async #firstBlocks(signal) {
    if (await this.network.isOffline()) throw offline();
    const until = Date.now() + this.lookupMs;
    for (;;) {
      const left = until - Date.now();
      if (left <= 0) throw noPeers();
      await within(this.#update(true), Math.min(left, RETRY_LOOKUP_MS), () => {}, signal);
      if (this.drive.core.length > 0 && !this.isLost) return;
      await within(this.#change(), Math.min(RETRY_LOOKUP_MS, Math.max(0, until - Date.now())), () => {}, signal);
      if (this.drive.core.length > 0 && !this.isLost) return;
    }
  }

  /** The next time that the drive grows. */
  #change() {
    return new Promise((resolve) => {
      this.drive.core.once("append", resolve);
    });
  }

  async #update(isSearching) {
    if (isSearching) {
      this.#lookedUpAt = Date.now();
      const found = this.drive.findingPeers();
      const looked = this.discovery?.refresh({}) ?? Promise.resolve();
      looked.then(() => this.network.swarm.flush()).then(found, found);
    }
    await this.drive.core.update({ wait: true, force: true });
  }

  /** Make a lost drive of ours writable again: all that was ever written must be back first. Throws 504. */
  async recover(signal) {
    if (!this.isLost) return;
    try {
      await this.refresh(signal);
      const { blobs } = this.records.own(this.key);
      const store = await this.drive.getBlobs();
      if (store.core.length < blobs) await this.found(store.core.update({ wait: true, force: true }), signal);
      if (store.core.length >= blobs) return;
    } catch (error) {
      if (signal?.aborted) throw error;
    }
    throw new P2PError(
      504,
      "no_peers",
      "The content of this drive was deleted from this computer, and no peer has it. Publish under another name.",
    );
  }

  /** Remember how much was written, so that a shorter history is never written over it. */
  written() {
    this.records.setLengths(this.key, this.drive.core.length, this.drive.blobs.core.length);
  }
}

export class Drives {
  #open = new Map(); // hex key -> promise of an OpenDrive
  #opened = new Map();

  #grown = 0;

  constructor({ corestore, network, records, dnsLink, lookupMs, log, grew }) {
    this.corestore = corestore;
    this.records = records;
    this.dnsLink = dnsLink;
    this.log = log;
    this.grew = grew;
    this.services = { network, records, lookupMs };
    for (const { key } of records.shared()) network.join(this.#discoveryKey(key));
  }

  get openDrives() {
    return [...this.#opened.values()];
  }

  /** The drive that `origin` made under `name`. Throws 404 unless `isNew` allows to make it. */
  async named(origin, name, isNew = false) {
    let record = this.records.named(origin, name);
    if (!record) {
      if (!isNew) throw noSuchKey(name);
      record = this.records.reserve(origin, name);
    }
    if (record.key === "") {
      const drive = this.#make(record);
      await drive.ready();
      record.key = b4a.toString(drive.key, "hex");
      this.records.setKey(record, record.key);
      await drive.close();
    }
    return this.#get(record.key);
  }

  /** The drive at a host: a key or a DNSLink name. Throws 400, 404, 502 and 504. */
  async at(host) {
    let key = parseKey(host);
    if (!key && host.includes(".")) {
      key = parseKey(await this.dnsLink.resolve(host));
    }
    if (!key) throw malformed("This is no Hyper address: a key has 52 letters and digits, or 64 hexadecimal digits.");
    return this.#get(b4a.toString(key, "hex"));
  }

  /** Let the network's limits hold for the drives that are open. */
  limit() {
    for (const { drive, network } of this.openDrives) {
      drive.blobs?.core.core.replicator.setInflightRange(...network.inflight);
    }
  }

  /** Use a drive for as long as `release` of the result was not called. */
  hold(open) {
    open.users += 1;
    let isHeld = true;
    return () => {
      if (isHeld) open.users -= 1;
      isHeld = false;
    };
  }

  #get(key) {
    if (this.records.isForked(key)) throw forked();
    const record = this.records.own(key);
    if (record?.purged) throw new P2PError(404, "no_such_key", "This drive was deleted from this computer by its owner.");
    if (!record) this.records.touch(key);
    if (!this.#open.has(key)) {
      const opening = this.#openKey(key, record);
      this.#open.set(key, opening);
      opening.catch(() => this.#open.delete(key));
    }
    return this.#open.get(key);
  }

  async #openKey(key, record) {
    const drive = record ? this.#make(record) : new Hyperdrive(this.corestore.namespace(key), b4a.from(key, "hex"));
    await drive.ready();
    const open = new OpenDrive(drive, record, this.services);
    this.#opened.set(key, open);
    const watchBlobs = ({ core }) => {
      watch(core);
      core.core.replicator.setInflightRange(...this.services.network.inflight);
    };
    const watch = (core) => {
      core.on("conflict", () => {
        this.log(`The drive ${key} has two histories; it is not read any more.`);
        this.records.setForked(key);
        this.#forget(key);
      });
      if (!record) core.on("download", (_index, bytes) => this.#downloaded(key, bytes));
    };
    watch(drive.core);
    if (drive.blobs) watchBlobs(drive.blobs);
    else drive.once("blobs", watchBlobs);
    drive.once("close", () => this.#forget(key));
    this.#closeIdle().catch((error) => this.log(`Closing a drive failed: ${error.stack}`));
    return open;
  }

  #downloaded(key, bytes) {
    this.records.touch(key, bytes);
    this.#grown += bytes;
    if (this.#grown < GROWTH_BYTES) return;
    this.#grown = 0;
    this.grew();
  }

  #make({ origin, name, generation }) {
    return new Hyperdrive(this.corestore.namespace(JSON.stringify(["peersky", origin, name, generation])));
  }

  #forget(key) {
    this.#open.delete(key);
    this.#opened.delete(key);
  }

  async #closeIdle() {
    const others = this.openDrives.filter((open) => !open.record);
    for (const open of others.slice(0, Math.max(0, others.length - MOST_OPEN))) {
      if (open.users === 0) await this.close(open);
    }
  }

  async close(open) {
    this.#forget(open.key);
    await open.unshare();
    await open.drive.close();
  }

  /** Delete a drive from this computer, and stop sharing it. Our own is never opened under this key again. */
  async purge(open) {
    await this.#delete(open);
    await this.#reclaim();
  }

  async #delete(open) {
    if (open.record) this.records.setPurged(open.key);
    else this.records.evicted(open.key);
    this.#forget(open.key);
    await open.unshare();
    const { drive } = open;
    const sessions = [drive.core, drive.blobs?.core].filter(Boolean);
    for (const session of sessions) await session.clear(0, session.length);
    const cores = sessions.map((session) => session.core);
    const stored = cores.map((core) => core.state.storage.core);
    await drive.close();
    // Not `drive.purge()`, which Hypercore 11.37 does not implement; and deleteCore leaves blocks, so they were cleared.
    for (const [i, core] of cores.entries()) {
      await core.closeAllSessions(null);
      await core.close();
      await this.corestore.storage.deleteCore(stored[i]);
    }
  }

  /**
   * Delete drives of others, the longest unused first and none that was used after `before`, until they take no more than
   * `bytes`. Returns the bytes freed.
   */
  async evict(bytes, before) {
    let [kept, freed] = [this.records.cachedBytes(), 0];
    for (const entry of this.records.cached()) {
      if (kept <= bytes || entry.used > before) break;
      const open = await this.#open.get(entry.key)?.catch(() => null);
      if (open?.users) continue;
      await this.#delete(open ?? (await this.#openKey(entry.key, undefined)));
      kept -= entry.bytes;
      freed += entry.bytes;
    }
    if (freed) await this.#reclaim();
    return freed;
  }

  /** Give the room of deleted blocks back to the disk. */
  #reclaim() {
    return this.corestore.storage.compact();
  }

  #discoveryKey(key) {
    return crypto.discoveryKey(b4a.from(key, "hex"));
  }
}

export const forked = () =>
  new P2PError(502, "wrong_block", "This drive has two different histories, so nothing in it can be trusted any more.");
