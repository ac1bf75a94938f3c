// Drafts in IndexedDB: what is written survives a crash, pictures included. A draft that another tab edits is left to it.

const DATABASE = "peersky-editor";
const STORE = "drafts";

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class Drafts {
  #database = null;

  async open() {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    this.#database = await done(request);
    this.#database.onversionchange = () => this.#database.close();
    return this;
  }

  // All drafts, the last one first.
  async list() {
    const all = await done(this.#store("readonly").getAll());
    return all.sort((a, b) => b.saved - a.saved);
  }

  save(draft) {
    const transaction = this.#database.transaction(STORE, "readwrite", { durability: "strict" });
    transaction.objectStore(STORE).put(draft);
    // A page that goes away has sent it by then.
    transaction.commit();
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  }

  remove(id) {
    return done(this.#store("readwrite").delete(id));
  }

  #store(mode) {
    return this.#database.transaction(STORE, mode).objectStore(STORE);
  }
}

// Takes a draft for this tab until it is let go. Returns a function that does so, or null: another tab has it.
export function hold(id) {
  return new Promise((resolve) => {
    navigator.locks.request(`${DATABASE}:${id}`, { ifAvailable: true }, (lock) => {
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
