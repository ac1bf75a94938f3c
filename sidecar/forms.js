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
  parser.on("file", (name, stream, { filename }) => {
    stream.on("error", () => {}); // the parser's own error, or the source's, says it
    parts.push({ stream, part: { name, filename: filename ?? "", body: readPart(stream) } });
    wake();
  });
  parser.on("field", (name, value) => {
    parts.push({ stream: null, part: { name, filename: undefined, body: [Buffer.from(value)] } });
    wake();
  });
  async function* readPart(stream) {
    try {
      yield* stream;
    } catch {
      throw failure ?? half();
    }
  }
  ended.signal.addEventListener("abort", () => wake());
  parser.on("error", () => end(half()));
  parser.on("close", () => end());
  source.on("error", (error) => {
    end(error);
    parser.destroy(error);
  });
  source.pipe(parser);
  try {
    for (;;) {
      while (parts.length) {
        const { stream, part } = parts.shift();
        yield part;
        stream?.resume(); // what was not read
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

const half = () => malformed("The form ends in the middle, or is not a form.");
