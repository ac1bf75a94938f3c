// Publishing, and copying a site that was published: what is sent, and every way in which it can fail.
import assert from "node:assert/strict";
import test from "node:test";
import { copySite, driveName, Failed, publish, siteRoot } from "../../src/peersky/assets/apps/editor/publish.js";

const FILES = { "index.html": "<h1>A</h1>", "style.css": "a { }", "script.js": " ", "img/a.png": new Blob(["png"]) };
const DRIVE = "hyper://k4e1yhqf8gksm7ix1ekyuxmwh3b5q6o9jdzcr1b6a4gms7ixo1uy/";
const CID = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

// A fetch that answers from `routes` ("METHOD url" -> reply or function) and remembers.
function fake(routes) {
  const calls = [];
  const fetch = async (url, options = {}) => {
    const call = `${options.method ?? "GET"} ${url}`;
    calls.push({ call, options });
    const route = routes[call];
    if (route === undefined) return new Response("There is no such file.", { status: 404 });
    return typeof route === "function" ? route(options) : new Response(route);
  };
  return { fetch, calls };
}

const sent = (options) => options.body.getAll("file").map((file) => file.name);

test("to Hyper: a drive by its name, all files in one go, and those that are gone are deleted", async () => {
  const { fetch, calls } = fake({ "POST hyper://localhost/?key=my%20page": DRIVE, [`PUT ${DRIVE}`]: "", [`DELETE ${DRIVE}old%20one.html`]: "" });
  const previous = { root: DRIVE, paths: ["index.html", "old one.html"] };
  const made = await publish({ files: FILES, to: "hyper", name: "my page", title: "Mölk", model: "tiny", previous, fetch });
  assert.deepEqual(calls.map(({ call }) => call), ["POST hyper://localhost/?key=my%20page", `PUT ${DRIVE}`, `DELETE ${DRIVE}old%20one.html`]);
  assert.deepEqual(sent(calls[1].options), ["index.html", "style.css", "img/a.png"]);
  assert.deepEqual(calls[1].options.headers, { "Publication-App": "Editor", "Publication-Model": "tiny", "Publication-Title": "M%C3%B6lk" });
  assert.deepEqual(made, { to: "hyper", url: DRIVE, root: DRIVE, name: "my page", paths: ["index.html", "style.css", "img/a.png"] });
});

test("to IPFS: the new address stands in the header or in the body", async () => {
  const put = "PUT ipfs://bafyaabakaieac/";
  const header = fake({ [put]: () => new Response("", { status: 201, headers: { Location: `${CID}/` } }) });
  assert.equal((await publish({ files: FILES, to: "ipfs", name: "", fetch: header.fetch })).url, `${CID}/`);
  const body = fake({ [put]: CID });
  assert.equal((await publish({ files: FILES, to: "ipfs", name: "", fetch: body.fetch })).url, `${CID}/`);
});

test("failures are sentences", async () => {
  const to = { files: FILES, to: "hyper", name: "a" };
  await assert.rejects(publish({ ...to, files: { "index.html": " " }, ...fake({}) }), /no index.html yet/);
  await assert.rejects(publish({ ...to, fetch: async () => { throw new TypeError("Failed to fetch"); } }), /node did not answer/);
  const refused = (text, status) => fake({ "POST hyper://localhost/?key=a": () => new Response(text, { status }) });
  await assert.rejects(publish({ ...to, ...refused("The disk is full.", 507) }), { message: "The disk is full." });
  await assert.rejects(publish({ ...to, ...refused("<!doctype html>", 500) }), /error 500/);
  const halfway = fake({ "POST hyper://localhost/?key=a": DRIVE, [`PUT ${DRIVE}`]: () => new Response("The connection broke.", { status: 502 }) });
  await assert.rejects(publish({ ...to, fetch: halfway.fetch }), Failed);
  const aborted = async () => { throw new DOMException("stopped", "AbortError"); };
  await assert.rejects(publish({ ...to, fetch: aborted }), { name: "AbortError" });
});

test("a site is copied with its folders; names that climb stay out", async () => {
  const { fetch } = fake({
    [`GET ${DRIVE}?noResolve`]: JSON.stringify(["index.html", "img/", "../evil", "a\\b.html", 7]),
    [`GET ${DRIVE}img/?noResolve`]: JSON.stringify(["a b.png", ".."]),
    [`GET ${DRIVE}index.html`]: "<h1>Ä</h1>",
    [`GET ${DRIVE}img/a%20b.png`]: "png",
  });
  const { files, skipped } = await copySite(`${DRIVE}index.html#top`, { fetch });
  assert.deepEqual(Object.keys(files), ["index.html", "img/a b.png"]);
  assert.equal(files["index.html"], "<h1>Ä</h1>");
  assert.ok(files["img/a b.png"] instanceof Blob);
  assert.equal(skipped, 3);
});

test("ten thousand files, endless folders and a folder without a page end in sentences or with a part", async () => {
  const many = Array.from({ length: 10_000 }, (_, number) => `${number}.txt`);
  const big = async (url) => new Response(url.includes("noResolve") ? JSON.stringify(["index.html", ...many]) : "x");
  const { files, skipped } = await copySite("hyper://a/", { fetch: big });
  assert.deepEqual([Object.keys(files).length, skipped], [300, 9701]);
  const deep = async (url) => new Response(url.includes("noResolve") ? '["a/"]' : "x");
  await assert.rejects(copySite("hyper://a/", { fetch: deep }), /nothing to copy/);
  await assert.rejects(copySite("hyper://a/", fake({ "GET hyper://a/?noResolve": "[]" })), /nothing to copy/);
  await assert.rejects(copySite("hyper://a/", fake({ "GET hyper://a/?noResolve": "<html>" })), /no folder/);
  await assert.rejects(copySite("hyper://a/", fake({ "GET hyper://a/?noResolve": '["b.html"]', "GET hyper://a/b.html": "b" })), /no index.html/);
  const huge = async (url) => (url.includes("noResolve") ? new Response('["index.html"]') : new Response(new Uint8Array(51_000_000)));
  await assert.rejects(copySite("hyper://a/", { fetch: huge }), /too large/);
});

test("addresses and names", () => {
  assert.equal(siteRoot(" HYPER://Blog.example/a/b.html?x#y "), "hyper://Blog.example/a/");
  assert.equal(siteRoot("ipfs://bafy"), "ipfs://bafy/");
  for (const address of ["https://e.example/", "peersky://home/", "hyper:", ""]) assert.throws(() => siteRoot(address), Failed);
  assert.equal(driveName("Über uns: Brot & Käse!"), "uber-uns-brot-kase");
  assert.equal(driveName("日本"), "my-page");
});
