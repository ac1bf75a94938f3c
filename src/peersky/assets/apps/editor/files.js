// The files of a page, as values: an object of path to text (or Blob, for pictures and the like). Nothing here touches
// the document, so all of it is tested in Node.

export const MAIN = { html: "index.html", css: "style.css", js: "script.js" };
export const KINDS = Object.keys(MAIN);
export const LABELS = { html: "HTML", css: "CSS", js: "JavaScript" };

const BY_ENDING = {
  html: "html", htm: "html", svg: "html", xml: "html", md: "html", txt: "html",
  css: "css",
  js: "js", mjs: "js", json: "js", webmanifest: "js",
};
const LANGUAGES = { md: "markdown", txt: "text", json: "json", webmanifest: "json" };
const TYPES = {
  html: "text/html", htm: "text/html", css: "text/css", js: "text/javascript", mjs: "text/javascript", json: "application/json",
  svg: "image/svg+xml", png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp",
  ico: "image/x-icon", mp3: "audio/mpeg", ogg: "audio/ogg", webm: "video/webm", woff2: "font/woff2", txt: "text/plain",
  md: "text/markdown", xml: "application/xml",
};
const LONGEST_PATH = 300;

const ending = (path) => path.match(/\.(\w+)$/)?.[1].toLowerCase() ?? "";

// The pane in which a file is edited, or null where it is no text.
export const paneOf = (path) => BY_ENDING[ending(path)] ?? null;
export const languageOf = (path) => LANGUAGES[ending(path)] ?? paneOf(path) ?? "text";
export const typeOf = (path) => TYPES[ending(path)] ?? "application/octet-stream";
export const isText = (content) => typeof content === "string";

// A path of a file as it may stand in a page's folder, or null: nothing that climbs, nothing that another system reads
// in its own way.
export function safePath(path) {
  const parts = String(path).replace(/^(?:\.?\/)+/, "").split("/");
  const plain = (part) => part && part !== "." && part !== ".." && part.trim() === part;
  const odd = /[\u0000-\u001f\u007f\\:*?"<>|\u202a-\u202e\u2066-\u2069]/;
  const whole = parts.join("/");
  return whole.length <= LONGEST_PATH && parts.every(plain) && !odd.test(whole) ? whole : null;
}

export function isBlank(files) {
  return Object.values(files).every((content) => isText(content) && content.trim() === "");
}

export function isSame(one, other) {
  const paths = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...paths].every((path) => one[path] === other[path]);
}

// What a person would call the page.
export function titleOf(html) {
  const found = /<title[^>]*>([^<]*)<\/title>/i.exec(html ?? "") ?? /<h1[^>]*>([^<]*)<\/h1>/i.exec(html ?? "");
  return (found?.[1] ?? "").replace(/\s+/g, " ").trim().slice(0, 80);
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
export const escapeHtml = (text) => String(text).replace(/[&<>"]/g, (char) => ESCAPES[char]);

// A whole page of what may be only a piece of one.
export function wholePage(html, title) {
  let page = html.trim();
  if (!/<html[\s>]/i.test(page)) {
    const bare = page.replace(/^<!doctype[^>]*>\s*/i, "");
    const head = /<head[\s>][\s\S]*?<\/head>/i.exec(bare)?.[0] ?? "<head>\n</head>";
    const rest = bare.replace(head, "").trim();
    const body = /<body[\s>]/i.test(rest) ? rest : `<body>\n${rest}\n</body>`;
    page = `<!doctype html>\n<html lang="en">\n${head}\n${body}\n</html>`;
  }
  if (!/^<!doctype/i.test(page)) page = `<!doctype html>\n${page}`;
  if (!/<head[\s>]/i.test(page)) page = page.replace(/<html[^>]*>/i, "$&\n<head>\n</head>");
  const missing = [];
  if (!/<meta[^>]+charset/i.test(page)) missing.push('<meta charset="utf-8">');
  if (!/<meta[^>]+viewport/i.test(page)) missing.push('<meta name="viewport" content="width=device-width, initial-scale=1">');
  if (!/<title[\s>]/i.test(page)) missing.push(`<title>${escapeHtml(title || titleOf(page) || "My page")}</title>`);
  if (missing.length) page = page.replace(/<head[^>]*>/i, (head) => `${head}\n  ${missing.join("\n  ")}`);
  return `${page}\n`;
}

const refers = (html, attribute, path) =>
  new RegExp(`${attribute}\\s*=\\s*["']?(?:\\./)?${path.replaceAll(".", "\\.")}["'\\s>]`, "i").test(html);

// The page with references to its style sheet and its script, where there is something in them.
export function linked(html, files) {
  let page = html;
  if ((files[MAIN.css] ?? "").trim() && !refers(page, "href", MAIN.css)) {
    page = insertBefore(page, /<\/head>/i, `  <link rel="stylesheet" href="${MAIN.css}">\n`, "start");
  }
  if ((files[MAIN.js] ?? "").trim() && !refers(page, "src", MAIN.js)) {
    page = insertBefore(page, /<\/body>/i, `  <script src="${MAIN.js}"></script>\n`, "end");
  }
  return page;
}

// Before the last place that matches; where there is none, at the start or the end of the text.
function insertBefore(text, pattern, addition, otherwise) {
  const places = [...text.matchAll(new RegExp(pattern, "gi"))];
  if (!places.length) return otherwise === "start" ? addition + text : text.trimEnd() + "\n" + addition;
  const { index } = otherwise === "start" ? places[0] : places.at(-1);
  const lineStart = text.lastIndexOf("\n", index) + 1;
  const at = text.slice(lineStart, index).trim() ? index : lineStart;
  return text.slice(0, at) + addition + text.slice(at);
}

const STYLE = /[ \t]*<style(?:\s+type="?text\/css"?)?\s*>([\s\S]*?)<\/style>[ \t]*\n?/gi;
const SCRIPT = /[ \t]*<script(?:\s+(?:type="?text\/javascript"?|defer))*\s*>([\s\S]*?)<\/script>[ \t]*\n?/gi;

// A page whose style and script stand inside it, as three files. Scripts that are modules or data stay where they are.
export function split(html) {
  const styles = [];
  const scripts = [];
  const take = (into) => (_, code) => {
    if (code.trim()) into.push(unindented(code));
    return "";
  };
  const page = html.replace(STYLE, take(styles)).replace(SCRIPT, take(scripts));
  return { html: page, css: styles.join("\n"), js: scripts.join("\n") };
}

function unindented(code) {
  const lines = code.replace(/^[ \t]*\n/, "").trimEnd().split("\n");
  const indents = lines.filter((line) => line.trim()).map((line) => /^[ \t]*/.exec(line)[0].length);
  const least = Math.min(...indents);
  return lines.map((line) => line.slice(least)).join("\n") + "\n";
}
