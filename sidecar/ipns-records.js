// Records of names (https://specs.ipfs.tech/ipns/ipns-record/): signed, published, resolved, and renewed in time.
//
// A record is acknowledged when it is in the index; giving it to the DHT may take a minute on the public network, so that
// goes on afterwards, and is done again after a restart and whenever the network comes back.
import { setTimeout as delay } from "node:timers/promises";

import { createIPNSRecord, IPNSEntry, ipnsSelector, ipnsValidator, multihashToIPNSRoutingKey } from "@helia/ipns";
import { publicKeyFromProtobuf } from "@libp2p/crypto/keys";
import * as dagCbor from "@ipld/dag-cbor";
import { CID } from "multiformats/cid";

import { parseName } from "./ipfs-address.js";

const HOUR = 3_600_000;
// The DHT forgets a record after 48 hours; a name must survive a weekend in which its owner's computer is off.
const LIFETIME_MS = 7 * 24 * HOUR;
const RENEW_MS = 12 * HOUR;
// How long readers may keep a record before they ask again.
const TTL_NS = 60_000_000_000n;
// The same for us: one page with its pictures asks once.
const FRESH_MS = 10_000;
// What a page waits for the DHT at most: publishing goes on without it, and reading takes the record that was there before.
const PATIENCE_MS = 5000;
const PUT_MS = 120_000;

// What the validator needs of a keychain.
const keychain = { loadPublicKeyFromProtobuf: async (bytes) => publicKeyFromProtobuf(bytes) };

/** How a DHT checks records of names, and which of two it prefers. */
export const ipnsRules = {
  validators: { ipns: async (key, record) => void (await ipnsValidator(key, record, keychain)) },
  selectors: { ipns: async (key, records) => ipnsSelector(key, records.map((record) => IPNSEntry.decode(record))) },
};

export class Records {
  #index;
  #keys;
  #backend;
  #log;
  #lookupMs;
  #fresh = new Map();
  #closed = new AbortController();

  constructor({ index, keys, backend, log, lookupSeconds }) {
    this.#index = index;
    this.#keys = keys;
    this.#backend = backend;
    this.#log = log;
    this.#lookupMs = lookupSeconds * 1000;
    // Peers of a local network may have forgotten: everything is due once after a start.
    index.run("UPDATE records SET put = 0 WHERE own = 1");
  }

  /** Sign a record that says that `key` stands for `value` ("/ipfs/…"), keep it, and give it to the network. */
  async publish(key, value) {
    const record = await this.#sign(key, value);
    this.#index.run("INSERT OR REPLACE INTO records (name, record, own, put) VALUES (?, ?, 1, 0)", key.name, record);
    const put = this.#put(key.name, record);
    await Promise.race([put, wait(PATIENCE_MS, this.#closed.signal)]);
  }

  /** What `key`, a CID, stands for ("/ipfs/…", "/ipns/…"), or null where nobody had a record in time. */
  async resolve(key, { isFresh, signal }) {
    const { name } = parseName(key.toString());
    const kept = this.#index.get("SELECT record, own FROM records WHERE name = ?", name);
    // What was published from here is the newest there is, unless the key is used elsewhere, too.
    if (kept?.own === 1) return valueOf(kept.record);
    const known = this.#fresh.get(name);
    if (known !== undefined && !isFresh && known.until > Date.now()) return known.value;
    if ((await this.#backend.peers()) === 0 && kept !== undefined) return valueOf(kept.record);
    const best = await this.#ask(key, kept?.record, signal);
    if (best === null) return null;
    const value = valueOf(best);
    this.#fresh.set(name, { value, until: Date.now() + FRESH_MS });
    return value;
  }

  /** Whether a record of this name is here and what it says, without asking anybody. */
  local(name) {
    const kept = this.#index.get("SELECT record FROM records WHERE name = ?", name);
    return kept === undefined ? null : valueOf(kept.record);
  }

  /** Stop renewing: the network forgets the name in time. */
  forget(name) {
    this.#index.run("DELETE FROM records WHERE name = ?", name);
  }

  /** Give the record of this name to the network again. */
  async announce(name) {
    const row = this.#index.get("SELECT record FROM records WHERE name = ? AND own = 1", name);
    if (row !== undefined) await this.#put(name, row.record);
  }

  /** Give to the network whatever is due, signed anew where that was long ago. */
  async renew() {
    const due = this.#index.all("SELECT name, record FROM records WHERE own = 1 AND put < ?", Date.now() - RENEW_MS);
    for (const { name, record } of due) {
      const key = this.#keys.get(name);
      if (key === undefined) continue;
      const left = Date.parse(new TextDecoder().decode(dataOf(record).Validity)) - Date.now();
      const current = left > LIFETIME_MS - RENEW_MS ? record : await this.#sign(key, valueOf(record));
      this.#index.run("UPDATE records SET record = ? WHERE name = ?", current, name);
      await this.#put(name, current);
    }
  }

  close() {
    this.#closed.abort();
  }

  async #sign(key, value) {
    const last = this.#index.get("SELECT record FROM records WHERE name = ?", key.name);
    const before = last === undefined ? 0n : BigInt(dataOf(last.record).Sequence);
    // Counted in seconds since 1970, the numbers go on rising when the storage was deleted and the key was not.
    const now = BigInt(Math.floor(Date.now() / 1000));
    const sequence = before >= now ? before + 1n : now;
    const record = await createIPNSRecord(key.privateKey, value, sequence, LIFETIME_MS, { ttlNs: TTL_NS });
    return IPNSEntry.encode(record);
  }

  async #put(name, record) {
    if ((await this.#backend.peers()) === 0) return;
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(PUT_MS)]);
    try {
      await this.#backend.putRecord(routingKey(name), record, { signal, name });
      this.#index.run("UPDATE records SET put = ? WHERE name = ? AND record = ?", Date.now(), name, record);
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#log(`The name ${name} could not be published yet: ${error.message}`);
    }
  }

  /** The best valid record of the network and the one that is kept, or null. */
  async #ask(key, kept, signal) {
    const { name } = parseName(key.toString());
    const asked = (async () => {
      const patience = AbortSignal.any([AbortSignal.timeout(this.#lookupMs), this.#closed.signal]);
      const records = await this.#backend.getRecords(routingKey(name), { signal: patience, name });
      return this.#best(name, kept === undefined ? records : [...records, kept]);
    })();
    if (kept === undefined) return Promise.race([asked, aborted(signal)]);
    // The kept record is good enough when the network is slow; what comes later counts at the next load.
    return (await Promise.race([asked, wait(PATIENCE_MS, signal)])) ?? kept;
  }

  async #best(name, records) {
    const valid = [];
    for (const record of records) {
      try {
        valid.push({ record, entry: await ipnsValidator(routingKey(name), record, keychain) });
      } catch (error) {
        this.#log(`A record of ${name} was refused: ${error.message}`);
      }
    }
    if (valid.length === 0) return null;
    const { record } = valid[ipnsSelector(routingKey(name), valid.map(({ entry }) => entry))];
    this.#index.run("INSERT OR REPLACE INTO records (name, record, own, put) VALUES (?, ?, 0, 0)", name, record);
    return record;
  }
}

/** The key under which DHTs keep the record of a base36 name. */
function routingKey(name) {
  return multihashToIPNSRoutingKey(parseName(name).key.multihash);
}

function dataOf(record) {
  return dagCbor.decode(IPNSEntry.decode(record).data);
}

function valueOf(record) {
  const { Value } = dataOf(record);
  try {
    return `/ipfs/${CID.decode(Value)}`; // an old form: the CID itself
  } catch {
    return new TextDecoder().decode(Value);
  }
}

function wait(ms, signal) {
  return delay(ms, null, { signal, ref: false }).catch(() => null);
}

function aborted(signal) {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
  });
}
