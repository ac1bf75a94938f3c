// Steps that can be undone as a whole: each holds the files before and after it. Pure; files are never changed in place.

import { isSame } from "./files.js";

export class History {
  #done = [];
  #undone = [];

  get undoLabel() {
    return this.#done.at(-1)?.label ?? "";
  }

  get redoLabel() {
    return this.#undone.at(-1)?.label ?? "";
  }

  // Remembers a step. Steps that were undone before it are gone, as everywhere.
  add(label, before, after) {
    if (isSame(before, after)) return;
    this.#done.push({ label, before: { ...before }, after: { ...after } });
    this.#undone = [];
  }

  // The files before the last step. What was written by hand since then comes back with redo().
  undo(now) {
    const step = this.#done.pop();
    if (!step) return null;
    this.#undone.push({ ...step, after: { ...now } });
    return step.before;
  }

  redo(now) {
    const step = this.#undone.pop();
    if (!step) return null;
    this.#done.push({ ...step, before: { ...now } });
    return step.after;
  }

  clear() {
    this.#done = [];
    this.#undone = [];
  }
}
