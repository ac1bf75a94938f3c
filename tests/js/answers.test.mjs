// What small models really write, and what the editor makes of it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { isUnfinished, readAnswer } from "../../src/peersky/assets/apps/editor/answer.js";
import { join, loopStart } from "../../src/peersky/assets/apps/editor/continuation.js";

const sample = (name) => readFileSync(new URL(`answers/${name}.txt`, import.meta.url), "utf8");

for (const name of [
  "clean", "chatter", "no-fence", "open-fence", "all-in-one", "three-blocks", "json", "glued-fence", "thinking", "odd-characters",
]) {
  test(`${name}: the page, and nothing around it`, () => {
    const { code } = readAnswer(sample(name), "html");
    assert.match(code, /^<!DOCTYPE html>/);
    assert.match(code, /<\/html>\n$/);
    assert.match(code, /Bread/);
    assert.doesNotMatch(code, /```|Sure|hope|draft|\u0000|\u001b|\r/);
    assert.equal(isUnfinished(code, "html"), false);
  });
}

test("escaped markup is markup again, once", () => {
  const { code } = readAnswer(sample("escaped"), "html");
  assert.match(code, /<h1 class="big">Bread &amp; butter<\/h1>/);
});

test("a piece of a page begins at its first element", () => {
  assert.match(readAnswer(sample("piece"), "html").code, /^<header>[\s\S]*<\/main>\n$/);
});

test("files that came along are told apart", () => {
  const { code, extras, closed } = readAnswer(sample("three-blocks"), "html");
  assert.ok(closed);
  assert.match(code, /<h1>Bread/);
  assert.deepEqual(extras, { css: "h1 { color: sienna; }\n", js: 'console.log("bread");\n' });
  assert.equal(readAnswer(sample("three-blocks"), "css").code, "h1 { color: sienna; }\n");
  assert.deepEqual(readAnswer(sample("json"), "html").extras, { css: "h1 { color: sienna; }\n" });
});

test("JSON that stops in the middle gives what is there", () => {
  const { code, closed } = readAnswer(sample("json-cut"), "html");
  assert.equal(closed, false);
  assert.match(code, /<h1 class="big">Bread<\/h1>\n<p>Flour, water, sa\n$/);
  assert.ok(isUnfinished(code, "html"));
});

test("an answer without code is empty, and NONE is an answer", () => {
  assert.equal(readAnswer(sample("talk"), "html").code, "");
  assert.equal(readAnswer(sample("talk"), "css").code, "");
  assert.equal(readAnswer(sample("talk"), "js").code, "");
  assert.equal(readAnswer(sample("js-none"), "js").none, true);
  assert.equal(readAnswer("// No script needed.", "js").none, true);
});

test("style and script without fences lose the words around them", () => {
  assert.equal(readAnswer(sample("css-chatter"), "css").code, "h1, h2 { color: sienna; }\n.card:hover {\n  color: red;\n}\n");
  const script = 'Here you go:\nconst a = 1;\ndocument.title = "a";\n\nThis sets the title of the page.';
  assert.equal(readAnswer(script, "js").code, 'const a = 1;\ndocument.title = "a";\n');
});

test("an unnamed block, a name above it, and a shorter piece before the whole file", () => {
  assert.equal(readAnswer("```\nh1 { color: red }\n```", "css").code, "h1 { color: red }\n");
  assert.equal(readAnswer("**script.js**\n```\nlet a = 1;\n```\n**style.css**\n```\na { b: c }\n```", "css").code, "a { b: c }\n");
  const twice = "Add this:\n```css\na { }\n```\nThe whole file:\n```css\na { }\nb { color: red; }\n```";
  assert.equal(readAnswer(twice, "css").code, "a { }\nb { color: red; }\n");
});

test("a growing answer never goes back to less, and never shows a fence", () => {
  for (const name of ["clean", "chatter", "no-fence", "glued-fence"]) {
    const text = sample(name);
    let longest = 0;
    for (let end = 0; end < text.length; end += 1) {
      const { code } = readAnswer(text.slice(0, end), "html");
      assert.ok(code.length >= longest - 12, `${name} at ${end}`);
      longest = Math.max(longest, code.length);
    }
    assert.match(readAnswer(text, "html").code, /<\/html>\n$/);
  }
});

test("a hundred thousand characters on one line are read in no time worth a word", () => {
  const text = `\`\`\`html\n<!doctype html><html><body>${"x".repeat(100_000)}</body></html>\n\`\`\``;
  assert.ok(readAnswer(text, "html").code.length > 100_000);
  assert.equal(readAnswer("a ".repeat(50_000), "css").code, "");
  assert.equal(readAnswer("{".repeat(50_000), "html").code, "");
});

test("what is unfinished is seen", () => {
  assert.ok(isUnfinished("<!doctype html>\n<html>\n<body>\n<p>", "html"));
  assert.equal(isUnfinished("<p>piece</p>", "html"), false);
  assert.ok(isUnfinished("a { color: red;\n", "css"));
  assert.equal(isUnfinished("a::before { content: '{'; }\n", "css"), false);
  assert.ok(isUnfinished("function a() {\n  return 1;\n", "js"));
  assert.equal(isUnfinished("const a = `{`; // (\n", "js"), false);
});

test("continuations join without a seam", () => {
  const before = "```html\n<html>\n<body>\n<p>One</p>\n<p class=";
  for (const [more, end] of [
    ['"two">Two</p>\n</body>', '<p class="two">Two</p>\n</body>'],
    ['```html\n<p class="two">Two</p>\n</body>', '<p>One</p>\n<p class="two">Two</p>\n</body>'],
    ['Sure, here is the rest:\n```html\n<p class="two">Two</p>', '<p>One</p>\n<p class="two">Two</p>'],
    ['<p>One</p>\n<p class="two">Two</p>', '<p>One</p>\n<p class="two">Two</p>'],
  ]) {
    const joined = join(before, more);
    assert.ok(joined.endsWith(end), joined);
    assert.equal(joined.match(/<p>One/g).length, 1, joined);
  }
  const again = "```html\n<html>\n<body>\n<p>One</p>\n<p>Two</p>\n</body></html>\n```";
  assert.equal(join(before, again), again);
});

test("going round in circles is seen, ordinary repetition is not", () => {
  const looping = sample("loop");
  const start = loopStart(looping);
  assert.ok(start > 0 && start < 220, String(start));
  assert.match(looping.slice(0, start), /Rye/);
  assert.equal(loopStart("<li>Rye</li>\n".repeat(4)), -1);
  assert.equal(loopStart(sample("all-in-one").repeat(2)), -1);
  assert.equal(loopStart(" ".repeat(400)), -1);
});
