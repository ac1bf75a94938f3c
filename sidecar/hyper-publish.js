// Publishing from disk: a folder becomes the content of a drive (files that are gone are deleted there), a file is put at
// its name. Read straight from disk, since nobody can make us wait there.
import { createReadStream } from "node:fs";
import { checkNames, change } from "./hyper-write.js";
import { encodePath } from "./paths.js";
import { readTree } from "./tree.js";

const READ_BYTES = 256 * 1024;

/** Publish `path` to an open drive of ours. Returns `{url, root, bytes, files, skipped}`. */
export async function publishTree(open, { path, signal, progress }) {
  const tree = await readTree(path, signal);
  for (const file of tree.files) checkNames(file.names);
  const state = { done: 0, total: tree.bytes, files: 0, totalFiles: tree.files.length, file: "" };
  await change(open, signal, async (batch, writer) => {
    const gone = new Map();
    if (tree.isFolder) for await (const { key, value } of open.drive.list("/")) gone.set(key, value);
    for (const file of tree.files) {
      const key = `/${file.names.join("/")}`;
      state.file = file.names.join("/");
      const before = gone.get(key);
      gone.delete(key);
      if (before?.metadata?.mtime === file.mtime && before.blob?.byteLength === file.size) {
        state.done += file.size;
      } else {
        const blob = await writer.write(read(file, signal, state, progress));
        await batch.putEntry(key, { blob, metadata: { mtime: file.mtime } });
      }
      state.files += 1;
      progress({ ...state });
    }
    for (const key of gone.keys()) await batch.del(key);
    signal.throwIfAborted();
  });
  const url = tree.isFolder ? open.url : open.url + encodePath(tree.files[0].names).slice(1);
  return { url, root: open.url, bytes: tree.bytes, files: tree.files.length, skipped: tree.skipped };
}

async function* read(file, signal, state, progress) {
  for await (const chunk of createReadStream(file.path, { highWaterMark: READ_BYTES })) {
    signal.throwIfAborted();
    state.done += chunk.length;
    progress({ ...state });
    yield chunk;
  }
}
