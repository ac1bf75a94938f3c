// The conversation as data: a tree of messages, of which one path is shown, and what of it the model gets to see. Asking
// again and editing a question grow a new branch, so nothing that was said is lost. Pure; tested in Node.
//
// Message: {id, parent, role: "user" | "assistant", content, reasoning, images: [data URL], state, error, model, kept}
// state: "streaming", "done", "stopped" (by the user), "cut" (too long), "failed" (then error: {message, reason})

const CONTINUE = "Continue exactly where you stopped. Do not repeat anything.";
const NO_SIGHT = "[A picture that this model cannot see]";
const LONGEST_TITLE = 80;
const ROLES = ["user", "assistant"];

export const newId = () => crypto.randomUUID();

export class Conversation {
  id = newId();
  // What the model is told before everything else, and how freely it answers; null: what the user set in the browser.
  system = "";
  temperature = null;
  // The user deleted it: nothing of it is to be kept any more.
  isForgotten = false;
  #messages = new Map();
  #leaf = null;

  // Puts a message behind the one that is shown last, or behind `parent`, and shows it.
  add(role, { content = "", images = [], state = "done", parent = this.#leaf } = {}) {
    return this.#put({
      id: newId(), parent, role, content, reasoning: "", images, state, error: null, model: "", kept: false,
    });
  }

  #put(message) {
    this.#messages.set(message.id, message);
    this.#leaf = message.id;
    return message;
  }

  // Takes back the message that is shown last.
  drop(message) {
    this.#messages.delete(message.id);
    this.#leaf = message.parent;
  }

  hasNext({ id }) {
    return this.messages.some(({ parent }) => parent === id);
  }

  get isEmpty() {
    return this.#messages.size === 0;
  }

  get messages() {
    return [...this.#messages.values()];
  }

  // The messages that are shown, first to last.
  get path() {
    const path = [];
    for (let message = this.#messages.get(this.#leaf); message; message = this.#messages.get(message.parent)) {
      path.unshift(message);
    }
    return path;
  }

  get title() {
    const first = this.path.find(({ role, content }) => role === "user" && content.trim());
    const text = first?.content.trim().replace(/\s+/g, " ") ?? "Conversation";
    return text.length <= LONGEST_TITLE ? text : `${text.slice(0, LONGEST_TITLE).replace(/\s\S*$/, "")}…`;
  }

  // The versions of a message, oldest first.
  versions({ parent, role }) {
    return this.messages.filter((other) => other.parent === parent && other.role === role);
  }

  // Shows a version of a message, and what was said last after it.
  show(message) {
    const after = new Set([message.id]);
    this.#leaf = message.id;
    for (const { id, parent } of this.#messages.values()) {
      if (!after.has(parent)) continue;
      after.add(id);
      this.#leaf = id;
    }
  }

  toJSON() {
    const { id, system, temperature } = this;
    return { id, system, temperature, leaf: this.#leaf, messages: this.messages };
  }

  // Of what toJSON gave, or null. A message that was being written ends where it was left.
  static fromJSON(stored) {
    if (typeof stored?.id !== "string" || !Array.isArray(stored.messages)) return null;
    const conversation = new Conversation();
    conversation.id = stored.id;
    conversation.system = typeof stored.system === "string" ? stored.system : "";
    conversation.temperature = Number.isFinite(stored.temperature) ? stored.temperature : null;
    for (const message of stored.messages) {
      if (!isMessage(message) || conversation.#messages.has(message.id)) continue;
      // A parent stands before its children, so there are no circles.
      const parent = conversation.#messages.has(message.parent) ? message.parent : conversation.#anchor(message);
      const state = message.state === "streaming" ? "stopped" : message.state;
      conversation.#put({
        reasoning: "", images: [], error: null, model: "", kept: false, ...message, state: state ?? "done", parent,
      });
    }
    if (conversation.#messages.has(stored.leaf)) conversation.#leaf = stored.leaf;
    return conversation;
  }

  // Where a message belongs whose parent is not there: at the start if it names none, else behind what came before it.
  #anchor({ parent }) {
    return parent === null ? null : this.#leaf;
  }
}

function isMessage(value) {
  return typeof value?.id === "string" && ROLES.includes(value.role) && typeof value.content === "string";
}

// The messages for the model. Errors are no messages, and neither is an answer without a word; the questions on both
// sides of it are joined, since many chat templates insist on turns.
export function toMessages(path, { system = "", sees = true } = {}) {
  const messages = [];
  for (const { role, content, images } of path) {
    const parts = partsOf(content, images, sees);
    if (!parts.length) continue;
    const last = messages.at(-1);
    if (last?.role === role) last.parts.push(...parts);
    else messages.push({ role, parts });
  }
  const told = system.trim() ? [{ role: "system", content: system.trim() }] : [];
  return [...told, ...messages.map(({ role, parts }) => ({ role, content: simplest(parts) }))];
}

function partsOf(content, images, sees) {
  const text = [content, sees ? "" : images.map(() => NO_SIGHT).join("\n")].filter(Boolean).join("\n\n");
  const parts = text ? [{ type: "text", text }] : [];
  if (sees) parts.unshift(...images.map((url) => ({ type: "image_url", image_url: { url } })));
  return parts;
}

function simplest(parts) {
  if (parts.every(({ type }) => type === "text")) return parts.map(({ text }) => text).join("\n\n");
  return parts;
}

// The messages that make the model go on with the last answer.
export function toContinue(path, options) {
  return [...toMessages(path, options), { role: "user", content: CONTINUE }];
}
