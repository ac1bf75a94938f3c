// Markdown from a model as elements: the blocks of markup.js, sanitised by DOMPurify, which lets through what is on a short
// list, with highlighted code and set maths. Nothing is ever loaded because a model wrote its address.

import { Blocks } from "./markup.js";
import DOMPurify from "./vendor/dompurify.esm.js";

const ALLOWED = {
  ALLOWED_TAGS: (
    "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s span strong sub sup table tbody td th thead tr ul"
  ).split(" "),
  ALLOWED_ATTR: ["align", "class", "href", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto|hyper|ipfs|ipns|peersky):/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const LONGEST_HIGHLIGHT = 50_000;
const MATHS = { throwOnError: true, trust: false, strict: "ignore", maxSize: 20, maxExpand: 300 };

// Both are large, and most answers need neither.
let highlighter = null;
let maths = null;

function loadHighlighter() {
  highlighter ??= import("./vendor/highlight.esm.js").then((module) => module.default);
  return highlighter;
}

function loadMaths() {
  if (!maths) {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = "vendor/katex.css";
    document.head.append(style);
    maths = import("./vendor/katex.esm.js").then((module) => module.default);
  }
  return maths;
}

// Shows a text that grows. What is complete stays as it is, so that a selection in it survives.
export class MarkdownView {
  #host;
  #blocks = new Blocks();
  #shown = []; // {block, nodes}

  constructor(host) {
    this.#host = host;
  }

  update(text) {
    this.#show(this.#blocks.update(text), false);
  }

  // The text is complete.
  finish(text) {
    this.#show(this.#blocks.finish(text), true);
  }

  #show(list, isFinal) {
    const old = this.#shown;
    const same = list.findIndex((block, at) => block !== old[at]?.block);
    const start = same < 0 ? list.length : same;
    this.#shown = old.slice(0, start);
    // A growing code block or plain text is the same elements with more in them.
    const grown = old[start] && grow(old[start], list[start]);
    if (grown) this.#shown.push(grown);
    for (const { nodes } of old.slice(this.#shown.length)) for (const node of nodes) node.remove();
    for (const block of list.slice(this.#shown.length)) {
      const nodes = [...elementsOf(block).childNodes];
      this.#host.append(...nodes);
      this.#shown.push({ block, nodes });
    }
    for (const [at, { block, nodes }] of this.#shown.entries()) {
      // The last block may still grow: colours wait until it is complete.
      if (block.kind === "code" && (isFinal || at < this.#shown.length - 1)) highlight(nodes[0], block);
    }
  }
}

function grow({ block: before, nodes }, block) {
  const key = { code: "code", plain: "text" }[before.kind];
  if (!key || block?.kind !== before.kind || block.language !== before.language) return null;
  if (!block[key].startsWith(before[key]) || nodes[0].dataset.coloured) return null;
  const text = (before.kind === "code" ? nodes[0].querySelector("code") : nodes[0]).firstChild;
  if (!text) return null;
  text.appendData(block[key].slice(before[key].length));
  return { block, nodes };
}

function elementsOf(block) {
  if (block.kind === "code") return codeBlock(block);
  if (block.kind === "plain") {
    const fragment = document.createDocumentFragment();
    fragment.append(element("div", "plain", block.text));
    return fragment;
  }
  const fragment = sanitised(block.html);
  for (const table of fragment.querySelectorAll("table")) table.replaceWith(scrollable(table.cloneNode(true), "Table"));
  for (const block of fragment.querySelectorAll("pre")) {
    block.replaceWith(codeBlock({ code: block.textContent, language: languageOf(block) }, true));
  }
  for (const code of fragment.querySelectorAll("code.tex")) setMaths(code, "htmlAndMathml");
  return fragment;
}

function sanitised(html) {
  const fragment = DOMPurify.sanitize(html, ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    // Where it leads, whatever its words say.
    const address = link.getAttribute("href");
    if (address) link.title = address.slice(0, 300);
  }
  return fragment;
}

const languageOf = (block) => block.querySelector("code")?.className.match(/language-([\w+#.-]+)/)?.[1] ?? "";

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  if (text) made.textContent = text;
  return made;
}

// Code in a list or a quotation is no block of its own, and is coloured at once.
function codeBlock(block, isInner = false) {
  const fragment = document.createDocumentFragment();
  const frame = element("div", "code");
  const head = element("div", "code-head");
  const copy = element("button", "quiet copy-code", "Copy code");
  copy.type = "button";
  head.append(element("span", "", block.language || "code"), copy);
  const pre = document.createElement("pre");
  const code = document.createElement("code");
  code.append(document.createTextNode(block.code));
  pre.append(code);
  frame.append(head, scrollable(pre, `Code ${block.language}`.trim()));
  fragment.append(frame);
  if (isInner) highlight(frame, block);
  return fragment;
}

async function highlight(frame, { code, language }) {
  if (frame.dataset.coloured || !language || code.length > LONGEST_HIGHLIGHT) return;
  frame.dataset.coloured = "yes";
  const coloured = await colours(code, language);
  if (coloured) frame.querySelector("code").replaceChildren(coloured);
}

async function colours(code, language) {
  const library = await loadHighlighter();
  if (!library.getLanguage(language)) return null;
  return DOMPurify.sanitize(library.highlight(code, { language, ignoreIllegals: true }).value, ALLOWED);
}

async function setMaths(code, output) {
  const library = await loadMaths();
  const display = code.classList.contains("tex-display");
  const set = element("span", display ? "maths-set display" : "maths-set");
  try {
    library.render(code.textContent, set, { ...MATHS, output, displayMode: display });
  } catch {
    // What it cannot read stays as it was written.
    return;
  }
  set.setAttribute("role", "math");
  code.replaceWith(set);
}

// What is wider than the page scrolls by itself, with the keyboard too.
function scrollable(child, label) {
  const frame = element("div", "wide");
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-label", label);
  frame.append(child);
  return frame;
}

// The text as elements that need neither scripts nor this app's files: for export and publishing.
export async function standalone(text) {
  const host = document.createElement("div");
  for (const block of new Blocks().finish(text)) {
    if (block.kind === "markup") {
      host.append(sanitised(block.html));
    } else if (block.kind === "plain") {
      host.append(element("p", "plain", block.text));
    } else {
      const pre = document.createElement("pre");
      const code = element("code", "", block.code);
      const coloured = block.language && block.code.length <= LONGEST_HIGHLIGHT && (await colours(block.code, block.language));
      if (coloured) code.replaceChildren(coloured);
      pre.append(code);
      host.append(pre);
    }
  }
  for (const link of host.querySelectorAll("a")) link.removeAttribute("target");
  // MathML alone: it needs no fonts of its own.
  for (const code of host.querySelectorAll("code.tex")) await setMaths(code, "mathml");
  return host;
}
