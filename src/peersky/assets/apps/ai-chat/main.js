// AI chat: asks window.llm and shows the answer while it is written. It uses nothing that another P2P page could not
// use, so it works where it is published too. Errors are shown as errors and never become part of the conversation.

import { adviceFor } from "./advice.js";
import { Conversation, toContinue, toMessages } from "./conversation.js";
import { Attachments, filesOf } from "./images.js";
import { APP_ID, fromEntries, Keeper, restoreFromTab, storeInTab } from "./keeping.js";
import { Model } from "./model.js";
import { ShareDialog } from "./share.js";
import { Sidebar } from "./sidebar.js";
import { button, copyText, MessageView, paced, Scroller } from "./view.js";

const SETTINGS = "peersky://settings/llm";
const ANNOUNCED_CHARACTERS = 600;
const STORE_EVERY_MS = 2000;

const at = (id) => document.getElementById(id);
const prompt = at("prompt");
const scroller = new Scroller(at("scroller"), at("latest"));
const model = new Model();
const share = new ShareDialog();
const attachments = new Attachments(at("attachments"), showControls);
const keeper = new Keeper(window.llmMemory, {
  onKept: () => {
    store();
    sidebar.refresh(conversation.id);
  },
  onProblem: (sentence) => notice(`This conversation is not kept: ${sentence}`),
});
const sidebar = new Sidebar(keeper, APP_ID, { select: openSession, deleted: forgotten });

const restored = restoreFromTab(tabStorage());
let { conversation } = restored;
let views = [];
let running = null; // {controller, message} of the answer that is being written

// Not there in sandboxed frames.
function tabStorage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

const store = () => storeInTab(conversation, prompt.value, tabStorage());

// --- what the conversation looks like ---------------------------------------------------------------------------

function actions(message) {
  if (message.state === "streaming") return [];
  const row = [];
  if (message.content) row.push(button("Copy", (event) => copyText(message.content, event.currentTarget)));
  if (running) return row;
  if (message.role === "user") row.push(button("Edit", () => edit(message)));
  else if (message === conversation.path.at(-1)) row.unshift(...lastActions(message));
  row.push(...versionActions(message));
  return row;
}

function lastActions(message) {
  const row = [];
  if (message.state === "cut") row.push(button("Continue", () => answer(message, toContinue(conversation.path, told()))));
  row.push(button(message.state === "failed" ? "Try again" : "Ask again", () => askAgain(message, false)));
  const { settings, shorter } = adviceFor(message.error?.reason);
  if (shorter && conversation.path.length > 2) {
    row.push(button("Ask without the earlier messages", () => askAgain(message, true)));
  }
  if (settings) row.push(settingsLink());
  return row;
}

function versionActions(message) {
  const versions = conversation.versions(message);
  if (versions.length < 2) return [];
  const now = versions.indexOf(message);
  const go = (step, label, name) => {
    const made = button(label, () => showVersion(versions[now + step]), name);
    made.disabled = !versions[now + step];
    return made;
  };
  const count = document.createElement("span");
  count.className = "versions";
  count.textContent = `${now + 1} of ${versions.length}`;
  return [go(-1, "‹", "Earlier version"), count, go(1, "›", "Later version")];
}

function showVersion(message) {
  conversation.show(message);
  render();
  store();
  const shown = views.find((view) => view.message === message);
  shown?.element.querySelector(".message-foot button:enabled[aria-label]")?.focus();
}

function settingsLink() {
  const link = document.createElement("a");
  link.href = SETTINGS;
  link.target = "_top";
  link.textContent = "Settings of local AI";
  return link;
}

// Shows the path of the conversation; what is on the page already stays.
function render() {
  const { path } = conversation;
  const same = path.findIndex((message, index) => views[index]?.message !== message);
  const start = same < 0 ? path.length : same;
  for (const { element } of views.slice(start)) element.remove();
  for (const view of views.slice(0, start)) view.settleFoot();
  views = [...views.slice(0, start), ...path.slice(start).map((message) => new MessageView(message, actions))];
  at("log").append(...views.slice(start).map(({ element }) => element));
  const isEmpty = path.length === 0;
  at("welcome").hidden = !isEmpty;
  at("new").disabled = isEmpty;
  at("share-open").disabled = isEmpty || Boolean(running);
  sidebar.mark(conversation.id);
  showOptions();
  showControls();
}

function showControls() {
  at("stop").hidden = !running;
  at("send").hidden = Boolean(running);
  at("send").disabled = !model.isReady || (prompt.value.trim() === "" && attachments.urls.length === 0);
  at("attach").hidden = !model.sees;
  at("share-open").disabled = conversation.isEmpty || Boolean(running);
}

function announce(text) {
  at("announce").textContent = text;
}

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
}

// --- asking -----------------------------------------------------------------------------------------------------

const told = () => ({ system: conversation.system, sees: model.sees });

function ask(text, images = attachments.urls) {
  const content = text.trim();
  if ((!content && !images.length) || running || !model.isReady) return;
  conversation.add("user", { content, images });
  if (conversation.path.length === 1 && hasOptions()) keeper.keepSettings(conversation);
  prompt.value = "";
  notice("");
  attachments.set([]);
  scroller.toEnd();
  answerNext(toMessages(conversation.path, told()));
}

function answerNext(messages) {
  const message = conversation.add("assistant", { state: "streaming" });
  answer(message, messages);
}

// Asks the last question once more. What was answered stays as a version, unless it is nothing but a failure.
function askAgain(message, isAlone) {
  const before = conversation.path.slice(0, -1);
  const messages = toMessages(isAlone ? before.slice(-1) : before, told());
  if (!message.content) conversation.drop(message);
  const fresh = conversation.add("assistant", { state: "streaming", parent: message.parent });
  answer(fresh, messages);
}

// Lets the user write a question anew; it becomes another version of it.
function edit(message) {
  const view = views.find((one) => one.message === message);
  const form = document.createElement("form");
  const field = document.createElement("textarea");
  const send = button("Send", () => {});
  form.className = "edit";
  field.setAttribute("aria-label", "Your message, edited");
  field.value = message.content;
  send.type = "submit";
  const end = () => {
    form.replaceWith(view.body);
    view.foot.hidden = false;
  };
  const cancel = button("Cancel", end);
  form.append(field, send, cancel);
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") end();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const content = field.value.trim();
    if ((!content && !message.images.length) || running || !model.isReady) return;
    conversation.add("user", { content, images: message.images, parent: message.parent });
    scroller.toEnd();
    answerNext(toMessages(conversation.path, told()));
  });
  view.body.replaceWith(form);
  view.foot.hidden = true;
  field.focus();
}

// Writes the answer to `messages` at the end of `message`.
async function answer(message, messages) {
  const asked = conversation;
  const controller = new AbortController();
  const start = message.content.length;
  const run = { controller, message };
  running = run;
  Object.assign(message, { state: "streaming", error: null, model: model.name, kept: false });
  render();
  const view = views.at(-1);
  view.settle();
  // The button that was pressed may be gone.
  if (document.activeElement === document.body) prompt.focus();
  announce("The model is answering.");
  scroller.toEnd();
  keeper.keep(asked);
  store();
  const grow = paced(() => {
    view.grow();
    scroller.follow();
  });
  try {
    await read(message, messages, controller.signal, { grow, view, isShown: () => running === run });
  } catch (error) {
    const stopped = controller.signal.aborted || error.name === "AbortError";
    message.state = stopped ? "stopped" : "failed";
    message.error = stopped ? null : { message: error.message, reason: error.reason ?? "" };
  }
  grow.cancel();
  if (running === run) running = null;
  keeper.keep(asked);
  // Another conversation may have been opened meanwhile.
  if (conversation !== asked) return;
  view.settle();
  render();
  scroller.follow();
  store();
  sayEnd(message, start);
}

async function read(message, messages, signal, { grow, view, isShown }) {
  let finishReason = null;
  let stored = performance.now();
  const options = conversation.temperature === null ? {} : { temperature: conversation.temperature };
  const answering = window.llm.chat({ messages, signal, conversation: conversation.id, ...options });
  for await (const delta of answering) {
    message.content += delta.content ?? "";
    message.reasoning += delta.reasoning ?? "";
    finishReason = delta.finishReason ?? finishReason;
    if (delta.progress) view.read(delta.progress);
    grow.ask();
    if (isShown() && performance.now() - stored > STORE_EVERY_MS) {
      store();
      stored = performance.now();
    }
  }
  message.state = finishReason === "length" ? "cut" : "done";
}

// One announcement at the end, not one per word.
function sayEnd(message, start) {
  if (message.state === "failed") return announce("");
  const text = message.content.slice(start).trim();
  const long = text.length > ANNOUNCED_CHARACTERS;
  const end = { done: "", cut: "The answer was cut.", stopped: "Stopped." }[message.state];
  return announce(`${text.slice(0, ANNOUNCED_CHARACTERS)}${long ? "…" : ""} ${end}`.trim());
}

// --- which conversation -----------------------------------------------------------------------------------------

function open(next) {
  running?.controller.abort();
  running = null;
  conversation = next;
  prompt.value = "";
  notice("");
  attachments.set([]);
  render();
  store();
  scroller.toEnd();
}

function newChat() {
  open(new Conversation());
  announce("New chat.");
  sidebar.leave();
  prompt.focus();
}

function openSession(sessionId, entries) {
  if (sessionId === conversation.id) return;
  const found = fromEntries(sessionId, entries);
  if (!found) return;
  open(found);
  announce(`Opened: ${found.title}`);
}

function forgotten(sessionId) {
  if (sessionId !== conversation.id) return;
  conversation.isForgotten = true;
  open(new Conversation());
  announce("The conversation was deleted.");
}

// --- options ----------------------------------------------------------------------------------------------------

function openOptions() {
  at("system").value = conversation.system;
  at("temperature").value = conversation.temperature ?? "";
  at("options").showModal();
}

at("options-form").addEventListener("submit", () => {
  const value = at("temperature").valueAsNumber;
  conversation.system = at("system").value.trim();
  conversation.temperature = Number.isFinite(value) ? Math.min(2, Math.max(0, value)) : null;
  keeper.keepSettings(conversation);
  store();
  showOptions();
});

const hasOptions = () => conversation.system !== "" || conversation.temperature !== null;

function showOptions() {
  at("options-open").classList.toggle("set", hasOptions());
}

// --- wiring -----------------------------------------------------------------------------------------------------

async function addImages(files) {
  if (!files.length) return;
  notice(model.sees ? await attachments.add(files) : "This model does not see pictures; choose another one in the settings.");
}

at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(prompt.value);
});
prompt.addEventListener("input", showControls);
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(prompt.value);
});
prompt.addEventListener("paste", (event) => {
  const files = filesOf(event.clipboardData);
  if (!files.length) return;
  event.preventDefault();
  addImages(files);
});
document.addEventListener("dragover", (event) => {
  if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  const files = filesOf(event.dataTransfer);
  if (!files.length) return;
  event.preventDefault();
  addImages(files);
});
at("attach").addEventListener("click", () => at("files").click());
at("files").addEventListener("change", async () => {
  await addImages([...at("files").files]);
  at("files").value = "";
  prompt.focus();
});
document.addEventListener("keydown", (event) => {
  // Escape closes what is open before it stops anything.
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  running?.controller.abort();
});
at("stop").addEventListener("click", () => {
  running?.controller.abort();
  prompt.focus();
});
at("new").addEventListener("click", newChat);
at("options-open").addEventListener("click", openOptions);
at("options-close").addEventListener("click", () => at("options").close());
at("share-open").addEventListener("click", () => share.open(conversation, model.name));
at("ideas").addEventListener("click", (event) => {
  if (event.target.matches(".idea")) ask(event.target.textContent);
});
at("log").addEventListener("click", (event) => {
  if (!event.target.matches(".copy-code")) return;
  copyText(event.target.closest(".code").querySelector("code").textContent, event.target);
});
// Leaving breaks the answer off; without this it would be kept as one that failed.
window.addEventListener("beforeunload", () => running?.controller.abort());
window.addEventListener("pagehide", store);
async function look() {
  await Promise.all([model.look(), sidebar.refresh(conversation.id)]);
  showControls();
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});

prompt.value = restored.draft;
render();
scroller.toEnd();
prompt.focus();
look();
// What a reload kept from being written down.
keeper.keep(conversation);
