// The Range header (RFC 9110, section 14), one range of bytes.
import { badRange } from "./errors.js";

/**
 * `{start, end}` (end excluded) that a Range header asks of `size` bytes, or null where it is to be ignored (none, another
 * unit, several ranges, or no range by the grammar). Throws 416 where it does not fit.
 */
export function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return null;
  const [first, last] = [match[1], match[2]].map((digits) => (digits === "" ? null : Number(digits)));
  if (first !== null && last !== null && first > last) return null;
  const start = first ?? Math.max(0, size - last);
  const end = first === null || last === null ? size : Math.min(last + 1, size);
  if (start >= end) throw badRange(size);
  return { start, end };
}
