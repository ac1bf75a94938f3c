// PUT, DELETE and publishing from disk: new trees of UnixFS from what a page or the user gives. A tree is pinned when all of it
// is there, and answered after that; a body that stops half-way leaves neither a pin nor an address.
import { createReadStream } from "node:fs";

import { Folder } from "./ipfs-folder.js";
import { malformed } from "./errors.js";
import { splitFileName } from "./paths.js";
import { readTree } from "./tree.js";

const PROGRESS_BYTES = 4 * 1024 * 1024;

export class Writer {
  #content;
  #backend;

  constructor(content, backend) {
    this.#content = content;
    this.#backend = backend;
  }

  /**
   * The folder `base` with the request's body or form at `names`, pinned for `owner`.
   * Returns {cid, bytes, files, names: where the one file is}.
   */
  async put(request, base, { names, isFolder }, owner) {
    const isForm = (request.headers.get("content-type") ?? "").toLowerCase().startsWith("multipart/form-data");
    return this.#edit(base, owner, request.signal, async (folder, sink) => {
      if (!isForm && isFolder) {
        if (names.length === 0) throw malformed("Say in the address under which name the file is to be stored, or send a form.");
        folder.makeFolder(names);
        return { bytes: 0, files: 0 };
      }
      if (!isForm) {
        const { cid, size, bytes } = await this.#content.write(request.body, sink, request.signal);
        folder.add(names, cid, size);
        return { bytes, files: 1 };
      }
      const sum = { bytes: 0, files: 0 };
      for await (const { filename, body } of request.form()) {
        if (filename === undefined) continue; // a field that is no file
        const { cid, size, bytes } = await this.#content.write(body, sink, request.signal);
        folder.add([...names, ...splitFileName(filename)], cid, size);
        sum.bytes += bytes;
        sum.files += 1;
      }
      if (sum.files === 0) throw malformed("The form holds no file.");
      return sum;
    });
  }

  /** The folder `base` without what lies at `names`, pinned for `owner`. */
  async remove(request, base, names, owner) {
    return this.#edit(base, owner, request.signal, async (folder) => {
      folder.remove(names);
      return { bytes: 0, files: 0 };
    });
  }

  /**
   * Publish a file or folder from disk; a single file is put into a folder of its own, so that its address keeps its name.
   * Returns {cid, bytes, files, skipped, names}.
   */
  async publish(path, { owner, signal, progress }) {
    const tree = await readTree(path, signal);
    const state = { done: 0, total: tree.bytes, files: 0, totalFiles: tree.files.length, file: "" };
    const result = await this.#edit(null, owner, signal, async (folder, sink) => {
      for (const file of tree.files) {
        let told = state.done;
        const counted = async function* () {
          for await (const chunk of createReadStream(file.path, { highWaterMark: 1_048_576 })) {
            yield chunk;
            state.done += chunk.byteLength;
            if (state.done - told < PROGRESS_BYTES) continue;
            told = state.done;
            progress({ ...state, file: file.names.join("/") });
          }
        };
        const { cid, size } = await this.#content.write(counted(), sink, signal);
        folder.add(file.names, cid, size);
        state.files += 1;
        progress({ ...state, file: file.names.join("/") });
      }
      return { bytes: state.done, files: state.files };
    });
    return { ...result, skipped: tree.skipped, names: tree.isFolder ? [] : tree.files[0].names };
  }

  async #edit(base, owner, signal, fill) {
    const hold = this.#backend.hold();
    try {
      const load = (cid) => this.#content.load(cid, signal);
      if (base !== null && (await this.#content.find(base, [], signal)).type !== "folder") {
        throw malformed("What lies at this CID is no folder, so nothing can be put into it.");
      }
      const folder = new Folder(base);
      const sink = this.#content.sink();
      const sum = await fill(folder, sink);
      const { cid } = await folder.write(sink, load);
      await sink.done();
      signal.throwIfAborted();
      await this.#backend.pin(cid, owner, load);
      return { cid, ...sum };
    } finally {
      hold.release();
    }
  }
}
