// Upload: files and folders to Hyper or IPFS, described by a person or with a model. It uses nothing that another P2P page
// could not use. What is decided without a page stands in collect.js, uploader.js, describe.js and page.js.

import { fromEntries, fromFiles, leftOut, size } from "./collect.js";
import { Describer } from "./describer.js";
import { FilesView } from "./files_view.js";
import { driveName, encoded } from "./p2p.js";
import { freeNames, metadataOf, pageOf } from "./page.js";
import { readList, withEntry, writeList } from "./past.js";
import { copyText, qrCode } from "./share.js";
import { Upload } from "./uploader.js";

const at = (id) => document.getElementById(id);
const form = at("form");
const describer = new Describer();
const view = new FilesView(at("files"), at("files-more"), removeFile);

let items = []; // {path, file}: what was chosen
let upload = null; // the Upload, once one was begun
let extras = null; // {page, metadata}: the paths of what describes the files
let folderName = "";
let isNameTyped = false;
let frame = 0;

// --- choosing ---------------------------------------------------------------------------------------------------------

async function take(collecting) {
  if (upload?.isRunning) return;
  at("reading").textContent = "Reading…";
  const found = await collecting;
  at("reading").textContent = "";
  const { name, items: fresh } = found.unwrapped();
  // After an upload, what is dropped is another one.
  if (upload?.isComplete) clear();
  const known = new Map(items.map((item) => [item.path, item]));
  for (const item of fresh) known.set(item.path, item);
  items = [...known.values()];
  at("left-out").replaceChildren(...leftOut(found.left).map((text) => Object.assign(document.createElement("p"), { textContent: text })));
  upload = null;
  extras = null;
  folderName = name;
  suggestName();
  if (items.length || at("left-out").childElementCount) form.hidden = false;
  describer.show(items);
  show();
}

// A drive of its own, unless somebody names one: its files would mix with those of the last upload.
function suggestName() {
  if (isNameTyped || upload) return;
  const [day, hour, minute] = new Date().toISOString().split(/[T:]/);
  const title = describer.described.title || folderName || titleOfFiles();
  at("drive").value = driveName(title, `upload-${day}-${hour}${minute}`);
}

const titleOfFiles = () => (items.length === 1 ? items[0].path.replace(/\.\w+$/, "") : "");

function removeFile(path) {
  items = items.filter((item) => item.path !== path);
  upload?.remove(path);
  describer.show(items);
  show();
  at("files").focus();
}

function clear() {
  items = [];
  upload = null;
  extras = null;
  isNameTyped = false;
  at("left-out").replaceChildren();
  at("published").hidden = true;
  form.hidden = true;
  describer.clear();
  show();
}

// --- uploading --------------------------------------------------------------------------------------------------------

const destination = () => form.elements.to.value;
const drive = () => at("drive").value.trim() || "upload";

async function start() {
  if (upload?.isRunning || !items.length) return;
  suggestName();
  const to = destination();
  const name = to === "hyper" ? drive() : "";
  if (!upload || upload.to !== to || upload.name !== name) {
    const keep = readList(localStorage).map(({ url }) => url.replace(/^(\w+:\/\/[^/]+\/).*/, "$1"));
    upload = new Upload({ items, to, name, model: describer.model?.model ?? "", keep, onChange: changed });
    extras = null;
  }
  addDescription();
  at("published").hidden = true;
  at("progress").hidden = false;
  const running = upload.run();
  show();
  at("stop").focus();
  await running;
  show();
  if (upload.isComplete) finished();
  else at("upload").focus();
}

// The page and its metadata, written anew for each upload that has something to say.
function addDescription() {
  if (describer.isEmpty) return;
  const { described } = describer;
  extras ??= freeNames(items);
  const options = { now: new Date(), model: at("ask-undo").hidden ? "" : describer.model?.model };
  upload.put(extras.page, new Blob([pageOf(described, items, navigator.language)], { type: "text/html" }));
  upload.put(extras.metadata, new Blob([metadataOf(described, items, options)], { type: "application/json" }));
}

function finished() {
  const { root, to, name, totals } = upload;
  const paths = upload.items.map(({ path }) => path);
  // The page of the folder, else the one file, else the folder.
  const page = extras && extras.page !== "index.html" ? extras.page : "";
  const url = root + encoded(page || (paths.length === 1 ? paths[0] : ""));
  const title = describer.described.title || name || (paths.length === 1 ? paths[0] : `${paths.length.toLocaleString("en")} files`);
  const entry = { url, title, to, files: totals.files, bytes: totals.bytes, time: Date.now() };
  at("link").href = url;
  at("link").textContent = url;
  at("qr").replaceChildren(qrCode(url));
  at("published").hidden = false;
  if (!writeList(localStorage, withEntry(readList(localStorage), entry))) at("state").textContent += " The list below has no room for it.";
  showPast();
  at("link").focus();
}

// --- showing ----------------------------------------------------------------------------------------------------------

// Progress comes often; a picture of it is enough.
function changed() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    show();
  });
}

function show() {
  const isRunning = Boolean(upload?.isRunning);
  const shown = upload?.items ?? items.map((item) => ({ ...item, state: "waiting", sent: 0, problem: "" }));
  const bytes = items.reduce((sum, { file }) => sum + file.size, 0);
  at("files-sum").textContent = items.length ? `${items.length.toLocaleString("en")} ${items.length === 1 ? "file" : "files"}, ${size(bytes)}` : "Nothing to upload.";
  view.show(shown, !isRunning);
  at("where").disabled = isRunning;
  at("clear").disabled = isRunning;
  at("drop").inert = isRunning;
  at("drive-field").hidden = destination() !== "hyper";
  at("upload").hidden = isRunning;
  at("upload").disabled = !items.length;
  at("stop").hidden = !isRunning;
  at("progress").hidden = !upload;
  at("problem").hidden = !upload?.problem;
  at("problem").textContent = upload?.problem ?? "";
  at("upload").textContent = label();
  at("state").textContent = sentence();
  const { totals } = upload ?? {};
  at("progress").value = totals ? (totals.bytes ? totals.sent / totals.bytes : totals.done / totals.files) : 0;
}

function label() {
  if (!upload || upload.to !== destination() || (upload.to === "hyper" && upload.name !== drive())) return "Publish";
  if (upload.isComplete) return "Publish again";
  return upload.totals.done ? "Go on" : "Try again";
}

function sentence() {
  if (!upload) return "";
  const { done, files, sent, bytes, failed } = upload.totals;
  const count = `${done.toLocaleString("en")} of ${files.toLocaleString("en")} ${files === 1 ? "file" : "files"}`;
  if (upload.isRunning) return `${count}, ${size(sent)} of ${size(bytes)}`;
  if (upload.isComplete) return `All ${files === 1 ? "of it" : files.toLocaleString("en")} uploaded.`;
  const refused = failed ? ` ${failed} failed: remove ${failed === 1 ? "it" : "them"}, or try again.` : "";
  return `${count} uploaded.${refused}`;
}

function showPast() {
  const list = readList(localStorage);
  at("past").hidden = !list.length;
  at("past-list").replaceChildren(...list.map((entry) => pastRow(entry)));
}

function pastRow(entry) {
  const row = document.createElement("li");
  const link = Object.assign(document.createElement("a"), { href: entry.url, target: "_blank", rel: "noopener", textContent: entry.title });
  const about = Object.assign(document.createElement("p"), { className: "hint" });
  const where = entry.to === "hyper" ? "Hyper" : "IPFS";
  const when = new Date(entry.time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  about.textContent = `${where} · ${entry.files} ${entry.files === 1 ? "file" : "files"}, ${size(entry.bytes)} · ${when}`;
  const actions = Object.assign(document.createElement("div"), { className: "actions" });
  const copy = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "Copy address" });
  copy.addEventListener("click", () => copyText(entry.url, copy));
  const forget = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "Take off the list" });
  copy.setAttribute("aria-label", `Copy address: ${entry.title}`);
  forget.setAttribute("aria-label", `Take off the list: ${entry.title}`);
  forget.addEventListener("click", () => {
    writeList(localStorage, readList(localStorage).filter(({ url }) => url !== entry.url));
    showPast();
  });
  actions.append(copy, forget);
  row.append(link, about, actions);
  return row;
}

// --- wiring -----------------------------------------------------------------------------------------------------------

const report = (count) => {
  at("reading").textContent = `Reading… ${count.toLocaleString("en")} files`;
};

// The whole page takes a drop: beside the field it would open the file in place of this page.
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    at("drop").classList.toggle("over", type === "dragenter" || type === "dragover");
  });
}
document.addEventListener("drop", (event) => {
  const dropped = [...(event.dataTransfer?.items ?? [])].filter(({ kind }) => kind === "file");
  if (!dropped.length) return;
  const entries = dropped.map((item) => item.webkitGetAsEntry?.());
  const files = dropped.map((item) => item.getAsFile());
  take(entries.every(Boolean) ? fromEntries(entries, { report }) : Promise.resolve(fromFiles(files.filter(Boolean))));
});
for (const id of ["choose-files", "choose-folder"]) {
  at(id).addEventListener("change", (event) => {
    take(Promise.resolve(fromFiles([...event.target.files])));
    event.target.value = "";
  });
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
form.addEventListener("change", () => {
  suggestName();
  show();
});
at("drive").addEventListener("input", () => {
  isNameTyped = true;
  show();
});
at("stop").addEventListener("click", () => upload?.stop());
at("clear").addEventListener("click", clear);
at("copy").addEventListener("click", (event) => copyText(at("link").href, event.target));
window.addEventListener("beforeunload", (event) => {
  if (upload?.isRunning) event.preventDefault();
});
window.addEventListener("storage", showPast);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) describer.showModel();
});

showPast();
show();
describer.showModel();
