// Other peers: an independent node (Helia without our code) on either side, one that lies, and none at all.
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { someBytes, textOf } from "./helpers.js";
import { formOf, hostOf, libraries, startIpfs } from "./ipfs-helpers.js";

const EMPTY = "ipfs://bafyaabakaieac/";
const fresh = { headers: { "Cache-Control": "no-cache" } };
const ends = [];
after(async () => {
  for (const end of ends) await end();
});

async function start(...options) {
  const node = await startIpfs(...options);
  ends.push(() => node.dispose());
  return node;
}

/** Helia on loopback as its own documentation sets it up. */
async function plainHelia(init = {}) {
  const lib = await libraries();
  const helia = lib.createHeliaLight(init);
  lib.withLibp2pLight(helia, {
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [lib.tcp()],
    connectionEncrypters: [lib.noise()],
    streamMuxers: [lib.yamux()],
    services: {
      identify: lib.identify(),
      ping: lib.ping(),
      dht: lib.kadDHT({ protocol: "/ipfs/lan/kad/1.0.0", clientMode: false, peerInfoMapper: lib.passthroughMapper }),
    },
  });
  lib.withBitswap(helia);
  await helia.start();
  ends.push(() => helia.stop());
  return helia;
}

const addressesOf = (helia) => helia.libp2p.getMultiaddrs().map(String);

test("an independent Helia reads what we publish, by CID and by name", async () => {
  const lib = await libraries();
  const node = await start();
  const helia = await plainHelia();
  const names = lib.ipns(helia);
  await helia.libp2p.dial(lib.multiaddr(node.ipfs.addresses[0]));
  const video = someBytes(4_000_000);
  const { text } = await textOf(node.fetch(EMPTY, { method: "PUT", body: formOf({ "index.html": "ours", "v/film.webm": video }) }));
  const fs = lib.unixfs(helia);
  const cid = lib.CID.parse(hostOf(text));
  const signal = AbortSignal.timeout(20_000);
  const parts = [];
  for await (const part of fs.cat(cid, { path: "v/film.webm", signal })) parts.push(part);
  assert.ok(Buffer.concat(parts).equals(video));

  const { text: key } = await textOf(node.fetch("ipns://localhost/?key=k", { method: "POST" }));
  await textOf(node.fetch(key, { method: "POST", body: text }));
  let value;
  for await (const result of names.resolve(`/ipns/${hostOf(key)}`, { signal })) value = result.value;
  assert.equal(value, `/ipfs/${cid}`);
});

test("we read what an independent Helia publishes, by CID and by name, and see the next version", async () => {
  const lib = await libraries();
  const helia = await plainHelia();
  const node = await start(addressesOf(helia));
  const names = lib.ipns(helia);
  const fs = lib.unixfs(helia);
  const add = async (files) => {
    let last;
    const list = Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) }));
    for await (const entry of fs.addAll(list, { wrapWithDirectory: true })) last = entry.cid;
    return last;
  };
  for (const version of ["first", "second"]) {
    const cid = await add({ "index.html": version, "sub/a.txt": "theirs" });
    const { name } = await names.publish("theirs", cid);
    assert.equal((await textOf(node.fetch(`ipfs://${cid}/`))).text, version);
    const host = name.replace("/ipns/", "");
    assert.equal((await textOf(node.fetch(`ipns://${host}/`, fresh))).text, version);
    assert.equal((await textOf(node.fetch(`ipns://${host}/sub/a.txt`))).text, "theirs");
  }
});

test("the same tree gets the CID that UnixFS's own importer gives it, also when it is sharded", async () => {
  const lib = await libraries();
  const helia = await plainHelia();
  const node = await start();
  const files = { "a/b/c.txt": "deep", "z.bin": someBytes(2_500_000).toString("latin1") };
  for (let i = 0; i < 1200; i++) files[`many/${i}-${"n".repeat(200)}`] = String(i);
  let last;
  const list = Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) }));
  for await (const entry of lib.unixfs(helia).addAll(list, { wrapWithDirectory: true })) last = entry.cid;
  const { text } = await textOf(node.fetch(EMPTY, { method: "PUT", body: formOf(files) }));
  assert.equal(hostOf(text), last.toString());
});

test("a peer that sends wrong blocks is not believed", async () => {
  const lib = await libraries();
  const honest = await plainHelia();
  const cid = await lib.unixfs(honest).addBytes(Buffer.from("the truth"));
  const liar = await plainHelia({
    blockstore: {
      has: () => true,
      async *get() {
        yield Buffer.from("something else");
      },
    },
  });
  const node = await start(addressesOf(liar), { lookupSeconds: 2 });
  const refused = await textOf(node.fetch(`ipfs://${cid}/`));
  assert.deepEqual([refused.status, refused.reason], [504, "no_peers"]);
  const both = await start([...addressesOf(liar), ...addressesOf(honest)]);
  assert.equal((await textOf(both.fetch(`ipfs://${cid}/`))).text, "the truth");
});

test("nobody has it: 504 no_peers; nobody is there: 504 offline; what is here is read at once", async () => {
  const away = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
  const name = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8";
  const first = await start([], { lookupSeconds: 1 });
  const second = await start(first.ipfs.addresses, { lookupSeconds: 1 });
  for (const url of [`ipfs://${away}/`, `ipns://${name}/`]) {
    const reply = await textOf(second.fetch(url));
    assert.deepEqual([url, reply.status, reply.reason], [url, 504, "no_peers"]);
  }
  const { text } = await textOf(first.fetch(`${EMPTY}a.txt`, { method: "PUT", body: "kept" }));
  const { text: key } = await textOf(first.fetch("ipns://localhost/?key=k", { method: "POST" }));
  await textOf(first.fetch(key, { method: "POST", body: text }));
  assert.equal((await textOf(second.fetch(key))).text, "kept");
  await first.stop();
  await second.stop();
  await second.restart();
  assert.equal((await textOf(second.fetch(text))).text, "kept");
  assert.equal((await textOf(second.fetch(key))).text, "kept");
  for (const url of [`ipfs://${away}/`, `ipns://${name}/`, "ipns://docs.example.org/"]) {
    const reply = await textOf(second.fetch(url));
    assert.deepEqual([url, reply.status, reply.reason], [url, 504, "offline"]);
  }
});

test("a restarted node tells its names again to peers that never heard of them", async () => {
  const first = await start();
  const { text: key } = await textOf(first.fetch("ipns://localhost/?key=k", { method: "POST" }));
  await textOf(first.fetch(`${key}index.html`, { method: "PUT", body: "alone" }));
  await first.stop();
  const second = await start();
  await first.restart({ ipfsPeers: second.ipfs.addresses });
  await first.admin("start", { protocols: ["ipfs"] });
  assert.equal((await textOf(second.fetch(key))).text, "alone");
});

test("limits of bandwidth slow down and break nothing; traffic is counted", async () => {
  const first = await start([], { uploadBytesPerSecond: 4_000_000 });
  const second = await start(first.ipfs.addresses, { downloadBytesPerSecond: 6_000_000 });
  const bytes = someBytes(3_000_000);
  const { text } = await textOf(first.fetch(`${EMPTY}a.bin`, { method: "PUT", body: bytes }));
  assert.ok(Buffer.from(await (await second.fetch(text)).arrayBuffer()).equals(bytes));
  assert.ok((await second.admin("status")).traffic.inBytes >= 3_000_000);
  assert.ok((await first.admin("status")).traffic.outBytes >= 3_000_000);
});
