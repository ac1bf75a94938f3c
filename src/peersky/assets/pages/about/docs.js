// peersky://about/docs: the documentation of this copy of PeerSky. api/docs lists it, api/doc gives a document as
// Markdown, api/doc-image a picture. Which document, says ?page=NAME; which part of it, the hash.

import DOMPurify from "./vendor/dompurify.esm.js";
import { marked } from "./vendor/marked.esm.js";

const { el, request } = globalThis.PeerSky;

const at = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search).get("page") ?? "README";

// Of a heading, as links in the documents have it.
const slug = (text) =>
  text
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

// Links lead to documents here, to the web, or (to files of the source) nowhere.
function lead(link) {
  const href = link.getAttribute("href") ?? "";
  const [, name, hash = ""] = /^(?:\.\.\/|docs\/)*([\w-]+)\.md(#.*)?$/.exec(href) ?? [];
  if (name) link.href = `/docs?page=${name}${hash}`;
  else if (!/^(#|https?:|peersky:)/.test(href)) link.removeAttribute("href");
}

function render(text) {
  const clean = DOMPurify.sanitize(marked.parse(text), { RETURN_DOM_FRAGMENT: true });
  clean.querySelectorAll("a").forEach(lead);
  for (const heading of clean.querySelectorAll("h1, h2, h3, h4")) heading.id = slug(heading.textContent);
  for (const picture of clean.querySelectorAll("img, source")) {
    const attribute = picture.matches("img") ? "src" : "srcset";
    const name = picture.getAttribute(attribute).split("/").pop();
    picture.setAttribute(attribute, `/api/doc-image?${new URLSearchParams({ name })}`);
  }
  for (const table of clean.querySelectorAll("table")) {
    // Markdown has no table without a head, and no cell in it that is none.
    if (!table.tHead.textContent.trim()) table.tHead.remove();
    for (const cell of table.querySelectorAll("th")) if (!cell.textContent.trim()) cell.replaceWith(el("td", {}));
    const frame = el("div", { class: "scrolls", tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const code of clean.querySelectorAll("pre")) {
    for (const [name, value] of Object.entries({ tabindex: "0", role: "group", "aria-label": "Code" })) code.setAttribute(name, value);
  }
  return clean;
}

try {
  const [{ documents }, { text }] = await Promise.all([
    request("/api/docs"),
    request(`/api/doc?${new URLSearchParams({ name: wanted })}`),
  ]);
  at("documents").append(
    ...documents.map(({ name, title }) =>
      el("li", {}, el("a", { href: `/docs?page=${name}`, "aria-current": name === wanted ? "page" : null }, title)),
    ),
  );
  document.title = `${documents.find(({ name }) => name === wanted)?.title ?? wanted} – PeerSky`;
  at("text").replaceChildren(render(text));
  // The part that the address names is there only now.
  if (location.hash) at(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch (error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}
at("main").setAttribute("aria-busy", "false");
