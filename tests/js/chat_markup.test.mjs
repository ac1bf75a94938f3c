// Markdown of a model: what becomes of it, block by block while it grows, and what it may not do.
import assert from "node:assert/strict";
import test from "node:test";
import { Blocks, clean } from "../../src/peersky/assets/apps/ai-chat/markup.js";

const blocks = (text) => new Blocks().finish(text);
const seen = (list) => list.map(({ kind, html: markup, code, language }) => [kind, markup, code, language]);
const html = (text) => blocks(text).map((block) => block.html ?? `[${block.kind} ${block.language ?? ""}]`).join("");

const SAMPLE = `# Title

A paragraph with **bold**, \`code\` and [a link][x].
Setext
===

- one
- two

  inside

- three

1. first

2. second

| a | b |
|---|:-:|
| 1 | $x^2$ |

\`\`\`js
const a = "\`\`";

// after an empty line
\`\`\`

> quoted
lazy

$$
\\frac{1}{2}
$$

\\[ y \\]

Last [y] line.

[x]: https://example.org/
[y]: https://example.net/
`;

test("however it is cut, a growing text ends as the whole one", () => {
  const whole = blocks(SAMPLE);
  for (const step of [1, 3, 17, 200]) {
    const growing = new Blocks();
    for (let end = step; end < SAMPLE.length + step; end += step) {
      growing.update(SAMPLE.slice(0, end));
    }
    // Links whose addresses come later are the one thing that only the end knows.
    const early = (list) => list.map((block) => block.html ?? block.code).filter((markup) => !/\[|href/.test(markup));
    assert.deepEqual(early(growing.list), early(whole), `step ${step}`);
    assert.deepEqual(seen(growing.finish(SAMPLE)), seen(whole));
  }
});

test("blocks that are complete stay the same objects", () => {
  const growing = new Blocks();
  const [first] = growing.update("First\n\nSecond\n\nThird\n\nFou");
  assert.equal(growing.update("First\n\nSecond\n\nThird\n\nFourth\n\nFifth")[0], first);
  assert.equal(growing.finish("First\n\nSecond\n\nThird\n\nFourth\n\nFifth")[0], first);
});

test("a text that was replaced is shown, and not what stood there before", () => {
  const growing = new Blocks();
  growing.update("a\n\nb\n\nc\n\nd");
  assert.match(growing.update("x\n\ny").map((block) => block.html).join(""), /^<p>x<\/p>\n<p>y<\/p>\n$/);
});

test("markup of the model is text", () => {
  const found = html('<script>alert(1)</script>\n\nText <img src=x onerror=alert(1)> <b>bold</b>\n\n<div onclick="x">\n');
  assert.doesNotMatch(found, /<(?:script|img|b|div)/);
  assert.match(found, /&lt;script&gt;/);
});

test("pictures are notes with their address", () => {
  const found = html('![cat](https://evil.example/a.png "t") ![x](data:image/png;base64,AAAA) ![" onerror="x](http://e/?"x)');
  assert.doesNotMatch(found, /<img/);
  assert.match(found, /Picture “cat” not loaded: <a href="https:\/\/evil\.example\/a\.png">https:\/\/evil\.example\/a\.png<\/a>/);
  assert.match(found, /is not shown/);
  assert.doesNotMatch(found, / onerror="/);
});

test("maths are marked, prices are prices", () => {
  assert.equal(html("It is $x_1 * y_2$ or \\(z\\)."), '<p>It is <code class="tex">x_1 * y_2</code> or <code class="tex">z</code>.</p>\n');
  assert.equal(html("$$\na < b\n$$\n"), '<p class="maths"><code class="tex tex-display">a &lt; b</code></p>');
  assert.equal(html("\\[\nc\n\\]"), '<p class="maths"><code class="tex tex-display">c</code></p>');
  for (const text of ["$5 and $6", "a $5-$6 b", "US$ 5", "`$a$`", "\\$a\\$", "$ a $"]) assert.doesNotMatch(html(text), /tex/, text);
});

test("what terminals obey and what turns text around is taken out, other writing is not", () => {
  assert.equal(clean("a\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b b\u202e\u2066c\x00\r\nd\te"), "ared bc\nd\te");
  assert.equal(clean("\x1b[3"), "");
  assert.equal(clean("שלום \u200fمرحبا é 🙂"), "שלום \u200fمرحبا é 🙂");
});

test("lines that nobody writes are shown as they are, code is code however long", () => {
  const long = "*a[".repeat(34_000);
  assert.deepEqual(blocks(`Before\n\n${long}\nAfter`).map(({ kind }) => kind), ["markup", "markup", "plain", "markup"]);
  const [code] = blocks(`\`\`\`js\n${long}\n\`\`\`\n`);
  assert.deepEqual([code.kind, code.code.length], ["code", long.length]);
});

for (const [name, text] of Object.entries({
  brackets: "[".repeat(100_000), stars: "*a ".repeat(33_000), ticks: "` ".repeat(50_000), quotes: ">".repeat(100_000),
  "lines of brackets": "[a](".repeat(20).concat("\n").repeat(1200), "lines of maths": "\\[\n".repeat(30_000),
  "lines of dollars": "$$ a\n".repeat(20_000), "nested lists": Array.from({ length: 400 }, (_, n) => `${" ".repeat(n * 2)}- a`).join("\n"),
  "nested quotes": `${"> ".repeat(2400)}a`, table: "|".repeat(4000).concat("\n").repeat(25), html: "<a".repeat(2000).concat("\n").repeat(25),
  "maths between lines": "x\n$$a$$\n".repeat(12_000), "emphasis over lines": "*a _b\n".repeat(16_000), "a long list": "- a b c\n".repeat(12_000),
})) {
  test(`hostile: ${name}`, { timeout: 60_000 }, () => {
    const growing = new Blocks();
    for (let end = 0; end < text.length; end += 20_000) growing.update(text.slice(0, end));
    const list = growing.finish(text);
    assert.ok(list.length);
  });
}
