// How much room a folder takes, as the settings page shows it.
import { opendir, stat } from "node:fs/promises";
import { join } from "node:path";

/** Bytes of all files below `folder`; what vanishes meanwhile counts nothing. */
export async function folderBytes(folder) {
  let bytes = 0;
  try {
    for await (const entry of await opendir(folder, { recursive: true })) {
      if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size;
    }
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  return bytes;
}
