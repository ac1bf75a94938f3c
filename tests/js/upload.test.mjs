// Upload without a page: what is collected, how it is sent, what a model's answer becomes, and the page that is made of it.
import assert from "node:assert/strict";
import test from "node:test";
import { fromEntries, fromFiles, leftOut, MOST_FILES, refusal, size } from "../../src/peersky/assets/apps/upload/collect.js";
import { altMessages, descriptionMessages, headOf, readAlt, readDescription, tagsOf, tellingTexts } from "../../src/peersky/assets/apps/upload/describe.js";
import { driveName, Failed, folderOf, publicationHeaders } from "../../src/peersky/assets/apps/upload/p2p.js";
import { freeNames, metadataOf, pageOf } from "../../src/peersky/assets/apps/upload/page.js";
import { readList, withEntry, writeList } from "../../src/peersky/assets/apps/upload/past.js";
import { batches, Upload } from "../../src/peersky/assets/apps/upload/uploader.js";

const MB = 1024 * 1024;
const file = (path, content = path) => ({ path, file: new Blob([content]) });
const sized = (path, bytes) => ({ path, file: { size: bytes, slice: () => new Blob([]) } });

// --- collecting -------------------------------------------------------------------------------------------------------

function entry(fullPath, content) {
  if (!Array.isArray(content)) {
    const give = (resolve, reject) => (content instanceof Error ? reject(content) : resolve(new Blob([content])));
    return { isDirectory: false, fullPath, file: give };
  }
  const parts = [content.slice(0, 100), content.slice(100), []];
  const createReader = () => ({ readEntries: (resolve) => resolve(parts.shift() ?? []) });
  return { isDirectory: true, fullPath, createReader };
}

test("a folder is read whole, in as many parts as it takes, and stands at the top", async () => {
  const many = Array.from({ length: 150 }, (_, at) => entry(`/site/img/${at}.png`, "x"));
  const found = await fromEntries([entry("/site", [entry("/site/index.html", "<h1>"), entry("/site/img", many), entry("/site/empty", ""), entry("/site/none", [])])]);
  const { name, items } = found.unwrapped();
  assert.equal(name, "site");
  assert.equal(items.length, 152);
  assert.deepEqual(items.slice(0, 2).map(({ path }) => path), ["index.html", "empty"]);
  const two = await fromEntries([entry("/a", [entry("/a/x", "1")]), entry("/b.txt", "2")]);
  assert.deepEqual(two.unwrapped().items.map(({ path }) => path).sort(), ["a/x", "b.txt"]);
});

test("names that climb, hide or turn around stay out, and it is said", async () => {
  for (const path of ["../a", "a/../b", "a//b", "/", ".", "a/./b", "a\\b", "a\u0000b", "a\u202egnp.exe", " a", "a ", "", "x".repeat(501)]) {
    assert.equal(refusal(path), "unsafe", JSON.stringify(path));
  }
  for (const path of [".env", ".git/config", "a/.DS_Store", "a/Thumbs.db"]) assert.equal(refusal(path), "hidden", path);
  for (const path of ["a", "a b/c?d#e%20.txt", 'say "hi".txt', "日本/ä.txt", ".well-known/x", "a:b"]) assert.equal(refusal(path), null, path);
  const git = entry("/s/.git", [entry("/s/.git/config", "secret")]);
  const found = await fromEntries([entry("/s", [git, entry("/s/a\\..\\b", "x"), entry("/s/gone", new Error("gone")), entry("/s/ok", "x")])]);
  assert.deepEqual([...found.items.keys()], ["s/ok"]);
  const said = leftOut(found.left);
  assert.deepEqual(said, [
    "Left out: 1 file that systems hide (s/.git).",
    "Left out: 1 file whose names no folder may hold (s/aU+005C..U+005Cb).",
    "Cannot be read: s/gone.",
  ]);
  assert.deepEqual(leftOut(fromFiles([]).left), []);
});

test("ten thousand files are taken; more than the most are counted, and folders not even looked into", async () => {
  const files = (count) => Array.from({ length: count }, (_, at) => Object.assign(new Blob([]), { name: `${at}.txt` }));
  assert.equal(fromFiles(files(10_000)).items.size, 10_000);
  const found = fromFiles(files(MOST_FILES + 5));
  assert.deepEqual([found.items.size, found.left.tooMany], [MOST_FILES, 5]);
  assert.match(leftOut(found.left)[0], /20,000 files: 5 files/);
  const deep = { isDirectory: true, fullPath: "/deep" };
  deep.createReader = () => ({ readEntries: (resolve) => resolve([]) });
  assert.equal((await fromEntries([deep])).items.size, 0);
});

// --- sending ----------------------------------------------------------------------------------------------------------

const names = (batch) => batch.map(({ path }) => path);

test("small files go together, large ones and those that no form can name alone", () => {
  const items = [sized("a", 1), sized("big", 9 * MB), sized("b", 3 * MB), sized('say "hi"', 1), sized("c", 6 * MB), sized("d", 0)];
  assert.deepEqual(batches(items, { bytes: 8 * MB, files: 200 }).map(names), [["a", "b"], ["big"], ['say "hi"'], ["c", "d"]]);
  const many = Array.from({ length: 10_000 }, (_, at) => sized(String(at), 10));
  assert.equal(batches(many, { bytes: 8 * MB, files: 200 }).length, 50);
  assert.deepEqual(batches([], { bytes: 1, files: 1 }), []);
});

const DRIVE = "hyper://drive/";

// A network that keeps what it is sent. fail(url, paths): throws what is to go wrong.
function network(fail = () => {}) {
  const net = { calls: [], stored: new Map(), most: 0, open: 0, next: 0 };
  net.send = async (url, { method, body, onProgress, signal }) => {
    net.open += 1;
    net.most = Math.max(net.most, net.open);
    await Promise.resolve();
    net.open -= 1;
    if (signal?.aborted) throw new DOMException("stopped", "AbortError");
    if (method === "POST") return { status: 200, text: DRIVE.slice(0, -1), location: "" };
    const sent = body instanceof FormData ? body.getAll("file").map(({ name }) => name) : body ? [decodeURIComponent(url.split("/").slice(3).join("/"))] : [];
    net.calls.push([method, url, sent]);
    fail(url, sent, method);
    onProgress?.(1);
    for (const path of sent) net.stored.set(path, true);
    net.next += 1;
    return { status: 201, text: `ipfs://cid${net.next}/`, location: "" };
  };
  return net;
}

test("to Hyper: one drive, a few requests at a time, every file's progress", async () => {
  const net = network();
  const items = Array.from({ length: 900 }, (_, at) => file(`dir/${at}.txt`));
  items.push(sized("large #1.bin", 9 * MB));
  let changes = 0;
  const upload = new Upload({ items, to: "hyper", name: "my files", send: net.send, onChange: () => { changes += 1; } });
  await upload.run();
  assert.ok(upload.isComplete && !upload.problem && changes > 5);
  assert.equal(upload.root, DRIVE);
  assert.equal(net.stored.size, 901);
  assert.ok(net.stored.has("large #1.bin") && net.most <= 4);
  assert.ok(net.calls.some(([, url]) => url === `${DRIVE}large%20%231.bin`));
  assert.deepEqual(upload.totals, { bytes: upload.totals.sent, sent: upload.totals.bytes, done: 901, failed: 0, files: 901 });
});

test("a publish that fails in the middle loses nothing, and goes on with the rest", async () => {
  for (const to of ["hyper", "ipfs"]) {
    let isDown = false;
    const net = network((url, paths) => {
      if (paths.includes("late")) isDown = !isDown;
      if (isDown) throw new Failed("The peer-to-peer node did not answer.");
    });
    const upload = new Upload({ items: [sized("one", 65 * MB), file("late"), file("empty", "")], to, name: "n", send: net.send });
    await upload.run();
    assert.equal(upload.problem, "The peer-to-peer node did not answer.", to);
    assert.deepEqual(upload.items.map(({ state }) => state), ["done", "waiting", "waiting"], to);
    const before = net.calls.length;
    await upload.run();
    assert.equal(upload.problem, "");
    assert.ok(upload.isComplete);
    assert.deepEqual(net.calls.slice(before).filter(([method]) => method === "PUT").map(([, , paths]) => paths), [["late", "empty"]], to);
    assert.deepEqual([...net.stored.keys()], ["one", "late", "empty"], to);
  }
});

test("to IPFS each request starts from the folder before, and the folders in between are let go", async () => {
  const net = network();
  const upload = new Upload({ items: [sized("a", 65 * MB), sized("b", 65 * MB), file("c"), file("d")], to: "ipfs", keep: ["ipfs://cid1/"], send: net.send });
  await upload.run();
  assert.equal(upload.root, "ipfs://cid3/");
  assert.deepEqual(net.calls.map(([method, url]) => `${method} ${url}`), [
    "PUT ipfs://bafyaabakaieac/a", "PUT ipfs://cid1/b", "PUT ipfs://cid2/", "DELETE ipfs://cid2/",
  ]);
});

test("what is wrong with one file stops only that file", async () => {
  const gone = { size: 3, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadableError")) }) };
  const bad = { path: "gone", file: gone };
  const items = [file("a"), file("refused"), file("b"), file("c")];
  const net = network((url, paths) => {
    if (paths.includes("refused")) throw new Failed("A file of that name cannot be.", 400);
  });
  const upload = new Upload({ items, to: "hyper", name: "n", send: net.send });
  await upload.run();
  assert.deepEqual([...net.stored.keys()].sort(), ["a", "b", "c"]);
  assert.deepEqual(upload.items.map(({ state, problem }) => problem || state), ["done", "A file of that name cannot be.", "done", "done"]);
  upload.remove("refused");
  assert.ok(upload.isComplete);

  const lost = new Upload({ items: [bad], to: "hyper", name: "n", send: async (url, { method }) => {
    if (method === "POST") return { text: DRIVE, location: "" };
    throw new Failed("The peer-to-peer node did not answer.");
  } });
  await lost.run();
  assert.match(lost.items[0].problem, /cannot be read any more/);
  assert.equal(lost.problem, "");
});

test("stopped, it keeps what has arrived; a description is put beside it and put again", async () => {
  const net = network();
  const upload = new Upload({ items: [file("a"), sized("b", 65 * MB)], to: "ipfs", send: (url, options) => {
    if (net.calls.length === 1) upload.stop();
    return net.send(url, options);
  } });
  await upload.run();
  assert.match(upload.problem, /^Stopped/);
  assert.deepEqual(upload.items.map(({ state }) => state), ["done", "waiting"]);
  upload.put("index.html", new Blob(["one"]));
  upload.put("index.html", new Blob(["two"]));
  assert.equal(upload.totals.files, 3);
});

test("addresses, names and headers", () => {
  assert.equal(folderOf({ location: "ipfs://bafy/a/b.txt", text: "" }), "ipfs://bafy/");
  assert.equal(folderOf({ location: "", text: "ipfs://bafy" }), "ipfs://bafy/");
  assert.throws(() => folderOf({ location: "", text: "<html>" }), Failed);
  assert.equal(driveName("Über uns!", "x"), "uber-uns");
  assert.equal(driveName("日本", "my-files"), "my-files");
  assert.deepEqual(publicationHeaders("Upload", "möhre"), { "Publication-App": "Upload" });
  assert.deepEqual(publicationHeaders("Upload", "tiny"), { "Publication-App": "Upload", "Publication-Model": "tiny" });
  assert.deepEqual([size(0), size(1500), size(12_300_000), size(3e9)], ["0 bytes", "1.5 kB", "12 MB", "3.0 GB"]);
});

// --- describing -------------------------------------------------------------------------------------------------------

test("what a model says in any form becomes a description, or nothing", () => {
  const full = { title: "Clouds", description: "Photos of clouds.", tags: ["sky", "clouds"] };
  const answers = [
    '{"title": "Clouds", "description": "Photos of clouds.", "tags": ["sky", "clouds"]}',
    'Sure! Here it is:\n```json\n{"Title": "Clouds", "Description": "Photos of clouds.", "Tags": "sky, clouds",}\n```\nHope it helps {smile}',
    "**Title:** Clouds\n**Description:** Photos of clouds.\n**Tags:** #sky, #clouds",
    '<think>{"title": "no"}</think>{"name": "\\"Clouds\\"", "summary": "Photos of clouds.", "keywords": ["sky", "sky", "clouds"]}',
  ];
  for (const answer of answers) assert.deepEqual(readDescription(answer), full, answer);
  assert.deepEqual(readDescription('{"title": "Clouds", "description": "Photos of'), { title: "Clouds", description: "Photos of", tags: [] });
  assert.deepEqual(readDescription("# My clouds\nThey are white."), { title: "My clouds", description: "They are white.", tags: [] });
  assert.equal(readDescription("Just one sentence about it.").description, "Just one sentence about it.");
  for (const answer of ["", "```json\n```", "{}", "[1, 2]", `{"title": "${"10 645 2 ".repeat(10)}"}`]) assert.equal(readDescription(answer), null, answer);
  const long = readDescription(JSON.stringify({ title: "x".repeat(500), description: "a\u202e\u0000b", tags: Array(50).fill("t").map((t, at) => t + at) }));
  assert.deepEqual([long.title.length, long.description, long.tags.length], [80, "a b", 8]);
  assert.deepEqual(tagsOf("sky, #clouds\n sky"), ["sky", "clouds"]);
});

test("what a model sees in a picture is one line", () => {
  assert.equal(readAlt('Alt text: "A white cloud."\n\nLet me know if you need more!'), "A white cloud.");
  assert.equal(readAlt("<think>hm"), "");
  assert.equal(readAlt("y".repeat(900)).length, 250);
  assert.equal(altMessages("a.png", "data:x")[0].content[1].image_url.url, "data:x");
});

test("the question holds names and beginnings, and not more than a small model can read", async () => {
  const items = Array.from({ length: 500 }, (_, at) => file(`deep/er/${at}.png`));
  items.push(file("docs/a.txt", "text ".repeat(5000)), file("README.md", "# Read me"), file("index.html", "<style>x</style><script>bad()</script><h1>Hi</h1>"));
  const telling = tellingTexts(items);
  assert.deepEqual(telling.map(({ path }) => path), ["README.md", "index.html", "docs/a.txt"]);
  const heads = await Promise.all(telling.map(async (item) => ({ path: item.path, head: await headOf(item) })));
  assert.equal(heads[1].head, "Hi");
  const [, { content }] = descriptionMessages(items, heads, { "a.png": "a cloud", "b.png": "" });
  assert.ok(content.length < 5000 && content.includes("and 443 more") && content.includes("a.png: a cloud") && !content.includes("b.png:"));
});

// --- the page ---------------------------------------------------------------------------------------------------------

const EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>';

test("the page is whole by itself, and everything in it is text", () => {
  const described = { title: EVIL, description: EVIL, tags: [EVIL], alts: { [`${EVIL}.png`]: EVIL } };
  const html = pageOf(described, [file(`${EVIL}.png`), file("mailto:a"), file("a&b/c d.webm"), file("empty.txt", "")], '"><script>');
  assert.equal(html.match(/<script|<img src=x|onerror=alert\(1\)>/g), null);
  assert.ok(html.includes('href="./mailto%3Aa"') && html.includes('src="./a%26b/c%20d.webm"'));
  assert.ok(html.includes("script-src") === false && html.includes("default-src 'none'"));
  assert.match(html, /alt="&quot;&gt;&lt;script&gt;/);
  assert.doesNotMatch(html, /(?:src|href)="(?!\.\/)/);
  const large = pageOf({ title: "", description: "", tags: [], alts: {} }, Array.from({ length: 10_000 }, (_, at) => file(`${at}.png`)));
  assert.equal(large.match(/<img/g).length, 300);
  assert.equal(large.match(/<li>/g).length, 10_000);
});

test("the metadata say the same to programs", () => {
  const described = { title: "T", description: "D", tags: ["a"], alts: { "a.png": "A cloud" } };
  const made = JSON.parse(metadataOf(described, [file("a.png", "xy"), file("b")], { now: new Date(0), model: "tiny" }));
  assert.deepEqual(made, {
    format: "peersky-upload", version: 1, title: "T", description: "D", tags: ["a"], created: "1970-01-01T00:00:00.000Z", model: "tiny",
    files: [{ path: "a.png", bytes: 2, alt: "A cloud" }, { path: "b", bytes: 1 }],
  });
});

test("nobody's own page is written over", () => {
  assert.deepEqual(freeNames([file("a")]), { page: "index.html", metadata: "metadata.json" });
  assert.deepEqual(freeNames([file("Index.HTML"), file("metadata.json")]), { page: "about.html", metadata: "metadata-1.json" });
  assert.equal(freeNames([file("index.html"), file("about.html"), file("about-1.html")]).page, "about-2.html");
});

test("the list of uploads survives what stands in its place", () => {
  const storage = { data: null, getItem: () => storage.data, setItem: (_, text) => { storage.data = text; } };
  const entry = { url: "hyper://abc/", title: "A" };
  assert.deepEqual(readList(storage), []);
  for (const data of ["{", "{}", '"x"', '[{"url": "data:x", "title": "x"}, null]']) {
    storage.data = data;
    assert.deepEqual(readList(storage), [], data);
  }
  assert.ok(writeList(storage, withEntry([{ url: "ipfs://b/", title: "B" }, entry], { ...entry, title: "A again" })));
  assert.deepEqual(readList(storage).map(({ title }) => title), ["A again", "B"]);
  assert.equal(writeList({ setItem: () => { throw new Error("full"); } }, []), false);
});
