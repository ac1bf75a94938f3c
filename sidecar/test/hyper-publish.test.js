// Publishing from disk to Hyper: progress, links, cancelling, publishing again, kill -9.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createServer } from "node:net";
import { Node, someBytes, textOf } from "./helpers.js";

let node;
let folder;

before(async () => {
  node = await Node.start();
  folder = await mkdtemp(join(tmpdir(), "peersky-tree-"));
});

after(async () => {
  await node.dispose();
  await rm(folder, { recursive: true });
});

async function tree(name, files) {
  const root = join(folder, name);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return root;
}

const listing = async (url) => JSON.parse((await textOf(node.fetch(`${url}?noResolve`))).text);

test("a folder becomes a drive; links and sockets are skipped and counted", async () => {
  const path = await tree("site", { "index.html": "<p>hi", "Ü 🎉/a b.txt": "ab", "big.bin": someBytes(3_000_000), empty: "" });
  await symlink("/etc/passwd", join(path, "link"));
  await symlink(path, join(path, "loop"));
  const socket = createServer().listen(join(path, "socket"));
  const lines = await node.publish({ path, to: "hyper", name: "my site" });
  socket.close();
  const outcome = lines.at(-1);
  assert.match(outcome.url, /^hyper:\/\/\w{52}\/$/);
  assert.deepEqual({ ...outcome, url: 0, root: 0 }, { url: 0, root: 0, bytes: 3_000_007, files: 4, skipped: 3 });
  for (const line of lines.slice(0, -1)) {
    assert.deepEqual(Object.keys(line).sort(), ["done", "file", "files", "total", "totalFiles"]);
    assert.ok(line.done <= line.total && line.files <= line.totalFiles);
  }
  assert.equal((await textOf(node.fetch(`${outcome.url}%C3%9C%20%F0%9F%8E%89/a%20b.txt`))).text, "ab");
  const big = Buffer.from(await (await node.fetch(`${outcome.url}big.bin`)).arrayBuffer());
  assert.ok(big.equals(someBytes(3_000_000)));
  assert.equal((await textOf(node.fetch("hyper://localhost/?key=my%20site"))).text, outcome.url);
});

test("a file is published under its name", async () => {
  const path = join(await tree("single", { "one file.txt": "one" }), "one file.txt");
  await utimes(path, 1e9, 1e9);
  const outcome = (await node.publish({ path, to: "hyper" })).at(-1);
  assert.match(outcome.url, /\/one%20file\.txt$/);
  const reply = await textOf(node.fetch(outcome.url));
  assert.deepEqual([reply.text, reply.headers.get("last-modified")], ["one", "Sun, 09 Sep 2001 01:46:40 GMT"]);
});

test("publishing again changes what changed, and deletes what is gone", async () => {
  const path = await tree("again", { "same.txt": "same", "changed.txt": "old", "gone.txt": "gone" });
  const first = (await node.publish({ path, to: "hyper", name: "again" })).at(-1);
  const version = (file) => textOf(node.fetch(first.url + file)).then(({ headers }) => headers.get("etag"));
  const same = await version("same.txt");
  await unlink(join(path, "gone.txt"));
  await writeFile(join(path, "changed.txt"), "newer");
  const second = (await node.publish({ path, to: "hyper", name: "again" })).at(-1);
  assert.equal(second.url, first.url);
  assert.deepEqual(await listing(first.url), ["changed.txt", "same.txt"]);
  assert.equal((await textOf(node.fetch(`${first.url}changed.txt`))).text, "newer");
  assert.equal(await version("same.txt"), same);
});

test("what is not there, or cannot be kept, is said in the last line", async () => {
  const missing = (await node.publish({ path: join(folder, "nothing"), to: "hyper" })).at(-1);
  assert.deepEqual([missing.status, missing.reason], [404, "no_such_path"]);
  const path = await tree("backslash", { "a\\b": "x" });
  const refused = (await node.publish({ path, to: "hyper" })).at(-1);
  assert.deepEqual([refused.status, refused.reason], [400, "malformed"]);
  const wrong = await textOf(node.adminReply("publish", { path, to: "ftp" }));
  assert.equal(wrong.status, 400);
});

/** Begin to publish 60 MB, and wait for the first file. */
async function begin(name) {
  const files = { "first.bin": someBytes(4_000_000) };
  for (let i = 0; i < 14; i++) files[`later/${i}.bin`] = someBytes(4_000_000, i + 2);
  const path = await tree(name, files);
  const leaving = new AbortController();
  const reply = await node.adminReply("publish", { path, to: "hyper", name, origin: "user" }, { signal: leaving.signal });
  const reader = reply.body.getReader();
  await reader.read();
  return { path, leaving, reader };
}

test("closing the connection cancels, and nothing is published then", async () => {
  const { path, leaving } = await begin("cancelled");
  leaving.abort();
  const url = (await textOf(node.fetch("hyper://localhost/?key=cancelled", { method: "POST" }))).text;
  assert.deepEqual(await listing(url), []);
  const outcome = (await node.publish({ path, to: "hyper", name: "cancelled" })).at(-1);
  assert.deepEqual([outcome.url, outcome.files], [url, 15]);
});

test("kill -9 in the middle of a publication leaves nothing of it, and it can be published then", async () => {
  const { path, reader } = await begin("killed");
  await node.kill();
  await reader.cancel().catch(() => {});
  await node.restart();
  const url = (await textOf(node.fetch("hyper://localhost/?key=killed", { method: "POST" }))).text;
  assert.deepEqual(await listing(url), []);
  const outcome = (await node.publish({ path, to: "hyper", name: "killed" })).at(-1);
  assert.deepEqual([outcome.url, outcome.files], [url, 15]);
  assert.deepEqual(await listing(url), ["first.bin", "later/"]);
});

test("thousands of files", async () => {
  const files = {};
  for (let i = 0; i < 1000; i++) files[`d${i % 20}/${i}.txt`] = `file ${i}`;
  const path = await tree("many", files);
  const outcome = (await node.publish({ path, to: "hyper", name: "many" })).at(-1);
  assert.equal(outcome.files, 1000);
  assert.equal((await listing(`${outcome.url}d7/`)).length, 50);
  assert.equal((await textOf(node.fetch(`${outcome.url}d7/987.txt`))).text, "file 987");
});
