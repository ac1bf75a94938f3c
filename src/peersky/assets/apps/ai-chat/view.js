// The conversation as elements. One MessageView per message; what it shows follows from the message alone.

import { adviceFor } from "./advice.js";
import { MarkdownView } from "./markdown.js";

const STATES = {
  stopped: "You stopped this answer.",
  cut: "The answer reached its longest length and was cut.",
};

export function button(label, onclick, name = "") {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "quiet";
  element.textContent = label;
  if (name) element.setAttribute("aria-label", name);
  element.addEventListener("click", onclick);
  return element;
}

// Copies a text and says so on the button that was pressed.
export async function copyText(text, pressed) {
  const before = pressed.dataset.label ?? pressed.textContent;
  pressed.dataset.label = before;
  pressed.textContent = (await toClipboard(text, pressed)) ? "Copied" : "Copying is not allowed";
  setTimeout(() => {
    pressed.textContent = before;
  }, 2000);
}

// A selection that is copied on a click is always allowed; the clipboard API asks the user for a permission first.
async function toClipboard(text, pressed) {
  const { activeElement } = document;
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  // Beside the button: what is outside of an open dialog cannot have the focus.
  (pressed.closest("dialog") ?? document.body).append(field);
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
  // actions(message): the buttons under the message, asked for whenever its state changes.
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.element = document.createElement("article");
    this.element.className = `message ${message.role}`;
    const name = document.createElement("h2");
    name.className = "visually-hidden";
    name.textContent = message.role === "user" ? "You" : "Answer";
    this.body = div("body");
    this.foot = div("message-foot");
    this.element.append(name, this.body, this.foot);
    if (message.role === "assistant") this.#buildAnswer();
    else this.#buildQuestion();
    this.settle();
  }

  #buildQuestion() {
    const { content, images } = this.message;
    if (images.length) {
      const pictures = div("pictures");
      for (const [at, url] of images.entries()) {
        const image = document.createElement("img");
        image.src = url;
        image.alt = `Picture ${at + 1} of this question`;
        pictures.append(image);
      }
      this.element.insertBefore(pictures, this.body);
    }
    this.body.textContent = content;
    this.body.hidden = !content;
  }

  #buildAnswer() {
    this.thinking = document.createElement("details");
    this.thinking.className = "thinking";
    const summary = document.createElement("summary");
    summary.textContent = "Thoughts of the model";
    this.thoughts = div("thoughts");
    this.thoughts.append(document.createTextNode(""));
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
    const { content, reasoning, state } = this.message;
    this.thinking.hidden = !reasoning;
    const thoughts = this.thoughts.firstChild;
    if (reasoning.length > thoughts.length) thoughts.appendData(reasoning.slice(thoughts.length));
    this.wait.hidden = Boolean(content) || state !== "streaming";
    if (state === "streaming") this.markdown.update(content);
    else this.markdown.finish(content);
  }

  // Before the first word: how much of the conversation the model has read.
  read({ processed, total }) {
    const percent = Math.round((100 * processed) / Math.max(1, total));
    this.reading.textContent = percent < 100 ? `Reading the conversation, ${percent} %` : "";
  }

  // When the state changed: the whole content, and what can be done with it.
  settle() {
    const { message } = this;
    this.element.classList.toggle("streaming", message.state === "streaming");
    if (message.role === "assistant") this.grow();
    this.settleFoot();
  }

  settleFoot() {
    const { error, state } = this.message;
    this.foot.replaceChildren();
    if (error) {
      this.foot.append(this.#problem(error));
    } else if (STATES[state]) {
      const said = div("said");
      said.textContent = STATES[state];
      this.foot.append(said);
    }
    const row = div("row");
    row.append(...this.actions(this.message));
    if (row.childNodes.length) this.foot.append(row);
  }

  #problem({ message, reason }) {
    const problem = div("problem");
    problem.setAttribute("role", "alert");
    const sentence = document.createElement("p");
    sentence.textContent = message;
    problem.append(sentence);
    const { text } = adviceFor(reason);
    if (text) {
      const advice = document.createElement("p");
      advice.className = "advice";
      advice.textContent = text;
      problem.append(advice);
    }
    return problem;
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

// Calls `show` soon after it is asked to, and the less often the longer showing takes: the page stays usable.
export function paced(show) {
  let timer = 0;
  let frame = 0;
  let ready = 0;
  const run = () => {
    frame = 0;
    const start = performance.now();
    show();
    ready = performance.now() + 3 * (performance.now() - start);
  };
  const ask = () => {
    if (timer || frame) return;
    const wait = ready - performance.now();
    if (wait > 16) {
      timer = setTimeout(() => {
        timer = 0;
        frame = requestAnimationFrame(run);
      }, wait);
    } else {
      frame = requestAnimationFrame(run);
    }
  };
  const cancel = () => {
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    timer = frame = 0;
  };
  return { ask, cancel };
}
