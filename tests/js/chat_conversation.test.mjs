// The chat's conversation: its branches, what the model is told, and how it is kept.
import assert from "node:assert/strict";
import test from "node:test";
import { adviceFor } from "../../src/peersky/assets/apps/ai-chat/advice.js";
import { Conversation, toContinue, toMessages } from "../../src/peersky/assets/apps/ai-chat/conversation.js";
import {
  fromEntries, Keeper, partsOf, restoreFromTab, settingsEntry, storeInTab, toEntries,
} from "../../src/peersky/assets/apps/ai-chat/keeping.js";

const PICTURE = "data:image/png;base64,AAAA";

function talk(...texts) {
  const conversation = new Conversation();
  texts.forEach((content, at) => conversation.add(at % 2 ? "assistant" : "user", { content }));
  return conversation;
}

const said = (conversation) => conversation.path.map(({ content }) => content);
const kept = (conversation) => [settingsEntry(conversation), ...conversation.messages.flatMap((one) => toEntries(one))];
const plain = (conversation) => JSON.parse(JSON.stringify(conversation.messages, (key, value) => (key === "kept" ? undefined : value)));

test("asking again and editing grow branches, and every version can be shown", () => {
  const conversation = talk("one", "first answer", "two", "last");
  const [one, answer] = conversation.path;
  const again = conversation.add("assistant", { content: "second answer", parent: one.id });
  assert.deepEqual(said(conversation), ["one", "second answer"]);
  assert.deepEqual(conversation.versions(again), [answer, again]);
  conversation.show(answer);
  assert.deepEqual(said(conversation), ["one", "first answer", "two", "last"]);
  const edited = conversation.add("user", { content: "uno", parent: one.parent });
  assert.deepEqual(said(conversation), ["uno"]);
  assert.deepEqual(conversation.versions(edited).length, 2);
  assert.equal(conversation.title, "uno");
  assert.equal(talk(`${"word ".repeat(15)}\n longer words follow`).title, `${"word ".repeat(15).trim()}…`);
  assert.equal(talk("x".repeat(90)).title, `${"x".repeat(80)}…`);
});

test("errors and empty answers never reach the model; questions beside them are joined", () => {
  const conversation = talk("one", "", "two", "yes");
  Object.assign(conversation.path[1], { state: "failed", error: { message: "Broken.", reason: "interrupted" } });
  const messages = toMessages(conversation.path, { system: " Be kind. " });
  assert.deepEqual(messages, [
    { role: "system", content: "Be kind." },
    { role: "user", content: "one\n\ntwo" },
    { role: "assistant", content: "yes" },
  ]);
  assert.equal(toContinue(conversation.path).at(-1).role, "user");
  assert.doesNotMatch(JSON.stringify(messages), /Broken/);
});

test("pictures are parts for a model that sees, and a note for one that does not", () => {
  const conversation = new Conversation();
  conversation.add("user", { content: "What is it?", images: [PICTURE] });
  assert.deepEqual(toMessages(conversation.path)[0].content, [
    { type: "image_url", image_url: { url: PICTURE } },
    { type: "text", text: "What is it?" },
  ]);
  assert.match(toMessages(conversation.path, { sees: false })[0].content, /^What is it\?\n\n\[A picture/);
});

test("what is kept comes back: branches, long texts, thoughts, pictures, errors, settings", () => {
  const conversation = talk("one", "answer", "two");
  Object.assign(conversation, { system: "Be brief.", temperature: 0.2 });
  const long = `${"x".repeat(89_999)}🙂${"y".repeat(250_000)}`;
  const answer = conversation.add("assistant", { content: long, state: "cut" });
  Object.assign(answer, { reasoning: "z".repeat(95_000), model: "m", error: { message: "No.", reason: "interrupted" } });
  conversation.add("user", { content: "and this?", images: [`${PICTURE}${"A".repeat(200_000)}`, PICTURE] });
  conversation.add("assistant", { content: "other", parent: conversation.path[0].id });
  const entries = kept(conversation);
  for (const { content, role } of entries) assert.ok(content.length <= 100_000 && role.length <= 16);
  assert.ok(partsOf(long).every((part) => part.isWellFormed()));
  const found = fromEntries(conversation.id, JSON.parse(JSON.stringify(entries)));
  assert.deepEqual(plain(found), plain(conversation));
  assert.deepEqual(said(found), said(conversation));
  assert.deepEqual([found.system, found.temperature], ["Be brief.", 0.2]);
  assert.ok(found.messages.every((message) => message.kept));
});

test("a message that was written again replaces the first writing", () => {
  const conversation = talk("one", "half");
  const before = kept(conversation);
  const [, answer] = conversation.path;
  answer.content = "half and half";
  const found = fromEntries("s", [...before, ...toEntries(answer)]);
  assert.deepEqual(said(found), ["one", "half and half"]);
});

test("entries of somebody else's making are a row of messages, and nonsense is none", () => {
  const entries = [
    { role: "user", content: "a", meta: {} }, { role: "assistant", content: "b" }, { role: "tool", content: "c" },
    { role: "user", content: "d", meta: { id: "x", parent: "missing" } }, { role: "y", content: "e", meta: { id: "z", kind: "text" } },
  ];
  assert.deepEqual(said(fromEntries("s", entries)), ["a", "b", "d"]);
  for (const stored of [null, 7, {}, { id: 1 }, { id: "a", messages: 3 }]) assert.equal(Conversation.fromJSON(stored), null);
  const circle = { id: "c", messages: [{ id: "a", parent: "b", role: "user", content: "1" }, { id: "b", parent: "a", role: "user", content: "2" }] };
  assert.deepEqual(said(Conversation.fromJSON(circle)), ["1", "2"]);
});

test("a tab gets its conversation back, unfinished answers and drafts too; without pictures when it is full", () => {
  const storage = new Storage(1_000_000);
  const conversation = talk("one", "half an ans");
  conversation.path[1].state = "streaming";
  storeInTab(conversation, "draft", storage);
  const found = restoreFromTab(storage);
  assert.deepEqual([said(found.conversation), found.draft], [["one", "half an ans"], "draft"]);
  assert.equal(found.conversation.path[1].state, "stopped");
  conversation.add("user", { content: "look", images: ["x".repeat(2_000_000)] });
  storeInTab(conversation, "", storage);
  assert.deepEqual(restoreFromTab(storage).conversation.path.at(-1).images, []);
  storeInTab(new Conversation(), "", storage);
  assert.equal(storage.size, 0);
  assert.deepEqual(said(restoreFromTab(null).conversation), []);
  storage.setItem("ai-chat.conversation", "{broken");
  assert.deepEqual(said(restoreFromTab(storage).conversation), []);
});

class Storage extends Map {
  constructor(room) {
    super();
    this.room = room;
  }

  getItem(key) {
    return this.get(key) ?? null;
  }

  setItem(key, value) {
    if (value.length > this.room) throw new Error("full");
    this.set(key, value);
  }

  removeItem(key) {
    this.delete(key);
  }
}

test("memory gets every finished message once, in order, and what failed again", async () => {
  const added = [];
  const problems = [];
  const answers = [];
  const memory = {
    add: async (entry) => {
      const answer = answers.shift() ?? { ok: true };
      if (answer instanceof Error) throw answer;
      if (answer.ok) added.push(entry.content);
      return answer;
    },
  };
  const keeper = new Keeper(memory, { onProblem: (sentence) => problems.push(sentence) });
  const conversation = talk("one", "two");
  conversation.add("assistant", { content: "unfinished", state: "streaming" });
  await keeper.keep(conversation);
  await keeper.keep(conversation);
  assert.deepEqual(added, ["one", "two"]);
  conversation.path[2].state = "done";
  answers.push(new Error("Memory is full."));
  await keeper.keep(conversation);
  assert.deepEqual([added.length, problems], [2, ["Memory is full."]]);
  await keeper.keep(conversation);
  assert.deepEqual(added, ["one", "two", "unfinished"]);
  answers.push({ ok: false, reason: "memory_disabled" });
  conversation.add("user", { content: "off" });
  await keeper.keep(conversation);
  assert.equal(problems.length, 1);
});

test("nothing counts as kept before memory says so, nor what was continued meanwhile", async () => {
  const added = [];
  const doors = [Promise.withResolvers(), Promise.withResolvers()];
  const memory = {
    add: async ({ content }) => {
      await doors[added.length].promise;
      added.push(content);
      return { ok: true };
    },
  };
  const keeper = new Keeper(memory);
  const conversation = talk("one");
  const [message] = conversation.path;
  const first = keeper.keep(conversation);
  assert.equal(message.kept, false);
  message.content = "one more";
  const second = keeper.keep(conversation);
  keeper.keep(conversation);
  doors[0].resolve();
  await first;
  assert.equal(message.kept, false);
  doors[1].resolve();
  await second;
  assert.deepEqual([added, message.kept], [["one", "one more"], true]);
});

test("advice says what helps", () => {
  assert.ok(adviceFor("llm_disabled").settings);
  assert.ok(adviceFor("context_length").shorter);
  assert.deepEqual(adviceFor("something_new"), { text: "", settings: false, shorter: false });
});
