// AI chat: asks window.llm and shows the answer while it is written. It uses nothing that another P2P page could not
// use, so it works where it is published too. Errors are shown as errors and never become part of the conversation.

import { answerEntry, restore, store, toContinue, toMessages, userEntry } from "./conversation.js";
import { button, copyText, MessageView, Scroller } from "./view.js";

const SETTINGS = "peersky://settings/llm";
const STARTER = "peersky-starter";
const ANNOUNCED_CHARACTERS = 600;
const NEEDS_SETTINGS = [
  "llm_disabled",
  "provider_missing",
  "model_missing",
  "model_file_invalid",
  "not_enough_memory",
  "crash_loop",
];

const at = (id) => document.getElementById(id);
const prompt = at("prompt");
const scroller = new Scroller(at("scroller"), at("latest"));

const entries = restore();
const views = new Map();
let running = null; // the AbortController of the answer that is being written

// --- what the conversation looks like ---------------------------------------------------------------------------

function actions(entry) {
  if (entry.role === "user" || entry.state === "streaming") return [];
  const isLast = entry === entries.at(-1);
  const row = [];
  if (entry.content) row.push(button("Copy", (event) => copyText(entry.content, event.currentTarget)));
  if (!isLast || running) return row;
  if (entry.state === "cut") row.unshift(button("Continue", () => answer(entry, toContinue(entries))));
  row.push(button(entry.state === "failed" ? "Try again" : "Ask again", () => askAgain(entries.slice(0, -1))));
  if (entry.error?.reason === "context_length" && entries.length > 2) {
    row.push(button("Ask without the earlier messages", () => askAgain(entries.slice(-2, -1))));
  }
  if (NEEDS_SETTINGS.includes(entry.error?.reason)) row.push(settingsLink());
  return row;
}

function settingsLink() {
  const link = document.createElement("a");
  link.href = SETTINGS;
  link.target = "_top";
  link.textContent = "Settings of local AI";
  return link;
}

function add(entry) {
  const before = entries.at(-1);
  entries.push(entry);
  show(entry);
  // Only the last answer can be asked for again.
  if (before) views.get(before).settle();
}

function show(entry) {
  const view = new MessageView(entry, actions);
  views.set(entry, view);
  at("log").append(view.element);
  at("welcome").hidden = true;
  at("new").disabled = false;
}

function showControls() {
  at("stop").hidden = !running;
  at("send").hidden = Boolean(running);
  at("send").disabled = prompt.value.trim() === "" || !supported();
}

function announce(text) {
  at("announce").textContent = text;
}

// --- asking -----------------------------------------------------------------------------------------------------

function ask(text) {
  if (!text.trim() || running || !supported()) return;
  add(userEntry(text.trim()));
  prompt.value = "";
  scroller.toEnd();
  const entry = answerEntry();
  const messages = toMessages(entries);
  add(entry);
  answer(entry, messages);
}

// Drops the last answer and asks once more, with the messages of `context`.
function askAgain(context) {
  const entry = entries.pop();
  views.get(entry).element.remove();
  views.delete(entry);
  const fresh = answerEntry();
  add(fresh);
  answer(fresh, toMessages(context));
}

// Writes the answer to `messages` at the end of `entry`.
async function answer(entry, messages) {
  const view = views.get(entry);
  const controller = new AbortController();
  const start = entry.content.length;
  let frame = 0;
  running = controller;
  Object.assign(entry, { state: "streaming", error: null });
  view.settle();
  showControls();
  announce("The model is answering.");
  scroller.toEnd();
  try {
    let finishReason = null;
    for await (const delta of window.llm.chat({ messages, signal: controller.signal })) {
      entry.content += delta.content ?? "";
      entry.reasoning += delta.reasoning ?? "";
      finishReason = delta.finishReason ?? finishReason;
      if (delta.progress) view.read(delta.progress);
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        view.grow();
        scroller.follow();
      });
    }
    entry.state = finishReason === "length" ? "cut" : "done";
  } catch (error) {
    const stopped = controller.signal.aborted || error.name === "AbortError";
    entry.state = stopped ? "stopped" : "failed";
    entry.error = stopped ? null : { message: error.message, reason: error.reason ?? "" };
  } finally {
    cancelAnimationFrame(frame);
    if (running === controller) running = null;
  }
  // "New chat" may have thrown the entry away meanwhile.
  if (views.get(entry) !== view) return;
  view.settle();
  scroller.follow();
  showControls();
  store(entries);
  sayEnd(entry, start);
}

// One announcement at the end, not one per word.
function sayEnd(entry, start) {
  if (entry.state === "failed") return announce("");
  const text = entry.content.slice(start).trim();
  const long = text.length > ANNOUNCED_CHARACTERS;
  const end = { done: "", cut: "The answer was cut.", stopped: "Stopped." }[entry.state];
  return announce(`${text.slice(0, ANNOUNCED_CHARACTERS)}${long ? "…" : ""} ${end}`.trim());
}

function newChat() {
  running?.abort();
  running = null;
  entries.length = 0;
  views.clear();
  at("log").replaceChildren();
  at("welcome").hidden = false;
  at("new").disabled = true;
  store(entries);
  announce("New chat.");
  showControls();
  prompt.focus();
}

// --- who answers ------------------------------------------------------------------------------------------------

let isReady = false;
const supported = () => isReady;

async function showModel() {
  const { llm } = window;
  try {
    isReady = Boolean(llm) && (await llm.isSupported());
  } catch {
    isReady = false;
  }
  at("unsupported").hidden = isReady;
  at("unsupported-text").textContent = llm
    ? "Local AI is off, or no model is chosen. Switch it on in the settings, then come back to this tab."
    : "This page has no access to a model. Open it in PeerSky, at an address that you trust.";
  at("unsupported-link").hidden = !llm;
  at("ideas").hidden = !isReady;
  at("model").hidden = true;
  showControls();
  if (!isReady) return;
  try {
    const { model, provider } = await llm.model();
    // An Ollama may run elsewhere, and a service here: only of the built-in engine a page knows where it is.
    const place = { builtin: "on this computer", ollama: "Ollama" }[provider] ?? "a service that you chose";
    // A model of the user's own is named by its file: the name will do.
    const name = model === STARTER ? "Starter model, a demonstration" : model.split(/[\\/]/).at(-1);
    at("model").textContent = `${name} · ${place}`;
    at("model").hidden = false;
  } catch {
    // The name is a courtesy; what is wrong with the model is said when it is asked.
    at("model").hidden = true;
  }
}

// --- wiring -----------------------------------------------------------------------------------------------------

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
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
at("stop").addEventListener("click", () => {
  running?.abort();
  prompt.focus();
});
at("new").addEventListener("click", newChat);
at("ideas").addEventListener("click", (event) => {
  if (event.target.matches(".idea")) ask(event.target.textContent);
});
at("log").addEventListener("click", (event) => {
  if (!event.target.matches(".copy-code")) return;
  copyText(event.target.closest(".code").querySelector("pre").innerText, event.target);
});
// Leaving breaks the answer off; without this it would be kept as one that failed.
window.addEventListener("beforeunload", () => running?.abort());
window.addEventListener("pagehide", () => store(entries));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) showModel();
});

for (const entry of entries) show(entry);
scroller.toEnd();
prompt.focus();
showModel();
