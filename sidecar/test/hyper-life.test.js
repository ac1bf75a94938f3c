// Hyper over time: restarts, kill -9, peers that leave, forks, limits.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Corestore, Hyperdrive, Hyperswarm, createTestnet } from "../../src/peersky/assets/sidecar/libraries/hyper.mjs";
import { Node, someBytes, textOf, untilText } from "./helpers.js";

let testnet;
let hyperBootstrap;
const nodes = [];
const cleanUps = [];

before(async () => {
  testnet = await createTestnet(3);
  hyperBootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`);
});

after(async () => {
  await Promise.all(nodes.map((node) => node.dispose()));
  for (const cleanUp of cleanUps) await cleanUp();
  await testnet.destroy();
});

async function start(config = {}) {
  const node = await Node.start({ hyperBootstrap, lookupSeconds: 10, ...config });
  nodes.push(node);
  return node;
}

const make = async (node, name = "drive") => (await textOf(node.fetch(`hyper://localhost/?key=${name}`, { method: "POST" }))).text;
const put = (node, url, body) => textOf(node.fetch(url, { method: "PUT", body }));
const get = (node, url) => textOf(node.fetch(url));

/** Begins an upload of `size` bytes and sends the first half; returns what ends it. */
async function beginUpload(node, url, size) {
  const path = url.replace("hyper://", "/hyper/");
  const headers = { Authorization: `Bearer ${node.config.token}`, "Content-Length": size };
  const upload = request(node.address + path, { method: "PUT", headers });
  upload.on("error", () => {});
  await new Promise((resolve) => {
    upload.write(someBytes(size / 2), resolve);
  });
  return upload;
}

/** Waits until the spool of an upload is there: the node has begun to read it. */
async function spooled(node, count = 1) {
  const folder = join(node.config.storage, "hyper", "uploads");
  while ((await readdir(folder).catch(() => [])).length !== count) await new Promise(setImmediate);
}

test("what was acknowledged is there after kill -9, under the same address, and can be written on", async () => {
  const node = await start();
  const url = await make(node);
  for (const name of ["a", "b", "c"]) assert.equal((await put(node, `${url}${name}.txt`, name)).status, 201);
  await node.kill();
  await node.restart();
  assert.equal(await make(node), url);
  for (const name of ["a", "b", "c"]) assert.equal((await get(node, `${url}${name}.txt`)).text, name);
  assert.equal((await put(node, `${url}d.txt`, "d")).status, 201);
});

test("an upload that stops half-way is not there; one that stands still stops nobody else", async () => {
  const node = await start();
  const url = await make(node);
  const upload = await beginUpload(node, `${url}half.bin`, 4_000_000);
  await spooled(node);
  assert.equal((await put(node, `${url}other.txt`, "other")).status, 201);
  upload.destroy();
  await spooled(node, 0);
  assert.equal((await get(node, `${url}half.bin`)).status, 404);
  assert.deepEqual(JSON.parse((await get(node, url)).text), ["other.txt"]);
});

test("kill -9 in the middle of an upload leaves nothing of it", async () => {
  const node = await start();
  const url = await make(node);
  await put(node, `${url}before.txt`, "before");
  const upload = await beginUpload(node, `${url}half.bin`, 4_000_000);
  await spooled(node);
  await node.kill();
  upload.destroy();
  await node.restart();
  assert.deepEqual(JSON.parse((await get(node, url)).text), ["before.txt"]);
  await spooled(node, 0);
});

test("what was published is found by others after a restart, before anybody asked for it here", async () => {
  const node = await start();
  const url = await make(node);
  await put(node, `${url}a.txt`, "a");
  await node.stop();
  await node.restart();
  await node.admin("start", { protocols: ["hyper"] });
  assert.equal((await get(await start(), `${url}a.txt`)).text, "a");
});

test("what was read is served without its writer and without a network, also after a restart", async () => {
  const [writer, reader] = [await start(), await start()];
  const url = await make(writer);
  await put(writer, `${url}read.bin`, someBytes(500_000));
  await put(writer, `${url}unread.txt`, "unread");
  assert.ok(Buffer.from(await (await reader.fetch(`${url}read.bin`)).arrayBuffer()).equals(someBytes(500_000)));
  await writer.stop();
  await reader.stop();
  await reader.restart({ hyperBootstrap: [] });
  const bytes = Buffer.from(await (await reader.fetch(`${url}read.bin`)).arrayBuffer());
  assert.ok(bytes.equals(someBytes(500_000)));
  const unread = await get(reader, `${url}unread.txt`);
  assert.deepEqual([unread.status, unread.reason], [504, "offline"]);
  const unknown = await get(reader, `hyper://${"4".repeat(64)}/`);
  assert.deepEqual([unknown.status, unknown.reason], [504, "offline"]);
});

test("a reader gets what its writer published while it was away, and from other readers", async () => {
  const [writer, first] = [await start(), await start()];
  const url = await make(writer);
  await put(writer, `${url}a.txt`, "one");
  assert.equal((await get(first, `${url}a.txt`)).text, "one");
  await first.stop();
  await put(writer, `${url}a.txt`, "two");
  await first.restart();
  await untilText(async () => (await get(first, `${url}a.txt`)).text, "two");
  await writer.stop();
  const second = await start();
  assert.equal((await get(second, `${url}a.txt`)).text, "two");
});

test("after Reset P2P data with identities kept, a drive is written again only when its content is back", async () => {
  const [writer, reader] = [await start({ lookupSeconds: 3 }), await start()];
  const url = await make(writer);
  await put(writer, `${url}a.txt`, "a");
  assert.equal((await get(reader, `${url}a.txt`)).text, "a");
  await writer.stop();
  await rm(writer.config.storage, { recursive: true });
  await writer.restart({ hyperBootstrap: [] });
  assert.equal(await make(writer), url);
  const refused = await put(writer, `${url}b.txt`, "b");
  assert.deepEqual([refused.status, refused.reason], [504, "no_peers"]);
  assert.match(refused.text, /deleted from this computer/);
  await writer.stop();
  await writer.restart({ hyperBootstrap, lookupSeconds: 20 });
  assert.equal((await put(writer, `${url}b.txt`, "b")).status, 201);
  for (const name of ["a", "b"]) await untilText(async () => (await get(reader, `${url}${name}.txt`)).text, name);
});

test("the identity is private, and without it the same name is another drive", async () => {
  const node = await start();
  const url = await make(node);
  assert.equal((await stat(join(node.config.identity, "hyper.key"))).mode & 0o777, 0o600);
  assert.equal((await stat(node.config.identity)).mode & 0o777, 0o700);
  await node.stop();
  await rm(node.config.identity, { recursive: true });
  await node.restart();
  const reply = await textOf(node.fetch("hyper://localhost/?key=drive", { method: "POST" }));
  assert.deepEqual([reply.status, reply.reason], [500, "internal"]);
  assert.match(reply.text, /belong to another identity/);
  await node.stop();
  await rm(node.config.storage, { recursive: true });
  await node.restart();
  assert.notEqual(await make(node), url);
});

test("a drive with two histories is refused, also after a restart", async () => {
  const primaryKey = randomBytes(32);
  const stores = [];
  for (const text of ["first", "second"]) {
    const folder = await mkdtemp(join(tmpdir(), "peersky-fork-"));
    const store = new Corestore(folder, { primaryKey, unsafe: true });
    const drive = new Hyperdrive(store.namespace("forked"));
    await drive.put("/a.txt", Buffer.from(text));
    if (text === "second") await drive.put("/b.txt", Buffer.from(text));
    const swarm = new Hyperswarm({ dht: testnet.createNode() });
    swarm.on("connection", (connection) => store.replicate(connection));
    stores.push({ drive, swarm });
    cleanUps.push(async () => {
      await swarm.destroy();
      await store.close();
      await rm(folder, { recursive: true });
    });
  }
  const [first, second] = stores;
  assert.deepEqual(first.drive.key, second.drive.key);
  const reader = await start();
  const url = `hyper://${first.drive.key.toString("hex")}/`;
  await first.swarm.join(first.drive.discoveryKey).flushed();
  assert.equal((await get(reader, `${url}a.txt`)).text, "first");
  await first.swarm.destroy();
  await second.swarm.join(second.drive.discoveryKey).flushed();
  let reply;
  do {
    await reader.admin("announce", { url }).catch(() => {}); // looks for peers now
    reply = await get(reader, `${url}b.txt`);
  } while (reply.status !== 502);
  assert.equal(reply.reason, "wrong_block");
  await reader.stop();
  await reader.restart();
  assert.equal((await get(reader, `${url}a.txt`)).status, 502);
});

test("the longest unused drives of others make room for the cache limit; our own stay", async () => {
  const [writer, reader] = [await start(), await start()];
  const urls = [];
  for (const name of ["one", "two", "three"]) {
    const url = await make(writer, name);
    await put(writer, `${url}a.bin`, someBytes(1_000_000, name.length));
    await (await reader.fetch(`${url}a.bin`)).arrayBuffer();
    urls.push(url);
  }
  const own = await make(reader, "own");
  await put(reader, `${own}a.bin`, someBytes(2_000_000));
  assert.ok((await reader.admin("status")).storage.cacheBytes >= 3_000_000);
  await writer.stop();
  await reader.admin("limits", { cacheBytes: 1_500_000 });
  const { storage } = await reader.admin("status");
  assert.ok(storage.cacheBytes <= 1_500_000, JSON.stringify(storage));
  assert.ok(storage.bytes < 5_000_000, "what was deleted takes no room on the disk");
  await reader.stop();
  await reader.restart({ hyperBootstrap: [] });
  const statuses = [];
  for (const url of [...urls, own]) statuses.push((await get(reader, `${url}a.bin`)).status);
  assert.deepEqual(statuses, [504, 504, 200, 200]);
  assert.ok((await reader.admin("gc", {})).freedBytes > 900_000);
  assert.equal((await get(reader, `${urls[2]}a.bin`)).status, 504);
  assert.equal((await get(reader, `${own}a.bin`)).status, 200);
});

for (const [side, name] of [[0, "uploadBytesPerSecond"], [1, "downloadBytesPerSecond"]]) {
  test(`${name} holds`, async () => {
    const limits = [{}, {}];
    limits[side] = { [name]: 400_000 };
    const [writer, reader] = [await start(limits[0]), await start(limits[1])];
    const url = await make(writer);
    await put(writer, `${url}a.bin`, someBytes(1_200_000));
    // From the first request on: a drive's blocks begin to come before its file is asked for.
    const begun = performance.now();
    await get(reader, `${url}?noResolve`);
    const bytes = Buffer.from(await (await reader.fetch(`${url}a.bin`)).arrayBuffer());
    assert.ok(bytes.equals(someBytes(1_200_000)));
    assert.ok(performance.now() - begun > 1000, "1.2 MB cannot be here within a second");
    await [writer, reader][side].admin("limits", { [name]: 0 });
  });
}

test("unpin stops sharing, and announce shares again", async () => {
  const writer = await start();
  const url = await make(writer);
  await put(writer, `${url}a.txt`, "a");
  await writer.admin("unpin", { url });
  const early = await start({ lookupSeconds: 1 });
  assert.deepEqual((await get(early, `${url}a.txt`)).reason, "no_peers");
  assert.equal((await get(writer, `${url}a.txt`)).text, "a");
  await writer.kill();
  await writer.restart();
  await writer.admin("start", { protocols: ["hyper"] });
  assert.deepEqual((await get(early, `${url}a.txt`)).reason, "no_peers");
  await writer.admin("announce", { url });
  assert.equal((await get(await start(), `${url}a.txt`)).text, "a");
  await writer.admin("unpin", { url, purge: true });
  assert.equal((await get(writer, `${url}a.txt`)).status, 404);
});

test("a DNSLink name is a key; the last one is kept for when there is no network", async () => {
  const writer = await start();
  const url = await make(writer);
  await put(writer, `${url}a.txt`, "named");
  const records = { "_dnslink.site.example": `"dnslink=/hyper/${/\/\/(\w+)\//.exec(url)[1]}"`, "_dnslink.other.example": '"v=spf1"' };
  const dns = createServer((incoming, outgoing) => {
    const name = new URL(incoming.url, "http://x").searchParams.get("name");
    const data = records[name];
    outgoing.end(JSON.stringify({ Status: 0, Answer: data ? [{ name, type: 16, TTL: 60, data }] : undefined }));
  });
  dns.listen(0, "127.0.0.1");
  await once(dns, "listening");
  const reader = await start({ dnsResolver: `http://127.0.0.1:${dns.address().port}/dns-query` });
  const reply = await get(reader, "hyper://site.example/a.txt");
  assert.deepEqual([reply.text, reply.headers.get("link")], ["named", `<${url}a.txt>; rel="canonical"`]);
  for (const name of ["other.example", "missing.example"]) {
    const missing = await get(reader, `hyper://${name}/`);
    assert.deepEqual([missing.status, missing.reason], [404, "no_such_key"], name);
  }
  dns.closeAllConnections();
  dns.close();
  await once(dns, "close");
  await reader.kill();
  await reader.restart();
  assert.equal((await get(reader, "hyper://site.example/a.txt")).text, "named");
  assert.deepEqual((await get(reader, "hyper://unknown.example/")).reason, "offline");
});

test("a second node on the same storage says so", async () => {
  const node = await start();
  await make(node);
  const second = await Node.start(node.config, node.folder);
  const reply = await textOf(second.fetch("hyper://localhost/?key=drive"));
  assert.equal(reply.status, 500);
  assert.match(reply.text, /Another program uses the stored drives/);
  assert.match((await second.admin("status")).hyper.error, /Another program/);
  await node.kill();
  assert.equal((await textOf(second.fetch("hyper://localhost/?key=drive"))).status, 200);
  await second.stop();
});
