// What pages rely on at ipfs: and ipns:, one test per line, for any pair of nodes that are connected: ipfs.test.js runs it with
// Helia on both sides, interop.js with a real Kubo on either side. `a` publishes, `b` reads.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { someBytes, textOf } from "./helpers.js";
import { formOf, hostOf, libraries } from "./ipfs-helpers.js";

const EMPTY = "ipfs://bafyaabakaieac/";
const NAMES = ["Ümläut 日本.txt", "😀🎉.txt", "a space & more.txt", "UPPER lower", "100%?#x=1.txt", "ä".repeat(127) + "x", "back\\slash"];
const VIDEO = someBytes(5_000_000);

/** Define the tests; `nodes()` gives {a, b} when they run. */
export function ipfsTable(title, nodes) {
  describe(`${title}: ipfs`, () => {
    const put = async (path, body, options = {}) => {
      const reply = await textOf(nodes().a.fetch(EMPTY + path, { method: "PUT", body, ...options }));
      assert.equal(reply.status, 201, reply.text);
      return reply;
    };

    test("PUT of a body at a path: Location and body are the new address, and the other node reads it", async () => {
      const { headers, text } = await put("notes/hello.txt", "Hello");
      assert.match(text, /^ipfs:\/\/bafy[a-z2-7]+\/notes\/hello\.txt$/);
      assert.equal(headers.get("location"), text);
      assert.equal(headers.get("x-peersky-url"), text);
      assert.equal(headers.get("x-peersky-root"), `ipfs://${hostOf(text)}/`);
      assert.deepEqual([headers.get("x-peersky-bytes"), headers.get("x-peersky-files")], ["5", "1"]);
      const read = await textOf(nodes().b.fetch(text));
      assert.deepEqual([read.status, read.text], [200, "Hello"]);
      assert.match(read.headers.get("content-type"), /^text\/plain/);
    });

    test("PUT of a form keeps the folders in its file names", async () => {
      const form = formOf({ "index.html": "<h1>Home</h1>", "css/site.css": "h1 {}", "a/b/c.txt": "deep" });
      const { text, headers } = await put("", form);
      assert.equal(text, `ipfs://${hostOf(text)}/`);
      assert.equal(headers.get("x-peersky-files"), "3");
      const { b } = nodes();
      assert.equal((await textOf(b.fetch(`${text}a/b/c.txt`))).text, "deep");
      assert.equal((await textOf(b.fetch(text))).text, "<h1>Home</h1>");
    });

    test("PUT onto a CID gives a new one with both, and leaves the old one as it was", async () => {
      const first = await put("", formOf({ "keep.txt": "old", "sub/x.txt": "x" }));
      const reply = await textOf(nodes().b.fetch(`${first.text}sub/`, { method: "PUT", body: formOf({ "y.txt": "y" }) }));
      assert.equal(reply.status, 201, reply.text);
      const root = `ipfs://${hostOf(reply.text)}/`;
      const { a } = nodes();
      for (const [path, text] of [["keep.txt", "old"], ["sub/x.txt", "x"], ["sub/y.txt", "y"]]) {
        assert.equal((await textOf(a.fetch(root + path))).text, text);
      }
      assert.equal((await textOf(a.fetch(`${first.text}sub/y.txt`))).status, 404);
    });

    test("the same files get the same CID, whoever adds them and in whatever order", async () => {
      const one = await put("", formOf({ "a.txt": "1", "b.txt": "2" }));
      const two = await textOf(nodes().b.fetch(EMPTY, { method: "PUT", body: formOf({ "b.txt": "2", "a.txt": "1" }) }));
      assert.equal(one.text, two.text);
    });

    test("GET and HEAD say length, type, ETag, that it never changes, and its address", async () => {
      const { text } = await put("page.html", "<p>é</p>");
      const { b } = nodes();
      const got = await textOf(b.fetch(text));
      const head = await textOf(b.fetch(text, { method: "HEAD" }));
      assert.equal(head.text, "");
      for (const { status, headers } of [got, head]) {
        assert.equal(status, 200);
        assert.equal(headers.get("content-length"), "9");
        assert.equal(headers.get("content-type"), "text/html; charset=utf-8");
        assert.match(headers.get("etag"), /^"baf[a-z2-7]+"$/);
        assert.match(headers.get("cache-control"), /immutable/);
        assert.equal(headers.get("link"), `<${text}>; rel="canonical"`);
      }
      const again = await textOf(b.fetch(text, { headers: { "If-None-Match": got.headers.get("etag") } }));
      assert.deepEqual([again.status, again.text], [304, ""]);
    });

    test("ranges of a video: 206 with the bytes asked for, 416 where there are none", async () => {
      const { text } = await put("film.webm", VIDEO);
      const { b } = nodes();
      const range = async (value) => {
        const reply = await b.fetch(text, { headers: { Range: value } });
        return [reply.status, reply.headers.get("content-range"), Buffer.from(await reply.arrayBuffer())];
      };
      assert.deepEqual(await range("bytes=2000000-2000009"), [206, "bytes 2000000-2000009/5000000", VIDEO.subarray(2_000_000, 2_000_010)]);
      assert.deepEqual(await range("bytes=-10"), [206, "bytes 4999990-4999999/5000000", VIDEO.subarray(-10)]);
      assert.deepEqual(await range("bytes=4999990-"), [206, "bytes 4999990-4999999/5000000", VIDEO.subarray(-10)]);
      const beyond = await textOf(b.fetch(text, { headers: { Range: "bytes=5000000-" } }));
      assert.deepEqual([beyond.status, beyond.reason], [416, "range"]);
      assert.equal(beyond.headers.get("content-range"), "bytes */5000000");
      const whole = await b.fetch(text);
      assert.equal(whole.headers.get("content-type"), "video/webm");
      const bytes = Buffer.from(await whole.arrayBuffer());
      assert.equal(bytes.length, VIDEO.length);
      assert.ok(bytes.equals(VIDEO));
    });

    test("a folder serves its index.html, with X-Resolve: none a list", async () => {
      const { text } = await put("", formOf({ "index.html": "<i>", "sub/index.html": "<b>", "list/z.txt": "", "list/a/b.txt": "x" }));
      const { b } = nodes();
      assert.equal((await textOf(b.fetch(`${text}sub/`))).text, "<b>");
      const moved = await textOf(b.fetch(`${text}sub`));
      assert.deepEqual([moved.status, moved.headers.get("location")], [302, `${text}sub/`]);
      const listed = await textOf(b.fetch(text, { headers: { "X-Resolve": "none", Accept: "application/json" } }));
      assert.deepEqual(JSON.parse(listed.text), ["index.html", "list/", "sub/"]);
      assert.deepEqual(JSON.parse((await textOf(b.fetch(`${text}list/`))).text), ["a/", "z.txt"]);
      const detailed = await textOf(b.fetch(`${text}list/`, { headers: { Accept: "application/vnd.peersky.listing+json" } }));
      assert.equal(detailed.headers.get("content-type"), "application/vnd.peersky.listing+json");
      assert.deepEqual(JSON.parse(detailed.text), [
        { name: "a", type: "folder", size: null, modified: null },
        { name: "z.txt", type: "file", size: 0, modified: null },
      ]);
    });

    test("a CID of version 0 is read, and shown as version 1", async () => {
      const { CID } = await libraries();
      const { text } = await put("old.txt", "v0");
      const old = CID.createV0(CID.parse(hostOf(text)).multihash).toString();
      assert.match(old, /^Qm/);
      const reply = await textOf(nodes().b.fetch(`ipfs://${old}/old.txt`));
      assert.deepEqual([reply.status, reply.text], [200, "v0"]);
      assert.equal(reply.headers.get("link"), `<${text}>; rel="canonical"`);
    });

    test("names with Unicode, emoji, spaces, signs and 255 bytes", async () => {
      const { text } = await put("", formOf(Object.fromEntries(NAMES.map((name) => [`folder é/${name}`, name]))));
      const { b } = nodes();
      for (const name of NAMES) {
        const reply = await textOf(b.fetch(`${text}folder%20%C3%A9/${encodeURIComponent(name)}`));
        assert.deepEqual([reply.status, reply.text], [200, name]);
        const single = await put(encodeURIComponent(name), name);
        assert.equal((await textOf(b.fetch(single.text))).text, name);
      }
      const listed = await textOf(b.fetch(`${text}folder%20%C3%A9/`));
      assert.deepEqual(JSON.parse(listed.text).sort(), [...NAMES].sort());
    });

    test("DELETE of a path gives a CID without it; DELETE of a CID unpins what the same origin published", async () => {
      const { text } = await put("", formOf({ "a.txt": "1", "b.txt": "2" }), { origin: "hyper://me" });
      const { a } = nodes();
      const less = await textOf(a.fetch(`${text}a.txt`, { method: "DELETE" }));
      assert.equal(less.status, 200);
      assert.deepEqual(JSON.parse((await textOf(a.fetch(less.text))).text), ["b.txt"]);
      assert.equal((await textOf(a.fetch(`${text}none.txt`, { method: "DELETE" }))).status, 404);
      const other = await textOf(a.fetch(text, { method: "DELETE", origin: "hyper://other" }));
      assert.deepEqual([other.status, other.reason], [403, "not_writable"]);
      assert.equal((await textOf(a.fetch(text, { method: "DELETE", origin: "hyper://me" }))).status, 200);
      assert.equal((await textOf(a.fetch(text, { method: "DELETE", origin: "hyper://me" }))).status, 403);
    });

    test("what is malformed is 400, what is not there 404, what is not done 405", async () => {
      const { text } = await put("file.txt", "x");
      const root = `ipfs://${hostOf(text)}/`;
      const { b } = nodes();
      const cases = [
        ["ipfs://nonsense/", "GET", 400, "malformed"],
        ["ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzd/", "GET", 400, "malformed"],
        [`${root}%2e%2e/x`, "GET", 400, "malformed"],
        [`${root}a/%2E%2E/%2E%2E/x`, "PUT", 400, "malformed"],
        [`${root}a%2Fb`, "GET", 400, "malformed"],
        [`${root}%zz`, "GET", 400, "malformed"],
        [`${root}%00`, "GET", 400, "malformed"],
        [`${text}/below`, "PUT", 400, "malformed"],
        [EMPTY, "PUT", 400, "malformed"],
        [`${root}missing.txt`, "GET", 404, "no_such_path"],
        [`${text}/`, "GET", 404, "no_such_path"],
        [`${text}/below`, "GET", 404, "no_such_path"],
        [root, "POST", 405, "method_not_allowed"],
      ];
      for (const [url, method, status, reason] of cases) {
        const body = method === "GET" ? undefined : "x";
        const reply = await textOf(b.fetch(url, { method, body }));
        assert.deepEqual([url, reply.status, reply.reason], [url, status, reason]);
        assert.match(reply.text, /^[A-Z“].*\.\n?$/);
      }
      const climbing = await textOf(b.fetch(EMPTY, { method: "PUT", body: formOf({ "../../evil.txt": "x" }) }));
      assert.deepEqual([climbing.status, climbing.reason], [400, "malformed"]);
    });

    test("a folder whose names do not fit into one block is sharded, listed and read", async () => {
      const nameOf = (i) => `${i}-${"n".repeat(200)}.txt`;
      const files = Object.fromEntries(Array.from({ length: 1300 }, (_, i) => [`many/${nameOf(i)}`, `${i}`]));
      const { text } = await put("", formOf(files));
      const { b } = nodes();
      assert.equal((await textOf(b.fetch(`${text}many/${nameOf(815)}`))).text, "815");
      assert.equal((await textOf(b.fetch(`${text}many/${nameOf(1300)}`))).status, 404);
      assert.equal(JSON.parse((await textOf(b.fetch(`${text}many/`))).text).length, 1300);
      const more = await textOf(nodes().a.fetch(`${text}many/one-more.txt`, { method: "PUT", body: "more" }));
      assert.equal((await textOf(b.fetch(more.text))).text, "more");
    });
  });

  describe(`${title}: ipns`, () => {
    const fresh = { headers: { "Cache-Control": "no-cache" } };
    let count = 0;
    const make = async (options = {}) => {
      const label = `key ${count++}`;
      const { status, text } = await textOf(nodes().a.fetch(keyUrl(label), { method: "POST", ...options }));
      assert.equal(status, 200);
      return { label, key: text };
    };

    test("keys are made, found, kept apart by origin, and removed", async () => {
      const { a } = nodes();
      const missing = await textOf(a.fetch(keyUrl("blog"), { origin: "hyper://one" }));
      assert.deepEqual([missing.status, missing.reason], [404, "no_such_key"]);
      const made = await textOf(a.fetch(keyUrl("blog"), { method: "POST", origin: "hyper://one" }));
      assert.match(made.text, /^ipns:\/\/k[a-z0-9]{50,}\/$/);
      assert.equal(made.headers.get("location"), made.text);
      const again = await textOf(a.fetch(keyUrl("blog"), { method: "POST", origin: "hyper://one" }));
      assert.equal(again.text, made.text);
      const found = await textOf(a.fetch(keyUrl("blog"), { origin: "hyper://one" }));
      assert.deepEqual([found.status, found.headers.get("location")], [302, made.text]);
      const other = await textOf(a.fetch(keyUrl("blog"), { method: "POST", origin: "hyper://two" }));
      assert.notEqual(other.text, made.text);
      assert.equal((await textOf(a.fetch(keyUrl("blog"), { method: "DELETE", origin: "hyper://one" }))).status, 200);
      assert.equal((await textOf(a.fetch(keyUrl("blog"), { origin: "hyper://one" }))).status, 404);
      assert.equal((await textOf(a.fetch(keyUrl("blog"), { origin: "hyper://two" }))).status, 302);
      assert.equal((await textOf(a.fetch("ipns://localhost/", { method: "POST" }))).status, 400);
    });

    test("POST publishes, the other node resolves, and sees the next version", async () => {
      const { a, b } = nodes();
      const { key } = await make();
      for (const version of ["one", "two"]) {
        const site = await textOf(a.fetch(EMPTY, { method: "PUT", body: formOf({ "index.html": version, "sub/x.txt": version }) }));
        const posted = await textOf(a.fetch(key, { method: "POST", body: site.text }));
        assert.deepEqual([posted.status, posted.headers.get("location")], [200, key]);
        const read = await textOf(b.fetch(key, fresh));
        assert.deepEqual([read.status, read.text], [200, version]);
        assert.equal((await textOf(b.fetch(`${key}sub/x.txt`))).text, version);
        assert.equal(read.headers.get("cache-control"), "no-cache");
        assert.equal(read.headers.get("link"), `<${key}>; rel="canonical"`);
      }
    });

    test("PUT and DELETE edit the published folder", async () => {
      const { a, b } = nodes();
      const { key } = await make();
      const first = await textOf(a.fetch(`${key}index.html`, { method: "PUT", body: "<h1>1</h1>" }));
      assert.deepEqual([first.status, first.text], [201, `${key}index.html`]);
      assert.equal(first.headers.get("x-peersky-root"), key);
      assert.equal((await textOf(a.fetch(`${key}img/`, { method: "PUT", body: formOf({ "a.svg": "<svg/>" }) }))).status, 201);
      assert.equal((await textOf(b.fetch(`${key}img/a.svg`, fresh))).headers.get("content-type"), "image/svg+xml");
      assert.equal((await textOf(b.fetch(key))).text, "<h1>1</h1>");
      assert.equal((await textOf(a.fetch(`${key}index.html`, { method: "DELETE" }))).status, 200);
      assert.deepEqual(JSON.parse((await textOf(b.fetch(key, fresh))).text), ["img/"]);
    });

    test("a name may stand for a file, for a path, and for another name", async () => {
      const { a, b } = nodes();
      const { text } = await textOf(a.fetch(`${EMPTY}deep/er/file.txt`, { method: "PUT", body: "deep" }));
      const [one, two] = [await make(), await make()];
      assert.equal((await textOf(a.fetch(one.key, { method: "POST", body: text }))).status, 200);
      assert.equal((await textOf(b.fetch(one.key, fresh))).text, "deep");
      assert.equal((await textOf(a.fetch(one.key, { method: "POST", body: `ipfs://${hostOf(text)}/deep/` }))).status, 200);
      assert.equal((await textOf(a.fetch(two.key, { method: "POST", body: one.key }))).status, 200);
      assert.equal((await textOf(b.fetch(`${two.key}er/file.txt`, fresh))).text, "deep");
    });

    test("other spellings of a key are read", async () => {
      const { base36, base58btc, CID } = await libraries();
      const { a, b } = nodes();
      const { key } = await make();
      await textOf(a.fetch(`${key}x.txt`, { method: "PUT", body: "x" }));
      const cid = CID.parse(hostOf(key), base36);
      const peerId = base58btc.baseEncode(cid.multihash.bytes);
      for (const host of [cid.toString(), peerId]) {
        const reply = await textOf(b.fetch(`ipns://${host}/x.txt`, fresh));
        assert.deepEqual([host, reply.text], [host, "x"]);
        assert.equal(reply.headers.get("link"), `<${key}x.txt>; rel="canonical"`);
      }
    });

    test("only one's own names are written; malformed ones are 400; what was never published is 404", async () => {
      const { a, b } = nodes();
      const { key } = await make();
      const site = await textOf(a.fetch(`${EMPTY}x`, { method: "PUT", body: "x" }));
      for (const method of ["POST", "PUT", "DELETE"]) {
        const url = method === "POST" ? key : `${key}x`;
        const reply = await textOf(b.fetch(url, { method, body: method === "DELETE" ? undefined : site.text }));
        assert.deepEqual([method, reply.status, reply.reason], [method, 403, "not_writable"]);
      }
      for (const host of ["nonsense", "k51short", hostOf(site.text)]) {
        const reply = await textOf(b.fetch(`ipns://${host}/`));
        assert.deepEqual([host, reply.status, reply.reason], [host, 400, "malformed"]);
      }
      for (const body of ["", "not an address", "https://example.org/", "ipfs://nonsense/", `ipfs://${hostOf(site.text)}/%2e%2e/`]) {
        const reply = await textOf(a.fetch(key, { method: "POST", body }));
        assert.deepEqual([body, reply.status, reply.reason], [body, 400, "malformed"]);
      }
      assert.equal((await textOf(a.fetch(key))).status, 404);
      assert.equal((await textOf(a.fetch(`${key}x`, { method: "DELETE" }))).status, 404);
    });
  });
}

const keyUrl = (label) => `ipns://localhost/?key=${encodeURIComponent(label)}`;
