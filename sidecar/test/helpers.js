// What the tests share: real sidecar processes on loopback, and requests to them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The program under test: the bundle that users get; PEERSKY_SIDECAR names another, such as sidecar/main.js itself. */
const MAIN = process.env.PEERSKY_SIDECAR ?? new URL("../../src/peersky/assets/sidecar/main.mjs", import.meta.url).pathname;

export class Node {
  /** Start a sidecar in `folder` (a new one by default). `config` overrides single members of the first line. */
  static async start(config = {}, folder = null) {
    const node = new Node();
    node.folder = folder ?? (await mkdtemp(join(tmpdir(), "peersky-node-")));
    node.config = {
      token: "test-token",
      storage: join(node.folder, "p2p"),
      identity: join(node.folder, "identity"),
      listen: "loopback",
      hyperBootstrap: [],
      ipfsPeers: [],
      ipfsPort: 0,
      hyperPort: 0,
      ipfsBackend: "helia",
      kuboRpc: "http://127.0.0.1:5001",
      dnsResolver: "",
      cacheBytes: 2e9,
      uploadBytesPerSecond: 0,
      downloadBytesPerSecond: 0,
      lookupSeconds: 20,
      ...config,
    };
    await node.#spawn();
    return node;
  }

  async #spawn() {
    this.process = spawn(process.execPath, [MAIN, process.env.PEERSKY_NATIVES ?? ""], { stdio: ["pipe", "pipe", "pipe"] });
    this.exited = once(this.process, "exit");
    this.stderr = "";
    this.process.stderr.on("data", (text) => (this.stderr += text));
    this.process.stdin.on("error", () => {}); // it was killed
    this.process.stdin.write(`${JSON.stringify(this.config)}\n`);
    const lines = createInterface({ input: this.process.stdout });
    const [line] = await Promise.race([
      once(lines, "line"),
      this.exited.then(([code]) => {
        throw new Error(`The sidecar ended with ${code}: ${this.stderr}`);
      }),
    ]);
    const { ready, port, error } = JSON.parse(line);
    if (!ready) throw new Error(error);
    this.address = `http://127.0.0.1:${port}`;
  }

  /** A request to a URL such as hyper://…, as the page of `origin`. */
  fetch(url, { origin = "user", headers = {}, ...options } = {}) {
    const [, scheme, rest] = /^(\w+):\/\/(.*)$/s.exec(url);
    const slash = rest.includes("/") ? "" : "/";
    return fetch(`${this.address}/${scheme}/${rest}${slash}`, {
      redirect: "manual",
      duplex: "half",
      headers: { ...headers, Authorization: `Bearer ${this.config.token}`, "X-Peersky-Origin": origin },
      ...options,
    });
  }

  /** As `fetch`, with the path as it is written: `fetch` resolves dots. Returns `{status, reason, text}`. */
  async raw(method, scheme, path) {
    const [reply] = await once(
      request(this.address, { method, path: `/${scheme}/${path}`, headers: { Authorization: `Bearer ${this.config.token}` } }).end(),
      "response",
    );
    let text = "";
    for await (const chunk of reply) text += chunk;
    return { status: reply.statusCode, reason: reply.headers["x-peersky-reason"], text };
  }

  /** An admin action: GET without a body, POST with one. */
  async admin(action, body) {
    const reply = await this.adminReply(action, body);
    if (!reply.ok) throw new Error(`${action}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }

  adminReply(action, body, options = {}) {
    return fetch(`${this.address}/node/${action}`, {
      method: body === undefined ? "GET" : "POST",
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { Authorization: `Bearer ${this.config.token}` },
      ...options,
    });
  }

  /** Publish from disk; returns all lines of the reply. */
  async publish(request, options = {}) {
    const reply = await this.adminReply("publish", { origin: "user", name: "", ...request }, options);
    return (await reply.text()).trim().split("\n").map((line) => JSON.parse(line));
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** End as the browser ends it. */
  async stop() {
    this.process.stdin.end();
    await this.exited;
  }

  /** Start again on the same folder, after `kill` or `stop`. */
  async restart(config = {}) {
    Object.assign(this.config, config);
    await this.#spawn();
  }

  /** End, and delete the folder. */
  async dispose() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The head and the text of a reply. */
export async function textOf(promise) {
  const reply = await promise;
  return { status: reply.status, headers: reply.headers, text: await reply.text(), reason: reply.headers.get("x-peersky-reason") };
}

/** Ask until the text is the wanted one: news of a drive take a moment. The test's own timeout ends it. */
export async function untilText(ask, wanted) {
  while ((await ask()) !== wanted) await new Promise(setImmediate);
}

/** Bytes that look random and are the same in every run. */
export function someBytes(length, seed = 1) {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i + 4 <= length; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state, i);
  }
  return bytes;
}
