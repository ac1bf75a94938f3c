// The conversation as elements. One MessageView per entry; what it shows follows from the entry alone.

import { MarkdownView } from "./markdown.js";

const STATES = {
  stopped: "You stopped this answer.",
  cut: "The answer reached its longest length and was cut.",
};

export function button(label, onclick) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "quiet";
  element.textContent = label;
  element.addEventListener("click", onclick);
  return element;
}

// Copies a text and says so on the button that was pressed.
export async function copyText(text, pressed) {
  const before = pressed.dataset.label ?? pressed.textContent;
  pressed.dataset.label = before;
  pressed.textContent = (await toClipboard(text)) ? "Copied" : "Copying is not allowed";
  setTimeout(() => {
    pressed.textContent = before;
  }, 2000);
}

// A selection that is copied on a click is always allowed; the clipboard API asks the user for a permission first.
async function toClipboard(text) {
  const { activeElement } = document;
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  activeElement?.focus();
  if (done) return true;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function div(className) {
  const element = document.createElement("div");
  element.className = className;
  return element;
}

export class MessageView {
  // actions(entry): the buttons under the entry, asked for whenever its state changes.
  constructor(entry, actions) {
    this.entry = entry;
    this.actions = actions;
    this.element = document.createElement("article");
    this.element.className = `message ${entry.role}`;
    const name = document.createElement("h2");
    name.className = "visually-hidden";
    name.textContent = entry.role === "user" ? "You" : "Answer";
    this.body = div("body");
    this.foot = div("message-foot");
    this.element.append(name, this.body, this.foot);
    if (entry.role === "assistant") this.#buildAnswer();
    else this.body.textContent = entry.content;
    this.settle();
  }

  #buildAnswer() {
    this.thinking = document.createElement("details");
    this.thinking.className = "thinking";
    const summary = document.createElement("summary");
    summary.textContent = "Thoughts of the model";
    this.thoughts = div("thoughts");
    this.thinking.append(summary, this.thoughts);
    this.element.insertBefore(this.thinking, this.body);
    this.wait = div("wait");
    this.wait.setAttribute("aria-hidden", "true");
    this.reading = document.createElement("p");
    this.wait.append(...["", "", ""].map(() => document.createElement("span")), this.reading);
    this.element.insertBefore(this.wait, this.foot);
    this.markdown = new MarkdownView(this.body);
  }

  // While the answer grows: at most once per frame.
  grow() {
    const { content, reasoning, state } = this.entry;
    this.thinking.hidden = !reasoning;
    if (reasoning) this.thoughts.textContent = reasoning;
    this.wait.hidden = Boolean(content) || state !== "streaming";
    this.markdown.update(content);
  }

  // Before the first word: how much of the conversation the model has read.
  read({ processed, total }) {
    const percent = Math.round((100 * processed) / Math.max(1, total));
    this.reading.textContent = percent < 100 ? `Reading the conversation, ${percent} %` : "";
  }

  // When the state changed: the whole content, and what can be done with it.
  settle() {
    const { entry } = this;
    this.element.classList.toggle("streaming", entry.state === "streaming");
    if (entry.role === "assistant") {
      this.grow();
      if (entry.state !== "streaming") this.markdown.finish(entry.content);
    }
    this.foot.replaceChildren();
    if (entry.error) {
      const problem = div("problem");
      problem.setAttribute("role", "alert");
      problem.textContent = entry.error.message;
      this.foot.append(problem);
    } else if (STATES[entry.state]) {
      const said = div("said");
      said.textContent = STATES[entry.state];
      this.foot.append(said);
    }
    const row = div("row");
    row.append(...this.actions(entry));
    if (row.childNodes.length) this.foot.append(row);
  }
}

// Keeps the end of the conversation in sight, unless the reader scrolled away from it.
export class Scroller {
  #follows = true;

  constructor(scroller, latest) {
    this.scroller = scroller;
    this.latest = latest;
    scroller.addEventListener("scroll", () => {
      this.#follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
      latest.hidden = this.#follows;
    });
    latest.addEventListener("click", () => this.toEnd());
  }

  follow() {
    if (this.#follows) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  toEnd() {
    this.#follows = true;
    this.latest.hidden = true;
    this.follow();
  }
}
