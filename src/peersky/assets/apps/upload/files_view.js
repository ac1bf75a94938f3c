// The list of files of an upload: what needs attention stands first, and no more rows than a person reads.

import { size } from "./collect.js";

const MOST_ROWS = 200;
const RANK = { failed: 0, sending: 1, waiting: 2, done: 3 };
const STATES = { failed: "Failed", waiting: "", done: "Done" };

export class FilesView {
  #list;
  #more;
  #rows = new Map();
  #onRemove;

  constructor(list, more, onRemove) {
    this.#list = list;
    this.#more = more;
    this.#onRemove = onRemove;
  }

  // items as in Upload; canRemove: whether files can still be taken out.
  show(items, canRemove) {
    const chosen = items.length <= MOST_ROWS ? items : [...items].sort((a, b) => RANK[a.state] - RANK[b.state]).slice(0, MOST_ROWS);
    const wanted = new Set(chosen.map(({ path }) => path));
    for (const [path, row] of this.#rows) {
      if (wanted.has(path)) continue;
      row.remove();
      this.#rows.delete(path);
    }
    for (const [at, item] of chosen.entries()) {
      const row = this.#rows.get(item.path) ?? this.#made(item);
      this.#fill(row, item, canRemove);
      if (this.#list.children[at] !== row) this.#list.insertBefore(row, this.#list.children[at] ?? null);
    }
    const hidden = items.length - chosen.length;
    this.#more.textContent = hidden ? `And ${hidden.toLocaleString("en")} more.` : "";
  }

  #made({ path }) {
    const row = document.createElement("li");
    const name = document.createElement("bdi");
    const state = document.createElement("span");
    const remove = document.createElement("button");
    name.textContent = path;
    state.className = "state";
    Object.assign(remove, { type: "button", className: "quiet", textContent: "Remove" });
    remove.setAttribute("aria-label", `Remove ${path}`);
    remove.addEventListener("click", () => this.#onRemove(path));
    row.append(name, state, remove);
    this.#rows.set(path, row);
    return row;
  }

  #fill(row, { state, sent, file, problem }, canRemove) {
    const [, said, remove] = row.children;
    const percent = file.size ? Math.floor((100 * sent) / file.size) : 0;
    row.className = state;
    said.textContent = state === "sending" ? `${percent} %` : STATES[state] || size(file.size);
    remove.hidden = !canRemove || state === "done" || state === "sending";
    const shown = row.children[3];
    if (!problem) {
      shown?.remove();
    } else if (shown?.textContent !== problem) {
      shown?.remove();
      row.append(Object.assign(document.createElement("p"), { className: "problem", textContent: problem }));
    }
  }
}
