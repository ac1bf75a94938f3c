// The files of a page: paths, missing links, style and script inside the page, the document for the preview, undo.
import assert from "node:assert/strict";
import test from "node:test";
import { compose, resolve } from "../../src/peersky/assets/apps/editor/compose.js";
import { linked, paneOf, safePath, split, titleOf, wholePage } from "../../src/peersky/assets/apps/editor/files.js";
import { History } from "../../src/peersky/assets/apps/editor/history.js";
import { TEMPLATES } from "../../src/peersky/assets/apps/editor/templates.js";

const PAGE = '<!doctype html>\n<html>\n<head>\n<link rel="stylesheet" href="style.css">\n</head>\n<body>\n<script src="script.js"></script>\n</body>\n</html>\n';

test("paths that climb, or that another system reads otherwise, are none", () => {
  for (const path of ["../a", "a/../b", "a//b", "", "a/", "a\\b", "C:a", "a\u0000b", "a\u202eb", " a", "a/ b", "x".repeat(400)]) {
    assert.equal(safePath(path), null, path);
  }
  assert.equal(safePath("./img/a b.png"), "img/a b.png");
  assert.equal(paneOf("a/b.SVG"), "html");
  assert.equal(paneOf("a.png"), null);
});

test("a piece of a page becomes a whole one, a whole one stays", () => {
  const page = wholePage("<h1>Bread & butter</h1>", "");
  assert.match(page, /^<!doctype html>\n<html lang="en">[\s\S]*charset[\s\S]*viewport[\s\S]*<title>Bread &amp; butter<\/title>[\s\S]*<h1>[\s\S]*<\/html>\n$/);
  assert.equal(wholePage(page, ""), page);
  assert.match(wholePage("<head><title>A</title></head><body>b</body>", ""), /<title>A<\/title>[\s\S]*<body>b<\/body>/);
  assert.equal(titleOf("<title>\n A  page </title>"), "A page");
});

test("style and script are linked where they are not, once", () => {
  const files = { "style.css": "a{}", "script.js": "1" };
  assert.equal(linked(PAGE, files), PAGE);
  const page = linked("<html><head></head><body></body></html>", files);
  assert.match(page, /<link rel="stylesheet" href="style.css">\n<\/head>/);
  assert.match(page, /<script src="script.js"><\/script>\n<\/body>/);
  assert.equal(linked(page, files), page);
  assert.equal(linked("<p>", { "style.css": "", "script.js": " " }), "<p>");
  assert.match(linked("<p>", files), /^ {2}<link[\s\S]*<p>\n {2}<script/);
});

test("style and script inside a page come out of it; modules and data stay", () => {
  const { html, css, js } = split(
    '<head>\n  <style>\n    a { }\n    b { }\n  </style>\n</head><script type="module">import "x"</script><script>\n  let a;\n</script><script src="x.js"></script>',
  );
  assert.equal(css, "a { }\nb { }\n");
  assert.equal(js, "let a;\n");
  assert.equal(html, '<head>\n</head><script type="module">import "x"</script><script src="x.js"></script>');
});

test("the preview is one document, and its parts cannot break out of their elements", () => {
  const files = {
    "index.html": PAGE.replace("<body>", '<body><img src="a.png" alt="A"><img src=\'https://e.example/b.png\'><svg><use href="#x"/></svg>'),
    "style.css": 'a { background: url(a.png) } b { content: "</style>" }',
    "script.js": 'const s = "</script><!--";',
  };
  const whole = compose(files, "index.html", { "a.png": "data:image/png;base64,AA" });
  assert.match(whole, /<style>\na \{ background: url\("data:image\/png;base64,AA"\) \} b \{ content: "<\\\/style>" \}<\/style>/);
  assert.match(whole, /<script>const s = "<\\\/script><\\!--";<\/script>/);
  assert.match(whole, /<img src="data:image\/png;base64,AA" alt="A">/);
  assert.match(whole, /https:\/\/e\.example\/b\.png/);
  assert.equal(whole.match(/<\/script>/g).length, 1);
});

test("a script that waits for the document comes at its end; one that is not ours stays a reference", () => {
  const files = { "index.html": '<head><script defer src="a.js"></script><script src="https://e.example/x.js"></script></head><body><p></body>', "a.js": "1" };
  assert.equal(compose(files, "index.html"), '<head><script src="https://e.example/x.js"></script></head><body><p><script>1</script></body>');
});

test("references lead to files of the page or nowhere", () => {
  assert.equal(resolve("about/index.html", "../style.css?v=1"), "style.css");
  assert.equal(resolve("index.html", "../../x"), "x");
  for (const url of ["https://e.example/a", "//e.example/a", "data:a", "", "#a", "%ff"]) assert.equal(resolve("index.html", url), null, url);
});

test("style sheets that import themselves end", () => {
  const files = { "index.html": '<link rel="stylesheet" href="a.css">', "a.css": '@import "a.css"; a { }' };
  assert.match(compose(files, "index.html"), /a \{ \}/);
});

test("a step is undone as one, and what was written since comes back with redo", () => {
  const history = new History();
  history.add("nothing", { a: "1" }, { a: "1" });
  assert.equal(history.undoLabel, "");
  history.add("Blue", { a: "1", b: "1" }, { a: "2", b: "2" });
  assert.deepEqual(history.undo({ a: "2", b: "typed" }), { a: "1", b: "1" });
  assert.equal(history.undo({}), null);
  assert.equal(history.redoLabel, "Blue");
  assert.deepEqual(history.redo({ a: "1", b: "1" }), { a: "2", b: "typed" });
});

test("every template is a page that loads nothing from elsewhere", () => {
  for (const { id, files } of TEMPLATES.filter((one) => one.id !== "blank")) {
    assert.match(files["index.html"], /^<!doctype html>[\s\S]*lang="en"[\s\S]*viewport[\s\S]*<title>[\s\S]*<\/html>\n$/, id);
    assert.equal(linked(files["index.html"], files), files["index.html"], id);
    assert.doesNotMatch(Object.values(files).join(""), /(?:src|url\()\s*=?\s*["']?https?:/, id);
  }
});
