// Texts that are kept in this app's IndexedDB: what is said to be kept is on the disk, whatever becomes of the browser. A text
// that another tab edits is left to it.

const DATABASE = "md";
const STORE = "drafts";

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export class Drafts {
  #database;

  constructor() {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    this.#database = done(request);
    // Each use of it says what went wrong.
    this.#database.catch(() => {});
  }

  // All drafts {id, text, title, saved, published}, the last one first.
  async list() {
    const all = await done((await this.#begin("readonly")).objectStore(STORE).getAll());
    return all.sort((one, other) => other.saved - one.saved);
  }

  // Resolves once it is on the disk. A page that goes away has sent it by then.
  async write(draft) {
    await this.#change((store) => store.put(draft));
  }

  async remove(id) {
    await this.#change((store) => store.delete(id));
  }

  async #change(work) {
    const transaction = await this.#begin("readwrite");
    work(transaction.objectStore(STORE));
    transaction.commit();
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
  }

  async #begin(mode) {
    return (await this.#database).transaction(STORE, mode, { durability: "strict" });
  }
}

// Takes a draft for this tab until it is let go. Returns a function that does so, or null: another tab has it.
export function hold(id) {
  return new Promise((resolve) => {
    navigator.locks.request(`${DATABASE}.draft.${id}`, { ifAvailable: true }, (lock) => {
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
