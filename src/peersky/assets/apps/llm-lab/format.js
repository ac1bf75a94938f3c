// What an example shows, as text. Pure, tested in Node.

const LONGEST = 20_000;

// {kind: "text" | "data", text} of any value.
export function shown(value) {
  if (typeof value === "string") return { kind: "text", text: cut(value) };
  return { kind: "data", text: cut(described(value)) };
}

function described(value) {
  if (value === undefined) return "undefined";
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") return String(value);
  if (value instanceof Headers) return described(Object.fromEntries(value));
  if (value instanceof Uint8Array) return `${value.length} bytes: ${[...value.slice(0, 32)].join(" ")}${value.length > 32 ? " …" : ""}`;
  if (value instanceof ArrayBuffer) return described(new Uint8Array(value));
  if (value instanceof Blob) return `Blob, ${value.size} bytes, ${value.type || "no type"}`;
  try {
    return JSON.stringify(value, null, 2) ?? String(value);
  } catch {
    return String(value);
  }
}

const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} more characters` : text);

// {name, reason, message, line} of what was thrown. `line` counts in the code that was run, or is null.
export function problemOf(error, address, linesBefore) {
  const isError = error instanceof Error || typeof error?.message === "string";
  const message = isError ? String(error.message) : `Thrown: ${described(error)}`;
  const name = isError ? String(error.name || "Error") : "";
  const at = String(error?.stack ?? "").split(`${address}:`)[1];
  const line = at ? Number.parseInt(at, 10) - linesBefore : NaN;
  return { name, reason: typeof error?.reason === "string" ? error.reason : "", message: cut(message), line: line > 0 ? line : null };
}

// The body of a function, as the code that a person reads and changes.
export function bodyOf(run) {
  const source = run.toString();
  const lines = source.slice(source.indexOf("{") + 1, source.lastIndexOf("}")).replace(/^\s*\n/, "").trimEnd().split("\n");
  const indent = Math.min(...lines.filter((line) => line.trim()).map((line) => /^ */.exec(line)[0].length));
  return lines.map((line) => line.slice(indent)).join("\n");
}

// A time in milliseconds, as people write it.
export function time(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

// What stands below a result.
export function summary({ ms, firstMs, answers, error }) {
  const parts = [error ? `Failed after ${time(ms)}` : `Ended after ${time(ms)}`];
  if (firstMs !== null && ms - firstMs >= 1) parts.push(`first output after ${time(firstMs)}`);
  if (answers.length) {
    const sum = (name) => answers.reduce((total, usage) => total + (usage[name] ?? 0), 0);
    const [input, output] = [sum("inputTokens"), sum("outputTokens")];
    parts.push(`${input} tokens in, ${output} out`);
  }
  return `${parts.join(" · ")}.`;
}
