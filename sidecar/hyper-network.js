// The Hyper network: one DHT node, one swarm, and the limits on what they carry. By `listen`:
//   everywhere  the public DHT, or that of hyperBootstrap
//   nowhere     the same, but it announces nothing, so it is not dialled; it dials, and what it has goes to who it dialled
//   lan         private addresses alone: the browsers that hyper-lan.js finds, and the DHT of hyperBootstrap if one is named
//   loopback    127.0.0.1 alone, and the DHT of hyperBootstrap
import HyperDHT from "hyperdht";
import Hyperswarm from "hyperswarm";
import z32 from "z32";
import { Bucket } from "./buckets.js";
import { LanPeers } from "./hyper-lan.js";
import { within } from "./waiting.js";

const LOOPBACK = "127.0.0.1";
const BLOCK_BYTES = 64 * 1024;
const DEFAULT_INFLIGHT = [16, 512]; // Hypercore's own
const FIRST_LAN_PEER_MS = 3000;
const PRIVATE = /^(?:10\.|127\.|169\.254\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/;

/** Options of the DHT node. On loopback it is bound there by hand: given only a bootstrap address, it binds every interface. */
function dhtOptions({ listen, hyperBootstrap, hyperPort }) {
  const options = hyperPort ? { port: hyperPort } : {};
  if (listen === "loopback") return { ...options, host: LOOPBACK, bootstrap: hyperBootstrap, firewalled: false };
  if (listen === "lan") {
    return { ...options, bootstrap: hyperBootstrap.filter((address) => PRIVATE.test(address)), firewalled: false };
  }
  if (hyperBootstrap.length) options.bootstrap = hyperBootstrap;
  if (listen === "nowhere") options.ephemeral = true; // answers for nobody in the DHT
  return options;
}

export class HyperNetwork {
  #sent = new Bucket();
  #received = new Bucket();
  #nextTurn = 0;

  #replicate;
  #log;
  #lan = null;
  #dialled = new Map(); // keys of the local network's browsers -> our connections to them
  #connected = Promise.withResolvers();

  /** `replicate` is called with each connection. */
  constructor({ config, keyPair, replicate, log }) {
    this.config = config;
    this.#replicate = replicate;
    this.#log = log;
    this.isIsolated = config.listen === "loopback" && config.hyperBootstrap.length === 0;
    this.dht = new HyperDHT(dhtOptions(config));
    this.swarm = new Hyperswarm({ keyPair, dht: this.dht });
    this.swarm.on("connection", (connection) => this.#take(connection));
    this.limits(config);
    if (config.listen === "lan") this.#searchLan().catch((error) => log(`The local network is not searched: ${error.stack}`));
  }

  get address() {
    return z32.encode(this.swarm.keyPair.publicKey);
  }

  get peers() {
    return this.swarm.connections.size + [...this.#dialled.values()].filter((connection) => connection.opened).length;
  }

  get traffic() {
    return { inBytes: this.#received.bytes, outBytes: this.#sent.bytes };
  }

  /** How many blocks of a core may be asked for at once, [least, most]: those on their way cannot be held back. */
  get inflight() {
    const most = Math.ceil(this.#received.limit / BLOCK_BYTES);
    return most > 0 ? [Math.min(4, most), most] : DEFAULT_INFLIGHT;
  }

  limits({ uploadBytesPerSecond, downloadBytesPerSecond }) {
    if (uploadBytesPerSecond !== undefined) this.#sent.limit = uploadBytesPerSecond;
    if (downloadBytesPerSecond !== undefined) this.#received.limit = downloadBytesPerSecond;
  }

  /** Whether nobody can be reached: no connection, and no node of the DHT answers. */
  async isOffline() {
    if (this.peers > 0) return false;
    if (this.isIsolated) return true;
    if (this.config.listen === "lan") {
      await within(this.#connected.promise, FIRST_LAN_PEER_MS, () => {});
      return this.peers === 0;
    }
    await this.dht.fullyBootstrapped();
    return !this.dht.online || this.dht.nodes.length === 0;
  }

  /** Look for peers of a drive, and (unless nothing listens) announce that this node has it. Returns the discovery session. */
  join(discoveryKey) {
    return this.swarm.join(discoveryKey, { server: this.config.listen !== "nowhere", client: true });
  }

  leave(discoveryKey) {
    return this.swarm.leave(discoveryKey);
  }

  async close() {
    await this.#lan?.close();
    for (const connection of this.#dialled.values()) connection.destroy();
    await this.swarm.destroy();
  }

  #take(connection) {
    connection.on("error", () => {}); // a peer that leaves is no failure; it is dialled again
    if (this.config.listen === "lan" && !PRIVATE.test(connection.rawStream?.remoteHost ?? "")) {
      connection.destroy();
      return;
    }
    this.#connected.resolve();
    this.#limit(connection);
    try {
      this.#replicate(connection);
    } catch (error) {
      this.#log(`Replication failed: ${error.stack}`);
      connection.destroy();
    }
  }

  async #searchLan() {
    await this.swarm.listen();
    const { publicKey } = this.swarm.keyPair;
    this.#lan = new LanPeers({
      key: publicKey,
      port: this.dht.io.serverSocket.address().port,
      found: (key, host, port) => {
        // Of two that hear of each other one dials.
        if (Buffer.compare(publicKey, key) < 0 && PRIVATE.test(host)) this.#dial(key, host, port);
      },
      log: this.#log,
    });
  }

  #dial(key, host, port) {
    const id = z32.encode(key);
    if (this.#dialled.has(id)) return;
    const connection = this.dht.connect(key, { keyPair: this.swarm.keyPair, relayAddresses: [{ host, port }] });
    this.#dialled.set(id, connection);
    connection.once("open", () => this.#take(connection));
    connection.on("error", () => {}); // gone again; it will say when it is back
    connection.once("close", () => this.#dialled.delete(id));
  }

  /**
   * Count and limit what a connection carries. What is read cannot be held back without filling memory, but a peer sends
   * only what it is asked for: so after too much was received, our next messages (requests) wait. What piled up meanwhile
   * goes out one by one, as if each were answered with a block: together they would fetch more than a second may bring.
   */
  #limit(connection) {
    const write = connection._write.bind(connection);
    connection.rawStream.on("data", (data) => this.#received.take(data.byteLength));
    connection._write = (data, done) => {
      const wait = Math.max(this.#sent.take(data.byteLength), this.#turnMs());
      if (wait <= 0) {
        write(data, done);
        return;
      }
      setTimeout(() => (connection.destroying ? done(null) : write(data, done)), wait).unref();
    };
  }

  /** Milliseconds until the next message may go, for the sake of what it may bring. */
  #turnMs() {
    const { debtMs, limit } = this.#received;
    const now = Date.now();
    if (limit <= 0 || (debtMs === 0 && this.#nextTurn <= now)) return 0;
    const turn = Math.max(this.#nextTurn, now + debtMs);
    this.#nextTurn = turn + (BLOCK_BYTES / limit) * 1000;
    return turn - now;
  }
}
