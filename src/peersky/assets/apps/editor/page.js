// The page that is being edited: its files, its name, where it was published, its steps; and the draft that is kept of it.

import { MAIN, titleOf } from "./files.js";
import { hold } from "./drafts.js";
import { History } from "./history.js";

const SAVE_AFTER_MS = 400;
const TAB_KEY = "peersky-editor:draft";
const BLANK = Object.fromEntries(Object.values(MAIN).map((path) => [path, ""]));

export class Page {
  #drafts;
  #timer = 0;
  #release = null;
  #changed = false;
  // Writes go one after the other, so that an older one never comes last.
  #writing = Promise.resolve();

  // drafts: see drafts.js, or null where nothing can be kept. on: {typed, replaced, saved(sentence, failed)}.
  constructor(drafts, on) {
    this.#drafts = drafts;
    this.on = on;
    this.history = new History();
    this.#clear();
  }

  #clear() {
    Object.assign(this, { id: crypto.randomUUID(), name: "", files: { ...BLANK }, published: null });
    this.history.clear();
    this.#changed = false;
  }

  // The draft that this tab had, else the last one that no other tab has. Returns whether there was one.
  async restore() {
    const all = this.#drafts ? await this.#drafts.list() : [];
    const mine = sessionStorage.getItem(TAB_KEY);
    for (const draft of all.sort((a, b) => Number(b.id === mine) - Number(a.id === mine))) {
      if (await this.open(draft)) return true;
    }
    await this.#hold();
    return false;
  }

  // Edits a draft from now on. Returns false where another tab has it.
  async open(draft) {
    const release = draft.id === this.id ? this.#release : await hold(draft.id);
    if (!release) return false;
    await this.flush();
    if (release !== this.#release) this.#release?.();
    this.#release = release;
    const { id, name, files, published } = draft;
    Object.assign(this, { id, name, files: { ...BLANK, ...files }, published });
    this.history.clear();
    sessionStorage.setItem(TAB_KEY, id);
    this.on.replaced(true);
    return true;
  }

  // Starts another page; the one before stays among the drafts.
  async start(files, name = "") {
    await this.flush();
    this.#release?.();
    this.#clear();
    await this.#hold();
    Object.assign(this, { files: { ...BLANK, ...files }, name });
    if (Object.values(files).some(Boolean)) this.#touch();
    this.on.replaced(true);
  }

  async #hold() {
    this.#release = await hold(this.id);
    sessionStorage.setItem(TAB_KEY, this.id);
  }

  rename(name) {
    this.name = name;
    this.#touch();
  }

  type(path, text) {
    this.files = { ...this.files, [path]: text };
    this.#touch();
    this.on.typed(path);
  }

  // Other files, as one step that can be undone.
  replace(files, label) {
    this.history.add(label, this.files, files);
    this.#put(files);
  }

  undo() {
    const files = this.history.undo(this.files);
    if (files) this.#put(files);
  }

  redo() {
    const files = this.history.redo(this.files);
    if (files) this.#put(files);
  }

  setPublished(published) {
    this.published = published;
    this.#touch();
  }

  get title() {
    return this.name || titleOf(this.files[MAIN.html]);
  }

  #put(files) {
    this.files = { ...BLANK, ...files };
    this.#touch();
    this.on.replaced(false);
  }

  #touch() {
    this.#changed = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), SAVE_AFTER_MS);
  }

  // Writes the draft now, if there is anything to write.
  flush() {
    clearTimeout(this.#timer);
    if (!this.#changed) return this.#writing;
    this.#changed = false;
    if (!this.#drafts) {
      this.on.saved("Drafts cannot be kept here: publish before you close this tab.", true);
      return this.#writing;
    }
    const { id, name, files, published } = this;
    const draft = { id, name, files, published, saved: Date.now() };
    this.#writing = this.#writing.then(() => this.#write(draft));
    return this.#writing;
  }

  async #write(draft) {
    try {
      await this.#drafts.save(draft);
      this.on.saved("Draft saved", false);
    } catch (error) {
      this.#changed = true;
      const why = error.name === "QuotaExceededError" ? "there is no room left on the disk" : error.message;
      this.on.saved(`The draft is not saved: ${why}`, true);
    }
  }
}
