// The Hyper network: one DHT node, one swarm, and the limits on what they carry.
import HyperDHT from "hyperdht";
import Hyperswarm from "hyperswarm";
import z32 from "z32";
import { Bucket } from "./buckets.js";

const LOOPBACK = "127.0.0.1";
const BLOCK_BYTES = 64 * 1024;
const DEFAULT_INFLIGHT = [16, 512]; // Hypercore's own
const PRIVATE = /^(?:10\.|127\.|169\.254\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/;

/** Options of the DHT node. On loopback it is bound there by hand: given only a bootstrap address, it binds every interface. */
function dhtOptions({ listen, hyperBootstrap, hyperPort }) {
  const options = hyperPort ? { port: hyperPort } : {};
  if (listen === "loopback") return { ...options, host: LOOPBACK, bootstrap: hyperBootstrap, firewalled: false };
  if (hyperBootstrap.length) options.bootstrap = hyperBootstrap;
  return options;
}

export class HyperNetwork {
  #sent = new Bucket();
  #received = new Bucket();

  /** `replicate` is called with each connection. */
  constructor({ config, keyPair, replicate, log }) {
    this.config = config;
    this.isIsolated = config.listen === "loopback" && config.hyperBootstrap.length === 0;
    this.dht = new HyperDHT(dhtOptions(config));
    this.swarm = new Hyperswarm({ keyPair, dht: this.dht });
    this.swarm.on("connection", (connection) => {
      connection.on("error", () => {}); // a peer that leaves is no failure; the swarm dials again
      if (!this.#admits(connection)) {
        connection.destroy();
        return;
      }
      this.#limit(connection);
      try {
        replicate(connection);
      } catch (error) {
        log(`Replication failed: ${error.stack}`);
        connection.destroy();
      }
    });
    this.limits(config);
  }

  get address() {
    return z32.encode(this.swarm.keyPair.publicKey);
  }

  get peers() {
    return this.swarm.connections.size;
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
    await this.swarm.destroy();
  }

  #admits(connection) {
    if (connection.isInitiator || this.config.listen !== "lan") return true;
    return PRIVATE.test(connection.rawStream?.remoteHost ?? "");
  }

  /**
   * Count and limit what a connection carries. What is read cannot be held back without filling memory, but a peer sends
   * only what it is asked for: so after too much was received, our next messages (requests) wait.
   */
  #limit(connection) {
    const write = connection._write.bind(connection);
    connection.rawStream.on("data", (data) => this.#received.take(data.byteLength));
    connection._write = (data, done) => {
      const wait = Math.max(this.#sent.take(data.byteLength), this.#received.debtMs);
      if (wait <= 0) {
        write(data, done);
        return;
      }
      setTimeout(() => (connection.destroying ? done(null) : write(data, done)), wait).unref();
    };
  }
}
