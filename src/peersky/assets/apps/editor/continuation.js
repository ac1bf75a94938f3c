// Answers that stopped too early or never stop: joining what a model adds to what it had written, and seeing that it goes
// round in circles. Pure.

const MOST_OVERLAP = 2000;
const LEAST_OVERLAP = 8;
const SAME_START = 60;
const LEAST_START = 15;
const LOOPS = 6;
const LEAST_LOOP = 240;
const LONGEST_PERIOD = 400;

// `before` and its continuation as one answer. Models repeat a few words, or the line they were in, or open the fence again,
// or start from the beginning: then the new answer stands instead.
export function join(before, more) {
  const start = withoutOpening(more);
  if (startsAgain(before, start)) return more;
  const overlap = longestOverlap(before, start);
  if (overlap) return before + start.slice(overlap);
  const lastLine = before.slice(before.lastIndexOf("\n") + 1);
  const firstLine = start.split("\n", 1)[0];
  const isLineAgain = lastLine.trim().length > 2 && firstLine.trim().startsWith(lastLine.trim());
  return isLineAgain ? before.slice(0, before.length - lastLine.length) + start : before + start;
}

// Without what stands before the code: a sentence, and the fence.
function withoutOpening(text) {
  const fence = /^(?:[^\n]*\n){0,4}?[ \t]*(?:`{3,}|~{3,})[\w+#.-]*[^\S\n]*\n/.exec(text);
  if (fence && !/[;{}<>]/.test(fence[0].replace(/^[ \t]*[`~]{3,}.*$/gm, ""))) return text.slice(fence[0].length);
  const words = /^(?:sure|certainly|of course|here(?:'s| is)|continuing|okay|ok)\b[^\n;{}<>]*\n+/i.exec(text);
  return words ? text.slice(words[0].length) : text;
}

function startsAgain(before, start) {
  const code = withoutOpening(before).trimStart();
  const again = start.trimStart();
  let same = 0;
  while (same < SAME_START && same < code.length && code[same] === again[same]) same += 1;
  return same >= LEAST_START && same >= Math.min(SAME_START, code.length / 2);
}

function longestOverlap(before, start) {
  for (let length = Math.min(MOST_OVERLAP, before.length, start.length); length >= LEAST_OVERLAP; length -= 1) {
    if (before.endsWith(start.slice(0, length))) return length;
  }
  return 0;
}

// Where a text began to repeat itself without end, or -1.
export function loopStart(text) {
  for (let period = 1; period <= LONGEST_PERIOD; period += 1) {
    const needed = Math.max(LEAST_LOOP, period * LOOPS);
    if (needed > text.length) continue;
    let at = text.length - 1;
    while (at >= period && text[at] === text[at - period]) at -= 1;
    if (text.length - at - 1 + period >= needed && text.slice(-period).trim()) return at + 1;
  }
  return -1;
}

// What a change looks like while it is being written: the new lines, and after them the old ones that are still to come, so
// that a comparison does not show the whole rest as deleted.
export function provisional(before, partial) {
  const old = before.split("\n");
  const fresh = partial.split("\n").slice(0, -1);
  for (let back = 1; back <= Math.min(fresh.length, 12); back += 1) {
    const line = fresh[fresh.length - back];
    if (!line.trim()) continue;
    const places = old.flatMap((text, index) => (text === line ? [index] : []));
    if (!places.length) continue;
    const expected = fresh.length - back;
    const at = places.reduce((best, index) => (Math.abs(index - expected) < Math.abs(best - expected) ? index : best));
    return [...fresh, ...old.slice(at + back)].join("\n");
  }
  return fresh.length ? [...fresh, ...old.slice(fresh.length)].join("\n") : before;
}
