// hyper://KEY/$/extensions/…: messages between the peers of a drive, over Hypercore's extension messages, with the shape of
// events that hypercore-fetch has.
import { malformed, methodNotAllowed, noSuchPath, P2PError } from "./errors.js";
import { decodePath } from "./paths.js";

const MESSAGE_BYTES = 1024 * 1024;
const MOST_QUEUED = 1000; // a page that does not read loses the oldest messages

const idOf = (peer) => peer.remotePublicKey.toString("hex");

/** The extensions of one core, each registered once. */
class Channel {
  listeners = new Set();
  #extensions = new Map();

  constructor(core) {
    this.core = core;
    const tell = (event) => (peer) => {
      if (peer.remotePublicKey) this.#emit({ id: idOf(peer), event, data: "" });
    };
    core.on("peer-add", tell("peer-open"));
    core.on("peer-remove", tell("peer-remove"));
  }

  get(name) {
    if (!this.#extensions.has(name)) {
      const extension = this.core.registerExtension(name, {
        encoding: "utf-8",
        onmessage: (data, peer) => this.#emit({ id: idOf(peer), event: name, data }),
      });
      this.#extensions.set(name, extension);
    }
    return this.#extensions.get(name);
  }

  #emit(message) {
    for (const listener of this.listeners) listener(message);
  }
}

const channels = new WeakMap();

function channelOf(core) {
  if (!channels.has(core)) channels.set(core, new Channel(core));
  return channels.get(core);
}

/** The names below /$/extensions/, or null for another path. */
export function extensionPath(path) {
  const match = /^\/(?:\$|%24)\/extensions(\/.*)?$/i.exec(path);
  return match ? decodePath(match[1] ?? "/").names : null;
}

/** Answer a request below /$/extensions/. */
export async function handleExtension(open, request, names) {
  if (names.length > 2) throw noSuchPath(request.path);
  const [name, to] = names;
  if (name !== undefined && /[\r\n]/.test(name)) throw malformed("The name of an extension cannot hold a line break.");
  const channel = channelOf(open.drive.core);
  if (request.method === "POST" && name !== undefined) return send(channel, request, name, to);
  if (request.method !== "GET" || to !== undefined) throw methodNotAllowed(request.method, ["GET", "POST"]);
  if (name !== undefined) channel.get(name);
  if ((request.headers.get("accept") ?? "").includes("text/event-stream")) {
    const headers = { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store" };
    return { status: 200, headers, body: events(channel, name, request.signal) };
  }
  const peers = channel.core.peers.map((peer) => ({ remotePublicKey: idOf(peer) }));
  const body = JSON.stringify(name === undefined ? [...channel.core.extensions.keys()] : peers);
  return { status: 200, headers: { "Content-Type": "application/json" }, body };
}

async function send(channel, request, name, to) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > MESSAGE_BYTES) throw new P2PError(413, "too_large", "A message to peers can hold at most 1 MB.");
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  const extension = channel.get(name);
  if (to === undefined) {
    extension.broadcast(text);
  } else {
    const peer = channel.core.peers.find((other) => idOf(other) === to.toLowerCase());
    if (!peer) throw noSuchPath(`peer ${to}`);
    extension.send(text, peer);
  }
  return { status: 200, headers: {}, body: null };
}

async function* events(channel, name, signal) {
  const queue = [];
  let wake = () => {};
  const listener = (message) => {
    if (name !== undefined && message.event !== name && !message.event.startsWith("peer-")) return;
    queue.push(message);
    if (queue.length > MOST_QUEUED) queue.shift();
    wake();
  };
  channel.listeners.add(listener);
  const stop = () => wake();
  signal.addEventListener("abort", stop);
  try {
    yield Buffer.from(":\n\n");
    while (!signal.aborted) {
      const message = queue.shift();
      if (message) {
        const data = message.data.split(/\r\n|\r|\n/).map((line) => `data:${line}\n`);
        yield Buffer.from(`id:${message.id}\nevent:${message.event}\n${data.join("")}\n`);
      } else {
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal.removeEventListener("abort", stop);
    channel.listeners.delete(listener);
  }
}
