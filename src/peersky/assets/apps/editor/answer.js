// What a model wrote, made into the file that it was asked for. Small models follow no format for long: they talk around
// the code, forget a fence or its end, answer with several files, with JSON, with escaped markup. Pure; also reads an
// answer that is still growing.

import { KINDS, MAIN, paneOf } from "./files.js";

const LANGUAGES = {
  html: "html", htm: "html", xhtml: "html", xml: "html", svg: "html", markup: "html",
  css: "css", scss: "css",
  js: "js", javascript: "js", mjs: "js", jsx: "js", ts: "js", typescript: "js", json: "json",
};
const FENCE = /^[ \t>]{0,8}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[ \t]*(.*)$/;
const FILE_NAME = /([\w-]+\.(?:html?|css|m?js))\b/i;
const NOTHING = /^[\s`*"'(]*(?:\/[/*]\s*)?(?:none|no (?:java)?script (?:is )?(?:needed|required|necessary)|nothing)\b[\s.!`*"')/]*$/i;
// What terminals read as commands has no place in a page.
const CONTROL = /\u001b\[[0-9;?]*[a-zA-Z]|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufeff]/g;

// Reads an answer about the file of `kind`. Returns {code, closed, extras, none}: the code (empty where there is none yet),
// whether its end is certain, code of the other kinds that came along, and whether the model says that nothing is needed.
export function readAnswer(text, kind) {
  const plain = cleaned(text);
  if (NOTHING.test(plain)) return { code: "", closed: true, extras: {}, none: true };
  const blocks = fenced(plain);
  if (blocks.length) return fromBlocks(blocks, kind);
  return fromJson(plain, kind) ?? { code: bare(plain, kind), closed: false, extras: {}, none: false };
}

function cleaned(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(CONTROL, "")
    .replace(/^\s*<think>[\s\S]*?(?:<\/think>|$)/i, "");
}

// --- code in fences ---------------------------------------------------------------------------------------------

function fenced(text) {
  const blocks = [];
  let open = null;
  let before = "";
  for (const line of text.split("\n")) {
    const fence = FENCE.exec(line);
    if (open) {
      if (fence && fence[1].startsWith(open.mark) && !fence[2] && !fence[3].trim()) {
        blocks.push({ ...open, closed: true });
        open = null;
        before = "";
      } else if (line.trimEnd().endsWith(open.mark) && !line.includes("`", line.indexOf(open.mark) + 3)) {
        // The closing fence behind the last line of code.
        open.lines.push(line.trimEnd().slice(0, -open.mark.length));
        blocks.push({ ...open, closed: true });
        open = null;
      } else {
        open.lines.push(line);
      }
    } else if (fence) {
      const [, mark, word, rest] = fence;
      const name = FILE_NAME.exec(`${word} ${rest}`)?.[1] ?? FILE_NAME.exec(before)?.[1] ?? "";
      const glued = rest.trimStart().startsWith("<") ? [rest.trimStart()] : [];
      open = { mark, language: LANGUAGES[word.toLowerCase()] ?? "", name, lines: glued };
    } else if (line.trim()) {
      before = line;
    }
  }
  if (open) blocks.push({ ...open, closed: false });
  return blocks.map(({ language, name, lines, closed }) => {
    const code = lines.join("\n").trim();
    return { kind: (name && paneOf(name)) || language || guess(code), code, closed };
  });
}

function guess(code) {
  if (/^\s*(?:<!doctype|<[a-z!])/i.test(code)) return "html";
  if (/^\s*\{\s*"/.test(code)) return "json";
  if (/^\s*(?:\/\*[\s\S]*?\*\/\s*)?(?:@[a-z-]+|[.#:*[\w][^{};=()]*(?:\([^)]*\)[^{};=]*)?)\s*\{/i.test(code)) return "css";
  return "js";
}

function fromBlocks(blocks, kind) {
  // JSON in a fence is what JSON without one is.
  if (blocks[0].kind === "json" && blocks.every((block) => block.kind === "json")) {
    const found = fromJson(blocks[0].code, kind);
    if (found) return found;
  }
  // A model that wrote a piece first and then the file: the longest is the file.
  const best = {};
  for (const block of blocks) {
    const known = best[block.kind];
    if (!known || block.code.length > known.code.length) best[block.kind] = block;
  }
  const [only] = blocks;
  const own = best[kind] ?? (blocks.length === 1 && kind !== "html" && only.kind !== "html" ? only : null);
  const extras = {};
  for (const other of KINDS) {
    if (other !== kind && best[other] && best[other] !== own) extras[other] = ended(best[other].code);
  }
  return { code: own ? ended(tidy(own.code, kind)) : "", closed: own?.closed ?? false, extras, none: false };
}

// --- code in JSON -----------------------------------------------------------------------------------------------

const KEYS = {
  html: ["html", "index.html", "page", "content", "code"],
  css: ["css", "style.css", "styles", "style", "content", "code"],
  js: ["js", "javascript", "script.js", "script", "content", "code"],
};

function fromJson(text, kind) {
  const start = text.search(/\{\s*"/);
  if (start < 0 || text.slice(0, start).includes("<")) return null;
  const values = {};
  // A string after a colon, complete or not: the object around it need not be whole.
  for (const [, key, value, end] of text.slice(start).matchAll(/"([\w. -]+)"\s*:\s*"((?:[^"\\]|\\[\s\S])*)("|$)/g)) {
    values[key.toLowerCase()] = { text: unescapeJson(value), closed: end === '"' };
  }
  const look = (wanted) => KEYS[wanted].map((key) => values[key]).find((value) => value?.text.trim());
  const own = look(kind);
  if (!own) return null;
  const extras = {};
  for (const other of KINDS.filter((name) => name !== kind)) {
    const found = look(other);
    if (found?.closed && found !== own) extras[other] = ended(found.text.trim());
  }
  return { code: ended(own.text.trim()), closed: own.closed, extras, none: false };
}

function unescapeJson(text) {
  const whole = text.replace(/\\(?:u[0-9a-f]{0,3})?$/i, "").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  try {
    return JSON.parse(`"${whole}"`);
  } catch {
    return text.replaceAll("\\n", "\n").replaceAll('\\"', '"');
  }
}

// --- code without a frame ---------------------------------------------------------------------------------------

function bare(text, kind) {
  if (kind === "html") {
    const plain = /&lt;(?:!doctype|html|body|head)/i.test(text) && !/<(?:!doctype|html|body)/i.test(text) ? unescaped(text) : text;
    const start = plain.search(/<!doctype|<html[\s>]/i);
    const from = start >= 0 ? start : plain.search(/^[ \t]*<(?:!--|[a-z][\w-]*[\s>/])/im);
    return from < 0 ? "" : ended(tidy(plain.slice(from).trim(), "html"));
  }
  const lines = text.split("\n");
  const first = lines.findIndex((line) => (kind === "css" ? CSS_START : JS_START).test(line));
  if (first < 0) return "";
  return ended(withoutLastWords(lines.slice(first)).join("\n").trim());
}

const CSS_START = /^\s*(?:\/\*|@[a-z-]+\b|(?:[.#:*[][^\s{]|[a-z][\w-]*)[^{};.!?]*[{,]\s*)(?:$|[^.!?]*[;{}]?\s*\}?\s*$)/;
const JS_START =
  /^\s*(?:"use strict"|'use strict'|\/\/|\/\*|(?:const|let|var|function|class|import|async|export)\s|document\.|window\.|addEventListener\(|\(\(?|if\s*\(|for\s*\()/;

// What a model says after the code: paragraphs of words behind the last line that ends as code does.
function withoutLastWords(lines) {
  const last = lines.findLastIndex((line) => /[;{}(),>]\s*$|\*\/\s*$|^\s*\/\//.test(line));
  const rest = lines.slice(last + 1).join("\n").trim();
  return /^[A-Z*#-][^;{}]*[.!:?)*]?$/.test(rest.split("\n")[0] ?? "") && rest ? lines.slice(0, last + 1) : lines;
}

function unescaped(text) {
  const named = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|#39|amp);/g, (_, name) => named[name]);
}

// --- the ends of the code ---------------------------------------------------------------------------------------

function tidy(code, kind) {
  if (kind !== "html") return code;
  const end = /<\/html\s*>/gi;
  const ends = [...code.matchAll(end)];
  return ends.length ? code.slice(0, ends.at(-1).index + ends.at(-1)[0].length) : code;
}

const ended = (code) => (code ? `${code}\n` : "");

// Whether a file stops in the middle, as far as its text can tell.
export function isUnfinished(code, kind) {
  if (!code.trim()) return false;
  if (kind === "html") return /<html[\s>]/i.test(code) ? !/<\/html\s*>\s*$/i.test(code) : /<[^>]*$/.test(code);
  const plain = code
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(kind === "js" ? /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`|\/\/.*/g : /"[^"\n]*"|'[^'\n]*'/g, "");
  const count = (chars) => [...plain].filter((char) => chars.includes(char)).length;
  return count("{([") > count("})]") || /\/\*/.test(plain) || (kind === "js" && plain.includes("`"));
}

export const pathOf = (kind) => MAIN[kind];
