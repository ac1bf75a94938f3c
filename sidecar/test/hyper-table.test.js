// The protocol table of hyper://, a test per line: two sidecars and a DHT on loopback.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createTestnet } from "../../src/peersky/assets/sidecar/libraries/hyper.mjs";
import { Node, someBytes, textOf, untilText } from "./helpers.js";

let testnet;
let writer;
let reader;
let drive;

function formOf(files, field = "file") {
  const form = new FormData();
  for (const [name, content] of Object.entries(files)) form.append(field, new Blob([content]), name);
  return form;
}

before(async () => {
  testnet = await createTestnet(3);
  const hyperBootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`);
  [writer, reader] = await Promise.all([Node.start({ hyperBootstrap }), Node.start({ hyperBootstrap, lookupSeconds: 3 })]);
  drive = (await textOf(writer.fetch("hyper://localhost/?key=table", { method: "POST" }))).text;
});

after(async () => {
  await Promise.all([writer.dispose(), reader.dispose()]);
  await testnet.destroy();
});

const put = async (path, body, headers = {}) => {
  const reply = await textOf(writer.fetch(drive + path, { method: "PUT", body, headers }));
  assert.equal(reply.status, 201, reply.text);
  return reply;
};
/** As the other node sees it, once it has the writer's newest version. */
const get = async (path, options) => {
  await caughtUp();
  return textOf(reader.fetch(drive + path, options));
};
const versionOf = async (node) => (await textOf(node.fetch(`${drive}?noResolve`, { method: "HEAD" }))).headers.get("etag");
const caughtUp = async () => untilText(() => versionOf(reader), await versionOf(writer));

test("POST hyper://localhost/?key=NAME makes a drive, and reuses it", async () => {
  const first = await textOf(writer.fetch("hyper://localhost/?key=blog", { method: "POST" }));
  assert.equal(first.status, 200);
  assert.match(first.text, /^hyper:\/\/[a-z0-9]{52}\/$/);
  assert.equal(first.headers.get("x-peersky-url"), first.text);
  const again = await textOf(writer.fetch("hyper://localhost/?key=blog", { method: "POST" }));
  assert.equal(again.text, first.text);
});

test("GET hyper://localhost/?key=NAME resolves a name, and is 404 before it was made", async () => {
  const made = await textOf(writer.fetch("hyper://localhost/?key=resolved", { method: "POST" }));
  const found = await textOf(writer.fetch("hyper://localhost/?key=resolved"));
  assert.equal(found.text, made.text);
  const missing = await textOf(writer.fetch("hyper://localhost/?key=never"));
  assert.deepEqual([missing.status, missing.reason], [404, "no_such_key"]);
  const head = await textOf(writer.fetch("hyper://localhost/?key=never", { method: "HEAD" }));
  assert.equal(head.status, 404);
});

test("the default name is `default`, and hyper://localhost/path is in it", async () => {
  const named = await textOf(writer.fetch("hyper://localhost/?key=default", { method: "POST", origin: "app:a" }));
  assert.equal((await textOf(writer.fetch("hyper://localhost/", { method: "POST", origin: "app:a" }))).text, named.text);
  assert.equal((await textOf(writer.fetch("hyper://localhost/x.txt", { method: "PUT", body: "x", origin: "app:a" }))).status, 201);
  assert.equal((await textOf(writer.fetch(`${named.text}x.txt`))).text, "x");
});

test("names are per asking origin", async () => {
  const urls = [];
  for (const origin of ["hyper://a", "peersky://p2p", "user", "https://agregore.mauve.moe"]) {
    urls.push((await textOf(writer.fetch("hyper://localhost/?key=same", { method: "POST", origin }))).text);
  }
  assert.equal(new Set(urls).size, 4);
});

test("PUT of a string, bytes and a stream is 201, and another node reads it", async () => {
  const reply = await put("text.txt", "héllo");
  assert.equal(reply.headers.get("x-peersky-url"), `${drive}text.txt`);
  assert.equal(reply.headers.get("x-peersky-root"), drive);
  assert.equal(reply.headers.get("x-peersky-bytes"), "6");
  assert.equal(reply.headers.get("x-peersky-files"), "1");
  await put("bytes.bin", someBytes(200_000));
  const stream = new Blob([someBytes(300_000, 7)]).stream();
  await put("stream.bin", stream);
  await put("empty.txt", "");
  assert.equal((await get("text.txt")).text, "héllo");
  await caughtUp();
  for (const [name, size, seed] of [["bytes.bin", 200_000, 1], ["stream.bin", 300_000, 7]]) {
    const body = Buffer.from(await (await reader.fetch(drive + name)).arrayBuffer());
    assert.ok(body.equals(someBytes(size, seed)), name);
  }
  const empty = await get("empty.txt");
  assert.deepEqual([empty.status, empty.text, empty.headers.get("content-length")], [200, "", "0"]);
});

test("PUT of FormData keeps folder paths in file names, whatever they are made of", async () => {
  const long = `${"ü".repeat(120)}.md`; // 244 bytes
  const files = { "index.html": "<h1>Index</h1>", "Fotos/Ü 🎉 A%20b.txt": "emoji", [`deep/er/${long}`]: "long" };
  const reply = await put("site/", formOf(files));
  assert.equal(reply.headers.get("x-peersky-files"), "3");
  assert.equal((await get("site/Fotos/%C3%9C%20%F0%9F%8E%89%20A%2520b.txt")).text, "emoji");
  assert.equal((await get(`site/deep/er/${encodeURIComponent(long)}`)).text, "long");
});

test("Last-Modified is kept", async () => {
  const date = "Sun, 09 Sep 2001 01:46:40 GMT";
  await put("old.txt", "old", { "Last-Modified": date });
  assert.equal((await get("old.txt")).headers.get("last-modified"), date);
});

test("PUT and DELETE of a drive that is not ours are 403", async () => {
  for (const [method, path] of [["PUT", "x.txt"], ["DELETE", "text.txt"], ["DELETE", ""]]) {
    const reply = await get(path, { method, body: method === "PUT" ? "x" : undefined });
    assert.deepEqual([reply.status, reply.reason], [403, "not_writable"], `${method} ${path}`);
  }
});

test("DELETE of a file", async () => {
  await put("gone.txt", "x");
  const reply = await textOf(writer.fetch(`${drive}gone.txt`, { method: "DELETE" }));
  assert.equal(reply.status, 200);
  assert.equal((await get("gone.txt")).status, 404);
  assert.equal((await textOf(writer.fetch(`${drive}gone.txt`, { method: "DELETE" }))).status, 404);
});

test("DELETE of a tree leaves its neighbours", async () => {
  await put("tree/", formOf({ "a.txt": "a", "b/c.txt": "c" }));
  await put("tree.txt", "neighbour");
  assert.equal((await textOf(writer.fetch(`${drive}tree/`, { method: "DELETE" }))).status, 200);
  assert.deepEqual([(await get("tree/a.txt")).status, (await get("tree/b/c.txt")).status], [404, 404]);
  assert.equal((await get("tree.txt")).text, "neighbour");
});

test("DELETE hyper://KEY/ purges the drive, and its name gets another key", async () => {
  const make = () => textOf(writer.fetch("hyper://localhost/?key=purged", { method: "POST" }));
  const url = (await make()).text;
  await textOf(writer.fetch(`${url}a.txt`, { method: "PUT", body: "a" }));
  const deleted = await textOf(writer.fetch(url, { method: "DELETE" }));
  assert.equal(deleted.status, 200);
  assert.equal((await textOf(writer.fetch(`${url}a.txt`))).status, 404);
  assert.equal((await textOf(writer.fetch("hyper://localhost/?key=purged"))).status, 404);
  const fresh = (await make()).text;
  assert.notEqual(fresh, url);
  assert.equal((await textOf(writer.fetch(`${fresh}?noResolve`))).text, "[]");
});

test("GET with a Range is 206, from both ends, and 416 outside", async () => {
  await put("range.bin", someBytes(300_000, 3));
  const whole = someBytes(300_000, 3);
  await caughtUp();
  for (const [range, start, end] of [
    ["bytes=0-0", 0, 1],
    ["bytes=65530-65545", 65530, 65546],
    ["bytes=299990-", 299990, 300000],
    ["bytes=-10", 299990, 300000],
    ["bytes=100-999999", 100, 300000],
  ]) {
    const reply = await reader.fetch(`${drive}range.bin`, { headers: { Range: range } });
    assert.equal(reply.status, 206, range);
    assert.equal(reply.headers.get("content-range"), `bytes ${start}-${end - 1}/300000`);
    assert.equal(reply.headers.get("content-length"), String(end - start));
    assert.ok(Buffer.from(await reply.arrayBuffer()).equals(whole.subarray(start, end)), range);
  }
  const outside = await get("range.bin", { headers: { Range: "bytes=300000-" } });
  assert.deepEqual([outside.status, outside.reason], [416, "range"]);
  assert.equal(outside.headers.get("content-range"), "bytes */300000");
  const several = await reader.fetch(`${drive}range.bin`, { headers: { Range: "bytes=0-1,5-6" } });
  assert.equal(several.status, 200);
  await several.body.cancel();
});

test("HEAD tells what GET does, without a body", async () => {
  await put("head.txt", "12345");
  const head = await get("head.txt", { method: "HEAD" });
  assert.deepEqual([head.status, head.text], [200, ""]);
  const full = await get("head.txt");
  for (const name of ["content-length", "content-type", "etag", "link", "last-modified", "accept-ranges"]) {
    assert.equal(head.headers.get(name), full.headers.get(name), name);
  }
  assert.equal(head.headers.get("content-length"), "5");
  const part = await get("head.txt", { method: "HEAD", headers: { Range: "bytes=1-2" } });
  assert.deepEqual([part.status, part.headers.get("content-length")], [206, "2"]);
  assert.equal((await get("nothing.txt", { method: "HEAD" })).status, 404);
});

test("ETag is the version, Link the canonical address", async () => {
  const { headers } = await put("version.txt", "1");
  const reply = await get("version.txt");
  assert.equal(reply.headers.get("etag"), headers.get("etag"));
  assert.equal(reply.headers.get("link"), `<${drive}version.txt>; rel="canonical"`);
  await put("other.txt", "2");
  assert.equal((await get("version.txt")).headers.get("etag"), headers.get("etag"));
});

test("a folder serves index.html; ?noResolve and X-Resolve: none list it", async () => {
  await put("indexed/", formOf({ "index.html": "<p>hello", "b.txt": "b" }));
  const page = await get("indexed/");
  assert.deepEqual([page.text, page.headers.get("content-type")], ["<p>hello", "text/html; charset=utf-8"]);
  const listing = ["b.txt", "index.html"];
  assert.deepEqual(JSON.parse((await get("indexed/?noResolve")).text), listing);
  assert.deepEqual(JSON.parse((await get("indexed/", { headers: { "X-Resolve": "none" } })).text), listing);
});

test("a folder without index.html is a JSON listing, with sizes and dates for the browser", async () => {
  await put("listed/", formOf({ "a.txt": "abc", "sub/x.txt": "x", "sub/y.txt": "y" }), {
    "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT",
  });
  const plain = await get("listed/", { headers: { Accept: "application/json" } });
  assert.equal(plain.headers.get("content-type"), "application/json");
  assert.deepEqual(JSON.parse(plain.text), ["a.txt", "sub/"]);
  const type = "application/vnd.peersky.listing+json";
  const detailed = await get("listed/", { headers: { Accept: type } });
  assert.equal(detailed.headers.get("content-type"), type);
  assert.deepEqual(JSON.parse(detailed.text), [
    { name: "a.txt", type: "file", size: 3, modified: 1e12 },
    { name: "sub", type: "folder", size: null, modified: null },
  ]);
});

test("a folder without its slash redirects there; a page is found without its .html", async () => {
  await put("place/", formOf({ "page.html": "page" }));
  const reply = await get("place?a=b");
  assert.deepEqual([reply.status, reply.headers.get("location")], [302, `${drive}place/?a=b`]);
  assert.equal((await get("place/page")).text, "page");
  assert.equal((await get("place/page?noResolve")).status, 404);
});

test("/$/version/N/path reads an old version and cannot be written", async () => {
  const before = (await put("changing.txt", "before")).headers.get("etag");
  await put("changing.txt", "after");
  assert.equal((await get("changing.txt")).text, "after");
  const old = await get(`$/version/${before}/changing.txt`);
  assert.deepEqual([old.status, old.text], [200, "before"]);
  assert.equal((await get(`$/version/${before}/changing.txt`, { method: "HEAD" })).headers.get("content-length"), "6");
  assert.ok(JSON.parse((await get(`$/version/${before}/?noResolve`)).text).includes("changing.txt"));
  for (const wrong of ["999999", "0", "x", "-1"]) assert.equal((await get(`$/version/${wrong}/changing.txt`)).status, 404, wrong);
  for (const method of ["PUT", "DELETE"]) {
    const options = { method, body: method === "PUT" ? "x" : undefined };
    const refused = await textOf(writer.fetch(`${drive}$/version/${before}/changing.txt`, options));
    assert.deepEqual([refused.status, refused.reason, refused.headers.get("allow")], [405, "method_not_allowed", "GET, HEAD"]);
  }
});

test("/$/extensions/NAME is an event stream, and POST to it reaches the other peers", async () => {
  await get("text.txt"); // connected
  const leaving = new AbortController();
  const stream = await reader.fetch(`${drive}$/extensions/chat`, {
    headers: { Accept: "text/event-stream" },
    signal: leaving.signal,
  });
  assert.equal(stream.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const events = [];
  const read = (async () => {
    let text = "";
    for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      events.push(...blocks.filter((block) => block !== ":"));
      if (events.some((event) => event.includes("data:second"))) return;
    }
  })();
  let peers = [];
  while (!peers.length) {
    await textOf(writer.fetch(`${drive}$/extensions/chat`, { method: "POST", body: "first\nline" }));
    peers = JSON.parse((await textOf(writer.fetch(`${drive}$/extensions/chat`))).text);
  }
  const [{ remotePublicKey }] = peers;
  const direct = await textOf(writer.fetch(`${drive}$/extensions/chat/${remotePublicKey}`, { method: "POST", body: "second" }));
  assert.equal(direct.status, 200);
  await read;
  leaving.abort();
  const sent = events.find((event) => event.includes("data:first"));
  assert.match(sent, /^id:[0-9a-f]{64}\nevent:chat\ndata:first\ndata:line$/);
  assert.ok(JSON.parse((await textOf(reader.fetch(`${drive}$/extensions/`))).text).includes("chat"));
  const nobody = await textOf(writer.fetch(`${drive}$/extensions/chat/${"0".repeat(64)}`, { method: "POST", body: "x" }));
  assert.equal(nobody.status, 404);
  const large = await textOf(writer.fetch(`${drive}$/extensions/chat`, { method: "POST", body: someBytes(2_000_000) }));
  assert.deepEqual([large.status, large.reason], [413, "too_large"]);
});

test("a key is taken as z-base-32 and as hexadecimal", async () => {
  const { z32 } = await import("../../src/peersky/assets/sidecar/libraries/hyper.mjs");
  const key = /\/\/(\w+)\//.exec(drive)[1];
  await put("key.txt", "key");
  await caughtUp();
  for (const host of [z32.decode(key).toString("hex"), key.toUpperCase()]) {
    const reply = await textOf(reader.fetch(`hyper://${host}/key.txt`));
    assert.deepEqual([reply.text, reply.headers.get("link")], ["key", `<${drive}key.txt>; rel="canonical"`]);
  }
});

test("what is malformed is 400", async () => {
  const form = formOf({ "../out.txt": "x" });
  for (const [method, path, body] of [
    ["GET", "a%2fb", undefined],
    ["GET", "%", undefined],
    ["GET", "%ff", undefined],
    ["GET", "a%00b", undefined],
    ["PUT", "back%5Cslash", "x"],
    ["PUT", `${"n".repeat(256)}`, "x"],
    ["PUT", "folder/", "x"],
    ["PUT", "", "x"],
    ["PUT", "folder/", form],
    ["PUT", "folder/", formOf({ "a.txt": "x" }, "other")],
    ["PUT", "folder/", formOf({ "a/../../b": "x" })],
  ]) {
    const reply = await textOf(writer.fetch(drive + path, { method, body }));
    assert.deepEqual([reply.status, reply.reason], [400, "malformed"], `${method} ${path} ${reply.text}`);
    assert.match(reply.text, /^[A-Z].*\.\n$/, "one sentence");
  }
  const key = /\/\/(\w+)\//.exec(drive)[1];
  for (const path of ["../x", "a/../../x", "%2e%2e/x", "a/%2E./b", "./x", "$/version/2/../x"]) {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const reply = await writer.raw(method, "hyper", `${key}/${path}`);
      const expected = method !== "GET" && path.startsWith("$") ? [405, "method_not_allowed"] : [400, "malformed"];
      assert.deepEqual([reply.status, reply.reason], expected, `${method} ${path}`);
    }
  }
  for (const host of ["nonsense", "0".repeat(63), "l".repeat(52), "bafyabaakaieac"]) {
    assert.deepEqual((await textOf(reader.fetch(`hyper://${host}/`))).status, 400, host);
  }
  const broken = { "Content-Type": "multipart/form-data; boundary=x" };
  for (const body of ["--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nhalf", "no form at all"]) {
    const reply = await textOf(writer.fetch(`${drive}broken/`, { method: "PUT", body, headers: broken }));
    assert.deepEqual([reply.status, reply.reason], [400, "malformed"], body);
  }
  assert.equal((await textOf(writer.fetch(`${drive}broken/`))).status, 404);
});

test("255 bytes are a name", async () => {
  const name = `${"n".repeat(251)}.txt`;
  await put(name, "x");
  assert.equal((await get(name)).text, "x");
});

test("other methods are 405, with Allow", async () => {
  for (const [method, path] of [["POST", "a.txt"], ["PATCH", ""]]) {
    const reply = await textOf(writer.fetch(drive + path, { method, body: "x" }));
    assert.deepEqual([reply.status, reply.reason], [405, "method_not_allowed"]);
    assert.equal(reply.headers.get("allow"), "GET, HEAD, PUT, DELETE");
  }
});

test("a path that is not there is 404", async () => {
  for (const path of ["no/such/file.txt", "no/such/folder/"]) {
    const reply = await get(path);
    assert.deepEqual([reply.status, reply.reason], [404, "no_such_path"], path);
  }
});

test("a drive that nobody has is 504 within the time for lookups", async () => {
  const reply = await textOf(reader.fetch(`hyper://${"5".repeat(64)}/`));
  assert.deepEqual([reply.status, reply.reason], [504, "no_peers"]);
});

test("an edit is seen by who read the page before", async () => {
  const ask = async () => (await textOf(reader.fetch(`${drive}edited.txt`))).text;
  await put("edited.txt", "one");
  await untilText(ask, "one");
  await put("edited.txt", "two");
  await untilText(ask, "two");
});
