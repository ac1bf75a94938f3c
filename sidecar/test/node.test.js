// The sidecar as a process and as an HTTP server: life line, token, admin routes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { asP2PError } from "../errors.js";
import { Node, textOf } from "./helpers.js";

let node;

before(async () => {
  node = await Node.start();
});

after(() => node.dispose());

test("nothing runs before it is asked for, and status starts nothing", async () => {
  for (let i = 0; i < 2; i++) {
    const status = await node.admin("status");
    assert.deepEqual([status.hyper.running, status.ipfs.running], [false, false]);
    assert.deepEqual(status.traffic, { inBytes: 0, outBytes: 0 });
  }
  assert.equal((await node.admin("start", { protocols: ["hyper"] })).hyper.running, true);
  assert.match((await node.admin("status")).hyper.address, /^[a-z0-9]{52}$/);
});

test("without the token nothing is answered", async () => {
  for (const headers of [{}, { Authorization: "Bearer wrong" }, { Authorization: "test-token" }]) {
    for (const path of ["/node/status", "/hyper/localhost/", "/nothing"]) {
      assert.equal((await fetch(node.address + path, { headers })).status, 401);
    }
  }
});

test("what is no address of the node is 400, and a wrong method 405", async () => {
  for (const path of ["status/x", "nothing", ""]) assert.equal((await node.adminReply(path)).status, 400, path);
  assert.equal((await textOf(node.adminReply("status", {}))).headers.get("allow"), "GET");
  assert.equal((await textOf(node.adminReply("gc"))).headers.get("allow"), "POST");
  assert.equal((await node.adminReply("unpin", { url: "http://example.org/" })).status, 400);
  const reply = await fetch(`${node.address}/node/start`, {
    method: "POST",
    body: "{",
    headers: { Authorization: `Bearer ${node.config.token}` },
  });
  assert.equal(reply.status, 400);
});

test("it ends when its standard input does, with and without a configuration", async () => {
  const other = await Node.start();
  await textOf(other.fetch("hyper://localhost/", { method: "POST" }));
  other.process.stdin.end();
  assert.deepEqual(await other.exited, [0, null]);
  await other.dispose();
  const silent = spawn(process.execPath, other.process.spawnargs.slice(1), { stdio: ["pipe", "ignore", "inherit"] });
  silent.stdin.end();
  assert.deepEqual(await once(silent, "exit"), [0, null]);
});

test("a folder that cannot be made is a sentence", async () => {
  await assert.rejects(Node.start({ storage: "/dev/null/p2p" }), /The P2P node cannot start: .*\/dev\/null/);
});

test("a full disk has its own status", () => {
  for (const error of [
    Object.assign(new Error("write"), { code: "ENOSPC" }),
    new Error("IO error: No space left on device: While appending to file"),
  ]) {
    const known = asP2PError(error);
    assert.deepEqual([known.status, known.reason], [507, "disk_full"]);
  }
  assert.equal(asP2PError(new Error("secret path")).message, "The P2P node failed at this. Its log says more.");
});
