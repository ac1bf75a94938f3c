// What stays and what goes: uploads that break off, kill -9, pins and cache, spoiled blocks, publishing from disk.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { someBytes, textOf } from "./helpers.js";
import { formOf, hostOf, startIpfs, startPair } from "./ipfs-helpers.js";

const EMPTY = "ipfs://bafyaabakaieac/";
const started = [];
after(() => Promise.all(started.map((node) => node.dispose())));

async function start(...options) {
  const node = await startIpfs(...options);
  started.push(node);
  return node;
}

/** A PUT whose body goes on until the returned request is ended or destroyed; resolves when its first part is on the way. */
async function openPut(node, path, headers = {}) {
  const url = new URL(`${node.address}/ipfs/bafyaabakaieac/${path}`);
  const put = request(url, { method: "PUT", headers: { Authorization: `Bearer ${node.config.token}`, ...headers } });
  put.on("error", () => {}); // the connection is cut on purpose
  await new Promise((resolve) => {
    put.write(someBytes(12_000_000), resolve);
  });
  return put;
}

/** Wait until so many bytes of blocks are in the node's storage. */
async function stored(node, bytes) {
  for (;;) {
    const { storage } = await node.admin("status");
    if (storage.bytes >= bytes) return storage;
  }
}

/** How many bytes of blocks lie on the disk. */
async function onDisk(node) {
  const folder = join(node.config.storage, "ipfs/blocks");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map(stat))).reduce((sum, { size }) => sum + size, 0);
}

test("an upload that breaks off pins nothing, and the next one works", async () => {
  const node = await start();
  const put = await openPut(node, "half.bin");
  await stored(node, 1_000_000);
  put.destroy();
  const boundary = await openPut(node, "", { "Content-Type": "multipart/form-data; boundary=x" });
  boundary.destroy();
  const { status } = await textOf(node.fetch(`${EMPTY}ok.txt`, { method: "PUT", body: "ok" }));
  assert.equal(status, 201);
  const { storage } = await node.admin("status");
  assert.ok(storage.pinnedBytes > 0 && storage.pinnedBytes < 1000, JSON.stringify(storage));
});

test("a form that ends in the middle is refused, and nothing of it is pinned", async () => {
  const node = await start();
  const body = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf';
  const headers = { "Content-Type": "multipart/form-data; boundary=x" };
  const reply = await textOf(node.fetch(EMPTY, { method: "PUT", body, headers }));
  assert.deepEqual([reply.status, reply.reason], [400, "malformed"]);
  assert.equal((await node.admin("status")).storage.pinnedBytes, 0);
});

test("kill -9: what was acknowledged is there after a restart, what was not is no pin; key and peer stay", async () => {
  const node = await start();
  const { text: site } = await textOf(node.fetch(EMPTY, { method: "PUT", body: formOf({ "index.html": "kept" }) }));
  const { text: key } = await textOf(node.fetch("ipns://localhost/?key=site", { method: "POST" }));
  await textOf(node.fetch(key, { method: "POST", body: site }));
  await textOf(node.fetch(`${key}more.txt`, { method: "PUT", body: "more" }));
  const before = (await node.admin("status")).storage.pinnedBytes;
  for (const path of ["cut.bin", "cut/deeper.bin"]) {
    await openPut(node, path);
    await stored(node, before + 1_000_000);
    await node.kill();
    await node.restart();
    assert.equal((await textOf(node.fetch(site))).text, "kept");
  }
  assert.equal((await textOf(node.fetch(key))).text, "kept");
  assert.equal((await textOf(node.fetch(`${key}more.txt`))).text, "more");
  assert.equal((await textOf(node.fetch("ipns://localhost/?key=site"))).headers.get("location"), key);
  const { ipfs, storage } = await node.admin("status");
  assert.equal(storage.pinnedBytes, before);
  await node.admin("gc", {});
  assert.equal(await onDisk(node), before);
  assert.equal(ipfs.peerId, node.ipfs.peerId);
  assert.equal((await textOf(node.fetch(`${key}more.txt`))).text, "more");
});

test("kill -9 right after the reply loses nothing", async () => {
  const node = await start();
  for (let i = 0; i < 2; i++) {
    const bytes = someBytes(2_500_000, i + 1);
    const { text } = await textOf(node.fetch(`${EMPTY}${i}.bin`, { method: "PUT", body: bytes }));
    await node.kill();
    await node.restart();
    const read = Buffer.from(await (await node.fetch(text)).arrayBuffer());
    assert.ok(read.equals(bytes));
  }
});

test("the cache keeps what was read last; pins are never evicted; all is read without the peer it came from", async () => {
  const { a, b } = await startPair({ lookupSeconds: 1 });
  started.push(a, b);
  const put = async (node, name, seed) =>
    (await textOf(node.fetch(EMPTY + name, { method: "PUT", body: someBytes(2_000_000, seed) }))).text;
  const [one, two, three] = [await put(a, "1", 1), await put(a, "2", 2), await put(a, "3", 3)];
  const own = await put(b, "own", 4);
  for (const url of [one, two, three, one]) await (await b.fetch(url)).arrayBuffer();
  await a.stop();
  await b.admin("limits", { cacheBytes: 4_100_000 });
  const { storage } = await b.admin("status");
  assert.ok(storage.cacheBytes <= 4_100_000 && storage.cacheBytes > 2_000_000, JSON.stringify(storage));
  assert.equal((await textOf(b.fetch(one))).status, 200);
  assert.equal((await textOf(b.fetch(three))).status, 200);
  const gone = await textOf(b.fetch(two));
  assert.deepEqual([gone.status, gone.reason], [504, "offline"]);
  assert.ok((await b.admin("gc", {})).freedBytes > 2_000_000);
  assert.equal((await textOf(b.fetch(one))).status, 504);
  assert.equal((await textOf(b.fetch(own))).status, 200);
  await b.admin("unpin", { url: own });
  await b.admin("gc", {});
  assert.equal(await onDisk(b), 0);
});

test("what is pinned twice stays until both let go", async () => {
  const node = await start();
  const put = (origin) => textOf(node.fetch(`${EMPTY}same.txt`, { method: "PUT", body: "same", origin }));
  const { text } = await put("hyper://one");
  await put("hyper://two");
  const root = `ipfs://${hostOf(text)}/`;
  await textOf(node.fetch(root, { method: "DELETE", origin: "hyper://one" }));
  await node.admin("gc", {});
  assert.equal((await textOf(node.fetch(text))).text, "same");
  await textOf(node.fetch(root, { method: "DELETE", origin: "hyper://two" }));
  await node.admin("gc", {});
  assert.equal(await onDisk(node), 0);
});

test("editing a name drops the pins of its old versions, not what they share", async () => {
  const node = await start();
  const { text: key } = await textOf(node.fetch("ipns://localhost/?key=k", { method: "POST" }));
  await textOf(node.fetch(`${key}stays.bin`, { method: "PUT", body: someBytes(100_000) }));
  await textOf(node.fetch(`${key}goes.bin`, { method: "PUT", body: someBytes(50_000, 7) }));
  await textOf(node.fetch(`${key}goes.bin`, { method: "DELETE" }));
  await node.admin("gc", {});
  const bytes = await onDisk(node);
  assert.ok(bytes >= 100_000 && bytes < 101_000, `${bytes}`);
  assert.equal((await textOf(node.fetch(`${key}stays.bin`))).status, 200);
  await textOf(node.fetch("ipns://localhost/?key=k", { method: "DELETE" }));
  await node.admin("gc", {});
  assert.equal(await onDisk(node), 0);
});

test("a block that the disk spoiled is not served, and fetched again", async () => {
  const { a, b } = await startPair({ lookupSeconds: 5 });
  started.push(a, b);
  const { text } = await textOf(a.fetch(`${EMPTY}x.txt`, { method: "PUT", body: "precious" }));
  assert.equal((await textOf(b.fetch(text))).text, "precious");
  const folder = join(a.config.storage, "ipfs/blocks");
  for (const entry of await readdir(folder, { recursive: true })) {
    const file = join(folder, entry);
    if ((await stat(file)).isFile() && (await readFile(file, "utf8")) === "precious") await writeFile(file, "spoiled!");
  }
  assert.equal((await textOf(a.fetch(text))).text, "precious");
});

test("keys and storage are private, and keys lie apart from the storage", async () => {
  const node = await start();
  await textOf(node.fetch("ipns://localhost/?key=k", { method: "POST" }));
  const files = await readdir(node.config.identity, { recursive: true, withFileTypes: true });
  const modes = await Promise.all(
    files.filter((entry) => entry.isFile()).map(async (entry) => (await stat(join(entry.parentPath, entry.name))).mode & 0o777),
  );
  assert.deepEqual(modes, [0o600, 0o600]);
});

test("a folder on disk is published with progress; links are skipped; a cancelled one is no pin", async () => {
  const node = await start();
  const folder = join(node.folder, "site é");
  await mkdir(join(folder, "deep/er"), { recursive: true });
  await writeFile(join(folder, "index.html"), "<h1>disk</h1>");
  await writeFile(join(folder, "deep/er/😀.bin"), someBytes(6_000_000));
  await symlink("/etc/hostname", join(folder, "link"));
  const lines = await node.publish({ path: folder, to: "ipfs" });
  const { url, root, ...sums } = lines.at(-1);
  assert.deepEqual([sums, root], [{ bytes: 6_000_013, files: 2, skipped: 1 }, url]);
  assert.ok(lines.length > 1 && lines[0].total === 6_000_013 && lines[0].totalFiles === 2);
  assert.equal((await textOf(node.fetch(url))).text, "<h1>disk</h1>");
  assert.equal((await textOf(node.fetch(`${url}link`))).status, 404);
  const single = (await node.publish({ path: join(folder, "deep/er/😀.bin"), to: "ipfs" })).at(-1);
  assert.match(single.url, /^ipfs:\/\/\w+\/%F0%9F%98%80\.bin$/);
  assert.equal((await node.fetch(single.url)).headers.get("content-length"), "6000000");
  const missing = (await node.publish({ path: join(folder, "none"), to: "ipfs" })).at(-1);
  assert.deepEqual([missing.status, missing.reason], [404, "no_such_path"]);

  const pinned = (await node.admin("status")).storage.pinnedBytes;
  await writeFile(join(folder, "big.bin"), someBytes(60_000_000, 9));
  const cancel = new AbortController();
  const reply = await node.adminReply("publish", { path: folder, to: "ipfs", name: "", origin: "user" }, { signal: cancel.signal });
  const reader = reply.body.getReader();
  await reader.read();
  cancel.abort();
  await reader.closed.catch(() => {});
  await node.stop();
  await node.restart();
  await node.admin("start", { protocols: ["ipfs"] });
  assert.equal((await node.admin("status")).storage.pinnedBytes, pinned);
});

test("a full disk is 507; nothing is pinned, and there is room again for less", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "peersky-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], { stdio: "ignore" });
  } catch {
    t.skip("only root on Linux may mount a small disk");
    return;
  }
  const node = await start([], { storage: folder });
  try {
    const full = await textOf(node.fetch(`${EMPTY}big.bin`, { method: "PUT", body: someBytes(12_000_000) }));
    assert.deepEqual([full.status, full.reason], [507, "disk_full"]);
    assert.equal((await node.admin("status")).storage.pinnedBytes, 0);
    await node.admin("gc", {});
    assert.equal((await textOf(node.fetch(`${EMPTY}small.txt`, { method: "PUT", body: "small" }))).status, 201);
  } finally {
    await node.stop();
    execFileSync("umount", [folder]);
  }
});
