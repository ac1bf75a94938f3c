// Files and folders that were dropped or chosen, as items {path, file}. Pure but for the entries that it is given, so it is
// tested in Node with entries of the test's own.

export const MOST_FILES = 20_000;
const LONGEST_PATH = 500;
const JUNK = new Set(["thumbs.db", "desktop.ini"]);
// Control characters, and what turns the direction of writing around by force.
const ODD = /[\u0000-\u001f\u007f\\\u202a-\u202e\u2066-\u2069]/;

// Why a path stays out: "hidden" or "unsafe"; null where it may be published.
//
// A page sees links as the files that they lead to, if at all (Chromium leaves those in dropped folders out), so what can
// be told here is the name: it must stay below its folder on every system.
export function refusal(path) {
  const parts = path.split("/");
  if (path.length > LONGEST_PATH || ODD.test(path)) return "unsafe";
  if (parts.some((part) => !part || part === "." || part === ".." || part !== part.trim())) return "unsafe";
  if (parts.some((part) => part.startsWith(".") && part !== ".well-known")) return "hidden";
  return JUNK.has(parts.at(-1).toLowerCase()) ? "hidden" : null;
}

// What was found: items by path, and what stayed out.
export class Collection {
  items = new Map();
  left = { hidden: [], unsafe: [], unreadable: [], tooMany: 0 };

  add(path, file) {
    const clean = path.replace(/^\/+/, "");
    const reason = refusal(clean);
    if (reason) this.left[reason].push(clean);
    else if (this.items.size >= MOST_FILES && !this.items.has(clean)) this.left.tooMany += 1;
    else this.items.set(clean, { path: clean, file });
  }

  get isFull() {
    return this.items.size >= MOST_FILES;
  }

  // Files of one folder stand at its top: what is published is the folder, by its name.
  unwrapped() {
    const paths = [...this.items.keys()];
    const root = paths[0]?.includes("/") ? paths[0].slice(0, paths[0].indexOf("/") + 1) : "";
    const isOne = root && paths.every((path) => path.startsWith(root));
    const items = [...this.items.values()];
    if (!isOne) return { name: "", items };
    return { name: root.slice(0, -1), items: items.map(({ path, file }) => ({ path: path.slice(root.length), file })) };
  }
}

// All files below entries of a drop (FileSystemEntry of the File and Directory Entries API). report(count) as they come in.
export async function fromEntries(entries, { report = () => {}, signal } = {}) {
  const found = new Collection();
  const waiting = [...entries];
  while (waiting.length) {
    signal?.throwIfAborted();
    const entry = waiting.shift();
    const path = entry.fullPath;
    if (entry.isDirectory) {
      // Not even looked into, once there is no room.
      if (found.isFull) found.left.tooMany += 1;
      else if (refusal(path.replace(/^\/+/, ""))) found.add(path, null);
      else waiting.push(...(await children(entry, found)));
      continue;
    }
    try {
      const file = await new Promise((resolve, reject) => {
        entry.file(resolve, reject);
      });
      found.add(path, file);
    } catch {
      found.left.unreadable.push(path.replace(/^\/+/, ""));
    }
    if (found.items.size % 100 === 0) report(found.items.size);
  }
  return found;
}

// A folder tells its entries in parts, and an empty part is the end.
async function children(entry, found) {
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    let part;
    try {
      part = await new Promise((resolve, reject) => {
        reader.readEntries(resolve, reject);
      });
    } catch {
      found.left.unreadable.push(`${entry.fullPath.replace(/^\/+/, "")}/`);
      return all;
    }
    if (!part.length) return all;
    all.push(...part);
  }
}

// The files of an <input type="file">, with or without folders.
export function fromFiles(files) {
  const found = new Collection();
  for (const file of files) found.add(file.webkitRelativePath || file.name, file);
  return found;
}

// What stayed out, in sentences.
export function leftOut({ hidden, unsafe, unreadable, tooMany }) {
  const named = (list) => `${list.slice(0, 3).map(visible).join(", ")}${list.length > 3 ? ", …" : ""}`;
  const files = (count) => `${count.toLocaleString("en")} ${count === 1 ? "file" : "files"}`;
  const said = [];
  if (hidden.length) said.push(`Left out: ${files(hidden.length)} that systems hide (${named(hidden)}).`);
  if (unsafe.length) said.push(`Left out: ${files(unsafe.length)} whose names no folder may hold (${named(unsafe)}).`);
  if (unreadable.length) said.push(`Cannot be read: ${named(unreadable)}.`);
  if (tooMany) said.push(`More than ${MOST_FILES.toLocaleString("en")} files: ${files(tooMany)} or folders were left out. Publish the folder from the menu of the browser, which has no such limit.`);
  return said;
}

// A name in which nothing hides.
const visible = (name) => {
  const shown = [...name].map((char) => (ODD.test(char) ? `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : char)).join("");
  return shown.length > 60 ? `${shown.slice(0, 59)}…` : shown || "(no name)";
};

export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const [unit, by] = bytes < 1e6 ? ["kB", 1e3] : bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(bytes / by).toFixed(bytes / by < 10 ? 1 : 0)} ${unit}`;
}
