// Editor: writes a page by hand or with window.llm, shows it in a frame that can reach nothing, and publishes it with fetch.
// It uses nothing that another P2P page could not use, so it works where it is published too.

import { Assistant } from "./assistant.js";
import { CodePane } from "./code.js";
import { compose, resolve } from "./compose.js";
import { filesDialog, newDialog, openDialog } from "./dialogs.js";
import { Drafts } from "./drafts.js";
import { isBlank, isText, KINDS, LABELS, languageOf, MAIN, paneOf } from "./files.js";
import { Page } from "./page.js";
import { Preview } from "./preview.js";
import { publishDialog } from "./publish_dialog.js";

const PREVIEW_AFTER_MS = 500;
const STARTER = "peersky-starter";
const VIEWS = [...KINDS, "preview"];
const LONGEST_LABEL = 28;
const at = (id) => document.getElementById(id);

function announce(text) {
  at("announce").textContent = text;
}

// --- the page and its panes -------------------------------------------------------------------------------------

const drafts = await new Drafts().open().catch(() => null);
const page = new Page(drafts, { typed: refreshSoon, replaced, saved });
const panes = Object.fromEntries(KINDS.map((kind) => [kind, new CodePane(at(`code-${kind}`), LABELS[kind], (path, text) => page.type(path, text))]));

function saved(sentence, isFailed) {
  at("saved").textContent = sentence;
  at("saved").classList.toggle("bad", isFailed);
  if (isFailed) announce(sentence);
}

// Every text of the page is another one now. isOther: the page is another one, too.
function replaced(isOther) {
  if (isOther) {
    for (const pane of Object.values(panes)) pane.reset();
    at("saved").textContent = "";
    previewed = MAIN.html;
  }
  if (document.activeElement !== at("name")) at("name").value = page.name;
  for (const kind of KINDS) showInPane(kind, page.files[panes[kind].path] === undefined ? MAIN[kind] : panes[kind].path);
  showSteps();
  refresh();
}

function showInPane(kind, path) {
  panes[kind].show(path, page.files[path], languageOf(path));
  const select = at(`file-${kind}`);
  const paths = Object.keys(page.files).filter((one) => isText(page.files[one]) && paneOf(one) === kind);
  select.replaceChildren(...paths.map((one) => new Option(one, one, false, one === path)));
  select.hidden = paths.length < 2;
}

// Brings a file to the front and the keyboard into it.
function edit(path) {
  const kind = paneOf(path);
  showInPane(kind, path);
  showView(kind);
  panes[kind].focus();
}

function showSteps() {
  for (const [id, verb, label] of [["undo", "Undo", page.history.undoLabel], ["redo", "Redo", page.history.redoLabel]]) {
    at(id).hidden = !label || assistant.isOpen;
    at(id).textContent = `${verb} “${label.length > LONGEST_LABEL ? `${label.slice(0, LONGEST_LABEL)}…` : label}”`;
  }
}

// --- the preview ------------------------------------------------------------------------------------------------

let previewed = MAIN.html;
let refreshTimer = 0;
let lastShown = "";
const dataUrls = new WeakMap();
const STATES = {
  empty: "",
  starting: "",
  running: "",
  silent: "The page does not answer: its script may run without end.",
  stopped: "Stopped. “Run again” starts it.",
};

const preview = new Preview(at("frame"), ({ state, problems, link }) => {
  if (link) return follow(link);
  at("preview-state").textContent = STATES[state];
  at("halt").disabled = state === "stopped" || state === "empty";
  at("problems").hidden = problems.length === 0;
  at("problems").querySelector("summary").textContent = problems.length === 1 ? "One problem" : `${problems.length} problems`;
  const items = problems.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  return at("problems").querySelector("ul").replaceChildren(...items);
});

// A link in the preview: to another page of the folder, or nowhere.
function follow(link) {
  const path = resolve(previewed, link);
  const target = path === null ? null : [path, `${path}${MAIN.html}`, `${path}/${MAIN.html}`].find((one) => isText(shownFiles()[one]));
  if (target && paneOf(target) === "html") {
    previewed = target;
    refresh({ force: true });
  } else {
    at("preview-state").textContent = `This link leads out of the preview: ${link}`;
  }
}

const shownFiles = () => assistant.files ?? page.files;

function refreshSoon() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(refresh, PREVIEW_AFTER_MS);
}

async function refresh({ force = false } = {}) {
  clearTimeout(refreshTimer);
  const files = shownFiles();
  at("welcome").hidden = assistant.isOpen || !isBlank(files);
  if (!isText(files[previewed])) previewed = MAIN.html;
  const html = compose(files, previewed, await dataOf(files));
  if (!force && (html === lastShown || preview.state === "stopped")) return;
  lastShown = html;
  preview.run(html);
}

async function dataOf(files) {
  const data = {};
  for (const [path, content] of Object.entries(files)) {
    if (isText(content)) continue;
    if (!dataUrls.has(content)) dataUrls.set(content, await dataUrl(content));
    data[path] = dataUrls.get(content);
  }
  return data;
}

function dataUrl(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}

// --- the model --------------------------------------------------------------------------------------------------

let model = null;
let hasWritten = "";

const assistant = new Assistant(page, {
  announce,
  changed() {
    showControls();
    showSteps();
    refreshSoon();
  },
  accepted(title) {
    hasWritten = model?.model ?? "";
    if (!page.name && title) {
      page.rename(title);
      at("name").value = title;
    }
    at("wish").value = "";
    announce("Accepted. It can be undone as one step.");
    showView("preview");
    at("wish").focus();
    showControls();
  },
});

function showControls() {
  at("generate").hidden = assistant.isWriting;
  at("stop").hidden = !assistant.isWriting;
  at("generate").disabled = !model || assistant.isOpen || at("wish").value.trim() === "";
  for (const id of ["new", "open", "files", "publish", "name"]) at(id).disabled = assistant.isOpen;
}

async function showModel() {
  const { llm } = window;
  try {
    model = llm && (await llm.isSupported()) ? await llm.model() : null;
  } catch (error) {
    // What is wrong with the model is said when it is asked.
    model = { model: "", provider: "", contextLength: 0, error };
  }
  at("settings").hidden = !llm || (Boolean(model?.model) && model.model !== STARTER);
  at("model").textContent = sentenceAbout(llm);
  showControls();
}

function sentenceAbout(llm) {
  if (!llm) return "This page has no access to a model; everything else works. Open it in PeerSky, at an address that you trust.";
  if (!model) return "Local AI is off, or no model is chosen; everything else works.";
  if (model.error) return model.error.message;
  const place = model.local ? "on this computer" : "on the network";
  if (model.model === STARTER) return "The starter model is a demonstration, too small to write pages.";
  return `${model.model.split(/[\\/]/).at(-1)} writes, ${place}.`;
}

function generate() {
  const wish = at("wish").value.trim();
  if (!wish || at("generate").disabled) return;
  const kinds = at("target").value ? at("target").value.split(",") : null;
  showView("html");
  assistant.ask(wish, kinds, model);
}

// --- one part at a time, where there is no room for all ------------------------------------------------------------

function showView(view) {
  document.body.dataset.view = view;
  for (const name of VIEWS) {
    at(`tab-${name}`).setAttribute("aria-selected", String(name === view));
    at(`tab-${name}`).tabIndex = name === view ? 0 : -1;
  }
}

for (const name of VIEWS) at(`tab-${name}`).addEventListener("click", () => showView(name));
at("views").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = VIEWS[(VIEWS.indexOf(document.body.dataset.view) + step + VIEWS.length) % VIEWS.length];
  showView(next);
  at(`tab-${next}`).focus();
});

// --- wiring -----------------------------------------------------------------------------------------------------

at("keys").addEventListener("click", () => at("keys-dialog").showModal());
newDialog(page);
openDialog(page, drafts);
filesDialog(page, edit);
publishDialog(page, () => hasWritten, announce);

for (const kind of KINDS) {
  at(`file-${kind}`).addEventListener("change", (event) => {
    showInPane(kind, event.target.value);
    if (kind !== "html") return;
    previewed = event.target.value;
    refresh();
  });
}
at("name").addEventListener("input", () => page.rename(at("name").value.trim()));
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  generate();
});
at("wish").addEventListener("input", showControls);
at("wish").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.isComposing) return;
  event.preventDefault();
  generate();
});
at("stop").addEventListener("click", () => assistant.stop());
at("run").addEventListener("click", () => refresh({ force: true }));
at("halt").addEventListener("click", () => preview.stop());
at("undo").addEventListener("click", () => {
  page.undo();
  announce("Undone.");
});
at("redo").addEventListener("click", () => {
  page.redo();
  announce("Done again.");
});

// From the description through the panes and back; Alt and digits choose tabs of the window.
function step(by) {
  if (assistant.isOpen) return;
  const active = document.activeElement;
  const now = KINDS.findIndex((kind) => at(`code-${kind}`) === active);
  const next = (now + 1 + by + KINDS.length + 1) % (KINDS.length + 1);
  if (next === 0) at("wish").focus();
  else edit(panes[KINDS[next - 1]].path);
}

const SHORTCUTS = {
  "Ctrl+Enter": () => (assistant.isOpen ? assistant.accept() : generate()),
  "Ctrl+Shift+Enter": () => refresh({ force: true }),
  F2: () => step(1),
  "Shift+F2": () => step(-1),
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && assistant.isWriting) return assistant.stop();
  const control = event.ctrlKey || event.metaKey;
  const keys = [control && "Ctrl", event.altKey && "Alt", event.shiftKey && "Shift", event.key].filter(Boolean).join("+");
  const act = SHORTCUTS[keys];
  if (!act || document.querySelector("dialog[open]")) return undefined;
  event.preventDefault();
  return act();
}, { capture: true });

// What was typed in the last moment is kept, too.
window.addEventListener("pagehide", () => page.flush());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) page.flush();
  else showModel();
});

const wasThere = await page.restore().catch((error) => saved(`Drafts cannot be read: ${error.message}`, true));
if (wasThere) announce("Your last draft is open.");
else replaced(true);
showView(isBlank(page.files) ? "preview" : "html");
if (isBlank(page.files)) at("wish").focus();
await showModel();
document.body.dataset.ready = "true";
