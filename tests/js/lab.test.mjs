// The Playground's own parts: its examples cover the API and are code that parses, tokens are counted without changing
// what window.llm does, and results are text that a person can read.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { EXAMPLES, GROUPS } from "../../src/peersky/assets/apps/llm-lab/examples/index.js";
import { bodyOf, problemOf, shown, summary, time } from "../../src/peersky/assets/apps/llm-lab/format.js";
import { observed } from "../../src/peersky/assets/apps/llm-lab/observe.js";

const types = readFileSync(new URL("../../src/peersky/assets/peersky.d.ts", import.meta.url), "utf8");
const allCode = EXAMPLES.map(({ run }) => bodyOf(run)).join("\n");

const members = (name) => {
  const [, body] = new RegExp(`interface ${name} \\{\\n([\\s\\S]*?)\\n {2}\\}`).exec(types);
  return new Set([...body.matchAll(/^ {4}(\w+)\??[(:]/gm)].map(([, member]) => member));
};

test("there is an example of every call that pages have", () => {
  for (const name of ["PeerSkyLLM", "PeerSkyLLMBridge", "PeerSkyLLMMemory"]) {
    const calls = members(name);
    assert.ok(calls.size > 3, name);
    for (const call of calls) assert.match(allCode, new RegExp(`\\.${call}\\(`), `${name}.${call}`);
  }
  const aliases = ["max_tokens", "max_completion_tokens", "top_p", "response_format", "tool_choice", "reasoning_effort"];
  for (const option of members("PeerSkyOptions")) {
    if (!aliases.includes(option)) assert.match(allCode, new RegExp(`\\b${option}\\b`), option);
  }
  for (const start of ["llm://bridge/v1/models", "llm://bridge/v1/embeddings", "hyper://localhost/", "ipfs://bafyaabakaieac/", "ipns://localhost/"]) {
    assert.ok(allCode.includes(start), start);
  }
});

test("examples are named once, explained, and shown as code without the function around it", () => {
  assert.equal(new Set(EXAMPLES.map(({ id }) => id)).size, EXAMPLES.length);
  assert.equal(GROUPS.flatMap(({ examples }) => examples).length, EXAMPLES.length);
  for (const { id, title, about, run } of EXAMPLES) {
    assert.match(id, /^[a-z0-9-]+$/);
    assert.ok(title && about.endsWith("."), id);
    const code = bodyOf(run);
    assert.ok(!code.startsWith(" ") && !code.includes("async () => {\n\n"), id);
    // eslint-disable-next-line no-new-func -- what is parsed here is our own
    assert.doesNotThrow(() => new Function(`return async () => {\n${code}\n};`), id);
  }
});

// A lazy answer as inject/llm.js makes it: a Promise with a then() of its own that can be iterated.
function lazy(deltas, log) {
  const whole = { content: "ab", usage: { inputTokens: 3, outputTokens: 2 } };
  const answer = Promise.resolve(whole);
  const { then } = answer;
  answer.then = (done, failed) => {
    log.push("sent");
    return then.call(answer, done, failed);
  };
  answer[Symbol.asyncIterator] = async function* iterate() {
    try {
      log.push("sent");
      yield* deltas;
    } finally {
      log.push("left");
    }
  };
  return answer;
}

test("tokens are counted once for each answer, and nothing is sent before it is read", async () => {
  const log = [];
  const noted = [];
  const usage = { inputTokens: 3, outputTokens: 2 };
  const complete = () => "as it was";
  const bridge = observed({ chat: () => lazy([{ content: "a" }, { content: "b", usage }], log), complete }, (one) => noted.push(one));
  assert.equal(bridge.complete, complete);
  const answer = bridge.chat({});
  assert.deepEqual(log, []);
  let text = "";
  for await (const { content } of answer) text += content;
  assert.equal((await answer).content, "ab");
  assert.deepEqual([text, noted], ["ab", [usage]]);

  const broken = bridge.chat({});
  for await (const { content } of broken) if (content) break;
  assert.equal(log.at(-1), "left");
  assert.equal(noted.length, 1);
});

test("a refused answer stays refused", async () => {
  const refused = () => Object.assign(Promise.reject(new TypeError("wrong")), { [Symbol.asyncIterator]: () => {} });
  const bridge = observed({ chat: refused }, assert.fail);
  await assert.rejects(bridge.chat({}), { message: "wrong" });
  assert.equal(await bridge.chat({}).catch((error) => error.name), "TypeError");
});

test("what is shown", () => {
  assert.deepEqual(shown("a\nb"), { kind: "text", text: "a\nb" });
  assert.equal(shown({ a: [1] }).text, '{\n  "a": [\n    1\n  ]\n}');
  assert.equal(shown(undefined).text, "undefined");
  assert.equal(shown(10n).text, "10");
  assert.equal(shown(new Uint8Array([1, 2])).text, "2 bytes: 1 2");
  assert.match(shown(new Uint8Array(1000)).text, /^1000 bytes: 0 .* …$/);
  assert.equal(shown(new Blob(["abc"])).text, "Blob, 3 bytes, no type");
  const circle = {};
  circle.own = circle;
  assert.equal(shown(circle).text, "[object Object]");
  assert.match(shown("x".repeat(30_000)).text, /\n… 10000 more characters$/);
});

test("what was thrown", () => {
  const address = "blob:peersky://p2p/1";
  const error = Object.assign(new TypeError("no"), { reason: "invalid_request", stack: `TypeError: no\n at ${address}:5:3` });
  assert.deepEqual(problemOf(error, address, 1), { name: "TypeError", reason: "invalid_request", message: "no", line: 4 });
  assert.deepEqual(problemOf("text", address, 1), { name: "", reason: "", message: 'Thrown: "text"', line: null });
  assert.equal(problemOf(undefined, address, 1).message, "Thrown: undefined");
});

test("the line below the result", () => {
  const two = [{ inputTokens: 7, outputTokens: 2 }, { inputTokens: 1, outputTokens: 1 }];
  assert.equal(summary({ ms: 1234, firstMs: 200, answers: two, error: null }), "Ended after 1.23 s · first output after 200 ms · 8 tokens in, 3 out.");
  assert.equal(summary({ ms: 5, firstMs: null, answers: [], error: {} }), "Failed after 5 ms.");
  assert.equal(time(61_000), "61.0 s");
});
