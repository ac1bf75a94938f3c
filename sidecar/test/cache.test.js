// One limit for what Hyper and IPFS keep of others, together.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createTestnet } from "../../src/peersky/assets/sidecar/libraries/hyper.mjs";
import { Node, someBytes, textOf } from "./helpers.js";

const MB = 1_000_000;
let testnet;
let writer;
let reader;

before(async () => {
  testnet = await createTestnet(3);
  const hyperBootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`);
  writer = await Node.start({ hyperBootstrap });
  const { ipfs } = await writer.admin("start", { protocols: ["ipfs"] });
  reader = await Node.start({ hyperBootstrap, ipfsPeers: ipfs.addresses, lookupSeconds: 3 });
});

after(async () => {
  await Promise.all([writer.dispose(), reader.dispose()]);
  await testnet.destroy();
});

async function publishedOn(scheme, seed) {
  const body = someBytes(MB, seed);
  if (scheme === "ipfs") return (await textOf(writer.fetch("ipfs://bafyaabakaieac/a.bin", { method: "PUT", body }))).text;
  const { text: drive } = await textOf(writer.fetch(`hyper://localhost/?key=${seed}`, { method: "POST" }));
  await textOf(writer.fetch(`${drive}a.bin`, { method: "PUT", body }));
  return `${drive}a.bin`;
}

const statusOf = async (url) => {
  const reply = await reader.fetch(url);
  await reply.arrayBuffer();
  return reply.status;
};
const cacheBytes = async () => (await reader.admin("status")).storage.cacheBytes;

test("what was used longest ago goes first, whichever protocol it came by; one that is closed counts, too", async () => {
  const urls = [];
  for (const [i, scheme] of ["hyper", "ipfs", "hyper", "ipfs"].entries()) {
    urls.push(await publishedOn(scheme, i + 1));
    assert.equal(await statusOf(urls[i]), 200, urls[i]);
  }
  assert.ok((await cacheBytes()) >= 4 * MB);
  await writer.stop();
  await reader.admin("limits", { cacheBytes: 2.5 * MB });
  const kept = await cacheBytes();
  assert.ok(kept <= 2.5 * MB && kept > 1.5 * MB, `${kept}`);
  assert.deepEqual(await Promise.all(urls.map(statusOf)), [504, 504, 200, 200]);

  await reader.stop();
  await reader.restart({ cacheBytes: 2.5 * MB });
  assert.equal(await statusOf(urls[2]), 200);
  await reader.admin("limits", { cacheBytes: 2.4 * MB });
  assert.equal((await reader.admin("status")).ipfs.running, false, "nothing had to go");
  await reader.admin("limits", { cacheBytes: 1.5 * MB });
  assert.ok((await cacheBytes()) <= 1.5 * MB, "the blocks of IPFS went, which was not open");
  assert.equal(await statusOf(urls[2]), 200);

  assert.ok((await reader.admin("gc", {})).freedBytes >= MB);
  assert.equal(await cacheBytes(), 0);
  assert.deepEqual(await Promise.all(urls.map(statusOf)), [504, 504, 504, 504]);
});
