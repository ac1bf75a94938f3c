// Finds the PeerSky browsers of the local network, for where the public DHT must not be asked: each says by multicast DNS
// (RFC 6762, in the form of RFC 6763) under which key and port it is reached, and whoever hears it connects to it.
import multicastDns from "multicast-dns";
import z32 from "z32";

const SERVICE = "_peersky-hyper._udp.local";
const ASK_AGAIN_MS = 10_000;
const TTL_S = 120;

/** A key as the first label of a name: 52 characters. */
const nameOf = (key) => `${z32.encode(key)}.${SERVICE}`;

export class LanPeers {
  #dns;
  #timer;
  #answers;

  /** `found(key, host, port)` is called for every browser that says it is there, again and again. */
  constructor({ key, port, found, log }) {
    const own = nameOf(key);
    this.#answers = [
      { name: SERVICE, type: "PTR", ttl: TTL_S, data: own },
      { name: own, type: "SRV", ttl: TTL_S, data: { port, target: `${z32.encode(key)}.local` } },
    ];
    this.#dns = multicastDns();
    this.#dns.on("error", (error) => log(`The local network is not searched for Hyper peers: ${error.message}`));
    this.#dns.on("warning", () => {}); // packets of others that make no sense, interfaces without multicast
    this.#dns.on("query", ({ questions }) => {
      if (questions.some(({ name, type }) => name === SERVICE && (type === "PTR" || type === "ANY"))) this.#tell();
    });
    this.#dns.on("response", ({ answers, additionals }, { address }) => {
      for (const { name, type, data } of [...answers, ...additionals]) {
        if (type !== "SRV" || name === own || !name.endsWith(`.${SERVICE}`)) continue;
        const theirs = keyOf(name);
        if (theirs && data.port > 0) found(theirs, address, data.port);
      }
    });
    this.#dns.on("ready", () => {
      this.#tell();
      this.#ask();
    });
    this.#timer = setInterval(() => this.#ask(), ASK_AGAIN_MS);
    this.#timer.unref();
  }

  close() {
    clearInterval(this.#timer);
    return new Promise((resolve) => {
      this.#dns.destroy(resolve);
    });
  }

  #tell() {
    this.#dns.respond(this.#answers);
  }

  #ask() {
    this.#dns.query([{ name: SERVICE, type: "PTR" }]);
  }
}

function keyOf(name) {
  try {
    const key = z32.decode(name.slice(0, -SERVICE.length - 1));
    return key.length === 32 ? key : null;
  } catch {
    return null;
  }
}
