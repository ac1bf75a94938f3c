// The way from a wish to a proposal, with a model that answers as a small one would.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { provisional } from "../../src/peersky/assets/apps/editor/continuation.js";
import { Generation, NoCode } from "../../src/peersky/assets/apps/editor/generate.js";

const sample = (name) => readFileSync(new URL(`answers/${name}.txt`, import.meta.url), "utf8");
const EMPTY = { "index.html": "", "style.css": "", "script.js": "" };
const WRITTEN = { "index.html": "<!doctype html>\n<html><head></head><body><h1>Old</h1></body></html>\n", "style.css": "h1 { }\n", "script.js": "" };

// A model that says these answers in order. An answer is a text, an error, or {text, finishReason}.
function scripted(answers, asked = []) {
  return (options) => {
    asked.push(options);
    const next = answers.shift();
    if (next === undefined) throw new Error("asked too often");
    const { text, finishReason = "stop", error } = typeof next === "string" ? { text: next } : next;
    async function* deltas() {
      yield { content: "", progress: { processed: 1, total: 2 } };
      if (next instanceof Error) throw next;
      for (let at = 0; at < text.length; at += 37) {
        options.signal?.throwIfAborted();
        yield { content: text.slice(at, at + 37) };
      }
      if (error) throw error;
      yield { content: "", finishReason };
    }
    const whole = async () => {
      let content = "";
      for await (const delta of deltas()) content += delta.content;
      return { content };
    };
    return { [Symbol.asyncIterator]: deltas, then: (done, failed) => whole().then(done, failed) };
  };
}

function generation(answers, options = {}, asked = []) {
  const chat = scripted(answers, asked);
  return new Generation({ chat, files: EMPTY, description: "A page about bread", kinds: null, contextLength: 8192, report() {}, ...options });
}

test("a new page: three questions, each with what was written before", async () => {
  const asked = [];
  const made = generation([sample("chatter"), sample("css-chatter"), sample("js-none")], {}, asked);
  await made.run();
  assert.equal(asked.length, 3);
  assert.match(asked[1].messages[1].content, /<h1>Bread<\/h1>/);
  assert.match(made.files["index.html"], /viewport[\s\S]*<link rel="stylesheet" href="style.css">/);
  assert.match(made.files["style.css"], /^h1, h2/);
  assert.equal(made.files["script.js"], "");
  assert.deepEqual([made.title, made.notes, made.cut], ["Bread", [], null]);
});

for (const name of ["all-in-one", "three-blocks"]) {
  test(`${name}: one answer is enough`, async () => {
    const made = generation([sample(name)]);
    await made.run();
    assert.match(made.files["style.css"], /sienna/);
    assert.match(made.files["script.js"], /querySelector|console/);
    assert.doesNotMatch(made.files["index.html"], /sienna|console|querySelector/);
    assert.equal(made.files["index.html"].match(/style\.css/g).length, 1);
  });
}

test("a change asks first which files it needs, held to a schema where the service can", async () => {
  const asked = [];
  const made = generation(['{"title": "Bread", "files": ["style.css"]}', "```css\nh1 { color: blue; }\n```"], { files: WRITTEN }, asked);
  await made.run();
  assert.ok(asked[0].responseFormat);
  assert.equal(made.files["index.html"], made.before["index.html"].replace("</head>", '  <link rel="stylesheet" href="style.css">\n</head>'));
  assert.equal(made.files["style.css"], "h1 { color: blue; }\n");

  const refused = Object.assign(new Error("no schema"), { reason: "capability_missing" });
  const second = generation([refused, 'Sure: {"files": ["script.js", "other.txt"]}', "```js\nlet a;\n```"], { files: WRITTEN }, asked);
  await second.run();
  assert.equal(second.files["script.js"], "let a;\n");

  const down = Object.assign(new Error("down"), { reason: "unreachable" });
  await assert.rejects(generation([down], { files: WRITTEN }).run(), { reason: "unreachable" });
});

test("a plan that is none means all files", async () => {
  const made = generation(["I would change everything!", sample("clean"), "a { }", "NONE"], { files: WRITTEN });
  await made.run();
  assert.match(made.files["index.html"], /Bread/);
});

test("an answer without code is asked for again, then said", async () => {
  const asked = [];
  const made = generation([sample("talk"), sample("clean")], { kinds: ["html"] }, asked);
  await made.run();
  assert.match(asked[1].messages.at(-1).content, /held no HTML/);
  assert.match(made.files["index.html"], /Bread/);
  const lost = generation([sample("talk"), sample("talk")], { kinds: ["html"] });
  await assert.rejects(lost.run(), (error) => error instanceof NoCode && /language model/.test(error.message));
  const partly = generation([sample("clean"), sample("talk"), sample("talk"), "NONE"]);
  await partly.run();
  assert.match(partly.notes[0], /^The model wrote no CSS\. It said: /);
});

test("a cut answer is continued by itself, twice at most, then on demand", async () => {
  const [start, middle, end] = ["```html\n<!doctype html>\n<html><body>\n<h1>Bread</h1>\n", "<p>Flour</p>\n", "<p>Salt</p>\n</body></html>\n```"];
  const asked = [];
  const cut = (text) => ({ text, finishReason: "length" });
  const made = generation([cut(start), cut(middle), end], { kinds: ["html"] }, asked);
  await made.run();
  assert.match(asked[1].messages.at(-1).content, /cut off/);
  assert.match(made.files["index.html"], /<h1>Bread<\/h1>\n<p>Flour<\/p>\n<p>Salt<\/p>\n<\/body>/);
  assert.equal(made.cut, null);

  const longer = generation([cut(start), cut(middle), cut("<p>Rye</p>\n"), end, "a { }", "NONE"]);
  await longer.run();
  assert.equal(longer.cut, "html");
  assert.match(longer.notes[0], /stops in the middle/);
  assert.match(longer.files["index.html"], /Rye/);
  await longer.goOn();
  assert.equal(longer.cut, null);
  assert.match(longer.files["index.html"], /Rye<\/p>\n<p>Salt<\/p>\n<\/body>/);
  assert.equal(longer.files["style.css"], "a { }\n");
});

test("a model that goes round in circles is stopped at the first round", async () => {
  const made = generation([sample("loop")], { kinds: ["html"] });
  await made.run();
  assert.match(made.notes[0], /repeated itself/);
  assert.ok(made.files["index.html"].length < 400, made.files["index.html"]);
  assert.equal(made.cut, "html");
});

test("a context that is too small: once more with less, then the error", async () => {
  const full = () => Object.assign(new Error("too long"), { reason: "context_length" });
  const asked = [];
  const made = generation([full(), "```css\na { }\n```"], { kinds: ["css"], files: WRITTEN }, asked);
  await made.run();
  assert.doesNotMatch(asked[1].messages[1].content, /Old/);
  await assert.rejects(generation([full(), full()], { kinds: ["css"], files: WRITTEN }).run(), { reason: "context_length" });
});

test("what is reported grows, and stopping stops", async () => {
  const seen = [];
  await generation([sample("chatter"), "a { }", "NONE"], { report: (state) => seen.push(state) }).run();
  assert.deepEqual([...new Set(seen.map(({ stage }) => stage))], ["wait", "write", "file"]);
  const lengths = seen.filter(({ kind, stage }) => kind === "html" && stage === "write").map(({ code }) => code.length);
  assert.deepEqual(lengths, lengths.toSorted((a, b) => a - b));
  const controller = new AbortController();
  const stopped = generation([sample("chatter")], { signal: controller.signal, report: ({ stage }) => stage === "write" && controller.abort() });
  await assert.rejects(stopped.run(), { name: "AbortError" });
});

test("what was written before the service died is kept, and can be gone on with", async () => {
  const died = Object.assign(new Error("died"), { reason: "interrupted" });
  const asked = [];
  const made = generation([{ text: "```css\na { color: red; }\nb {", error: died }, " color: blue; }\n```", "NONE"], { kinds: ["css", "js"] }, asked);
  await assert.rejects(made.run(), { reason: "interrupted" });
  assert.equal(made.cut, "css");
  assert.match(made.files["style.css"], /b \{\n$/);
  await made.goOn();
  assert.equal(made.files["style.css"], "a { color: red; }\nb { color: blue; }\n");
  assert.deepEqual([made.cut, made.notes, asked.length], [null, [], 3]);
});

test("a change that is being written ends in the old lines that are still to come", () => {
  const old = "a\nb\nc\nd\n";
  assert.equal(provisional(old, ""), old);
  assert.equal(provisional(old, "a\nB"), old);
  assert.equal(provisional(old, "a\nB\n"), "a\nB\nc\nd\n");
  assert.equal(provisional(old, "a\nb\nnew\nc\n"), "a\nb\nnew\nc\nd\n");
});
