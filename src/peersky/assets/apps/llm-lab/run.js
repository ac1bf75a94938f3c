// The frame that runs one example and is thrown away with it, so that "Stop" ends all that it started. It runs the text
// that the Playground around it hands over (what a person typed there, or an example as it is), and no other: nothing of
// an address, of storage or of another page. The other half is main.js.

import { problemOf, shown } from "./format.js";
import { observed } from "./observe.js";

const BEFORE = "export default async (show, write) => {\n";
const AFTER = "\n};\n";
const out = document.getElementById("out");
const answers = [];
let start = 0;
let firstMs = null;
let line = null;

function add(element) {
  firstMs ??= performance.now() - start;
  out.append(element);
  window.scrollTo(0, document.documentElement.scrollHeight);
}

// Each value below the one before: texts as they are, elements as elements, all else as JSON.
function show(...values) {
  line = null;
  for (const value of values) {
    if (value instanceof Node) {
      add(value);
      continue;
    }
    const { kind, text } = shown(value);
    add(Object.assign(document.createElement("pre"), { className: kind, textContent: text }));
  }
}

// Text that goes on where the last one ended.
function write(text) {
  if (!line?.isConnected) {
    line = Object.assign(document.createElement("p"), { className: "text" });
    add(line);
  }
  line.append(String(text));
}

function showProblem({ name, reason, message, line: at }) {
  const element = document.createElement("p");
  element.className = "error";
  const head = document.createElement("b");
  head.textContent = [name, reason && `(${reason})`].filter(Boolean).join(" ");
  element.append(head, head.textContent ? `: ${message}` : message, at ? ` Line ${at}.` : "");
  add(element);
}

async function run(code) {
  const address = URL.createObjectURL(new Blob([BEFORE, code, AFTER], { type: "text/javascript" }));
  let error = null;
  start = performance.now();
  try {
    const { default: example } = await import(address);
    await example(show, write);
  } catch (thrown) {
    error = problemOf(thrown, address, 1);
    showProblem(error);
  } finally {
    URL.revokeObjectURL(address);
  }
  parent.postMessage({ type: "ended", ms: performance.now() - start, firstMs, answers, error }, location.origin);
}

const { llm } = window;
if (llm) {
  const value = observed(llm, (usage) => answers.push(usage));
  Object.defineProperty(window, "llm", { value, configurable: true, enumerable: true });
}
window.addEventListener("message", (event) => {
  if (event.source !== parent || event.origin !== location.origin || event.data?.type !== "run" || start) return;
  run(String(event.data.code));
});
// What an example forgot to await.
window.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  showProblem(problemOf(event.reason, "blob:", 1));
});
if (parent !== window) parent.postMessage({ type: "ready" }, location.origin);
