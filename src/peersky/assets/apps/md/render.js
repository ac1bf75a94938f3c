// Markup of a text as elements and as a published page, sanitised by DOMPurify: whatever stands in the text (a model wrote
// it, or it was pasted) runs nothing and loads nothing of the web.

import { toMarkup } from "./markup.js";
import DOMPurify from "./vendor/dompurify.esm.js";

const ALLOWED = {
  USE_PROFILES: { html: true, mathMl: true },
  FORBID_TAGS: ["style", "form", "input", "button", "select", "textarea", "option", "audio", "video", "source", "picture", "dialog", "template", "link", "meta", "base"],
  FORBID_ATTR: ["style", "id", "name", "srcset", "background", "target"],
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto|hyper|ipfs|ipns|peersky):|data:image\/|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const LOADED = /^(?:data:image\/(?:png|jpeg|gif|webp|avif);|hyper:|ipfs:|ipns:)/i;

function sanitised(text) {
  const fragment = DOMPurify.sanitize(toMarkup(text), ALLOWED);
  // Pictures that stand in the text as HTML.
  for (const image of fragment.querySelectorAll("img")) {
    const source = image.getAttribute("src") ?? "";
    if (LOADED.test(source)) continue;
    const link = Object.assign(document.createElement("a"), { textContent: image.alt || source || "picture" });
    link.setAttribute("href", source);
    image.replaceWith(link);
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = Object.assign(document.createElement("div"), { className: "wide", tabIndex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

// For this page: pictures of peers are not loaded here (the app's policy), so they are named.
export function rendered(text) {
  const fragment = sanitised(text);
  for (const link of fragment.querySelectorAll("a")) Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
  for (const image of fragment.querySelectorAll("img")) {
    const source = image.getAttribute("src");
    if (source.startsWith("data:")) continue;
    const note = Object.assign(document.createElement("span"), { className: "no-picture" });
    note.textContent = `Picture “${image.alt || source}” is shown where the text is published.`;
    image.replaceWith(note);
  }
  return fragment;
}

// The same as markup for a page of its own.
export function published(text) {
  const holder = document.createElement("div");
  holder.append(sanitised(text));
  return holder.innerHTML;
}
