// Texts that are kept in this app's localStorage, each under a key of its own, so that one that does not fit harms no other.
// A text that another tab edits is left to it.

const PREFIX = "md.draft.";

export class Drafts {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  // All drafts {id, text, title, saved, published}, the last one first.
  list() {
    const all = [];
    for (let at = 0; at < this.#storage.length; at += 1) {
      const key = this.#storage.key(at);
      const draft = key.startsWith(PREFIX) && this.read(key.slice(PREFIX.length));
      if (draft) all.push(draft);
    }
    return all.sort((one, other) => other.saved - one.saved);
  }

  read(id) {
    try {
      const draft = JSON.parse(this.#storage.getItem(PREFIX + id));
      if (typeof draft?.text !== "string") return null;
      const { text, title = "", saved = 0, published = null } = draft;
      return { id, text, title: String(title), saved: Number(saved) || 0, published };
    } catch {
      return null;
    }
  }

  // Whether there was room for it.
  write({ id, ...draft }) {
    try {
      this.#storage.setItem(PREFIX + id, JSON.stringify(draft));
      return true;
    } catch {
      return false;
    }
  }

  remove(id) {
    this.#storage.removeItem(PREFIX + id);
  }
}

// Takes a draft for this tab until it is let go. Returns a function that does so, or null: another tab has it.
export function hold(id) {
  return new Promise((resolve) => {
    navigator.locks.request(PREFIX + id, { ifAvailable: true }, (lock) => {
      if (!lock) {
        resolve(null);
        return undefined;
      }
      return new Promise((release) => {
        resolve(release);
      });
    });
  });
}
