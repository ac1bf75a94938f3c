// A conversation that leaves the app: as Markdown, as a page of its own, published.
import assert from "node:assert/strict";
import test from "node:test";
import { Conversation } from "../../src/peersky/assets/apps/ai-chat/conversation.js";
import { fileName, toHtml, toMarkdown } from "../../src/peersky/assets/apps/ai-chat/export.js";
import { publish } from "../../src/peersky/assets/apps/ai-chat/publish.js";

const PICTURE = "data:image/jpeg;base64,AAAA";

function talk() {
  const conversation = new Conversation();
  conversation.system = "Be <kind>.";
  conversation.add("user", { content: "What is <b>this</b>?\u202e", images: [PICTURE, 'data:image/svg+xml,<svg onload="x">'] });
  const answer = conversation.add("assistant", { content: "A **cat**.", state: "stopped" });
  answer.model = "m <1>";
  answer.reasoning = "secret thoughts";
  const failed = conversation.add("assistant", { state: "failed" });
  failed.error = { message: "secret error", reason: "x" };
  return conversation;
}

test("Markdown has what was said, and neither thoughts nor errors", () => {
  assert.equal(toMarkdown(talk()), [
    "# What is <b>this</b>?", "## Instructions\n\nBe <kind>.", "## You", "*[Picture 1]* *[Picture 2]*", "What is <b>this</b>?",
    "## Answer (m <1>)", "A **cat**.", "(stopped)\n",
  ].join("\n\n"));
});

test("the page stands alone: text is text, no script, only pictures that are pictures", () => {
  const conversation = talk();
  const bodies = new Map([[conversation.path[1].id, "<p>A <strong>cat</strong>.</p>"]]);
  const html = toHtml(conversation, bodies, "a{}</style><script>x</script>", "T & <t>");
  assert.match(html, /^<!doctype html>\n<html lang="en">/);
  assert.match(html, /default-src 'none'; style-src 'unsafe-inline'; img-src data:/);
  assert.match(html, /<title>T &amp; &lt;t&gt;<\/title>/);
  assert.match(html, /<p class="text">What is &lt;b&gt;this&lt;\/b&gt;\?<\/p>/);
  assert.match(html, /<small>m &lt;1&gt;<\/small>/);
  assert.match(html, /<p>A <strong>cat<\/strong>\.<\/p><p class="end">/);
  assert.equal(html.match(/<img/g).length, 1);
  assert.equal(html.match(/<\/style>/g).length, 1);
  assert.doesNotMatch(html, /secret|svg|onload|\u202e/);
});

test("names of files hold letters alone", () => {
  assert.equal(fileName("../Über  alles: 1/2\u202e?"), "u-ber-alles-1-2");
  assert.equal(fileName("…"), "conversation");
  assert.equal(fileName("日本語"), "日本語");
});

function network(...replies) {
  const sent = [];
  const fetch = async (url, options) => {
    sent.push([options.method, url, options.headers]);
    const reply = replies.shift();
    if (reply instanceof Error) throw reply;
    return reply;
  };
  return { sent, fetch };
}

test("Hyper: one drive for each conversation, and the page in it", async () => {
  const { sent, fetch } = network(new Response("hyper://abc\n"), new Response("", { status: 201 }));
  assert.equal(await publish("<p>", { to: "hyper", name: "chat-1 ä", title: "Why?\ud800", model: "gpt", fetch }), "hyper://abc/");
  assert.deepEqual(sent.map(([method, url]) => `${method} ${url}`), [
    "POST hyper://localhost/?key=chat-1%20%C3%A4", "PUT hyper://abc/index.html",
  ]);
  assert.deepEqual(sent[1][2], { "Publication-App": "AI chat", "Content-Type": "text/html; charset=utf-8", "Publication-Model": "gpt",
    "Publication-Title": "Why%3F%EF%BF%BD" });
});

test("IPFS: the address of the folder, from the header or from the body", async () => {
  const header = new Response("", { status: 201, headers: { location: "ipfs://bafy1/index.html" } });
  for (const reply of [header, new Response("ipfs://bafy1/index.html\n", { status: 201 })]) {
    const { sent, fetch } = network(reply);
    assert.equal(await publish("<p>", { to: "ipfs", name: "x", model: "modèle", fetch }), "ipfs://bafy1/");
    assert.equal(sent[0][1], "ipfs://bafyaabakaieac/index.html");
    assert.equal(sent[0][2]["Publication-Model"], undefined);
  }
});

test("what goes wrong is a sentence", async () => {
  const cases = [
    [[new TypeError("Failed to fetch")], /P2P node/],
    [[new Response("You did not allow it.", { status: 403 })], /^You did not allow it\.$/],
    [[new Response("hyper://abc"), new Response("", { status: 507 })], /status 507/],
    [[new Response("https://evil.example/")], /did not say/],
  ];
  for (const [replies, expected] of cases) {
    const { fetch } = network(...replies);
    await assert.rejects(publish("", { to: "hyper", name: "x", fetch }), ({ message }) => expected.test(message));
  }
});
