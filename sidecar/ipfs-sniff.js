// What kind of file this is, where its address has no name: by its first bytes (https://mimesniff.spec.whatwg.org/).
const MAGIC = [
  ["image/png", /^\x89PNG\r\n\x1a\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/gif", /^GIF8[79]a/],
  ["image/webp", /^RIFF[\s\S]{4}WEBP/],
  ["image/avif", /^[\s\S]{4}ftypavif/],
  ["video/mp4", /^[\s\S]{4}ftyp/],
  ["video/webm", /^\x1a\x45\xdf\xa3/],
  ["audio/wave", /^RIFF[\s\S]{4}WAVE/],
  ["audio/mpeg", /^(ID3|\xff[\xfb\xf3\xf2])/],
  ["application/ogg", /^OggS/],
  ["application/pdf", /^%PDF-/],
  ["application/zip", /^PK\x03\x04/],
  ["application/gzip", /^\x1f\x8b\x08/],
  ["application/wasm", /^\0asm/],
];

/** The media type of a file of `size` bytes that begins with `head`. */
export function sniff(head, size) {
  const latin = head.toString("latin1");
  for (const [type, pattern] of MAGIC) if (pattern.test(latin)) return type;
  let text;
  try {
    // A head that is cut inside a character is text all the same.
    text = new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: head.length < size });
  } catch {
    return "application/octet-stream";
  }
  if (/[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text)) return "application/octet-stream";
  if (/^\s*(<!--[\s\S]*?-->\s*)*<(!doctype html|html|head|body|script|iframe|h1|div|style|title)[\s>]/i.test(text)) {
    return "text/html; charset=utf-8";
  }
  if (/^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]/i.test(text)) return "image/svg+xml";
  return "text/plain; charset=utf-8";
}
