// Markdown without a page: markup and slides of a text, what is asked of a model and read out of its answer, the
// published page.
import assert from "node:assert/strict";
import test from "node:test";
import { clean, slides, titleOf, toMarkup, words } from "../../src/peersky/assets/apps/md/markup.js";
import { pageOf } from "../../src/peersky/assets/apps/md/page.js";
import { publish } from "../../src/peersky/assets/apps/md/publish.js";
import { messagesFor, room, target, textOf } from "../../src/peersky/assets/apps/md/rewrite.js";

test("Markdown, maths and code become markup", () => {
  assert.equal(toMarkup("# A\n\n- [x] done"), "<h1>A</h1>\n<ul>\n<li>☑ done</li>\n</ul>\n");
  assert.match(toMarkup("```js\nconst a = '<b>';\n```"), /<span class="hljs-keyword">const<\/span> a = .*&lt;b&gt;/);
  assert.match(toMarkup("```nolang\n<b>\n```"), /<code>&lt;b&gt;\n<\/code>/);
  const maths = toMarkup("Area: $\\pi r^2$, and it costs $5 or $6.\n\n$$\\frac{1}{2}$$");
  assert.match(maths, /<math[^>]*><mrow><mi>π<\/mi>/);
  assert.match(maths, /costs \$5 or \$6/);
  assert.match(maths, /<p class="maths">.*<mfrac>/);
  assert.doesNotMatch(maths, /annotation|semantics/);
  assert.match(toMarkup("$\\href{javascript:x}{a}$ $\\undefined$"), /mtext/);
  assert.match(toMarkup("![cloud](https://e.example/a.png) ![sky](ipfs://bafy/a.png)"), /<a href="https:[^>]*>cloud<\/a> <img src="ipfs:[^>]* alt="sky">/);
});

test("what no person writes costs no second", () => {
  for (const text of ["x".repeat(100_000), "[".repeat(30_000), "> ".repeat(5000), `${"*".repeat(9000)}a`, "`".repeat(15_000), `$${"{".repeat(400)}$`]) {
    const start = process.cpuUsage();
    toMarkup(text);
    const { user } = process.cpuUsage(start);
    assert.ok(user < 20e6, text.slice(0, 5));
  }
  assert.equal(clean("a\u202eb\u0000c\r\nd\x1b[31m"), "abc\nd[31m");
});

test("slides stand between lines of dashes", () => {
  assert.deepEqual(slides("# One\n---\n\nTwo\n\n---\n\nThree"), ["# One", "Two", "Three"]);
  assert.deepEqual(slides("A heading\n---\ntext"), ["A heading\n---\ntext"]);
  assert.deepEqual(slides("```\na\n\n---\n```\n\n---\nb"), ["```\na\n\n---\n```", "b"]);
  assert.deepEqual(slides("---\n\n---\n"), [""]);
  assert.equal(slides(`${"a\n\n---\n\n".repeat(5000)}`).length, 5000);
});

test("the title and the words of a text", () => {
  assert.equal(titleOf("---\n\nIntro **one**\n\n# The [Sky](x) *now*"), "The Sky now");
  assert.equal(titleOf("> - only words"), "only words");
  assert.equal(titleOf(""), "");
  assert.equal(titleOf("x".repeat(200)).length, 80);
  assert.equal(words("It's well-known: 日本 3,5"), 5);
});

// --- the model ----------------------------------------------------------------------------------------------------------

test("the text is found in what small models say around it", () => {
  const answers = {
    "Sure! Here is the improved text:\n\nThe sky is blue.": "The sky is blue.",
    "Here's a shortened version of your paragraph:\n\n```markdown\nThe sky is blue.\n```\n\nLet me know if you like it!": "The sky is blue.",
    '"The sky is blue."': "The sky is blue.",
    "„The sky is blue.“": "The sky is blue.",
    "<think>Hm, blue?</think>\nThe sky is blue.": "The sky is blue.",
    "Improved text: The sky is blue.": "The sky is blue.",
    "The sky is blue.\n\nI hope this helps!": "The sky is blue.",
    "Translation:\nThe sky is blue.": "The sky is blue.",
    "The sky is blue.\n\n```js\ncode\n```": "The sky is blue.\n\n```js\ncode\n```",
    "Here is my garden: it is green.": "Here is my garden: it is green.",
    "Sure, the sky is blue.": "Sure, the sky is blue.",
    '"A," she said, "b."': '"A," she said, "b."',
    "<think>never ending": "",
    "": "",
  };
  for (const [answer, text] of Object.entries(answers)) assert.equal(textOf(answer, "sky blue"), text, answer);
  assert.equal(textOf('"Quoted."', '"quoted"'), '"Quoted."');
  assert.equal(textOf("```js\na\n```", "```js\nb\n```"), "```js\na\n```");
  const growing = "Sure! Here it is:\n\nThe sky";
  assert.equal(textOf(growing, "x", false), "The sky");
});

test("what is asked keeps to the text, and says that it is no instruction", () => {
  const [system, user] = messagesFor("translate", "Hallo", { before: `${"x".repeat(5000)} near`, language: "Français" });
  assert.match(system.content, /to Français.*never an instruction/);
  assert.match(user.content, / near\n\nThe text:\nHallo$/);
  assert.ok(user.content.length < 1700);
  assert.equal(messagesFor("continue", "y".repeat(9000))[1].content.length, 3000);
  assert.deepEqual([room("improve", "x"), room("continue", "x"), room("translate", "x".repeat(90_000))], [200, 500, 8192]);
});

test("without a selection it is the paragraph of the cursor, and for continue all before it", () => {
  const doc = "# Title\n\nOne line\nand another.\n\nThe last.";
  const pieces = (task, from, to = from) => {
    const found = target(task, doc, { from, to });
    return [doc.slice(found.from, found.to), found.text];
  };
  assert.deepEqual(pieces("improve", 12), ["One line\nand another.", "One line\nand another."]);
  assert.deepEqual(pieces("improve", 9), ["One line\nand another.", "One line\nand another."]);
  assert.deepEqual(pieces("improve", 30), ["One line\nand another.", "One line\nand another."]);
  assert.deepEqual(pieces("improve", doc.length), ["The last.", "The last."]);
  assert.deepEqual(pieces("improve", 8), ["", ""]);
  assert.deepEqual(pieces("shorten", 7, 18), ["One line", "One line"]);
  const more = target("continue", doc, { from: 31, to: 31 });
  assert.deepEqual([more.from, more.to, more.text], [31, 31, doc.slice(0, 31)]);
  assert.equal(more.insert("Next."), "\nNext.");
  assert.equal(target("continue", "An end.", { from: 7, to: 7 }).insert("x"), "\n\nx");
  assert.equal(target("continue", "An open ", { from: 8, to: 8 }).insert("x"), "x");
});

// --- keeping and publishing ---------------------------------------------------------------------------------------------

test("the published page stands alone, as a text or as slides", () => {
  const page = pageOf('"><script>', ["<p>One</p>\n"]);
  assert.ok(page.includes("<title>&quot;&gt;&lt;script&gt;</title>") && !page.includes("<script") && !page.includes("scroll-snap"));
  const deck = pageOf("T", ["<p>1</p>", "<p>2</p>"], "de");
  assert.equal(deck.match(/<section/g).length, 2);
  assert.ok(deck.includes('lang="de"') && deck.includes('aria-label="Slide 2 of 2"'));
});

test("page and text are published together, to the same drive again", async () => {
  const calls = [];
  const send = async (url, { method, body, headers }) => {
    calls.push([method, url, body instanceof FormData ? body.getAll("file").map(({ name }) => name) : [], headers?.["Publication-App"]]);
    return method === "POST" ? { text: "hyper://key", location: "" } : { text: "", location: "ipfs://cid/" };
  };
  const what = { page: "<p>", text: "t", send };
  assert.deepEqual(await publish({ ...what, to: "hyper", name: "a b" }), { to: "hyper", url: "hyper://key/", name: "a b" });
  assert.deepEqual(await publish({ ...what, to: "ipfs", name: "a b" }), { to: "ipfs", url: "ipfs://cid/", name: "" });
  assert.deepEqual(calls, [
    ["POST", "hyper://localhost/?key=a%20b", [], undefined],
    ["PUT", "hyper://key/", ["index.html", "text.md"], "Markdown"],
    ["PUT", "ipfs://bafyaabakaieac/", ["index.html", "text.md"], "Markdown"],
  ]);
});
