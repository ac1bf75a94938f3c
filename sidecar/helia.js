// The IPFS node in this process: Helia with blocks on disk, bitswap, and libp2p's DHTs.
//
// A back end (this one, or kubo.js) gives the rest: `load(cid, {signal})` a block's bytes from wherever they are,
// `local(cid)` the bytes or null, `put(cid, bytes)`, `hold()`, `pin`, `unpin`, `provide`, `stopProviding`, `putRecord`,
// `getRecords`, `peers()`, `status()`, `cache()`, `evict(bytes, before)`, `limits()`, `close()`.
import { setTimeout as delay } from "node:timers/promises";

import { withBitswap } from "@helia/bitswap";
import { withLibp2pLight } from "@helia/libp2p";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import { createHeliaLight } from "helia";
import drain from "it-drain";
import toBuffer from "it-to-buffer";
import { sha512 } from "multiformats/hashes/sha2";

import { BlockFiles } from "./ipfs-blocks.js";
import { Cache } from "./ipfs-cache.js";
import { SqliteDatastore } from "./ipfs-datastore.js";
import { libp2pOptions } from "./libp2p-options.js";
import { Traffic } from "./traffic.js";

const FIRST_DIAL_MS = 3000;
const REDIAL_MS = 5000;
// A slow line, or the user's own limit, takes a while for 1 MiB.
const MESSAGE_MS = 120_000;

/** Start the node. `index` is the folder's database, `keys` gives the peer's key, `ipnsRules` see libp2p-options.js. */
export async function openHelia({ config, log, grew, folder, index, privateKey, dns, ipnsRules }) {
  const files = new BlockFiles(folder, index);
  await files.open();
  const cache = new Cache({ index, files, grew });
  const datastore = new SqliteDatastore(index);
  const traffic = new Traffic(config);
  const helia = createHeliaLight({ blockstore: files, datastore, dns, hashers: [sha512] });
  const onNeighbour = ({ id, multiaddrs }) => {
    if (helia.libp2p.getConnections(id).length > 0) return;
    const addresses = multiaddrs.map((address) => address.encapsulate(`/p2p/${id}`));
    helia.libp2p.dial(addresses, { signal: AbortSignal.timeout(REDIAL_MS) }).catch(() => {}); // it will say it again
  };
  withLibp2pLight(helia, libp2pOptions({ config, privateKey, datastore, dns, ipnsRules, traffic, onNeighbour }));
  withBitswap(helia, { messageSendTimeout: MESSAGE_MS, messageReceiveTimeout: MESSAGE_MS });
  await helia.start();
  const backend = new HeliaBackend({ helia, files, cache, index, traffic, log });
  await backend.keepConnected(config.ipfsPeers);
  return backend;
}

class HeliaBackend {
  name = "helia";
  #helia;
  #files;
  #cache;
  #index;
  #traffic;
  #log;
  #redial;

  constructor({ helia, files, cache, index, traffic, log }) {
    this.#helia = helia;
    this.#files = files;
    this.#cache = cache;
    this.#index = index;
    this.#traffic = traffic;
    this.#log = log;
  }

  /** Dial these peers now and whenever they are away. Waits a moment for the first dial. */
  async keepConnected(addresses) {
    const peers = addresses.map((text) => {
      const address = multiaddr(text);
      return { address, id: peerIdFromString(text.slice(text.lastIndexOf("/p2p/") + 5)) };
    });
    if (peers.length === 0) return;
    const dial = async ({ address, id }) => {
      if (this.#helia.libp2p.getConnections(id).length > 0) return;
      try {
        await this.#helia.libp2p.dial(address, { signal: AbortSignal.timeout(REDIAL_MS) });
      } catch (error) {
        this.#log(`The IPFS peer ${address} does not answer: ${error.message}`);
      }
    };
    const all = () => Promise.all(peers.map(dial));
    this.#redial = setInterval(() => void all(), REDIAL_MS);
    await Promise.race([all(), delay(FIRST_DIAL_MS, null, { ref: false })]);
  }

  /** Call `listener` whenever a peer is there that answers in a DHT. */
  onPeer(listener) {
    this.#helia.libp2p.addEventListener("peer:identify", () => listener());
  }

  async load(cid, { signal }) {
    return toBuffer(this.#helia.blockstore.get(cid, { signal }));
  }

  /** Whether a block that was read before is still here, which counts as another use of it. */
  async isHere(cid) {
    return cid.multihash.code === 0 || this.#files.use(cid.multihash.bytes);
  }

  async local(cid) {
    if (cid.multihash.code === 0) return cid.multihash.digest;
    if (!this.#files.hasHash(cid.multihash.bytes)) return null;
    return toBuffer(this.#files.get(cid)).catch(() => null);
  }

  async put(cid, bytes) {
    await this.#helia.blockstore.put(cid, bytes);
  }

  hold() {
    return this.#cache.hold();
  }

  async pin(root, owner, load) {
    await this.#cache.pin(root, owner, load);
  }

  async unpin(root, owner) {
    return this.#cache.unpin(root, owner);
  }

  async provide(cid, options) {
    await this.#helia.routing.provide(cid, options);
  }

  async stopProviding(cid) {
    await this.#helia.routing.cancelReprovide(cid);
  }

  /** Give a signed record to every DHT. Throws where none took it. */
  async putRecord(key, record, options) {
    await Promise.any(this.#dhts().map((dht) => drain(dht.put(key, record, options))));
  }

  /** Every record that the DHTs have for this key, not checked. */
  async getRecords(key, options) {
    const records = [];
    await Promise.all(
      this.#dhts().map(async (dht) => {
        try {
          for await (const event of dht.get(key, options)) {
            if (event.name === "VALUE") records.push(event.value);
          }
        } catch (error) {
          if (!options.signal.aborted) this.#log(`A DHT could not look up a name: ${error.message}`);
        }
      }),
    );
    return records;
  }

  #dhts() {
    const { lanDHT, publicDHT } = this.#helia.libp2p.services;
    return [lanDHT, publicDHT].filter((dht) => dht !== undefined);
  }

  async peers() {
    return this.#helia.libp2p.getPeers().length;
  }

  async status() {
    const { libp2p } = this.#helia;
    return {
      peers: await this.peers(),
      peerId: libp2p.peerId.toString(),
      addresses: libp2p.getMultiaddrs().map(String),
      storage: this.#cache.usage(),
      traffic: this.#traffic.counts,
    };
  }

  async cache() {
    return this.#cache.state();
  }

  async evict(bytes, before) {
    return this.#cache.evict(bytes, before);
  }

  async limits(limits) {
    this.#traffic.limits(limits);
  }

  async close() {
    clearInterval(this.#redial);
    this.#traffic.close();
    await this.#helia.stop();
    this.#files.close();
  }
}
