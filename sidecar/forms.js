// multipart/form-data as a stream of its parts, by busboy.
import busboy from "busboy";
import { malformed } from "./errors.js";

/**
 * The parts of a form, in order: `{name, filename, body}`; `filename` is undefined for a field that is no file. Folders in
 * file names are kept. Each body must be read (or left) before the next part is asked for. Throws 400 when the form ends in
 * the middle, and whatever reading `source` throws.
 */
export async function* readForm(headers, source) {
  let parser;
  try {
    parser = busboy({ headers, preservePath: true, defParamCharset: "utf8" });
  } catch {
    throw malformed("The body is not a form, although its Content-Type says so.");
  }
  const ended = new AbortController();
  let failure = null;
  const end = (error) => {
    failure ??= error ?? null;
    ended.abort();
  };
  // Paused until somebody iterates: busboy reads no further than a part that nobody reads.
  const parts = [];
  let wake = () => {};
  parser.on("file", (name, body, { filename }) => {
    body.on("error", end);
    parts.push({ name, filename: filename ?? "", body });
    wake();
  });
  parser.on("field", (name, value) => {
    parts.push({ name, filename: undefined, body: [Buffer.from(value)] });
    wake();
  });
  ended.signal.addEventListener("abort", () => wake());
  parser.on("error", () => end(malformed("The form ends in the middle, or is not a form.")));
  parser.on("close", () => end());
  source.on("error", (error) => {
    end(error);
    parser.destroy(error);
  });
  source.pipe(parser);
  try {
    for (;;) {
      while (parts.length) {
        const part = parts.shift();
        yield part;
        if (typeof part.body.resume === "function") part.body.resume();
      }
      if (failure) throw failure;
      if (ended.signal.aborted) return;
      await new Promise((resolve) => {
        wake = resolve;
        if (parts.length || ended.signal.aborted) resolve();
      });
    }
  } finally {
    source.unpipe(parser);
    parser.destroy();
  }
}
