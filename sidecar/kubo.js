// A running Kubo daemon in place of Helia, over its RPC (https://docs.ipfs.tech/reference/kubo/rpc/): the same back end as
// helia.js, so pages see no difference. Kubo keeps blocks, pins and peers; trees are built, and records of names signed,
// here. Every block that comes back is checked against its hash.
import { isIntact } from "./ipfs-blocks.js";
import { P2PError } from "./errors.js";

const CODECS = new Map([[0x55, "raw"], [0x70, "dag-pb"]]);
// In the list of pins: what Kubo had pinned before us, and keeps when we let go.
const KUBO = "kubo";
const VALUE = 5; // the type of an event of routing/get that carries a record
const STATUS_MS = 10_000;

/** Connect to the daemon at `config.kuboRpc`. Throws 502 where none answers. */
export async function openKubo({ config, index }) {
  const backend = new KuboBackend(config.kuboRpc, index);
  await backend.peers();
  return backend;
}

class KuboBackend {
  name = "kubo";
  #rpc;
  #index;

  constructor(rpc, index) {
    this.#rpc = rpc;
    this.#index = index;
  }

  onPeer(listener) {
    listener();
  }

  async load(cid, { signal }) {
    const reply = await this.#call("block/get", { arg: cid }, { signal });
    const bytes = new Uint8Array(await reply.arrayBuffer());
    if (isIntact(cid, bytes)) return bytes;
    throw new P2PError(502, "wrong_block", "Kubo gave other data than was asked for, so it was refused.");
  }

  /** What Kubo keeps is its user's business, and what was read before is as true as it was. */
  async isHere() {
    return true;
  }

  async local(cid) {
    if (cid.multihash.code === 0) return cid.multihash.digest;
    try {
      const reply = await this.#call("block/get", { arg: cid, offline: true });
      const bytes = new Uint8Array(await reply.arrayBuffer());
      return isIntact(cid, bytes) ? bytes : null;
    } catch (error) {
      if (error instanceof KuboError) return null;
      throw error;
    }
  }

  async put(cid, bytes) {
    const query = { "cid-codec": CODECS.get(cid.code), mhtype: "sha2-256" };
    const { Key } = await this.#json("block/put", query, { body: formOf(bytes) });
    if (Key !== cid.toString()) throw new P2PError(502, "wrong_block", "Kubo stored other data than it was given.");
  }

  hold() {
    return { release() {} };
  }

  async pin(root, owner, _load) {
    const cid = root.toString();
    const add = (name) =>
      this.#index.run("INSERT OR IGNORE INTO pins (cid, owner, created) VALUES (?, ?, ?)", cid, name, Date.now());
    const isOurs = this.#index.get("SELECT 1 FROM pins WHERE cid = ?", cid) !== undefined;
    if (!isOurs && (await this.#isPinned(root))) add(KUBO);
    await this.#json("pin/add", { arg: root });
    add(owner);
  }

  async unpin(root, owner) {
    const cid = root.toString();
    const found = owner === null
      ? this.#index.run("DELETE FROM pins WHERE cid = ? AND owner <> ?", cid, KUBO)
      : this.#index.run("DELETE FROM pins WHERE cid = ? AND owner = ?", cid, owner);
    if (found === 0) return false;
    const rest = this.#index.all("SELECT owner FROM pins WHERE cid = ?", cid).map((row) => row.owner);
    if (rest.length === 1 && rest[0] === KUBO) this.#index.run("DELETE FROM pins WHERE cid = ?", cid);
    if (rest.length === 0 && (await this.#isPinned(root))) await this.#json("pin/rm", { arg: root });
    return true;
  }

  async provide(cid, { signal }) {
    const reply = await this.#call("routing/provide", { arg: cid }, { signal });
    await reply.text();
  }

  // Kubo stops by itself when the pin is gone.
  async stopProviding() {}

  async putRecord(_key, record, { signal, name }) {
    const query = { arg: `/ipns/${name}`, "allow-offline": true };
    const reply = await this.#call("routing/put", query, { signal, body: formOf(record) });
    await reply.text();
  }

  async getRecords(_key, { signal, name }) {
    try {
      const reply = await this.#call("routing/get", { arg: `/ipns/${name}` }, { signal });
      const events = (await reply.text()).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
      return events.filter(({ Type }) => Type === VALUE).map(({ Extra }) => Buffer.from(Extra, "base64"));
    } catch (error) {
      if (error instanceof KuboError || signal.aborted) return [];
      throw error;
    }
  }

  async peers() {
    const { Peers } = await this.#json("swarm/peers", {}, { signal: AbortSignal.timeout(STATUS_MS) });
    return Peers?.length ?? 0;
  }

  async status() {
    const nothing = { peers: 0, peerId: "", addresses: [], storage: {}, traffic: {} };
    try {
      const signal = AbortSignal.timeout(STATUS_MS);
      const [peers, id, repo, traffic] = await Promise.all([
        this.peers(),
        this.#json("id", {}, { signal }),
        this.#json("repo/stat", { "size-only": true }, { signal }),
        this.#json("stats/bw", {}, { signal }),
      ]);
      return {
        peers,
        peerId: id.ID,
        addresses: id.Addresses ?? [],
        storage: { bytes: repo.RepoSize },
        traffic: { inBytes: traffic.TotalIn, outBytes: traffic.TotalOut },
        error: "",
      };
    } catch (error) {
      return { ...nothing, error: error.message };
    }
  }

  // What Kubo keeps, and how fast it is, is its user's business.
  async cache() {
    return { bytes: 0, oldest: Infinity };
  }

  async evict() {
    return 0;
  }

  async limits() {}

  async close() {}

  async #isPinned(root) {
    try {
      await this.#json("pin/ls", { arg: root, type: "recursive" });
      return true;
    } catch (error) {
      if (error instanceof KuboError) return false;
      throw error;
    }
  }

  async #json(command, query, options) {
    return (await this.#call(command, query, options)).json();
  }

  async #call(command, query, { signal, body } = {}) {
    const url = new URL(`/api/v0/${command}?${new URLSearchParams(query)}`, this.#rpc);
    let reply;
    try {
      reply = await fetch(url, { method: "POST", signal, body });
    } catch (error) {
      if (error.name === "AbortError" && signal?.aborted) throw error;
      throw unreachable();
    }
    if (reply.ok) return reply;
    const text = await reply.text();
    // Kubo's own refusals are JSON; anything else is not Kubo.
    if (reply.status !== 500 || !text.startsWith("{")) throw unreachable();
    throw new KuboError(`${command}: ${JSON.parse(text).Message}`);
  }
}

/** What Kubo answers when it cannot do something. */
class KuboError extends Error {
  name = "KuboError";
}

function unreachable() {
  return new P2PError(502, "backend_unreachable", "The Kubo daemon does not answer. Start it, or check its address in the P2P settings.");
}

function formOf(bytes) {
  const form = new FormData();
  form.set("file", new Blob([bytes]));
  return form;
}
