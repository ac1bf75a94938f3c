// The page that stands in a published folder for people (index.html) and the same for programs (metadata.json). The page
// needs nothing but the files beside it, runs no script, and everything that somebody wrote is text in it. Pure.

import { isImage } from "./describe.js";
import { size } from "./collect.js";
import { encoded } from "./p2p.js";

const MOST_SHOWN = 300;
const PLAYED = { video: /\.(?:webm|ogv|mp4)$/i, audio: /\.(?:mp3|ogg|oga|opus|wav|flac|weba)$/i };

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
export const escape = (text) => String(text).replace(/[&<>"']/g, (char) => ESCAPES[char]);

const STYLE = `
:root { color-scheme: light dark; --page: #f3f7fc; --card: #fff; --text: #0e1a2c; --soft: #44546b; --line: #d0dae8; --accent: #1a56c4; }
@media (prefers-color-scheme: dark) { :root { --page: #0b1220; --card: #141d30; --text: #e9eff9; --soft: #adbbd1; --line: #2a3750; --accent: #8bbaff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 100%/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
main { width: min(100% - 2rem, 64rem); margin: clamp(1rem, 5vw, 3.5rem) auto; }
h1 { margin: 0; font-size: clamp(1.6rem, 1.2rem + 2vw, 2.5rem); line-height: 1.2; letter-spacing: -0.02em; }
header p { max-width: 44rem; color: var(--soft); white-space: pre-line; }
ul { display: flex; flex-wrap: wrap; gap: 0.4rem; padding: 0; list-style: none; }
.tags li { padding: 0.1rem 0.7rem; border: 1px solid var(--line); border-radius: 2rem; color: var(--soft); font-size: 0.9rem; }
.shown { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 1rem; margin-block: 1.5rem; }
figure { margin: 0; overflow: hidden; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
figure img, figure video { display: block; width: 100%; height: 14rem; object-fit: cover; }
figure audio { display: block; width: 100%; padding: 0.75rem; }
figcaption { padding: 0.5rem 0.9rem; font-size: 0.9rem; }
.files { display: block; padding: 0.4rem 1rem; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
.files li { display: flex; gap: 1rem; justify-content: space-between; padding-block: 0.3rem; }
.files span { flex: none; color: var(--soft); }
a { color: var(--accent); text-underline-offset: 0.18em; }
`;

// described: {title, description, tags, alts (by path)}; items: [{path, file}].
export function pageOf({ title, description, tags, alts }, items, language = "en") {
  const name = title || "Files";
  const shown = items.filter(({ path }) => isImage(path) || Object.values(PLAYED).some((kind) => kind.test(path))).slice(0, MOST_SHOWN);
  const parts = [
    "<!doctype html>",
    `<html lang="${escape(language)}">`,
    "<head>",
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'\">",
    `<title>${escape(name)}</title>`,
    ...(description ? [`<meta name="description" content="${escape(description)}">`] : []),
    ...(tags.length ? [`<meta name="keywords" content="${escape(tags.join(", "))}">`] : []),
    `<style>${STYLE}</style>`,
    "</head>",
    "<body>",
    "<main>",
    `<header><h1>${escape(name)}</h1>${description ? `<p>${escape(description)}</p>` : ""}`,
    ...(tags.length ? [`<ul class="tags" aria-label="Tags">${tags.map((tag) => `<li>${escape(tag)}</li>`).join("")}</ul>`] : []),
    "</header>",
    ...(shown.length ? [`<div class="shown">\n${shown.map((item) => figure(item, alts[item.path])).join("\n")}\n</div>`] : []),
    `<ul class="files" aria-label="Files">\n${items.map(row).join("\n")}\n</ul>`,
    "</main>",
    "</body>",
    "</html>",
  ];
  return `${parts.join("\n")}\n`;
}

// "./" keeps a name with a colon in it from being taken for an address.
const address = (path) => escape(`./${encoded(path)}`);
const row = ({ path, file }) => `<li><a href="${address(path)}"><bdi>${escape(path)}</bdi></a><span>${size(file.size)}</span></li>`;

function figure({ path }, alt = "") {
  const caption = `<figcaption><bdi>${escape(alt || path)}</bdi></figcaption>`;
  if (isImage(path)) {
    return `<figure><a href="${address(path)}"><img src="${address(path)}" alt="${escape(alt || path)}" loading="lazy"></a>${caption}</figure>`;
  }
  const kind = PLAYED.video.test(path) ? "video" : "audio";
  return `<figure><${kind} src="${address(path)}" controls preload="metadata" aria-label="${escape(path)}"></${kind}>${caption}</figure>`;
}

export function metadataOf({ title, description, tags, alts }, items, { now, model }) {
  const files = items.map(({ path, file }) => ({
    path,
    bytes: file.size,
    ...(file.type && { type: file.type }),
    ...(alts[path] && { alt: alts[path] }),
  }));
  const described = { format: "peersky-upload", version: 1, title, description, tags, created: now.toISOString() };
  return `${JSON.stringify({ ...described, ...(model && { model }), files }, null, 2)}\n`;
}

// The names of the two beside what is there: nobody's own index.html is written over.
export function freeNames(items) {
  const taken = new Set(items.map(({ path }) => path.toLowerCase()));
  const free = (...names) => names.find((name) => !taken.has(name));
  const numbered = (name, ending) => Array.from({ length: items.length + 1 }, (_, at) => `${name}-${at + 1}.${ending}`);
  return {
    page: free("index.html", "about.html", ...numbered("about", "html")),
    metadata: free("metadata.json", ...numbered("metadata", "json")),
  };
}
