// The Content-Type of a file, by the end of its name: neither Hyperdrive nor UnixFS keeps one.
import mime from "mime";

export function contentType(name) {
  const type = mime.getType(name) ?? (name.includes(".", 1) ? "application/octet-stream" : "text/plain");
  return type.startsWith("text/") || type === "application/javascript" || type === "application/json"
    ? `${type}; charset=utf-8`
    : type;
}
