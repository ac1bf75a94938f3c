// Keeps conversations: in window.llmMemory, if the user allows it, and the one that is open in this tab's sessionStorage,
// so that a reload in the middle of an answer loses nothing. Nothing is written anywhere else.
//
// Memory only ever grows, entry by entry. A message is one entry with its id and parent in `meta`, followed by entries for
// what does not fit into one: more text, thoughts, pictures. Written again, it replaces what stood under its id.

import { Conversation } from "./conversation.js";

export const APP_ID = "ai-chat";
const TAB_KEY = "ai-chat.conversation";
const PART = 90_000;
const SETTINGS = "settings";

// --- entries ----------------------------------------------------------------------------------------------------

// The parts of a text that fit into an entry each; a pair of surrogates stays whole.
export function partsOf(text) {
  const parts = [];
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + PART, text.length);
    if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1])) end -= 1;
    parts.push(text.slice(start, end));
    start = end;
  }
  return parts;
}

export function toEntries({ id, parent, role, content, reasoning, images, state, error, model }) {
  const [first = "", ...more] = partsOf(content);
  const entry = (kind, text, at) => ({ role: kind, content: text, meta: { id, kind, at } });
  return [
    { role, content: first, model: model.slice(0, 128), meta: { id, parent, state, ...(error && { error }) } },
    ...more.map((text) => entry("text", text, 0)),
    ...partsOf(reasoning).map((text) => entry("reasoning", text, 0)),
    ...images.flatMap((url, at) => partsOf(url).map((text) => entry("image", text, at))),
  ];
}

export function settingsEntry({ system, temperature }) {
  return { role: "system", content: system.slice(0, PART), meta: { kind: SETTINGS, temperature } };
}

// The conversation of a session's entries, oldest first.
export function fromEntries(sessionId, entries) {
  const stored = { id: sessionId, system: "", temperature: null, messages: [], leaf: null };
  const known = new Map();
  for (const [index, { role, content, model = "", meta = {} }] of entries.entries()) {
    if (meta.kind === SETTINGS) {
      Object.assign(stored, { system: content, temperature: meta.temperature ?? null });
      continue;
    }
    const id = typeof meta.id === "string" ? meta.id : `entry-${index}`;
    if (meta.kind) {
      append(known.get(id), meta, content);
      continue;
    }
    const message = known.get(id) ?? {};
    if (!known.has(id)) stored.messages.push(message);
    known.set(id, message);
    Object.assign(message, {
      // Entries that are not of this app's making are a plain row of messages.
      id, parent: meta.parent === undefined ? stored.leaf : meta.parent, role, content, model,
      reasoning: "", images: [], state: meta.state ?? "done", error: meta.error ?? null, kept: true,
    });
    stored.leaf = id;
  }
  return Conversation.fromJSON(stored);
}

function append(message, { kind, at }, content) {
  if (!message) return;
  if (kind === "text") message.content += content;
  else if (kind === "reasoning") message.reasoning += content;
  else if (kind === "image" && Number.isInteger(at)) message.images[at] = (message.images[at] ?? "") + content;
}

// --- memory -----------------------------------------------------------------------------------------------------

// Writes one entry after the other, in the order in which they were handed over.
export class Keeper {
  #memory;
  #last = Promise.resolve();
  #writing = new Map(); // message -> the content that is being written

  // onKept(): something was kept. onProblem(sentence): it could not be.
  constructor(memory, { onKept = () => {}, onProblem = () => {} } = {}) {
    this.#memory = memory;
    this.onKept = onKept;
    this.onProblem = onProblem;
  }

  async isEnabled() {
    try {
      return Boolean(this.#memory) && (await this.#memory.isEnabled());
    } catch {
      return false;
    }
  }

  // Keeps what of a conversation is complete and not kept yet.
  keep(conversation) {
    if (!this.#memory || conversation.isForgotten) return this.#last;
    const { id } = conversation;
    const fresh = conversation.messages.filter((message) => this.#isDue(message, conversation));
    for (const message of fresh) {
      const { content } = message;
      this.#writing.set(message, content);
      this.#queue(id, toEntries(message), (isKept) => {
        // It may have been continued meanwhile.
        if (this.#writing.get(message) !== content) return;
        this.#writing.delete(message);
        message.kept = isKept && message.content === content;
      });
    }
    return this.#last;
  }

  #isDue(message, conversation) {
    return !message.kept && this.#writing.get(message) !== message.content && isComplete(message, conversation);
  }

  keepSettings(conversation) {
    if (!this.#memory || conversation.isEmpty || conversation.isForgotten) return this.#last;
    return this.#queue(conversation.id, [settingsEntry(conversation)]);
  }

  #queue(sessionId, entries, done = () => {}) {
    this.#last = this.#last.then(async () => {
      const isKept = await this.#write(sessionId, entries);
      done(isKept);
      if (isKept) this.onKept();
    });
    return this.#last;
  }

  async #write(sessionId, entries) {
    try {
      for (const entry of entries) {
        const { ok, reason } = await this.#memory.add({ appId: APP_ID, sessionId, ...entry });
        if (ok) continue;
        if (reason !== "memory_disabled") this.onProblem("This message does not fit into memory.");
        return false;
      }
    } catch (error) {
      this.onProblem(error.message);
      return false;
    }
    return true;
  }
}

// A failure without a word is worth keeping only where the conversation went on after it.
function isComplete(message, conversation) {
  const { state, content } = message;
  return state !== "streaming" && (state !== "failed" || content !== "" || conversation.hasNext(message));
}

// --- this tab ---------------------------------------------------------------------------------------------------

export function storeInTab(conversation, draft, storage) {
  if (conversation.isEmpty && !draft) {
    storage?.removeItem(TAB_KEY);
    return;
  }
  for (const withImages of [true, false]) {
    const stored = { ...conversation.toJSON(), draft };
    if (!withImages) stored.messages = stored.messages.map((message) => ({ ...message, images: [] }));
    try {
      storage?.setItem(TAB_KEY, JSON.stringify(stored));
      return;
    } catch {
      // Full: pictures are what takes the room. Where even that fails the conversation lives as long as the page.
      continue;
    }
  }
}

// What was open in this tab: {conversation, draft}.
export function restoreFromTab(storage) {
  let stored = null;
  try {
    stored = JSON.parse(storage?.getItem(TAB_KEY) ?? "null");
  } catch {
    stored = null;
  }
  const draft = typeof stored?.draft === "string" ? stored.draft : "";
  return { conversation: Conversation.fromJSON(stored) ?? new Conversation(), draft };
}
