// The line to the model: improve, shorten, continue, translate. What it writes is shown beside what was there, while it
// comes, and goes into the text when it is accepted, as one step that can be undone.

import { DONE, messagesFor, room, target, textOf } from "./rewrite.js";
import { diffWordsWithSpace } from "./vendor/diff.esm.js";

const LONGEST_DIFF = 20_000;
const at = (id) => document.getElementById(id);

export class Assistant {
  #writer;
  #running = null; // the AbortController of the question
  #proposal = null; // {task, goal, text}
  model = null;
  // The name of the model whose words were accepted into this text, or "".
  usedModel = "";

  constructor(writer, announce) {
    this.#writer = writer;
    this.announce = announce;
    for (const button of document.querySelectorAll("[data-task]")) {
      button.addEventListener("click", () => this.#ask(button.dataset.task));
    }
    at("ask-stop").addEventListener("click", () => this.#running?.abort());
    at("accept").addEventListener("click", () => this.#accept());
    at("reject").addEventListener("click", () => this.close());
    at("again").addEventListener("click", () => this.#ask(this.#proposal.task, this.#proposal.goal));
    at("ask-undo").addEventListener("click", () => {
      writer.undo();
      at("ask-undo").hidden = true;
      writer.focus();
    });
    document.addEventListener("keydown", (event) => {
      if (!this.#proposal || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") this.close();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !this.#running) this.#accept();
    });
  }

  async showModel() {
    this.model = null;
    try {
      if (await window.llm?.isSupported()) this.model = await window.llm.model();
    } catch {
      // What is wrong with it is said when it is asked.
      this.model = null;
    }
    const name = this.model?.model.split(/[\\/]/).at(-1);
    const where = this.model?.local ? "on this computer" : "a service on the network";
    at("model").textContent = name ? `${name}, ${where}` : "No model is chosen.";
    at("settings").hidden = Boolean(this.model) || !window.llm;
    this.#showButtons();
  }

  // The text is another one now.
  changedText() {
    if (!this.#proposal) at("ask-undo").hidden = true;
  }

  // Puts the proposal away; the text stays as it was.
  close() {
    this.#running?.abort();
    this.#proposal = null;
    at("proposal").hidden = true;
    this.#writer.lock(false);
    this.#writer.focus();
    this.#showButtons();
  }

  #showButtons() {
    for (const button of document.querySelectorAll("[data-task]")) button.disabled = !this.model || Boolean(this.#proposal);
    at("ask-stop").hidden = !this.#running;
    at("accept").disabled = Boolean(this.#running) || !this.#proposal?.text.trim();
    at("again").hidden = Boolean(this.#running);
  }

  #fail(sentence) {
    at("ask-problem").textContent = sentence;
    at("ask-problem").hidden = !sentence;
  }

  async #ask(task, known) {
    const doc = this.#writer.text;
    const goal = known ?? target(task, doc, this.#writer.selection);
    this.#fail("");
    at("ask-undo").hidden = true;
    if (!goal.text.trim()) {
      this.#fail(task === "continue" ? "Write a beginning first." : "Select a text first, or put the cursor into a paragraph.");
      return;
    }
    const controller = new AbortController();
    const proposal = { task, goal, text: "" };
    this.#running = controller;
    this.#proposal = proposal;
    this.#writer.lock(true);
    if (task !== "continue") this.#writer.select(goal);
    at("proposal").hidden = false;
    at("proposal-title").textContent = `${DONE[task]}?`;
    at("proposal-state").textContent = "The model is reading…";
    at("proposal-text").replaceChildren();
    this.#showButtons();
    at("ask-stop").focus();
    try {
      const language = at("language").value.trim() || "English";
      const messages = messagesFor(task, goal.text, { before: doc.slice(0, goal.from), language });
      let answer = "";
      let isCut = false;
      for await (const delta of window.llm.chat({ messages, maxTokens: room(task, goal.text), signal: controller.signal })) {
        if (this.#proposal !== proposal) return;
        answer += delta.content;
        isCut = delta.finishReason === "length";
        proposal.text = textOf(answer, goal.text, false);
        if (delta.content) this.#show(proposal, false);
      }
      proposal.text = textOf(answer, goal.text);
      this.#show(proposal, true);
      at("proposal-state").textContent = stateOf(proposal, isCut);
      this.announce(`${DONE[task]}. ${at("proposal-state").textContent}`);
    } catch (error) {
      if (this.#proposal !== proposal) return;
      const isStopped = error.name === "AbortError";
      at("proposal-state").textContent = isStopped ? "Stopped." : "";
      if (!isStopped) this.#fail(error.message);
      if (!proposal.text.trim()) this.close();
      else this.#show(proposal, true);
    } finally {
      if (this.#running === controller) this.#running = null;
      this.#showButtons();
      if (this.#proposal === proposal) (at("accept").disabled ? at("again") : at("accept")).focus();
    }
  }

  // What goes is struck through, what comes is marked; while it comes, only the new text.
  #show({ task, goal, text }, isWhole) {
    const host = at("proposal-text");
    at("proposal-state").textContent = "The model is writing…";
    const isCompared = isWhole && (task === "improve" || task === "shorten") && goal.text.length + text.length < LONGEST_DIFF;
    if (!isCompared) {
      host.textContent = text;
      host.scrollTop = host.scrollHeight;
      return;
    }
    const parts = diffWordsWithSpace(goal.text, text, { timeout: 300 }) ?? [{ value: text }];
    host.replaceChildren(...parts.map(({ value, added, removed }) => {
      if (!added && !removed) return document.createTextNode(value);
      return Object.assign(document.createElement(added ? "ins" : "del"), { textContent: value });
    }));
    host.scrollTop = 0;
  }

  #accept() {
    const { goal, text } = this.#proposal;
    this.close();
    this.#writer.replace(goal, goal.insert(text));
    this.usedModel = this.model?.model ?? "";
    at("ask-undo").hidden = false;
    this.announce("Accepted.");
  }
}

function stateOf({ text, goal }, isCut) {
  if (!text.trim()) return "The model wrote nothing. Try again, or choose a larger model.";
  if (isCut) return "The answer was cut: select less text at a time.";
  return text.trim() === goal.text.trim() ? "The model changed nothing." : "";
}
