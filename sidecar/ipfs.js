// The protocol module of ipfs: and ipns: (its contract is in routes.js): puts the parts together, answers ipfs: itself, and
// renews what is published.
import { join } from "node:path";

import { ipfsUrl, parseCid, parseName } from "./ipfs-address.js";
import { malformed, methodNotAllowed, notWritable } from "./errors.js";
import { translate } from "./ipfs-errors.js";
import { Content } from "./ipfs-content.js";
import { Index } from "./ipfs-index.js";
import { read } from "./ipfs-read.js";
import { Writer } from "./ipfs-write.js";
import { openHelia } from "./helia.js";
import { openKubo } from "./kubo.js";
import { dnsOf, ledger, Names } from "./ipns.js";
import { Keys } from "./ipns-keys.js";
import { ipnsRules, Records } from "./ipns-records.js";
import { decodePath } from "./paths.js";

const RENEW_EVERY_MS = 600_000;
const PROVIDE_AGAIN_MS = 12 * 3_600_000;
const PROVIDE_MS = 120_000;

/** Start the node of `config.ipfsBackend`. */
export async function openIpfs({ config, log, grew }) {
  const folder = join(config.storage, "ipfs");
  const index = new Index(folder);
  try {
    const keys = new Keys(config.identity);
    await keys.open();
    const dns = dnsOf(config);
    const parts = { config, log, grew, folder, index, keys, dns, ipnsRules };
    const backend = config.ipfsBackend === "kubo"
      ? await openKubo(parts)
      : await openHelia({ ...parts, privateKey: await keys.peerKey() });
    return new Ipfs({ config, log, index, keys, dns, backend });
  } catch (error) {
    index.close();
    throw error;
  }
}

class Ipfs {
  #index;
  #backend;
  #content;
  #writer;
  #names;
  #records;
  #log;
  #timer;
  #renewing = null;
  #again = false;
  #closed = new AbortController();

  constructor({ config, log, index, keys, dns, backend }) {
    const { lookupSeconds } = config;
    this.#index = index;
    this.#backend = backend;
    this.#log = log;
    this.#content = new Content(backend, lookupSeconds);
    this.#writer = new Writer(this.#content, backend);
    this.#records = new Records({ index, keys, backend, log, lookupSeconds });
    this.#names = new Names({
      keys, records: this.#records, content: this.#content, writer: this.#writer, backend, index, dns, lookupSeconds,
    });
    this.#timer = setInterval(() => this.#renew(), RENEW_EVERY_MS);
    backend.onPeer(() => this.#renew());
  }

  async handle(request) {
    try {
      return await (request.scheme === "ipns" ? this.#names.handle(request) : this.#handle(request));
    } catch (error) {
      throw translate(error, request.path);
    }
  }

  async #handle(request) {
    const { method } = request;
    if (!["GET", "HEAD", "PUT", "DELETE"].includes(method)) throw methodNotAllowed(method, ["GET", "HEAD", "PUT", "DELETE"]);
    const cid = parseCid(request.host);
    const place = decodePath(request.path);
    if (method === "PUT") {
      return this.#written(await this.#writer.put(request, cid, place, request.origin), 201, place);
    }
    if (method === "DELETE" && place.names.length > 0) {
      const result = await this.#writer.remove(request, cid, place.names, request.origin);
      return this.#written(result, 200, { names: [], isFolder: true });
    }
    if (method === "DELETE") {
      if (!(await this.#unpin(cid, request.origin))) throw notWritable("This was not published from here.");
      return { status: 200, headers: ledger(ipfsUrl(cid), ipfsUrl(cid)), body: ipfsUrl(cid) };
    }
    return read(this.#content, request, {
      root: cid,
      names: place.names,
      shown: place.names,
      isFolder: place.isFolder,
      urlOf: (names, isFolder) => ipfsUrl(cid, names, isFolder),
      isImmutable: true,
    });
  }

  #written(result, status, { names, isFolder }) {
    const url = ipfsUrl(result.cid, names, isFolder);
    this.#renew();
    return { status, headers: { Location: url, ...ledger(url, ipfsUrl(result.cid), result) }, body: url };
  }

  async publish({ path, origin, signal, progress }) {
    try {
      const { cid, bytes, files, skipped, names } = await this.#writer.publish(path, { owner: origin, signal, progress });
      this.#renew();
      return { url: ipfsUrl(cid, names, names.length === 0), root: ipfsUrl(cid), bytes, files, skipped };
    } catch (error) {
      throw translate(error, path);
    }
  }

  async unpin({ url }) {
    const { scheme, host } = partsOf(url);
    if (scheme === "ipns") this.#records.forget(parseName(host).name);
    else await this.#unpin(parseCid(host), null);
  }

  async announce({ url }) {
    const { scheme, host } = partsOf(url);
    if (scheme === "ipns") {
      await this.#records.announce(parseName(host).name);
      return;
    }
    this.#index.run("UPDATE pins SET announced = 0 WHERE cid = ?", parseCid(host).toString());
    this.#renew();
  }

  async status() {
    return { backend: this.#backend.name, running: true, ...(await this.#backend.status()) };
  }

  async cache() {
    return this.#backend.cache();
  }

  async evict(bytes, before) {
    return this.#backend.evict(bytes, before);
  }

  async limits(limits) {
    await this.#backend.limits(limits);
  }

  async close() {
    clearInterval(this.#timer);
    this.#closed.abort();
    this.#records.close();
    await this.#renewing;
    await this.#backend.close();
    this.#index.close();
  }

  async #unpin(cid, owner) {
    const found = await this.#backend.unpin(cid, owner);
    const isKept = this.#index.get("SELECT 1 FROM pins WHERE cid = ?", cid.toString()) !== undefined;
    if (found && !isKept) {
      this.#backend.stopProviding(cid).catch((error) => this.#log(`${cid} is still provided: ${error.message}`));
    }
    return found;
  }

  /** Renew in the background what is due: records of names first, then provider records. */
  #renew() {
    this.#again = true;
    this.#renewing ??= this.#renewAll().finally(() => {
      this.#renewing = null;
    });
  }

  async #renewAll() {
    while (this.#again && !this.#closed.signal.aborted) {
      this.#again = false;
      try {
        if ((await this.#backend.peers()) === 0) return;
        await this.#records.renew();
        const due = "SELECT DISTINCT cid FROM pins WHERE announced < ? ORDER BY created DESC";
        for (const { cid } of this.#index.all(due, Date.now() - PROVIDE_AGAIN_MS)) {
          if (this.#closed.signal.aborted) return;
          await this.#provide(cid);
        }
      } catch (error) {
        this.#log(`Renewing what is published failed: ${error.message}`);
      }
    }
  }

  async #provide(cid) {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(PROVIDE_MS)]);
    try {
      await this.#backend.provide(parseCid(cid), { signal });
      this.#index.run("UPDATE pins SET announced = ? WHERE cid = ?", Date.now(), cid);
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#log(`${cid} could not be announced yet: ${error.message}`);
    }
  }
}

function partsOf(url) {
  const match = /^(ipfs|ipns):\/\/([^/]+)/.exec(url);
  if (match === null) throw malformed("This is no address of ipfs or ipns.");
  return { scheme: match[1], host: match[2] };
}
