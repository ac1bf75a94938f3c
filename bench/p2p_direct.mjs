// The same libraries as PeerSky's P2P node, used directly: publishes and reads without browser, node or HTTP between.
//     node p2p_direct.mjs LIBRARIES-FOLDER STORAGE-FOLDER
// Takes lines of JSON {do, mb, files, bytes}, answers each with {ms} or {error}. Beside that it is a plain HTTP server on
// loopback, with the same files in memory: what they cost Chromium without PeerSky. Its first line tells the port.
import { createHash, randomFillSync } from "node:crypto";
import { access, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const [libraries, storage] = process.argv.slice(2);
const MB = 1024 * 1024;

/** Blocks as files that are renamed into place: what every IPFS node on a disk does. */
class BlockFiles {
  #root;
  #made = new Set();
  #count = 0;

  constructor(root) {
    this.#root = root;
  }

  #place(cid) {
    const name = createHash("md5").update(cid.multihash.bytes).digest("hex");
    return { folder: join(this.#root, name.slice(0, 2)), file: join(this.#root, name.slice(0, 2), name) };
  }

  async put(cid, block) {
    const { folder, file } = this.#place(cid);
    if (!this.#made.has(folder)) {
      await mkdir(folder, { recursive: true });
      this.#made.add(folder);
    }
    const temporary = `${file}.${this.#count++}`;
    if (block instanceof Uint8Array) {
      await writeFile(temporary, block);
    } else {
      const parts = [];
      for await (const part of block) parts.push(part);
      await writeFile(temporary, Buffer.concat(parts));
    }
    await rename(temporary, file);
    return cid;
  }

  async *get(cid) {
    yield await readFile(this.#place(cid).file);
  }

  async has(cid) {
    try {
      await access(this.#place(cid).file);
      return true;
    } catch {
      return false;
    }
  }

  async *putMany(source) {
    for await (const { cid, bytes } of source) yield this.put(cid, bytes);
  }

  async *getMany(source) {
    for await (const cid of source) yield { cid, bytes: this.get(cid) };
  }
}

const random = (size) => {
  const bytes = Buffer.allocUnsafe(size);
  return randomFillSync(bytes);
};
const small = ({ files, bytes }) =>
  Array.from({ length: files }, (_, number) => ({ path: `f/${number}.txt`, content: random(bytes) }));
let lastHyper;
let lastIpfs;

const { Corestore, Hyperdrive } = await import(`${libraries}/hyper.mjs`);
const { createHeliaLight, unixfs } = await import(`${libraries}/ipfs.mjs`);
const corestore = new Corestore(join(storage, "cores"));
await corestore.ready();
const helia = createHeliaLight({ blockstore: new BlockFiles(join(storage, "blocks")) });
const fs = unixfs(helia);
let drives = 0;

async function newDrive() {
  const drive = new Hyperdrive(corestore.namespace(`drive-${drives++}`));
  await drive.ready();
  return drive;
}

const actions = {
  async "hyper write large"({ mb }) {
    const data = Array.from({ length: mb }, () => random(MB));
    const drive = await newDrive(); // the page has its drive before the clock runs, too
    const began = performance.now();
    await pipeline(Readable.from(data), drive.createWriteStream("/large.bin"));
    lastHyper = drive;
    return began;
  },
  async "hyper read large"({ mb }) {
    const began = performance.now();
    let size = 0;
    for await (const part of lastHyper.createReadStream("/large.bin")) size += part.length;
    if (size !== mb * MB) throw new Error("not all of it came back");
    return began;
  },
  async "hyper write small"(asked) {
    const data = small(asked);
    const drive = await newDrive();
    const began = performance.now();
    const batch = drive.batch();
    for (const { path, content } of data) await batch.put(`/${path}`, content);
    await batch.flush();
    lastHyper = drive;
    return began;
  },
  async "hyper read small"({ files, lanes }) {
    const began = performance.now();
    await inLanes(files, lanes, async (number) => {
      if ((await lastHyper.get(`/f/${number}.txt`)) === null) throw new Error(`file ${number} lacks`);
    });
    return began;
  },
  async "ipfs write large"({ mb }) {
    const data = Array.from({ length: mb }, () => random(MB));
    const began = performance.now();
    lastIpfs = await fs.addByteStream(Readable.from(data));
    return began;
  },
  async "ipfs read large"({ mb }) {
    const began = performance.now();
    let size = 0;
    for await (const part of fs.cat(lastIpfs)) size += part.length;
    if (size !== mb * MB) throw new Error("not all of it came back");
    return began;
  },
  async "ipfs write small"(asked) {
    const data = small(asked);
    const began = performance.now();
    for await (const entry of fs.addAll(data, { wrapWithDirectory: true })) lastIpfs = entry.cid;
    return began;
  },
  async "ipfs read small"({ files, lanes }) {
    const began = performance.now();
    await inLanes(files, lanes, async (number) => {
      for await (const part of fs.cat(lastIpfs, { path: `/f/${number}.txt` })) if (part.length === 0) throw new Error();
    });
    return began;
  },
};

async function inLanes(count, lanes, work) {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

const server = createServer((incoming, outgoing) => {
  const size = Number(new URL(incoming.url, "http://x").searchParams.get("bytes") ?? 0);
  incoming.resume();
  incoming.on("end", () => {
    const headers = { "Content-Type": incoming.url === "/" ? "text/html" : "application/octet-stream", "Cache-Control": "no-store" };
    if (incoming.method === "PUT") headers.Location = "/";
    outgoing.writeHead(incoming.method === "PUT" ? 201 : 200, { ...headers, "Content-Length": size });
    outgoing.end(content(size));
  });
});
server.keepAliveTimeout = 0;
let kept = Buffer.alloc(0);

function content(size) {
  if (kept.length < size) kept = random(size);
  return kept.subarray(0, size);
}

server.listen(0, "127.0.0.1");
await once(server, "listening");
process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, ...asked } = JSON.parse(line);
  try {
    const began = await actions[what](asked);
    process.stdout.write(`${JSON.stringify({ ms: performance.now() - began })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error.stack ?? error) })}\n`);
  }
}
process.exit(0);
