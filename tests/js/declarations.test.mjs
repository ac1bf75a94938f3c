// peersky.d.ts names what the injected scripts really give to a page: the same members, and the same options.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";

const ASSETS = new URL("../../src/peersky/assets/", import.meta.url);
const read = (name) => readFileSync(new URL(name, ASSETS), "utf8");
const declared = read("peersky.d.ts").replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*/g, "");

// The names of an interface's members; of methods that are declared twice, once.
function members(name) {
  const start = declared.search(new RegExp(`interface ${name}\\b`));
  assert.ok(start >= 0, name);
  const names = new Set();
  let depth = 0;
  for (const line of declared.slice(declared.indexOf("{", start)).split("\n")) {
    const [, found] = /^\s*(?:readonly )?(\w+)\??[(:<]/.exec(line) ?? [];
    if (depth === 1 && found) names.add(found);
    depth += [...line.matchAll(/[{([]/g)].length - [...line.matchAll(/[})\]]/g)].length;
    if (depth <= 0) break;
  }
  return [...names].sort();
}

function page() {
  const told = [];
  const answers = {};
  const window = {
    ...Object.fromEntries(Object.getOwnPropertyNames(globalThis).filter((name) => name !== "window").map((name) => [name, globalThis[name]])),
    console: { warn: (text) => told.push(text) },
    fetch: async (url, options = {}) => {
      const body = answers[new URL(url).pathname];
      told.push(options.body);
      if (body === undefined) throw new TypeError("no network");
      return { ok: true, json: async () => body };
    },
  };
  const source = ["errors", "llm"].map((name) => read(`inject/${name}.js`)).join("\n");
  const memory = ["errors", "memory"].map((name) => read(`inject/${name}.js`)).join("\n");
  for (const script of [source, memory]) {
    const document = { baseURI: "hyper://somebody/" };
    vm.runInThisContext(`(function (window, self, document) {${script}\n})`)(window, { origin: "hyper://somebody" }, document);
  }
  return { window, told, answers };
}

test("the objects have the members that are declared", () => {
  const { window } = page();
  assert.deepEqual(Object.keys(window.llm).sort(), members("PeerSkyLLM"));
  assert.deepEqual(Object.keys(window._llmBridge).sort(), members("PeerSkyLLMBridge"));
  assert.deepEqual(Object.keys(window.llmMemory).sort(), members("PeerSkyLLMMemory"));
});

test("every option that is declared is known, and no other", async () => {
  const { window, told } = page();
  const names = [...members("PeerSkyOptions"), "messages"];
  await window.llm.chat({ ...Object.fromEntries(names.map((name) => [name, null])), messages: [] }).catch(() => {});
  assert.ok(!told.some((text) => /ignores/.test(text)), told.join());
  const known = [.../const OPTIONS = \{([\s\S]*?)\n\};/.exec(read("inject/llm.js"))[1].matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name);
  assert.deepEqual(known.sort(), names.sort());
});

test("what model() gives is what is declared", async () => {
  const { window, answers } = page();
  answers["/v1/models"] = { data: [{ id: "m", provider: "openai", capabilities: [], contextLength: 1 }] };
  answers["/v1/status"] = { isLocal: false };
  assert.deepEqual(Object.keys(await window.llm.model()).sort(), members("PeerSkyModel"));
});

test("the component's events and attributes are declared", () => {
  const source = read("components/llm-history.js");
  const told = [...source.matchAll(/#tell\("([\w-]+)"/g)].map(([, name]) => name);
  for (const name of told) assert.ok(declared.includes(`"${name}":`), name);
  assert.ok(told.length >= 4);
});
