// One upload: many files in few requests, each file's progress, and going on where it broke off. Knows the network only as
// `send` (p2p.js), so it is tested in Node.
//
// Small files go together, as forms; what a form cannot name, and what is large, goes alone. To Hyper several requests are
// under way at a time, and what has arrived stays in the drive. To IPFS each request makes a new folder out of the one
// before, so they go one after the other, and the folders in between are let go.

import { drive, EMPTY_FOLDER, encoded, Failed, folderOf, publicationHeaders, request } from "./p2p.js";

export const APP = "Upload";
const MB = 1024 * 1024;
// A page may have eight bodies under way at a time; some are left for others that share its origin.
const PARALLEL = 4;
const LIMITS = {
  hyper: { bytes: 8 * MB, files: 200 },
  ipfs: { bytes: 64 * MB, files: 2000 },
};

// Files in the order of the list, as the requests that they go in.
export function batches(items, { bytes, files }) {
  const all = [];
  let open = null;
  let total = 0;
  for (const item of items) {
    const { size } = item.file;
    if (size > bytes || item.path.includes('"')) {
      all.push([item]);
      continue;
    }
    if (!open || total + size > bytes || open.length >= files) {
      open = [];
      total = 0;
      all.push(open);
    }
    open.push(item);
    total += size;
  }
  return all;
}

// Attributes: `items`, each {path, file, state: "waiting" | "sending" | "done" | "failed", sent (bytes), problem}; `root`,
// the address of the folder once it is known; `problem`, why all of it stopped, or "".
export class Upload {
  #send;
  #onChange;
  #controller = null;
  #between = [];

  // items: [{path, file}]. to: "hyper" or "ipfs". name: of the drive. keep: addresses that must stay shared.
  constructor({ items, to, name = "", model = "", keep = [], send = request, onChange = () => {} }) {
    Object.assign(this, { to, name, model, keep: new Set(keep), root: "", problem: "" });
    this.items = items.map((item) => ({ ...item, state: "waiting", sent: 0, problem: "" }));
    this.#send = send;
    this.#onChange = onChange;
  }

  get isRunning() {
    return this.#controller !== null;
  }

  get isComplete() {
    return this.items.every(({ state }) => state === "done");
  }

  get totals() {
    const sum = (of) => this.items.reduce((total, item) => total + of(item), 0);
    const count = (state) => sum((item) => Number(item.state === state));
    return { bytes: sum(({ file }) => file.size), sent: sum(({ sent }) => sent), done: count("done"), failed: count("failed"), files: this.items.length };
  }

  // Sends all that is not there yet. Ends, and never rejects: what went wrong stands in `problem` and in the items.
  async run() {
    if (this.#controller) return;
    this.#controller = new AbortController();
    this.problem = "";
    for (const item of this.items) if (item.state !== "done") reset(item, "waiting");
    this.#onChange();
    try {
      if (this.to === "hyper" && !this.root) this.root = await drive(this.name, this.#options);
      const queue = batches(this.items.filter(({ state }) => state === "waiting"), LIMITS[this.to]);
      const worker = async () => {
        while (queue.length && !this.#controller.signal.aborted) await this.#put(queue.shift());
      };
      const workers = Array.from({ length: this.to === "hyper" ? PARALLEL : 1 }, worker);
      const outcomes = await Promise.allSettled(workers);
      // What ended one of them aborted the others.
      const reasons = outcomes.flatMap(({ status, reason }) => (status === "rejected" ? [reason] : []));
      if (reasons.length) throw reasons.find(({ name }) => name !== "AbortError") ?? reasons[0];
      await this.#letGo();
    } catch (error) {
      this.problem = error.name === "AbortError" ? "Stopped. What has arrived is kept; go on whenever you like." : error.message;
    } finally {
      for (const item of this.items) if (item.state === "sending") reset(item, "waiting");
      this.#controller = null;
      this.#onChange();
    }
  }

  stop() {
    this.#controller?.abort();
  }

  // Another file for the same folder, such as a description; one of that path is replaced.
  put(path, file) {
    this.items = this.items.filter((item) => item.path !== path);
    this.items.push({ path, file, state: "waiting", sent: 0, problem: "" });
  }

  remove(path) {
    this.items = this.items.filter((item) => item.path !== path || item.state === "sending" || item.state === "done");
    this.#onChange();
  }

  get #options() {
    return { send: this.#send, signal: this.#controller.signal };
  }

  // One request. What is wrong with the files themselves is noted and the rest goes on; all else ends the run.
  async #put(batch) {
    for (const item of batch) item.state = "sending";
    this.#onChange();
    try {
      await this.#request(batch);
      for (const item of batch) Object.assign(item, { state: "done", sent: item.file.size });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      for (const item of batch) reset(item, "waiting");
      const unreadable = await unreadableOf(batch);
      for (const item of unreadable) reset(item, "failed", "The file cannot be read any more: it was changed, moved or removed.");
      const rest = batch.filter((item) => !unreadable.includes(item));
      if (unreadable.length) {
        if (rest.length) await this.#put(rest);
      } else if (!(error instanceof Failed) || error.status !== 400) {
        // Nothing more is begun; what is under way may end.
        this.#controller?.abort();
        throw error;
      } else if (batch.length === 1) {
        reset(batch[0], "failed", error.message);
      } else {
        // One of them is refused: halves find it.
        const middle = Math.ceil(batch.length / 2);
        await this.#put(batch.slice(0, middle));
        await this.#put(batch.slice(middle));
      }
    }
    this.#onChange();
  }

  async #request(batch) {
    const base = this.to === "hyper" ? this.root : this.root || EMPTY_FOLDER;
    const [{ path, file }] = batch;
    const isAlone = batch.length === 1;
    const body = isAlone ? file : new FormData();
    if (!isAlone) for (const item of batch) body.append("file", item.file, item.path);
    const reply = await this.#send(isAlone ? base + encoded(path) : base, {
      method: "PUT",
      body,
      headers: publicationHeaders(APP, this.model),
      signal: this.#controller.signal,
      onProgress: (loaded) => this.#progress(batch, loaded),
    });
    if (this.to === "hyper") return;
    if (this.root) this.#between.push(this.root);
    this.root = folderOf(reply);
  }

  #progress(batch, loaded) {
    let left = loaded;
    for (const item of batch) {
      item.sent = Math.max(0, Math.min(item.file.size, left));
      left -= item.file.size;
    }
    this.#onChange();
  }

  // The folders on the way to the last one need not be shared.
  async #letGo() {
    for (const root of this.#between.splice(0)) {
      if (root === this.root || this.keep.has(root)) continue;
      await this.#send(root, { method: "DELETE", signal: this.#controller.signal }).catch((error) => {
        // It takes room, and no more than that.
        if (error.name === "AbortError") throw error;
      });
    }
  }
}

function reset(item, state, problem = "") {
  Object.assign(item, { state, sent: 0, problem });
}

async function unreadableOf(batch) {
  const found = [];
  for (const item of batch) {
    try {
      await item.file.slice(0, 1).arrayBuffer();
    } catch {
      found.push(item);
    }
  }
  return found;
}
