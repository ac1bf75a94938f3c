// Faults of a Kubo daemon, played by a small server; what a real one does is tested by `make interop`.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, test } from "node:test";

import { Node, textOf } from "./helpers.js";

const ends = [];
after(async () => {
  for (const end of ends) await end();
});

/** A node whose Kubo answers with `answer(command)`: [status, text]. */
async function withKubo(answer) {
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    const [status, text] = answer(/^\/api\/v0\/([^?]*)/.exec(incoming.url)[1]);
    outgoing.writeHead(status, { "Content-Type": "application/json" }).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const node = await Node.start({ ipfsBackend: "kubo", kuboRpc: `http://127.0.0.1:${server.address().port}`, lookupSeconds: 1 });
  ends.push(async () => {
    await node.dispose();
    server.closeAllConnections();
    server.close();
  });
  return { node, server };
}

const CID = "ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy/";

test("no Kubo: 502 backend_unreachable, and again when it has gone", async () => {
  const { node, server } = await withKubo(() => [200, '{"Peers": []}']);
  assert.equal((await textOf(node.fetch("ipns://localhost/?key=x"))).status, 404);
  server.closeAllConnections();
  server.close();
  await once(server, "close");
  const gone = await textOf(node.fetch(CID));
  assert.deepEqual([gone.status, gone.reason], [502, "backend_unreachable"]);
  assert.match((await node.admin("status")).ipfs.error, /Kubo/);
  await node.stop();
  await node.restart();
  const never = await textOf(node.fetch(CID));
  assert.deepEqual([never.status, never.reason], [502, "backend_unreachable"]);
});

test("something else at Kubo's port, and a Kubo that fails", async () => {
  const { node } = await withKubo(() => [404, "<h1>Not found</h1>"]);
  const other = await textOf(node.fetch(CID));
  assert.deepEqual([other.status, other.reason], [502, "backend_unreachable"]);
  const { node: ill } = await withKubo((command) =>
    command === "swarm/peers" ? [200, '{"Peers": []}'] : [500, '{"Message": "disk on fire", "Code": 0}'],
  );
  const failed = await textOf(ill.fetch("ipfs://bafyaabakaieac/x.txt", { method: "PUT", body: "x" }));
  assert.deepEqual([failed.status, failed.reason], [500, "internal"]);
});

test("wrong data from Kubo is refused", async () => {
  const { node } = await withKubo((command) =>
    command === "swarm/peers" ? [200, '{"Peers": [{}]}'] : [200, "not what was asked for"],
  );
  const reply = await textOf(node.fetch(CID));
  assert.deepEqual([reply.status, reply.reason], [502, "wrong_block"]);
});
