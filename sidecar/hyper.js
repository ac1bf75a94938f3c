// hyper://: opens the network and the store, and sends each request to what answers it.
import { randomBytes } from "node:crypto";
import { mkdir, open as openFile, readFile, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import Corestore from "corestore";
import crypto from "hypercore-crypto";
import { DnsLink } from "./dnslink.js";
import { folderBytes } from "./disk-use.js";
import { malformed, methodNotAllowed, notWritable, P2PError } from "./errors.js";
import { Drives, forked } from "./hyper-drives.js";
import { extensionPath, handleExtension } from "./hyper-extensions.js";
import { HyperNetwork } from "./hyper-network.js";
import { publishTree } from "./hyper-publish.js";
import { read, splitVersion } from "./hyper-read.js";
import { HyperRecords } from "./hyper-records.js";
import { put, remove, written } from "./hyper-write.js";
import { Spool } from "./spool.js";
import { cleanedUp } from "./waiting.js";

const DEFAULT_NAME = "default";
const NAME_BYTES = 255;

export async function openHyper({ config, log, grew }) {
  const storage = join(config.storage, "hyper");
  const primaryKey = await readPrimaryKey(config.identity);
  const spoolFolder = join(storage, "uploads");
  await Spool.clean(spoolFolder);
  const corestore = new Corestore(join(storage, "cores"), { primaryKey, unsafe: true });
  try {
    await corestore.ready();
  } catch (error) {
    await corestore.close().catch(() => {});
    throw storeError(error);
  }
  const records = new HyperRecords({ identity: config.identity, storage });
  const [seed] = crypto.namespace(primaryKey, 1);
  const network = new HyperNetwork({
    config,
    keyPair: crypto.keyPair(seed),
    replicate: (connection) => corestore.replicate(connection),
    log,
  });
  const dnsLink = new DnsLink(config.dnsResolver || (config.listen === "loopback" ? null : ""), records);
  const lookupMs = config.lookupSeconds * 1000;
  const drives = new Drives({ corestore, network, records, dnsLink, lookupMs, log, grew });
  return new Hyper({ config, storage, spoolFolder, corestore, records, network, drives, log });
}

/** The secret that all keys derive from; made once. */
async function readPrimaryKey(folder) {
  const path = join(folder, "hyper.key");
  try {
    const key = await readFile(path);
    if (key.length === 32) return key;
    throw new P2PError(500, "internal", "The Hyper identity file is damaged. Restore it, or reset P2P data with identities.");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const key = randomBytes(32);
  const file = await openFile(`${path}.new`, "w", 0o600);
  await file.writeFile(key);
  await file.sync();
  await file.close();
  await rename(`${path}.new`, path);
  return key;
}

function storeError(error) {
  if (error.message.includes("Another corestore")) {
    return new P2PError(500, "internal", "The stored drives belong to another identity. Reset P2P data to go on without them.");
  }
  if (error.code === "DEVICE_FILE" || /device file/i.test(error.message)) {
    // Hypercore's own protection: the same drive written on two computers would be a fork, which peers refuse for ever.
    return new P2PError(
      500,
      "internal",
      "The stored drives were copied from another place. Use them where they were, or reset P2P data to go on without them.",
    );
  }
  if (/lock/i.test(error.message)) {
    return new P2PError(500, "internal", "Another program uses the stored drives. Close the other browser of this profile.");
  }
  return error;
}

class Hyper {
  constructor(services) {
    Object.assign(this, services);
  }

  async handle(request) {
    if (request.host === "localhost" && decodeIsRoot(request.path) && ["GET", "HEAD", "POST"].includes(request.method)) {
      return this.#name(request);
    }
    const isNew = request.method === "PUT";
    const open =
      request.host === "localhost"
        ? await this.drives.named(request.origin, DEFAULT_NAME, isNew)
        : await this.drives.at(request.host);
    return this.#held(open, () => this.#answer(open, request));
  }

  /** `hyper://localhost/?key=NAME`: which drive a name is; POST makes it. */
  async #name(request) {
    const name = request.query.get("key") || DEFAULT_NAME;
    if (Buffer.byteLength(name) > NAME_BYTES) throw malformed("A drive's name can have at most 255 bytes.");
    const isNew = request.method === "POST";
    const open = await this.drives.named(request.origin, name, isNew);
    const reply = isNew ? written(open, 200, [], true, { bytes: 0, files: 0 }) : { status: 200, headers: {} };
    reply.headers["Content-Type"] = "text/plain; charset=utf-8";
    return { ...reply, body: request.method === "HEAD" ? null : open.url };
  }

  /** Run `work`, and keep the drive open until its reply was read. */
  async #held(open, work) {
    const release = this.drives.hold(open);
    let isStreaming = false;
    try {
      const reply = await work();
      if (typeof reply.body?.next !== "function") return reply;
      isStreaming = true;
      reply.body = cleanedUp(reply.body, release);
      return reply;
    } catch (error) {
      if (this.records.isForked(open.key)) throw forked();
      throw error;
    } finally {
      if (!isStreaming) release();
    }
  }

  async #answer(open, request) {
    const { method, path } = request;
    const extension = extensionPath(path);
    if (extension) return handleExtension(open, request, extension);
    const isVersion = splitVersion(path).version !== null;
    const allowed = isVersion ? ["GET", "HEAD"] : ["GET", "HEAD", "PUT", "DELETE"];
    if (!allowed.includes(method)) throw methodNotAllowed(method, allowed);
    if (method === "PUT") return put(open, request, this.spoolFolder);
    if (method !== "DELETE") return read(open, request);
    if (!decodeIsRoot(path)) return remove(open, request);
    if (!open.record) throw notWritable("This drive belongs to somebody else, so only its owner can delete it.");
    const reply = written(open, 200, [], true, { bytes: 0, files: 0 });
    await this.drives.purge(open);
    return reply;
  }

  async status() {
    const bytes = await folderBytes(this.storage);
    const cacheBytes = Math.min(bytes, this.records.cachedBytes());
    return {
      running: true,
      peers: this.network.peers,
      address: this.network.address,
      drives: this.records.count(),
      error: "",
      storage: { bytes, cacheBytes, pinnedBytes: bytes - cacheBytes },
      traffic: this.network.traffic,
    };
  }

  async publish({ path, name, origin, signal, progress }) {
    const open = await this.drives.named(origin, name || basename(path), true);
    return this.#held(open, () => publishTree(open, { path, signal, progress }));
  }

  /** Stop sharing a drive; with `purge`, delete it here as well. */
  async unpin({ url, purge }) {
    const open = await this.drives.at(new URL(url).hostname);
    if (purge) {
      await this.drives.purge(open);
      return;
    }
    if (open.record) this.records.setShared(open.key, false);
    await open.unshare();
  }

  /** Share a drive (again), and say so to the network now. */
  async announce({ url }) {
    const open = await this.drives.at(new URL(url).hostname);
    if (open.record) this.records.setShared(open.key, true);
    open.share();
    await open.discovery.refresh({});
  }

  async cache() {
    return { bytes: this.records.cachedBytes(), oldest: this.records.cached()[0]?.used ?? Infinity };
  }

  async evict(bytes, before) {
    return this.drives.evict(bytes, before);
  }

  async limits(limits) {
    this.network.limits(limits);
    this.drives.limit();
  }

  async close() {
    await this.network.close();
    await this.corestore.close();
    this.records.close();
  }
}

const decodeIsRoot = (path) => /^\/*$/.test(path);
