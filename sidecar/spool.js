// Uploads on disk until they are complete: what a page sends comes at its own pace and may stop half-way. A spool is one
// file, which nobody else knows; it holds any number of parts.
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rm, unlink } from "node:fs/promises";
import { join } from "node:path";

const WRITE_BYTES = 1_048_576; // a network's pieces are small, and each write is a trip to another thread

export class Spool {
  #file;
  #path;
  #size = 0;

  /** A new spool in `folder`, which only spools live in. */
  static async open(folder) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const spool = new Spool();
    spool.#path = join(folder, randomUUID());
    spool.#file = await open(spool.#path, "wx+", 0o600);
    return spool;
  }

  /** Delete the spools of a process that was killed. */
  static async clean(folder) {
    await rm(folder, { recursive: true, force: true });
  }

  /** Keep all bytes of `source`; returns the part `{start, end}`. Throws what reading or writing throws. */
  async add(source) {
    const start = this.#size;
    let chunks = [];
    let bytes = 0;
    for await (const chunk of source) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes < WRITE_BYTES) continue;
      await this.#write(Buffer.concat(chunks));
      [chunks, bytes] = [[], 0];
    }
    await this.#write(Buffer.concat(chunks));
    return { start, end: this.#size };
  }

  async #write(bytes) {
    for (let rest = bytes; rest.length; ) {
      const { bytesWritten } = await this.#file.write(rest, 0, rest.length, this.#size);
      this.#size += bytesWritten;
      rest = rest.subarray(bytesWritten);
    }
  }

  /** The bytes of a part. */
  read({ start, end }) {
    if (start === end) return [];
    return createReadStream(this.#path, { fd: this.#file, start, end: end - 1, autoClose: false, highWaterMark: WRITE_BYTES });
  }

  async close() {
    await this.#file.close();
    await unlink(this.#path);
  }
}
