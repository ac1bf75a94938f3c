// The published page of a text: whole by itself, without scripts, readable everywhere; as slides one below the other, each
// as high as the window. Pure.

import { escape } from "./markup.js";

const STYLE = `
:root { color-scheme: light dark; --page: #ffffff; --text: #0e1a2c; --soft: #44546b; --line: #d0dae8; --sunk: #eef3f9; --accent: #1a56c4;
  --keyword: #8a2c8f; --string: #0f6a45; --number: #a81f2b; --name: #8a4400; }
@media (prefers-color-scheme: dark) { :root { --page: #0b1220; --text: #e9eff9; --soft: #adbbd1; --line: #2a3750; --sunk: #141d30; --accent: #8bbaff;
  --keyword: #e3a6f0; --string: #8fdcb4; --number: #ff9ca3; --name: #f5bd82; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1.05rem/1.65 system-ui, sans-serif; overflow-wrap: anywhere; }
main, .slide > div { width: min(100% - 2.5rem, 44rem); margin: clamp(1.5rem, 6vw, 4rem) auto; }
h1, h2, h3, h4 { line-height: 1.25; letter-spacing: -0.015em; }
h1 { font-size: clamp(1.7rem, 1.3rem + 2vw, 2.5rem); }
a { color: var(--accent); text-underline-offset: 0.18em; }
img { max-width: 100%; height: auto; border-radius: 0.5rem; }
blockquote { margin-inline: 0; padding-left: 1.1em; border-left: 3px solid var(--line); color: var(--soft); }
hr { border: 0; border-top: 1px solid var(--line); margin-block: 2rem; }
code { padding: 0.1em 0.3em; border-radius: 0.3em; background: var(--sunk); font: 0.9em ui-monospace, monospace; }
pre { padding: 0.9rem 1rem; border-radius: 0.6rem; background: var(--sunk); overflow-x: auto; }
pre code { padding: 0; background: none; }
pre.plain { white-space: pre-wrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: 0.35rem 0.8rem; border: 1px solid var(--line); }
th { background: var(--sunk); }
.maths { padding-block: 0.3rem; overflow: auto hidden; text-align: center; }
blockquote > :last-child { margin-bottom: 0; }
.hljs-keyword, .hljs-built_in, .hljs-literal, .hljs-selector-tag { color: var(--keyword); }
.hljs-string, .hljs-regexp, .hljs-addition { color: var(--string); }
.hljs-number, .hljs-deletion { color: var(--number); }
.hljs-title, .hljs-attr, .hljs-attribute, .hljs-name, .hljs-property { color: var(--name); }
.hljs-comment, .hljs-meta { color: var(--soft); font-style: italic; }
`;
const SLIDES = `
html { scroll-snap-type: y proximity; }
.slide { display: grid; place-items: center; min-height: 100vh; border-bottom: 1px solid var(--line); font-size: clamp(1.1rem, 0.8rem + 1.2vw, 1.8rem); scroll-snap-align: start; }
.slide > div { width: min(100% - 2.5rem, 60rem); }
`;

// title: a text. bodies: sanitised markup, of one page or of each slide.
export function pageOf(title, bodies, language = "en") {
  const isSlides = bodies.length > 1;
  const content = isSlides
    ? bodies.map((body, at) => `<section class="slide" aria-label="Slide ${at + 1} of ${bodies.length}"><div>\n${body}</div></section>`).join("\n")
    : bodies[0];
  return `<!doctype html>
<html lang="${escape(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: hyper: ipfs: ipns:; base-uri 'none'; form-action 'none'">
<title>${escape(title || "Untitled")}</title>
<link rel="alternate" type="text/markdown" href="text.md">
<style>${STYLE}${isSlides ? SLIDES : ""}</style>
</head>
<body>
${isSlides ? `<main class="deck" style="width: auto; margin: 0">\n${content}\n</main>` : `<main>\n${content}</main>`}
</body>
</html>
`;
}
