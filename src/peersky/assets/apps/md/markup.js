// Markdown as markup: GitHub's kind, with maths as MathML and code in colours. What this makes is sanitised before it is
// shown or published (render.js). Pure: no DOM, tested in Node.

import hljs from "./vendor/highlight.esm.js";
import katex from "./vendor/mathml.esm.js";
import { Marked } from "./vendor/marked.esm.js";

// Beyond these a text is shown as it is: what no person writes must not keep the page from answering.
const LONGEST_LINE = 20_000;
const LONGEST_CODE = 50_000;
const MATHS = { output: "mathml", throwOnError: false, trust: false, strict: "ignore", maxSize: 20, maxExpand: 300 };

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const escape = (text) => String(text).replace(/[&<>"']/g, (char) => ENTITIES[char]);

// Control characters, and what turns the direction of writing around by force (Unicode TR 9), which could make a text read
// otherwise than it is.
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
export const clean = (text) => text.replace(/\r\n?/g, "\n").replace(CONTROL, "");

// --- maths ------------------------------------------------------------------------------------------------------------

const DISPLAY = /^\$\$([^$]{1,2000}?)\$\$/;
// No space inside the dollars and no digit behind them, so that prices stay prices.
const INLINE = /^\$(?![\s$])((?:\\.|[^$\\\n]){1,500}?)(?<!\s)\$(?![\w$])/;

function setMaths({ text, display }) {
  try {
    // Without the copy of its source, which the sanitiser would leave as text.
    const markup = katex.renderToString(text, { ...MATHS, displayMode: display });
    return markup.replace(/<annotation[^>]*>[^<]*<\/annotation>|<\/?semantics>/g, "");
  } catch {
    return `<code>${escape(text)}</code>`;
  }
}
const token = (type, found, display) => found && { type, raw: found[0], text: found[1].trim(), display };
const EXTENSIONS = [
  {
    name: "mathsBlock",
    level: "block",
    start: (text) => text.match(/^\$\$/m)?.index,
    tokenizer: (text) => token("mathsBlock", /^\$\$([^$]{1,2000}?)\$\$[ \t]*(?:\n+|$)/.exec(text), true) ?? undefined,
    renderer: (found) => `<p class="maths">${setMaths(found)}</p>\n`,
  },
  {
    name: "maths",
    level: "inline",
    start: (text) => (text.includes("$") ? text.indexOf("$") : undefined),
    tokenizer: (text) => token("maths", DISPLAY.exec(text), true) ?? token("maths", INLINE.exec(text), false) ?? undefined,
    renderer: setMaths,
  },
];

// --- the rest ---------------------------------------------------------------------------------------------------------

const LOADED = /^(?:data:image\/(?:png|jpeg|gif|webp|avif);|hyper:|ipfs:|ipns:)/i;

// Pictures of the web are not loaded: whoever serves one would learn who reads the page. They stay a link.
function image({ href, title, text }) {
  if (!LOADED.test(href)) return `<a href="${escape(href)}">${escape(text || href)}</a>`;
  return `<img src="${escape(href)}" alt="${escape(text)}"${title ? ` title="${escape(title)}"` : ""}>`;
}

function code({ text, lang = "" }) {
  const language = /^[\w+#.-]+/.exec(lang)?.[0] ?? "";
  const isKnown = language && hljs.getLanguage(language) && text.length < LONGEST_CODE;
  const body = isKnown ? hljs.highlight(text, { language, ignoreIllegals: true }).value : escape(text);
  return `<pre tabindex="0"><code>${body}\n</code></pre>\n`;
}

const marked = new Marked({ gfm: true, renderer: { image, code, checkbox: ({ checked }) => (checked ? "☑ " : "☐ ") } });
marked.use({ extensions: EXTENSIONS });

export function toMarkup(text) {
  const whole = clean(text);
  if (whole.split("\n").some((line) => line.length > LONGEST_LINE)) return plain(whole);
  try {
    return marked.parse(whole);
  } catch {
    // Nested beyond what can be read.
    return plain(whole);
  }
}

const plain = (text) => `<pre class="plain">${escape(text)}</pre>`;

// The slides of a text: what stands between lines of three or more dashes. Such a line in code, or below a line of text
// (where it makes that a heading), separates nothing.
export function slides(text) {
  const all = [[]];
  let fence = "";
  let isAfterText = false;
  for (const line of clean(text).split("\n")) {
    const [, mark = "", rest = ""] = /^ {0,3}(`{3,}|~{3,})(.*)/.exec(line) ?? [];
    if (fence) fence = mark.startsWith(fence) && !rest.trim() ? "" : fence;
    else if (mark) fence = mark;
    if (!fence && !isAfterText && /^ {0,3}-{3,}\s*$/.test(line)) {
      all.push([]);
      continue;
    }
    all.at(-1).push(line);
    isAfterText = Boolean(line.trim()) && !mark && !/^ {0,3}#{1,6}(?:\s|$)/.test(line);
  }
  const found = all.map((lines) => lines.join("\n").trim()).filter(Boolean);
  return found.length ? found : [""];
}

// What a person would call the text: its first heading, else its first words.
export function titleOf(text) {
  const lines = clean(text).split("\n").map((line) => line.trim()).filter((line) => line && !/^(?:-{3,}|```.*|~~~.*)$/.test(line));
  const found = lines.find((line) => /^#{1,6}\s/.test(line)) ?? lines[0] ?? "";
  const plainText = found.replace(/^[#>\s*+-]+/, "").replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*_`~#]+/g, "").trim();
  return plainText.length > 80 ? `${plainText.slice(0, 79).trimEnd()}…` : plainText;
}

export function words(text) {
  return (text.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? []).length;
}
