// Reads what the user dropped or chose and sends it to peersky://apps/api/: `begin` of api/apps names an import, files go
// to api/app-files in packs (a line of JSON, [[path, bytes, modified], …], then their bytes), a zip goes to api/app-zip as
// it is, and `commit` makes the app. Whatever goes wrong, nothing of it is kept. The other half is web/apps_api.py.

const { request } = globalThis.PeerSky;

const PACK_BYTES = 4 * 1024 * 1024;
const PACK_FILES = 400;
const MAX_FILES = 20_000;
const HIDDEN = /(?:^|\/)(?:\.|__MACOSX(?:\/|$))/;

// What a drop holds: {files: [{path, file}], source} or {zip, source}. Has to be called while the event is handled, since
// a drop is empty afterwards.
export function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return async (signal) => {
    if (entries.length === 0) throw new Error("There is no file or folder in what was dropped.");
    if (entries.length === 1 && entries[0].isFile && isZip(entries[0].name)) {
      return { zip: await fileOf(entries[0]), source: entries[0].name };
    }
    const files = [];
    for (const entry of entries) await walk(entry, "", files, signal);
    return { files, source: entries[0].name };
  };
}

// The same of a file input.
export function chosen(input) {
  const files = [...input.files];
  if (files.length === 1 && !files[0].webkitRelativePath && isZip(files[0].name)) {
    return async () => ({ zip: files[0], source: files[0].name });
  }
  return async () => {
    if (files.length === 0) throw new Error("This folder is empty, so there is no app in it.");
    const found = files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));
    checkCount(found.filter(({ path }) => !HIDDEN.test(path)).length);
    return { files: found, source: found[0].path.split("/")[0] };
  };
}

// Sends it; resolves with the reply of `commit`. `id` is that of the app to update, or empty; `tell` is called with
// {bytes, total, files, totalFiles}.
export async function addApp(read, { id = "", signal, tell }) {
  const { files, zip, source } = await read(signal);
  const { import: token } = await request("/api/apps", { action: "begin", id });
  try {
    if (zip) await send("app-zip", token, zip, signal);
    else await sendFiles(files, token, signal, tell);
    signal.throwIfAborted();
    return await request("/api/apps", { action: "commit", import: token, id, source });
  } catch (error) {
    await request("/api/apps", { action: "cancel", import: token }).catch(() => {});
    throw error;
  }
}

async function sendFiles(files, token, signal, tell) {
  // Hidden files are counted there too, but need no journey.
  const wanted = files.filter(({ path }) => !HIDDEN.test(path));
  if (wanted.length === 0) throw new Error("There is nothing in this folder but hidden files, so there is no app in it.");
  const total = wanted.reduce((sum, { file }) => sum + file.size, 0);
  let sent = 0;
  let count = 0;
  for (const pack of packs(wanted)) {
    const index = JSON.stringify(pack.map(({ path, file }) => [path, file.size, file.lastModified]));
    await send("app-files", token, new Blob([`${index}\n`, ...pack.map(({ file }) => file)]), signal);
    sent += pack.reduce((sum, { file }) => sum + file.size, 0);
    count += pack.length;
    tell({ bytes: sent, total, files: count, totalFiles: wanted.length });
  }
}

// Files in turn, as many together as make a request worth its while; a large one goes alone, and fetch() slices it.
export function* packs(files) {
  let pack = [];
  let size = 0;
  for (const entry of files) {
    if (pack.length > 0 && (size + entry.file.size > PACK_BYTES || pack.length >= PACK_FILES)) {
      yield pack;
      pack = [];
      size = 0;
    }
    pack.push(entry);
    size += entry.file.size;
  }
  if (pack.length > 0) yield pack;
}

async function send(api, token, body, signal) {
  let reply;
  try {
    reply = await fetch(`/api/${api}?import=${token}`, { method: "POST", body, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error("A file could not be read; it may have been changed or moved meanwhile. Add the app again.", {
      cause: error,
    });
  }
  const said = await reply.json();
  if (said.error) throw new Error(said.error.message);
}

async function walk(entry, folder, files, signal) {
  signal.throwIfAborted();
  const path = `${folder}${entry.name}`;
  if (HIDDEN.test(path)) return;
  if (entry.isFile) {
    files.push({ path, file: await fileOf(entry) });
    checkCount(files.length);
    return;
  }
  const reader = entry.createReader();
  // A call gives at most 100 entries, and none at the end.
  for (;;) {
    const some = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (some.length === 0) return;
    for (const child of some) await walk(child, `${path}/`, files, signal);
  }
}

function fileOf(entry) {
  return new Promise((resolve, reject) => {
    entry.file(resolve, () => reject(new Error(`The file ${entry.name} cannot be read.`)));
  });
}

function checkCount(count) {
  if (count > MAX_FILES) {
    throw new Error(
      `An app may have ${MAX_FILES.toLocaleString("en")} files; leave out what it does not need, such as node_modules.`,
    );
  }
}

function isZip(name) {
  return /\.zip$/i.test(name);
}
