// An independent reader and writer: plain hyper-sdk, none of our code.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createSDK, createTestnet } from "../../src/peersky/assets/sidecar/libraries/hyper.mjs";
import { Node, someBytes, textOf, untilText } from "./helpers.js";

let testnet;
let node;
let sdk;
let folder;

before(async () => {
  testnet = await createTestnet(3);
  node = await Node.start({ hyperBootstrap: testnet.bootstrap.map(({ host, port }) => `${host}:${port}`) });
  folder = await mkdtemp(join(tmpdir(), "peersky-sdk-"));
  sdk = await createSDK({ storage: folder, swarmOpts: { dht: testnet.createNode() } });
});

after(async () => {
  await sdk.close();
  await node.dispose();
  await testnet.destroy();
  await rm(folder, { recursive: true });
});

test("hyper-sdk reads what we published", async () => {
  const url = (await textOf(node.fetch("hyper://localhost/?key=ours", { method: "POST" }))).text;
  const form = new FormData();
  form.append("file", new Blob(["<p>hi"]), "index.html");
  form.append("file", new Blob([someBytes(1_000_000)]), "Ü/big.bin");
  await textOf(node.fetch(url, { method: "PUT", body: form, headers: { "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT" } }));
  const drive = await sdk.getDrive(url);
  assert.equal((await drive.get("/index.html")).toString(), "<p>hi");
  assert.ok((await drive.get("/Ü/big.bin")).equals(someBytes(1_000_000)));
  assert.equal((await drive.entry("/index.html")).value.metadata.mtime, 1e12);
  await textOf(node.fetch(`${url}index.html`, { method: "PUT", body: "<p>new" }));
  await untilText(async () => {
    await drive.update({ wait: true });
    return (await drive.get("/index.html")).toString();
  }, "<p>new");
});

test("we read what hyper-sdk published, and its news", async () => {
  const drive = await sdk.getDrive("theirs");
  await drive.put("/index.html", Buffer.from("<p>theirs"));
  await drive.put("/sub/a.bin", someBytes(700_000));
  await drive.symlink("/link.html", "/index.html");
  assert.equal((await textOf(node.fetch(drive.url))).text, "<p>theirs");
  assert.equal((await textOf(node.fetch(`${drive.url}link.html`))).text, "<p>theirs");
  assert.ok(Buffer.from(await (await node.fetch(`${drive.url}sub/a.bin`)).arrayBuffer()).equals(someBytes(700_000)));
  await drive.put("/index.html", Buffer.from("<p>newer"));
  await untilText(async () => (await textOf(node.fetch(drive.url))).text, "<p>newer");
});

test("extension messages of hyper-sdk's peers arrive, and ours there", async () => {
  const drive = await sdk.getDrive("chatty");
  await drive.put("/a.txt", Buffer.from("a"));
  const arrived = new Promise((resolve) => {
    const extension = drive.core.registerExtension("chat", {
      encoding: "utf-8",
      onmessage(message, peer) {
        extension.send("and back", peer);
        resolve(message);
      },
    });
  });
  await textOf(node.fetch(`${drive.url}a.txt`));
  const leaving = new AbortController();
  const stream = await node.fetch(`${drive.url}$/extensions/chat`, {
    headers: { Accept: "text/event-stream" },
    signal: leaving.signal,
  });
  while (JSON.parse((await textOf(node.fetch(`${drive.url}$/extensions/chat`))).text).length === 0) await new Promise(setImmediate);
  await textOf(node.fetch(`${drive.url}$/extensions/chat`, { method: "POST", body: "hello" }));
  assert.equal(await arrived, "hello");
  let text = "";
  for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("data:and back\n\n")) break;
  }
  leaving.abort();
});
