// HTTP on loopback for the browser process: content routes (/hyper/…, /ipfs/…, /ipns/…) and admin routes (/node/…).
//
// A protocol module (hyper.js, ipfs.js) is opened at its first request. It is an object with
//   handle(request) -> {status, headers, body}: body is text, bytes, an async iterable of bytes, or null
//   status() -> {…, storage: {bytes, pinnedBytes, cacheBytes}, traffic: {inBytes, outBytes}}
//   publish({path, name, origin, signal, progress}), unpin({url, purge}), announce({url}), limits({…}), close()
//   cache(), evict(bytes, before): see cache-limit.js, whose `grew` it is given and calls when its cache may be over the limit
// and `request` is {scheme, method, host, path (raw), query, headers, body, form(), origin, signal}.
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { CacheLimit } from "./cache-limit.js";
import { asP2PError, malformed, methodNotAllowed, P2PError } from "./errors.js";
import { readForm } from "./forms.js";
import { cachedBytes as hyperCachedBytes } from "./hyper-records.js";
import { cachedBytes as ipfsCachedBytes } from "./ipfs-index.js";

const ADMIN_BODY_BYTES = 1024 * 1024;
const PROGRESS_MS = 100; // people see no more
const DRAIN_MS = 5000; // a refused upload is read on until nothing came for this long

const OPENERS = {
  hyper: async (services) => (await import("./hyper.js")).openHyper(services),
  ipfs: async (services) => (await import("./ipfs.js")).openIpfs(services),
};
const CACHED_BYTES = { hyper: hyperCachedBytes, ipfs: ipfsCachedBytes };
const PROTOCOL_OF = { hyper: "hyper", ipfs: "ipfs", ipns: "ipfs" };
const NOT_RUNNING = {
  hyper: { running: false, peers: 0, address: "", drives: 0, error: "" },
  ipfs: { backend: "", running: false, peers: 0, peerId: "", addresses: [], error: "" },
};

/** The protocols: each is opened when it is first needed, and again after it failed to open. */
class Protocols {
  constructor({ config, log }) {
    this.services = { config, log, grew: () => this.cacheLimit.grew() };
    this.opening = new Map();
    this.running = new Map();
    this.errors = new Map();
    this.cacheLimit = new CacheLimit(this.#caches(config.storage), config.cacheBytes, log);
  }

  #caches(storage) {
    const closed = () => Object.keys(OPENERS).filter((name) => !this.running.has(name) && CACHED_BYTES[name](storage) > 0);
    return {
      running: () => [...this.running.values()],
      kept: () => closed().reduce((sum, name) => sum + CACHED_BYTES[name](storage), 0),
      all: async () => {
        await Promise.all(closed().map((name) => this.get(name)));
        return [...this.running.values()];
      },
    };
  }

  /** The opened module. Throws what opening it throws; the next call tries again. */
  get(protocol) {
    if (!this.opening.has(protocol)) {
      const attempt = OPENERS[protocol](this.services).then(
        (module) => {
          this.running.set(protocol, module);
          this.errors.delete(protocol);
          this.cacheLimit.grew(); // it may have been less the last time
          return module;
        },
        (error) => {
          this.opening.delete(protocol);
          this.services.log(`${protocol} did not start: ${error.stack}`);
          const known = asP2PError(error);
          const sentence = known.reason === "internal" ? `${protocol} did not start: ${error.message}` : known.message;
          this.errors.set(protocol, sentence);
          throw new P2PError(known.status, known.reason, sentence);
        },
      );
      this.opening.set(protocol, attempt);
    }
    return this.opening.get(protocol);
  }

  async status() {
    const result = {
      storage: { bytes: 0, pinnedBytes: 0, cacheBytes: 0 },
      traffic: { inBytes: 0, outBytes: 0 },
    };
    for (const protocol of Object.keys(OPENERS)) {
      const error = this.errors.get(protocol) ?? "";
      const { storage = {}, traffic = {}, ...own } = (await this.running.get(protocol)?.status()) ?? {};
      result[protocol] = { ...NOT_RUNNING[protocol], error, ...own };
      if (protocol === "ipfs") result.ipfs.backend ||= this.services.config.ipfsBackend;
      for (const [name, value] of Object.entries(storage)) result.storage[name] += value;
      for (const [name, value] of Object.entries(traffic)) result.traffic[name] += value;
    }
    return result;
  }

  async close() {
    await Promise.allSettled([...this.opening.values()]);
    await this.cacheLimit.close();
    await Promise.allSettled([...this.running.values()].map((module) => module.close()));
  }
}

/** Start listening on 127.0.0.1. Returns `{port, close()}`. */
export async function createNodeServer({ config, log }) {
  const protocols = new Protocols({ config, log });
  const secret = createHash("sha256").update(`Bearer ${config.token}`).digest();
  const isOurs = (header) => timingSafeEqual(createHash("sha256").update(header ?? "").digest(), secret);

  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch((error) => {
      log(`A reply failed: ${error.stack}`);
      outgoing.destroy();
    });
  });
  server.requestTimeout = 0; // an upload may take hours
  server.keepAliveTimeout = 0; // the one client decides; a connection closed here would race with its next request

  async function answer(incoming, outgoing) {
    const gone = new AbortController();
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) gone.abort();
    });
    let reply;
    try {
      if (!isOurs(incoming.headers.authorization)) throw new P2PError(401, "not_writable", "The token is missing or wrong.");
      reply = await route(incoming, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      reply = errorReply(error, incoming, log);
    }
    await send(reply, incoming, outgoing, log);
  }

  async function route(incoming, signal) {
    const [address, search = ""] = splitOnce(incoming.url, "?");
    const match = /^\/([a-z]+)\/([^/]*)(\/.*)?$/.exec(address);
    if (!match) throw malformed("There is no such address at the P2P node.");
    const [, area, first, path = "/"] = match;
    if (area === "node" && path === "/") return admin(protocols, first, incoming, signal);
    if (!Object.hasOwn(PROTOCOL_OF, area)) throw malformed("The P2P node serves hyper, ipfs and ipns.");
    const headers = new Headers();
    for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value));
    const module = await protocols.get(PROTOCOL_OF[area]);
    return module.handle({
      scheme: area,
      method: incoming.method,
      host: first,
      path,
      query: new URLSearchParams(search),
      headers,
      body: incoming.iterator({ destroyOnReturn: false }), // leaving it must not close the connection before the reply
      form: () => readForm(incoming.headers, incoming),
      origin: incoming.headers["x-peersky-origin"] ?? "user",
      signal,
    });
  }

  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: server.address().port,
    async close() {
      server.close();
      server.closeAllConnections();
      await protocols.close();
    },
  };
}

async function admin(protocols, action, incoming, signal) {
  const get = { status: () => protocols.status() };
  const post = {
    async start({ protocols: names = [] }) {
      // One that fails is told by the status.
      await Promise.allSettled(names.filter((name) => Object.hasOwn(OPENERS, name)).map((name) => protocols.get(name)));
      return protocols.status();
    },
    async unpin({ url, purge = false }) {
      return (await (await protocols.get(protocolOf(url))).unpin({ url, purge })) ?? {};
    },
    async announce({ url }) {
      return (await (await protocols.get(protocolOf(url))).announce({ url })) ?? {};
    },
    async gc() {
      return { freedBytes: await protocols.cacheLimit.fit(0) };
    },
    async limits(limits) {
      Object.assign(protocols.services.config, limits);
      for (const module of protocols.running.values()) await module.limits(limits);
      if (limits.cacheBytes !== undefined) protocols.cacheLimit.bytes = limits.cacheBytes;
      await protocols.cacheLimit.fit();
      return {};
    },
  };
  const actions = incoming.method === "GET" ? get : incoming.method === "POST" ? post : {};
  if (incoming.method === "POST" && action === "publish") return publish(protocols, await readJson(incoming), signal);
  if (!Object.hasOwn(actions, action)) {
    if (Object.hasOwn(get, action)) throw methodNotAllowed(incoming.method, ["GET"]);
    if (Object.hasOwn(post, action) || action === "publish") throw methodNotAllowed(incoming.method, ["POST"]);
    throw malformed("The P2P node has no such action.");
  }
  const result = await actions[action](incoming.method === "POST" ? await readJson(incoming) : undefined);
  return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify(result) };
}

/** Publish from disk; the reply is NDJSON: progress, and last the outcome. */
async function publish(protocols, { path, to, name, origin = "user" }, signal) {
  if (!Object.hasOwn(OPENERS, to)) throw malformed("It can be published to hyper or to ipfs.");
  const module = await protocols.get(to);
  const { log } = protocols.services;
  async function* lines() {
    let latest = null;
    let outcome = null;
    let wake = () => {};
    const running = module
      .publish({
        path,
        name,
        origin,
        signal,
        progress(state) {
          latest = state; // a reader that is slower than the disk sees the newest state, not a queue
          wake();
        },
      })
      .then(
        (result) => (outcome = result),
        (error) => {
          const known = report(error, log);
          outcome = { error: known.message, reason: known.reason, status: known.status };
        },
      )
      .finally(() => wake());
    for (;;) {
      const next = latest;
      latest = null;
      if (!next && outcome) break;
      if (next) {
        yield Buffer.from(`${JSON.stringify(next)}\n`);
        await Promise.race([running, sleep(PROGRESS_MS, undefined, { ref: false })]);
      } else
        {await new Promise((resolve) => {
          wake = resolve;
          if (outcome || latest) resolve();
        });}
    }
    await running;
    yield Buffer.from(`${JSON.stringify(outcome)}\n`);
  }
  return { status: 200, headers: { "Content-Type": "application/x-ndjson" }, body: lines() };
}

function protocolOf(url) {
  const scheme = /^([a-z]+):\/\//.exec(url ?? "")?.[1];
  if (!scheme || !Object.hasOwn(PROTOCOL_OF, scheme)) throw malformed("The address must begin with hyper, ipfs or ipns.");
  return PROTOCOL_OF[scheme];
}

async function readJson(incoming) {
  const chunks = [];
  let size = 0;
  for await (const chunk of incoming) {
    size += chunk.length;
    if (size > ADMIN_BODY_BYTES) throw new P2PError(413, "too_large", "The request is too large.");
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString() || "{}");
  } catch {
    throw malformed("The request is not JSON.");
  }
}

function report(error, log) {
  const known = asP2PError(error);
  if (known.status >= 500 && !(error instanceof P2PError)) log(error?.stack ?? String(error));
  return known;
}

function errorReply(error, incoming, log) {
  const known = report(error, log);
  const headers = { ...known.headers, "Content-Type": "text/plain; charset=utf-8", "X-Peersky-Reason": known.reason };
  return { status: known.status, headers, body: incoming.method === "HEAD" ? null : `${known.message}\n` };
}

async function send({ status, headers, body }, incoming, outgoing, log) {
  const whole = body == null || typeof body === "string" || body instanceof Uint8Array;
  if (whole && incoming.method !== "HEAD") headers = { "Content-Length": Buffer.byteLength(body ?? ""), ...headers };
  // The connection is used again: a body of another length than was said would be taken for a part of the next reply.
  outgoing.strictContentLength = true;
  outgoing.writeHead(status, headers);
  if (whole) {
    outgoing.end(body ?? undefined);
    drain(incoming);
    return;
  }
  outgoing.flushHeaders();
  try {
    await pipeline(Readable.from(body, { objectMode: false }), outgoing);
  } catch (error) {
    // The reader left, or the source broke off: the connection ends without the end of the body, so it cannot pass for one.
    if (error.code !== "ERR_STREAM_PREMATURE_CLOSE") report(error, log);
    outgoing.destroy();
  }
}

/** Read on what nobody wants, however much it is: a sender whose connection is closed under it does not see the reply. */
function drain(incoming) {
  if (incoming.complete) return;
  const timer = setTimeout(() => incoming.destroy(), DRAIN_MS);
  incoming.on("data", () => timer.refresh());
  incoming.once("close", () => clearTimeout(timer));
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
