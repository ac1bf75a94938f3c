// Markdown from a model, shown safely: marked makes markup of it, with HTML as text and images as links, and DOMPurify
// lets through what is on a short list. Nothing is ever loaded because a model wrote its address.

import DOMPurify from "./vendor/dompurify.esm.js";
import { Marked } from "./vendor/marked.esm.js";

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => String(text).replace(/[&<>"']/g, (char) => ENTITIES[char]);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || "image")}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: (
    "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong sub sup table tbody td th thead tr ul"
  ).split(" "),
  ALLOWED_ATTR: ["align", "class", "href", "start", "title"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto|hyper|ipfs|ipns|peersky):/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

// Shows a text that grows. Blocks (paragraphs, lists, code…) that are complete stay as they are, so that a long answer
// costs no more per frame than a short one, and a selection in it survives.
export class MarkdownView {
  #host;
  #blocks = [];

  constructor(host) {
    this.#host = host;
  }

  update(text) {
    const tokens = marked.lexer(text);
    const same = this.#blocks.findIndex((block, index) => block.raw !== tokens[index]?.raw);
    this.#keep(same < 0 ? this.#blocks.length : same);
    for (const token of tokens.slice(this.#blocks.length)) {
      const nodes = [...render(token).childNodes];
      this.#host.append(...nodes);
      this.#blocks.push({ raw: token.raw, nodes });
    }
  }

  // The last word: also what an earlier block could not know yet (a link whose address came later).
  finish(text) {
    this.#keep(0);
    this.update(text);
  }

  #keep(count) {
    for (const { nodes } of this.#blocks.splice(count)) {
      for (const node of nodes) node.remove();
    }
  }
}

function render(token) {
  const fragment = DOMPurify.sanitize(marked.parser([token]), ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const block of fragment.querySelectorAll("pre")) decorateCode(block);
  for (const table of fragment.querySelectorAll("table")) table.replaceWith(scrollable(table.cloneNode(true), "Table"));
  return fragment;
}

function decorateCode(block) {
  const language = block.querySelector("code")?.className.match(/language-([\w+#.-]+)/)?.[1] ?? "";
  const frame = document.createElement("div");
  const head = document.createElement("div");
  const name = document.createElement("span");
  const copy = document.createElement("button");
  frame.className = "code";
  head.className = "code-head";
  name.textContent = language || "code";
  copy.type = "button";
  copy.className = "quiet copy-code";
  copy.textContent = "Copy code";
  head.append(name, copy);
  frame.append(head, scrollable(block.cloneNode(true), `Code ${language}`.trim()));
  block.replaceWith(frame);
}

// What is wider than the page scrolls by itself, with the keyboard too.
function scrollable(element, label) {
  const frame = document.createElement("div");
  frame.className = "wide";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", label);
  frame.append(element);
  return frame;
}
