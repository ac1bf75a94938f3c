// The page as one document, for the preview: a frame that may load nothing. Style sheets, scripts and pictures of the
// page's own folder stand inside it. Works on the text, so what a person wrote stays as it is. Pure.

import { isText, typeOf } from "./files.js";

const TAG = /<(link|script|img|source|audio|video|image|use)\b((?:[^>"']|"[^"]*"|'[^']*')*)>(\s*<\/script\s*>)?/gi;
const URL_IN_CSS = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]+))\s*\)/gi;
const IMPORT = /@import\s+(?:url\(\s*)?["']([^"']+)["']\s*\)?\s*;/gi;
const DEEPEST_IMPORT = 5;

// The document for the page at `path`. `data` holds data: URLs of the files that are no text, by path.
export function compose(files, path, data = {}) {
  const html = files[path];
  if (!isText(html)) return "";
  // What waits for the whole document comes at its end.
  const waiting = [];
  const page = html.replace(TAG, (tag, name, attributes, end) => {
    const attribute = (wanted) => attributeOf(attributes, wanted);
    switch (name.toLowerCase()) {
      case "link": {
        if (!/\bstylesheet\b/i.test(attribute("rel"))) return isIcon(attribute("rel")) ? "" : tag;
        const sheet = textAt(files, path, attribute("href"));
        if (sheet === null) return tag;
        const media = attribute("media");
        return `<style${media ? ` media="${media.replaceAll('"', "&quot;")}"` : ""}>\n${css(files, sheet.path, data, 0)}</style>`;
      }
      case "script": {
        const script = textAt(files, path, attribute("src"));
        if (script === null) return tag;
        const kept = without(attributes, ["src", "defer", "async", "integrity", "crossorigin"]);
        const element = `<script${kept}>${inScript(script.text)}</script>`;
        if (!/\sdefer\b/i.test(attributes) || /^module$/i.test(attribute("type"))) return element;
        waiting.push(element);
        return "";
      }
      default:
        return `<${name}${inlined(attributes, files, path, data)}>${end ?? ""}`;
    }
  });
  const body = page.search(/<\/body\s*>(?![\s\S]*<\/body\s*>)/i);
  return body < 0 ? page + waiting.join("") : page.slice(0, body) + waiting.join("") + page.slice(body);
}

function attributeOf(attributes, name) {
  const found = new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, "i").exec(attributes);
  return found?.[1] ?? found?.[2] ?? found?.[3] ?? "";
}

function without(attributes, names) {
  return names.reduce(
    (text, name) => text.replace(new RegExp(`\\s${name}(?:\\s*=\\s*(?:"[^"]*"|'[^']*'|[^\\s"'>]+))?(?=[\\s/]|$)`, "i"), ""),
    attributes,
  );
}

const isIcon = (rel) => /\bicon\b|manifest|preload|prefetch|preconnect|dns-prefetch/i.test(rel);

function inlined(attributes, files, path, data) {
  return attributes.replace(/(\s(?:src|href|poster|xlink:href)\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi, (whole, start, ...urls) => {
    const url = urls.slice(0, 3).find((one) => one !== undefined);
    const found = dataAt(files, path, url, data);
    return found ? `${start}"${found}"` : whole;
  });
}

function css(files, path, data, depth) {
  const text = files[path].replace(IMPORT, (whole, url) => {
    const sheet = textAt(files, path, url);
    return sheet === null || depth >= DEEPEST_IMPORT ? whole : css(files, sheet.path, data, depth + 1);
  });
  const whole = text.replace(URL_IN_CSS, (before, ...urls) => {
    const found = dataAt(files, path, urls.slice(0, 3).find((one) => one !== undefined), data);
    return found ? `url("${found}")` : before;
  });
  return whole.replace(/<\/(style)/gi, "<\\/$1");
}

// Inside a script element its own end tag would end it, and `<!--` would hide the rest.
const inScript = (code) => code.replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");

// The path that a reference leads to, or null where it leaves the folder.
export function resolve(from, url) {
  const plain = String(url ?? "").trim().replace(/[?#].*$/, "");
  if (!plain || /^[a-z][a-z0-9+.-]*:|^\/\//i.test(plain)) return null;
  const base = new URL(`peersky-page://page/${from}`);
  try {
    const found = new URL(plain, base);
    return decodeURIComponent(found.pathname.replace(/^\//, ""));
  } catch {
    return null;
  }
}

function textAt(files, from, url) {
  const path = resolve(from, url);
  return path !== null && isText(files[path]) ? { path, text: files[path] } : null;
}

function dataAt(files, from, url, data) {
  const path = resolve(from, url);
  if (path === null) return "";
  if (data[path]) return data[path];
  if (!isText(files[path])) return "";
  return `data:${typeOf(path)};charset=utf-8,${encodeURIComponent(files[path])}`;
}
