// What "Publish this file/folder…" publishes: the regular files below a path on disk.
import { lstat, opendir } from "node:fs/promises";
import { basename, join } from "node:path";
import { noSuchPath } from "./errors.js";

/**
 * The files at `path`: `{isFolder, files: [{path, names, size, mtime}], bytes, skipped}`. `names` are those below the folder;
 * a single file has its own name. Symbolic links are not followed; they and special files are counted in `skipped`.
 */
export async function readTree(path, signal) {
  const tree = { isFolder: false, files: [], bytes: 0, skipped: 0 };
  const root = await lstat(path).catch(() => null);
  if (!root?.isFile() && !root?.isDirectory()) throw noSuchPath(path);
  const add = (file, names, { size, mtimeMs }) => {
    tree.files.push({ path: file, names, size, mtime: Math.trunc(mtimeMs) });
    tree.bytes += size;
  };
  if (root.isFile()) {
    add(path, [basename(path)], root);
    return tree;
  }
  tree.isFolder = true;
  const folders = [[path, []]];
  while (folders.length) {
    const [folder, names] = folders.pop();
    for await (const entry of await opendir(folder)) {
      signal?.throwIfAborted();
      const [below, full] = [[...names, entry.name], join(folder, entry.name)];
      if (entry.isDirectory()) folders.push([full, below]);
      else if (entry.isFile()) add(full, below, await lstat(full));
      else tree.skipped += 1;
    }
  }
  return tree;
}
