// The methods of ipns: addresses: keys at ipns://localhost/, publishing and editing what a key stands for, reading names.
import { dns } from "@multiformats/dns";
import { dnsJsonOverHttps } from "@multiformats/dns/resolvers";
import { dnsLink } from "@helia/dnslink";
import { defaultLogger } from "@libp2p/logger";

import { ipfsUrl, ipnsUrl, parseCid, parseName, parseTarget } from "./ipfs-address.js";
import { malformed, methodNotAllowed, noPeers, noSuchKey, noSuchPath, notWritable, offline, P2PError } from "./errors.js";
import { read } from "./ipfs-read.js";
import { decodePath, encodePath } from "./paths.js";

const MAX_STEPS = 8;
const MAX_TARGET_BYTES = 4096;

/** DNS as the configuration says; null where it says nothing and nothing may leave this machine. */
export function dnsOf({ dnsResolver, listen }) {
  if (dnsResolver !== "") return dns({ resolvers: { ".": dnsJsonOverHttps(dnsResolver) } });
  return listen === "loopback" ? null : dns();
}

export class Names {
  #keys;
  #records;
  #content;
  #writer;
  #backend;
  #index;
  #links;
  #lookupMs;

  constructor({ keys, records, content, writer, backend, index, dns: resolver, lookupSeconds }) {
    this.#keys = keys;
    this.#records = records;
    this.#content = content;
    this.#writer = writer;
    this.#backend = backend;
    this.#index = index;
    this.#links = resolver === null ? null : dnsLink({ dns: resolver, logger: defaultLogger() });
    this.#lookupMs = lookupSeconds * 1000;
  }

  async handle(request) {
    if (request.host === "localhost") return this.#keysOf(request);
    const place = decodePath(request.path);
    const name = parseName(request.host);
    switch (request.method) {
      case "GET":
      case "HEAD":
        return this.#read(request, name, place);
      case "POST":
        if (place.names.length > 0) throw methodNotAllowed("POST", ["GET", "HEAD", "PUT", "DELETE"]);
        return this.#point(request, this.#own(name));
      case "PUT":
      case "DELETE":
        return this.#edit(request, this.#own(name), place);
      default:
        throw methodNotAllowed(request.method, ["GET", "HEAD", "POST", "PUT", "DELETE"]);
    }
  }

  /** GET, POST, DELETE ipns://localhost/?key=NAME: the asking origin's keys. */
  async #keysOf({ method, query, origin }) {
    const label = query.get("key");
    if (!label) throw malformed("The address needs the name of a key: ipns://localhost/?key=NAME.");
    if (method === "POST") {
      const { name } = await this.#keys.make(origin, label);
      return { status: 200, headers: { Location: ipnsUrl(name), ...ledger(ipnsUrl(name), ipnsUrl(name)) }, body: ipnsUrl(name) };
    }
    if (!["GET", "HEAD", "DELETE"].includes(method)) throw methodNotAllowed(method, ["GET", "HEAD", "POST", "DELETE"]);
    const key = this.#keys.find(origin, label);
    if (key === undefined) throw noSuchKey(label);
    if (method !== "DELETE") return { status: 302, headers: { Location: ipnsUrl(key.name), "Cache-Control": "no-store" }, body: null };
    this.#records.forget(key.name);
    await this.#keys.remove(key);
    this.#unpinAll(ownerOf(key.name));
    return { status: 200, headers: ledger(ipnsUrl(key.name), ipnsUrl(key.name)), body: ipnsUrl(key.name) };
  }

  /** POST ipns://KEY/ with an address in the body: the key stands for that from now on. */
  async #point(request, key) {
    let text = "";
    for await (const chunk of request.body) {
      text += Buffer.from(chunk).toString();
      if (text.length > MAX_TARGET_BYTES) throw new P2PError(413, "too_large", "The body has to be one address.");
    }
    const { scheme, host, path } = parseTarget(text);
    const { names } = decodePath(path);
    const target = scheme === "ipfs" ? parseCid(host) : this.#nameText(host);
    await this.#records.publish(key, `/${scheme}/${target}${encodePath(names)}`);
    return { status: 200, headers: { Location: ipnsUrl(key.name), ...ledger(ipnsUrl(key.name), ipnsUrl(key.name)) }, body: ipnsUrl(key.name) };
  }

  /** PUT and DELETE of a path: a new version of the folder that the key stands for. */
  async #edit(request, key, place) {
    const value = this.#records.local(key.name);
    const base = value === null ? null : (await this.#resolve({ name: key.name, key: parseName(key.name).key }, request)).cid;
    const owner = ownerOf(key.name);
    const before = this.#pinsOf(owner);
    if (request.method === "DELETE" && base === null) throw noSuchPath(request.path);
    let result;
    if (request.method === "PUT") result = await this.#writer.put(request, base, place, owner);
    else if (place.names.length > 0) result = await this.#writer.remove(request, base, place.names, owner);
    else {
      this.#records.forget(key.name);
      this.#unpinAll(owner);
      return { status: 200, headers: ledger(ipnsUrl(key.name), ipnsUrl(key.name)), body: ipnsUrl(key.name) };
    }
    await this.#records.publish(key, `/ipfs/${result.cid}`);
    // The versions before were kept for this name alone.
    for (const cid of before) if (cid !== result.cid.toString()) await this.#backend.unpin(parseCid(cid), owner);
    const url = ipnsUrl(key.name, place.names, place.isFolder);
    const headers = { Location: url, "X-Ipfs-Path": `/ipfs/${result.cid}`, ...ledger(url, ipnsUrl(key.name), result) };
    return { status: request.method === "PUT" ? 201 : 200, headers, body: url };
  }

  async #read(request, name, place) {
    const { cid, names } = await this.#resolve(name, request);
    const reply = await read(this.#content, request, {
      root: cid,
      names: [...names, ...place.names],
      isFolder: place.isFolder,
      shown: place.names,
      urlOf: (shown, isFolder) => ipnsUrl(name.name ?? name.domain, shown, isFolder),
      isImmutable: false,
    });
    reply.headers["X-Ipfs-Path"] = ipfsUrl(cid, [...names, ...place.names], place.isFolder);
    return reply;
  }

  /** {cid, names} that a name stands for, through names that stand for names. */
  async #resolve(name, request) {
    const isFresh = /no-cache|max-age=0/.test(request.headers.get("cache-control") ?? "");
    const options = { isFresh, signal: request.signal };
    let names = [];
    for (let step = 0; step < MAX_STEPS; step++) {
      const value = name.domain === undefined ? await this.#value(name, options) : await this.#link(name.domain, options);
      const target = parseTarget(value);
      names = [...decodePath(target.path).names, ...names];
      if (target.scheme === "ipfs") return { cid: parseCid(target.host), names };
      name = parseName(target.host);
    }
    throw malformed("This name stands for a name that stands for a name, and so on without an end.");
  }

  async #value({ key, name }, options) {
    const value = await this.#records.resolve(key, options);
    if (value !== null) return value;
    if (this.#keys.get(name) !== undefined) {
      throw new P2PError(404, "no_such_path", "Nothing was published under this name yet.");
    }
    throw (await this.#backend.peers()) > 0 ? noPeers() : offline();
  }

  /** What the DNSLink record (https://dnslink.dev) of a domain says; without a network, what it said last. */
  async #link(domain, { isFresh, signal }) {
    const last = this.#index.get("SELECT target FROM domains WHERE domain = ?", domain)?.target;
    if (this.#links === null) {
      if (last !== undefined) return last;
      throw offline();
    }
    try {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(this.#lookupMs)]);
      const [answer] = await this.#links.resolve(domain, { nocache: isFresh, signal: patience });
      const target = `/${answer.namespace}/${answer.cid ?? answer.peerId ?? answer.value}${answer.path ?? ""}`;
      this.#index.run("INSERT OR REPLACE INTO domains (domain, target) VALUES (?, ?)", domain, target);
      return target;
    } catch (error) {
      signal.throwIfAborted();
      if (last !== undefined) return last;
      if (error.name === "DNSLinkNotFoundError") {
        throw new P2PError(404, "no_such_path", `${domain} has no DNSLink record, so it names nothing on IPFS.`);
      }
      throw new P2PError(504, "offline", `The DNS record of ${domain} could not be read. Check the connection.`);
    }
  }

  #own(name) {
    const key = name.name === undefined ? undefined : this.#keys.get(name.name);
    if (key === undefined) throw notWritable("This name was not made here, so it cannot be published to from here.");
    return key;
  }

  #nameText(host) {
    const { name, domain } = parseName(host);
    return name ?? domain;
  }

  #pinsOf(owner) {
    return this.#index.all("SELECT cid FROM pins WHERE owner = ?", owner).map((row) => row.cid);
  }

  #unpinAll(owner) {
    for (const cid of this.#pinsOf(owner)) void this.#backend.unpin(parseCid(cid), owner);
  }
}

function ownerOf(name) {
  return `ipns://${name}`;
}

/** What the browser writes into its ledger. */
export function ledger(url, root, { bytes = 0, files = 0 } = {}) {
  return { "X-Peersky-Url": url, "X-Peersky-Root": root, "X-Peersky-Bytes": String(bytes), "X-Peersky-Files": String(files) };
}
