// Markdown: a text, its preview, and what becomes of it. Everything stays on this computer until it is published. It uses
// nothing that another P2P page could not use.

import { Assistant } from "./assistant.js";
import { Drafts, hold } from "./drafts.js";
import { slides, titleOf, words } from "./markup.js";
import { pageOf } from "./page.js";
import { publishDialog } from "./publish_dialog.js";
import { published as markupOf, rendered } from "./render.js";
import { SlidesView } from "./slides_view.js";
import { driveName } from "./p2p.js";
import { Writer } from "./writer.js";

const PREVIEW_MS = 150;
const SAVE_MS = 300;
const MOST_FILE_BYTES = 5_000_000;
const TAB_KEY = "md.draft";

const at = (id) => document.getElementById(id);
const drafts = new Drafts();
const writer = new Writer(at("writer"), { changed, scrolled });
const assistant = new Assistant(writer, announce);
const slidesView = new SlidesView();

let current = { id: crypto.randomUUID(), published: null, model: "", isKept: false };
let release = null; // lets the draft go for other tabs
let previewTimer = 0;
let saveTimer = 0;

function announce(text) {
  at("announce").textContent = text;
}

// --- the text ---------------------------------------------------------------------------------------------------------

function changed() {
  clearTimeout(previewTimer);
  clearTimeout(saveTimer);
  previewTimer = setTimeout(preview, PREVIEW_MS);
  saveTimer = setTimeout(save, SAVE_MS);
  assistant.changedText();
}

function preview() {
  const { text } = writer;
  at("preview").replaceChildren(rendered(text));
  document.title = titleOf(text) ? `${titleOf(text)} · Markdown` : "Markdown";
  at("slides").disabled = !text.trim();
}

function scrolled(share) {
  const host = at("preview");
  host.scrollTop = share * (host.scrollHeight - host.clientHeight);
}

async function save() {
  clearTimeout(saveTimer);
  saveTimer = 0;
  const { text } = writer;
  const { id, published, isKept } = current;
  if (!text.trim() && !published && !isKept) {
    at("saved").textContent = "";
    return;
  }
  current.isKept = true;
  const count = words(text);
  try {
    await drafts.write({ id, text, title: titleOf(text), saved: Date.now(), published });
    saved(`${count.toLocaleString("en")} ${count === 1 ? "word" : "words"}, kept on this computer`);
  } catch (error) {
    const why = error.name === "QuotaExceededError" ? "this computer has no more room for drafts" : error.message;
    saved(`Not kept: ${why}. Export the text, or delete drafts.`, true);
  }
}

function saved(sentence, isProblem = false) {
  at("saved").textContent = sentence;
  at("saved").classList.toggle("problem", isProblem);
}

const flush = () => saveTimer && save();

// Edits a draft from now on; false where another tab has it.
async function edit(draft) {
  const isSame = draft.id === current.id && release;
  const taken = isSame ? release : await hold(draft.id);
  if (!taken) return false;
  flush();
  if (!isSame) release?.();
  release = taken;
  current = { id: draft.id, published: draft.published, model: "", isKept: Boolean(draft.saved) };
  assistant.usedModel = "";
  sessionStorage.setItem(TAB_KEY, draft.id);
  writer.open(draft.text);
  preview();
  save();
  return true;
}

const fresh = (text = "") => edit({ id: crypto.randomUUID(), text, published: null });

// What this tab had, else the last draft that no other tab has.
async function restore() {
  const mine = sessionStorage.getItem(TAB_KEY);
  let all = [];
  try {
    all = await drafts.list();
  } catch (error) {
    saved(`Drafts cannot be read: ${error.message}`, true);
  }
  all.sort((one, other) => Number(other.id === mine) - Number(one.id === mine));
  for (const draft of all) if (await edit(draft)) return;
  await fresh();
}

// --- dialogs ----------------------------------------------------------------------------------------------------------

async function showDrafts(problem = "") {
  at("open-problem").textContent = problem;
  at("open-problem").hidden = !problem;
  const rows = (await drafts.list().catch(() => [])).map((draft) => draftRow(draft));
  at("drafts").replaceChildren(...rows);
  if (!rows.length) at("drafts").append(Object.assign(document.createElement("li"), { className: "hint", textContent: "None yet." }));
}

function draftRow(draft) {
  const row = document.createElement("li");
  const open = Object.assign(document.createElement("button"), { type: "button" });
  const about = document.createElement("span");
  about.className = "hint";
  about.textContent = new Date(draft.saved).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  open.append(Object.assign(document.createElement("b"), { textContent: draft.title || "Untitled" }), about);
  open.addEventListener("click", async () => {
    if (await edit(draft)) at("open-dialog").close();
    else showDrafts("This draft is open in another tab.");
  });
  const remove = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "Delete" });
  remove.setAttribute("aria-label", `Delete ${draft.title || "Untitled"}`);
  remove.hidden = draft.id === current.id;
  remove.addEventListener("click", async () => {
    if (remove.textContent === "Delete") {
      remove.textContent = "Really delete?";
      remove.setAttribute("aria-label", `Really delete? ${draft.title || "Untitled"}`);
      return;
    }
    await drafts.remove(draft.id);
    await showDrafts();
    at("drafts").querySelector("button")?.focus();
  });
  row.append(open, remove);
  return row;
}

async function openFile(file) {
  if (file.size > MOST_FILE_BYTES) return showDrafts("This file is too large for a text: more than 5 MB.");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    await fresh(text);
    return at("open-dialog").close();
  } catch {
    return showDrafts("This file is no text in UTF-8, or it cannot be read.");
  }
}

function page(asSlides) {
  const { text } = writer;
  const parts = asSlides ? slides(text) : [text];
  return pageOf(titleOf(text), parts.map(markupOf), navigator.language);
}

function download(content, type, ending) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement("a"), { href: address, download: `${driveName(titleOf(writer.text), "text")}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const draft = {
  get text() {
    return writer.text;
  },
  get title() {
    return titleOf(writer.text);
  },
  get published() {
    return current.published;
  },
  get model() {
    return assistant.usedModel;
  },
  page,
  setPublished(published) {
    current.published = published;
    save();
  },
};

// --- wiring -----------------------------------------------------------------------------------------------------------

at("new").addEventListener("click", async () => {
  assistant.close();
  await fresh();
  writer.focus();
});
at("open").addEventListener("click", async () => {
  assistant.close();
  flush();
  await showDrafts();
  at("open-dialog").showModal();
});
at("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) openFile(file);
  event.target.value = "";
});
at("export").addEventListener("click", () => at("export-dialog").showModal());
at("export-text").addEventListener("click", () => download(writer.text, "text/markdown", "md"));
at("export-page").addEventListener("click", () => download(page(false), "text/html", "html"));
at("slides").addEventListener("click", () => slidesView.open(writer.text));
for (const view of ["write", "read"]) {
  at(`view-${view}`).addEventListener("click", () => {
    at("main").className = view;
    for (const other of ["write", "read"]) at(`view-${other}`).setAttribute("aria-pressed", String(other === view));
  });
}
window.addEventListener("pagehide", flush);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) flush();
  else assistant.showModel();
});

publishDialog(draft, announce);
assistant.showModel();
restore().then(() => {
  // Not before: the text that is there would take the place of what is typed.
  at("main").inert = false;
});
