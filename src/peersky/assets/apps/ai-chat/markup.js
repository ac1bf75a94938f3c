// Markdown of a model as blocks of markup, while it grows. HTML is text, pictures are notes with their address, maths and
// code are marked for who shows them. What this makes is sanitised once more before it is shown (markdown.js). Pure: no
// DOM, tested in Node.

import { Lexer, Marked } from "./vendor/marked.esm.js";

// Beyond these a text is shown as it is, or read in pieces: what no person writes must not cost a second per frame.
const LONGEST_LINE = 5000;
const LONGEST_INLINE = 20_000;
const LONGEST_STRETCH = 20_000;
const TOO_DEEP = /^[ \t>]{60}/;

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const escape = (text) => String(text).replace(/[&<>"']/g, (char) => ENTITIES[char]);

// What terminals obey (ECMA-48), whole or cut off at the end; other control characters; what turns the direction of
// writing around by force (Unicode TR 9: embeddings, overrides, isolates), which could make code read otherwise than it is.
const TERMINAL = /\x1b(?:\[[0-?]*[ -/]*(?:[@-~]|$)|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[@-Z\\^_]|$)/g;
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

export function clean(text) {
  return text.replace(/\r\n?/g, "\n").replace(TERMINAL, "").replace(CONTROL, "");
}

// --- maths ------------------------------------------------------------------------------------------------------

const DISPLAY = /^(?:\$\$([^$]{1,1000}?)\$\$|\\\[([^]{1,1000}?)\\\])/;
const DISPLAY_BLOCK = new RegExp(`${DISPLAY.source}[ \\t]*(?:\\n+|$)`);
// As in most Markdown: no space inside the dollars, no digit behind them, so that prices stay prices.
const INLINE = /^(?:\$(?![\s$])((?:\\.|[^$\\\n]){1,500}?)(?<!\s)\$(?![\w$])|\\\(([^\n]{1,500}?)\\\))/;

const mathsStart = (text) => {
  const at = text.search(/\$|\\[([]/);
  return at < 0 ? undefined : at;
};
const mathsToken = (type, found, display) => found && {
  type, raw: found[0], text: (found[1] ?? found[2]).trim(), display,
};
const showMaths = ({ text, display }) => `<code class="tex${display ? " tex-display" : ""}">${escape(text)}</code>`;

const MATHS = [
  {
    name: "mathsBlock",
    level: "block",
    // Only where it ends as well: each place named here is one where a paragraph is read anew.
    start: (text) => text.match(/^(?:\$\$[^$]{1,1000}?\$\$|\\\[[^]{1,1000}?\\\])[ \t]*$/m)?.index,
    tokenizer: (text) => mathsToken("mathsBlock", DISPLAY_BLOCK.exec(text), true),
    renderer: (token) => `<p class="maths">${showMaths(token)}</p>`,
  },
  {
    name: "maths",
    level: "inline",
    start: mathsStart,
    tokenizer: (text) => mathsToken("maths", DISPLAY.exec(text), true) ?? mathsToken("maths", INLINE.exec(text), false) ?? undefined,
    renderer: showMaths,
  },
];

// --- blocks -----------------------------------------------------------------------------------------------------

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ href, text }) => imageNote(href, text),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});
marked.use({ extensions: MATHS });

function imageNote(href, text) {
  const name = text ? `“${escape(text)}”` : "";
  if (/^\s*data:/i.test(href)) return `<span class="no-picture">A picture ${name} in the answer is not shown.</span>`;
  return `<span class="no-picture">Picture ${name} not loaded: <a href="${escape(href)}">${escape(href)}</a></span>`;
}

// A block: {kind: "markup", raw, html}, {kind: "code", raw, code, language} or {kind: "plain", raw, text}.
function blocksOf(text, links) {
  const blocks = [];
  for (const { isPlain, part } of sections(text)) {
    if (isPlain) blocks.push({ kind: "plain", raw: part, text: part });
    else blocks.push(...lexed(part, links));
  }
  return blocks;
}

// Cuts the text around lines that are not looked into, and into pieces that can be read fast. Code stays whole.
function* sections(text) {
  let start = 0;
  let fence = "";
  let stretch = 0;
  let isPlain = false;
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\n", at) < 0 ? text.length : text.indexOf("\n", at) + 1;
    const line = text.slice(at, Math.min(end, at + LONGEST_LINE));
    const wasInCode = fence !== "";
    if (end - at < LONGEST_LINE) fence = fenceAfter(line, fence);
    const plain = !wasInCode && (end - at >= LONGEST_LINE || TOO_DEEP.test(line));
    stretch = wasInCode || !line.trim() ? 0 : stretch + (end - at);
    if (at > start && (plain !== isPlain || stretch > LONGEST_STRETCH)) {
      yield { isPlain, part: text.slice(start, at) };
      start = at;
      stretch = end - at;
    }
    isPlain = plain;
    at = end;
  }
  if (start < text.length) yield { isPlain, part: text.slice(start) };
}

// The fence that is open after a line; empty: none.
function fenceAfter(line, fence) {
  const [, mark = "", rest = ""] = /^ {0,3}(`{3,}|~{3,})(.*)/.exec(line) ?? [];
  if (fence) return mark.startsWith(fence) && !rest.trim() ? "" : fence;
  return mark[0] === "`" && rest.includes("`") ? "" : mark;
}

function lexed(text, links) {
  try {
    const lexer = new Lexer(marked.defaults);
    Object.assign(lexer.tokens.links, links);
    lexer.blockTokens(text, lexer.tokens);
    for (const { src, tokens } of lexer.inlineQueue) {
      if (src.length > LONGEST_INLINE) tokens.push({ type: "text", raw: src, text: src });
      else lexer.inlineTokens(src, tokens);
    }
    return [...lexer.tokens].map(blockOf);
  } catch {
    // Nested beyond what can be read: the text itself.
    return [{ kind: "plain", raw: text, text }];
  }
}

function blockOf(token) {
  const { raw } = token;
  if (token.type === "space") return { kind: "markup", raw, html: "" };
  if (token.type === "def") return { kind: "markup", raw, html: "", def: token };
  if (token.type === "code") {
    return { kind: "code", raw, code: token.text, language: /^[\w+#.-]+/.exec(token.lang ?? "")?.[0] ?? "" };
  }
  return { kind: "markup", raw, html: marked.parser([token]) };
}

// The blocks of a text that grows. Those that are complete are made once, so that a long answer costs no more per frame
// than a short one; the last two may still become something else (a list goes on, a line becomes a heading).
export class Blocks {
  list = [];
  #settled = "";
  #count = 0;
  #links = {};

  // Brings the list up to date; blocks that did not change stay the same objects.
  update(text) {
    const whole = clean(text);
    if (!whole.startsWith(this.#settled)) this.#forget();
    const fresh = blocksOf(whole.slice(this.#settled.length), this.#links);
    this.#replace(this.#count, fresh);
    this.#settle(whole, fresh);
    return this.list;
  }

  // The last word: also what an earlier block could not know yet (a link whose address came later).
  finish(text) {
    const whole = clean(text);
    this.#forget();
    this.#learn(blocksOf(whole, this.#links));
    this.#replace(0, blocksOf(whole, this.#links));
    return this.list;
  }

  #forget() {
    this.#settled = "";
    this.#count = 0;
    this.#links = {};
  }

  // The addresses of links that stand apart from them; the first of a name counts.
  #learn(blocks) {
    for (const { def } of blocks) if (def) this.#links[def.tag] ??= { href: def.href, title: def.title };
  }

  #replace(start, fresh) {
    const old = this.list.slice(start);
    this.list = [...this.list.slice(0, start), ...fresh.map((block, at) => (isSame(block, old[at]) ? old[at] : block))];
  }

  #settle(whole, fresh) {
    const texts = fresh.flatMap(({ raw }, at) => (raw.trim() ? [at] : []));
    const end = texts.at(-2) ?? 0;
    const settled = this.#settled + fresh.slice(0, end).map(({ raw }) => raw).join("");
    if (!end || !whole.startsWith(settled)) return;
    this.#learn(fresh.slice(0, end));
    this.#settled = settled;
    this.#count += end;
  }
}

const isSame = (one, other) =>
  one.kind === other?.kind && one.html === other.html && one.text === other.text && one.code === other.code
  && one.language === other.language;
