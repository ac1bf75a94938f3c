// Playground: the examples, as code that can be changed, and the frame that runs it. The address chooses which example is
// shown, and never what it holds: what runs is an example as it is, or what was typed here, and only when somebody says so.

import { CodePane } from "./code.js";
import { EXAMPLES, GROUPS } from "./examples/index.js";
import { bodyOf, summary } from "./format.js";

const KEPT = "llm-lab.code.";
const LACKS = {
  tools: "calls tools",
  vision: "sees pictures",
  thinking: "thinks before it answers",
  embedding: "makes embeddings",
};

const at = (id) => document.getElementById(id);
const pane = new CodePane(at("code"), "Code", (path, text) => keep(path, text));

let example = null;
let running = null; // {frame, code, ready}
let capabilities = null; // of the model; null where there is none

// --- which example --------------------------------------------------------------------------------------------------

function keep(id, text) {
  const isChanged = text !== original();
  if (isChanged) sessionStorage.setItem(KEPT + id, text);
  else sessionStorage.removeItem(KEPT + id);
  at("reset").hidden = !isChanged;
}

const original = () => bodyOf(example.run);
const code = () => sessionStorage.getItem(KEPT + example.id) ?? original();

function show(chosen) {
  end();
  example = chosen;
  at("frame").replaceChildren();
  at("state").textContent = "Ctrl+Enter runs the code.";
  at("title").textContent = example.title;
  at("about").textContent = example.about;
  document.title = `${example.title} · Playground`;
  pane.show(example.id, code(), "js");
  at("code").style.setProperty("--lines", code().split("\n").length);
  at("reset").hidden = code() === original();
  at("choose").value = example.id;
  for (const link of at("examples").querySelectorAll("a")) {
    if (link.hash === `#${example.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const index = EXAMPLES.indexOf(example);
  at("previous").disabled = index === 0;
  at("next").disabled = index === EXAMPLES.length - 1;
  showLacks();
}

function fromAddress() {
  const found = EXAMPLES.find(({ id }) => `#${id}` === location.hash);
  if (found || !example) show(found ?? EXAMPLES[0]);
}

function step(by) {
  location.hash = EXAMPLES[EXAMPLES.indexOf(example) + by].id;
  at("title").scrollIntoView({ block: "nearest" });
}

function list() {
  for (const { title, examples } of GROUPS) {
    const heading = Object.assign(document.createElement("h2"), { textContent: title });
    const links = document.createElement("ul");
    const group = document.createElement("optgroup");
    links.className = "list";
    group.label = title;
    for (const one of examples) {
      const link = Object.assign(document.createElement("a"), { href: `#${one.id}`, textContent: one.title });
      const item = document.createElement("li");
      item.append(link);
      links.append(item);
      group.append(new Option(one.title, one.id));
    }
    const section = document.createElement("div");
    section.append(heading, links);
    at("examples").append(section);
    at("choose").append(group);
  }
}

// --- the model --------------------------------------------------------------------------------------------------------

async function showModel() {
  capabilities = null;
  at("model").textContent = "No model is chosen.";
  try {
    if (await window.llm?.isSupported()) {
      const info = await window.llm.model();
      ({ capabilities } = info);
      at("model").textContent = info.model;
    }
  } catch (error) {
    at("model").textContent = error.message;
  }
  showLacks();
}

function showLacks() {
  const { needs } = example;
  const lacks = !capabilities ? needs && "a model: choose one at peersky://settings/llm" : !hasCapability(needs) && `a model that ${LACKS[needs]}`;
  at("lacks").textContent = lacks ? `This needs ${lacks}. It can be run all the same, to see the error.` : "";
  at("lacks").hidden = !lacks;
}

// What a backend does not tell of its model may be there all the same.
const hasCapability = (needs) => !LACKS[needs] || capabilities.length < 2 || capabilities.includes(needs);

// --- run --------------------------------------------------------------------------------------------------------------

function run() {
  end();
  const frame = document.createElement("iframe");
  frame.title = "Result of the example";
  frame.src = "run.html";
  running = { frame, code: code() };
  at("frame").replaceChildren(frame);
  at("state").textContent = "Running…";
  at("run").hidden = true;
  at("stop").hidden = false;
}

// The frame stays, to be read; what runs in it ends with it.
function end(sentence) {
  if (!running) return;
  if (sentence) {
    running.frame.remove();
    at("state").textContent = sentence;
  }
  running = null;
  at("run").hidden = false;
  at("stop").hidden = true;
}

window.addEventListener("message", (event) => {
  if (!running || event.source !== running.frame.contentWindow || event.origin !== location.origin) return;
  if (event.data?.type === "ready") {
    running.frame.contentWindow.postMessage({ type: "run", code: running.code }, location.origin);
  } else if (event.data?.type === "ended") {
    const hadFocus = document.activeElement === at("stop");
    end();
    at("state").textContent = summary(event.data);
    if (hadFocus) at("run").focus();
  }
});

at("run").addEventListener("click", () => {
  run();
  at("stop").focus();
});
at("stop").addEventListener("click", () => {
  end("Stopped: what it had started has ended.");
  at("run").focus();
});
at("reset").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT + example.id);
  pane.set(original());
  at("reset").hidden = true;
  pane.focus();
});
at("copy").addEventListener("click", async (event) => {
  const { target } = event;
  // A selection that is copied on a click is always allowed; the clipboard API would ask the user first.
  const field = Object.assign(document.createElement("textarea"), { className: "visually-hidden", value: code() });
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  target.focus();
  target.textContent = isDone ? "Copied" : "Not allowed";
  setTimeout(() => {
    target.textContent = "Copy";
  }, 2000);
});
at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("choose").addEventListener("change", (event) => {
  location.hash = event.target.value;
});
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!running) run();
  },
  true,
);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) showModel();
});
window.addEventListener("hashchange", fromAddress);

list();
fromAddress();
showModel();
