// The table of ipfs: and ipns: with a real Kubo (PEERSKY_KUBO names the program): as our back end, and as the other side.
// `make interop` builds it and runs this. The daemon has no network but loopback.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { someBytes, textOf } from "./helpers.js";
import { formOf, hostOf, startIpfs } from "./ipfs-helpers.js";
import { ipfsTable } from "./ipfs-table.js";

const PROGRAM = process.env.PEERSKY_KUBO;
const run = promisify(execFile);
const fresh = { headers: { "Cache-Control": "no-cache" } };

class Daemon {
  static async start() {
    const daemon = new Daemon();
    daemon.repo = await mkdtemp(join(tmpdir(), "peersky-kubo-"));
    daemon.environment = { ...process.env, IPFS_PATH: daemon.repo };
    // The profile has no bootstrap, mDNS, AutoConf or port mapping, and random ports on loopback.
    await daemon.ipfs("init", "--profile=test");
    for (const [name, value] of [
      ["Addresses.Swarm", '["/ip4/127.0.0.1/tcp/0"]'],
      ["Addresses.Gateway", "[]"],
      ["HTTPRetrieval.Enabled", "false"],
      ["Swarm.RelayClient.Enabled", "false"],
      ["Swarm.DisableNatPortMap", "true"],
    ]) {
      await daemon.ipfs("config", "--json", name, value);
    }
    daemon.process = spawn(PROGRAM, ["daemon"], { env: daemon.environment, stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    for await (const text of daemon.process.stdout) {
      said += text;
      if (said.includes("Daemon is ready")) break;
    }
    const [, port] = /\/tcp\/(\d+)/.exec(await readFile(join(daemon.repo, "api"), "utf8"));
    daemon.rpc = `http://127.0.0.1:${port}`;
    daemon.addresses = JSON.parse(await daemon.ipfs("id")).Addresses;
    return daemon;
  }

  async ipfs(...words) {
    const { stdout } = await run(PROGRAM, words, { env: this.environment, maxBuffer: 64e6 });
    return stdout.trim();
  }

  async stop() {
    this.process.kill("SIGINT");
    if (this.process.exitCode === null) await once(this.process, "exit");
    await rm(this.repo, { recursive: true, force: true });
  }
}

let daemon, onKubo, onHelia;
before(async () => {
  daemon = await Daemon.start();
  onKubo = await startIpfs([], { ipfsBackend: "kubo", kuboRpc: daemon.rpc });
  onHelia = await startIpfs(daemon.addresses);
});
after(async () => {
  await Promise.all([onKubo?.dispose(), onHelia?.dispose()]);
  await daemon?.stop();
});

ipfsTable("Kubo publishes, Helia reads", () => ({ a: onKubo, b: onHelia }));
ipfsTable("Helia publishes, Kubo reads", () => ({ a: onHelia, b: onKubo }));

test("Kubo's own program reads what Helia publishes, by CID and by name", async () => {
  const video = someBytes(4_000_000);
  const files = formOf({ "index.html": "ours", "v/a b.webm": video });
  const { text } = await textOf(onHelia.fetch("ipfs://bafyaabakaieac/", { method: "PUT", body: files }));
  const { stdout } = await run(PROGRAM, ["cat", `/ipfs/${hostOf(text)}/v/a b.webm`], {
    env: daemon.environment, encoding: "buffer", maxBuffer: 8e6,
  });
  assert.equal(stdout.length, video.length);
  assert.ok(stdout.equals(video));
  const { text: key } = await textOf(onHelia.fetch("ipns://localhost/?key=cli", { method: "POST" }));
  await textOf(onHelia.fetch(key, { method: "POST", body: text }));
  assert.equal(await daemon.ipfs("name", "resolve", "--nocache", `/ipns/${hostOf(key)}`), `/ipfs/${hostOf(text)}`);
});

test("both back ends read what Kubo's own program publishes, and see the next version", async () => {
  for (const version of ["first", "second"]) {
    const folder = join(daemon.repo, version);
    await mkdir(join(folder, "sub"), { recursive: true });
    await writeFile(join(folder, "index.html"), version);
    await writeFile(join(folder, "sub/a.txt"), "theirs");
    // Kubo's old defaults: CIDs of version 0, no raw leaves.
    const cid = (await daemon.ipfs("add", "-rQ", "--cid-version=0", folder)).split("\n").at(-1);
    assert.match(cid, /^Qm/);
    const name = /Published to (\w+):/.exec(await daemon.ipfs("name", "publish", `/ipfs/${cid}`))[1];
    for (const node of [onKubo, onHelia]) {
      assert.equal((await textOf(node.fetch(`ipfs://${cid}/`))).text, version);
      assert.equal((await textOf(node.fetch(`ipns://${name}/`, fresh))).text, version);
      assert.equal((await textOf(node.fetch(`ipns://${name}/sub/a.txt`))).text, "theirs");
    }
  }
});

test("a tree gets the same CID from Kubo's program and from both back ends", async () => {
  const folder = join(daemon.repo, "same");
  const files = { "a/b/c.txt": "deep", "z.bin": someBytes(2_500_000) };
  for (let i = 0; i < 1300; i++) files[`many/${i}-${"n".repeat(200)}`] = String(i);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  const words = ["add", "-rQ", "--cid-version=1", "--raw-leaves", "--chunker=size-1048576", "--max-file-links=1024", folder];
  const cid = (await daemon.ipfs(...words)).split("\n").at(-1);
  for (const node of [onKubo, onHelia]) {
    assert.equal((await node.publish({ path: folder, to: "ipfs" })).at(-1).url, `ipfs://${cid}/`);
  }
});

test("what the user pinned with Kubo stays pinned when we let go", async () => {
  await writeFile(join(daemon.repo, "own.txt"), "the user's own");
  const cid = (await daemon.ipfs("add", "-wQ", "--cid-version=1", join(daemon.repo, "own.txt"))).split("\n").at(-1);
  const url = `ipfs://${cid}/`;
  const put = await textOf(onKubo.fetch("ipfs://bafyaabakaieac/own.txt", { method: "PUT", body: "the user's own" }));
  assert.equal(hostOf(put.text), cid);
  assert.equal((await textOf(onKubo.fetch(url, { method: "DELETE" }))).status, 200);
  assert.match(await daemon.ipfs("pin", "ls", "--type=recursive", cid), /recursive/);
  const ours = await textOf(onKubo.fetch("ipfs://bafyaabakaieac/ours.txt", { method: "PUT", body: "ours" }));
  const root = `ipfs://${hostOf(ours.text)}/`;
  assert.match(await daemon.ipfs("pin", "ls", "--type=recursive", hostOf(root)), /recursive/);
  await textOf(onKubo.fetch(root, { method: "DELETE" }));
  await assert.rejects(daemon.ipfs("pin", "ls", "--type=recursive", hostOf(root)), /not pinned/);
});

test("status tells what Kubo tells", async () => {
  const { ipfs } = await onKubo.admin("status");
  assert.equal(ipfs.backend, "kubo");
  assert.equal(ipfs.error, "");
  assert.ok(ipfs.running && ipfs.peers >= 1, JSON.stringify(ipfs));
  assert.equal(ipfs.peerId, JSON.parse(await daemon.ipfs("id")).ID);
  assert.deepEqual(ipfs.addresses, daemon.addresses);
});
