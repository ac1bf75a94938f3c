// peersky://apps/: the apps that api/apps lists, adding one (import.js), and what can be done with each of the user's own.
// Every action answers with the list as it is then. api/app-publish streams lines of JSON, api/app-export is a zip.

import { addApp, chosen, dropped } from "./import.js";

const { bytes, el, request } = globalThis.PeerSky;

const at = (id) => document.getElementById(id);
const NETWORKS = { hyper: "Hyper", ipfs: "IPFS" };

let seen = "";
let running = null;
let updating = null;

// --- the list

function iconOf(app) {
  if (app.icon) return el("img", { class: "icon", src: app.icon, alt: "" });
  return el("span", { class: "icon letter", "aria-hidden": "true" }, [...app.name][0].toUpperCase());
}

function button(app, name, label, run) {
  const key = `${app.id ?? app.url} ${name}`;
  return el(
    "button",
    { class: "button", type: "button", "data-key": key, "aria-label": `${label} ${app.name}`, onclick: () => run(app) },
    label,
  );
}

function open(app) {
  const key = `${app.id ?? app.url} open`;
  return el("a", { class: "button", href: app.url, "data-key": key, "aria-label": `Open ${app.name}` }, "Open");
}

function head(app, id) {
  return el("div", { class: "app-head" }, iconOf(app), el("h3", { id }, el("a", { href: app.url }, app.name)));
}

function factsOf(app) {
  const files = `${app.files.toLocaleString()} ${app.files === 1 ? "file" : "files"}`;
  const day = new Date(app.updated).toLocaleDateString([], { dateStyle: "medium" });
  const from = app.source ? ` from ${app.source}` : "";
  return el("p", { class: "soft small" }, `${files}, ${bytes(app.bytes)}. Copied ${day}${from}.`);
}

function publishedAt(app) {
  return Object.entries(app.published).map(([network, url]) =>
    el("p", { class: "small" }, `${NETWORKS[network] ?? network}: `, el("a", { class: "address", href: url }, url)),
  );
}

function cardOf(app) {
  const id = `app-${app.id}`;
  const more = el(
    "details",
    { class: "more", open: openedMenus.has(app.id) },
    el("summary", { "data-key": `${app.id} more`, "aria-label": `More for ${app.name}` }, "More"),
    el(
      "p",
      { class: "actions" },
      button(app, "update", "Update…", update),
      button(app, "rename", "Rename…", rename),
      button(app, "export", "Export as zip", exportApp),
      button(app, "delete", "Delete…", remove),
    ),
  );
  more.addEventListener("toggle", () => (more.open ? openedMenus.add(app.id) : openedMenus.delete(app.id)));
  return el(
    "li",
    { class: "card app", "aria-labelledby": id },
    head(app, id),
    el(
      "div",
      { class: "app-text" },
      app.description ? el("p", {}, app.description) : null,
      app.hasStart ? null : el("p", { class: "note warn small" }, "It has no index.html: opening it shows its files."),
      factsOf(app),
      ...publishedAt(app),
    ),
    el(
      "div",
      {},
      el("p", { class: "actions" }, open(app), button(app, "pin", app.pinned ? "Unpin" : "Pin to home", pin), button(app, "publish", "Publish…", publish)),
      more,
    ),
  );
}
const openedMenus = new Set();

function linkOf(link) {
  const id = `link-${link.url}`;
  return el(
    "li",
    { class: "card app", "aria-labelledby": id },
    head(link, id),
    el("div", { class: "app-text" }, el("p", { class: "address soft" }, link.url)),
    el(
      "p",
      { class: "actions" },
      open(link),
      button(link, "pin", link.pinned ? "Unpin" : "Pin to home", (one) =>
        act({ action: "link", url: one.url, name: one.name, pinned: !one.pinned }, `${one.name} is ${one.pinned ? "no longer " : ""}on the home page.`),
      ),
      button(link, "remove", "Remove", (one) => act({ action: "unlink", url: one.url }, `The link to ${one.name} was removed.`)),
    ),
  );
}

function tileOf(app) {
  const picture = el("img", { src: app.icon, alt: "" });
  return el("li", {}, el("a", { class: "tile", href: app.url }, picture, el("strong", {}, app.name), el("span", {}, app.description)));
}

// Draws anew only what is new, and leaves the focus where it was.
function show(reply) {
  const now = JSON.stringify([reply.apps, reply.links, reply.builtin]);
  if (now !== seen) {
    seen = now;
    const key = document.activeElement?.dataset?.key;
    at("own").replaceChildren(...reply.apps.map(cardOf), ...reply.links.map(linkOf));
    at("builtin").replaceChildren(...reply.builtin.map(tileOf));
    if (key) (find(key) ?? find(`${key.split(" ")[0]} open`) ?? at("choose-folder")).focus();
  }
  at("notices").hidden = reply.notices.length === 0;
  at("notices").replaceChildren(...reply.notices.map((text) => el("li", { class: "note warn" }, text)));
  at("main").setAttribute("aria-busy", "false");
}

function find(key) {
  return document.querySelector(`[data-key="${CSS.escape(key)}"]`);
}

function say(text) {
  at("said").textContent = text;
}

function fail(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
  at("main").setAttribute("aria-busy", "false");
}

async function refresh() {
  try {
    show(await request("/api/apps"));
  } catch (error) {
    fail(error);
  }
}

// Asks for an action and shows what is true then; true if it was done.
async function act(body, done) {
  at("problem").hidden = true;
  try {
    show(await request("/api/apps", body));
    say(done);
    return true;
  } catch (error) {
    fail(error);
    await refresh();
    return false;
  }
}

function pin(app) {
  const done = `${app.name} is ${app.pinned ? "no longer " : ""}on the home page.`;
  return act({ action: "pin", id: app.id, pinned: !app.pinned }, done);
}

// --- dialogs: choices are [label, class, what it does]; that returns true to keep the dialog open

function ask(title, body, choices) {
  at("ask-title").textContent = title;
  at("ask-body").replaceChildren(...body);
  at("ask-problem").hidden = true;
  at("ask-choices").replaceChildren(
    ...choices.map(([label, look, run], number) =>
      el("button", { class: `button ${look}`, type: number === 0 ? "submit" : "button", onclick: run }, label),
    ),
  );
  if (!at("ask").open) at("ask").showModal();
}

function close() {
  at("ask").close();
}

function askProblem(error) {
  at("ask-problem").textContent = error.message;
  at("ask-problem").hidden = false;
}

function field(id, label, value, attributes = {}) {
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    el("input", { id, type: "text", value, autocomplete: "off", spellcheck: "false", ...attributes }),
  );
}

// The first choice is the one that Enter takes: it sends the form, and the dialog closes once it worked.
function form(title, body, label, body_of, done) {
  const run = async (event) => {
    event.preventDefault();
    try {
      show(await request("/api/apps", body_of()));
      close();
      say(done());
    } catch (error) {
      askProblem(error);
    }
  };
  ask(title, body, [[label, "primary", run], ["Cancel", "", close]]);
  body[0].querySelector?.("input")?.select();
}

function rename(app) {
  const body_of = () => ({ action: "rename", id: app.id, name: at("name").value });
  form(`Rename ${app.name}`, [field("name", "Name", app.name, { maxlength: 60 })], "Rename", body_of, () => "It was renamed.");
}

at("add-link").addEventListener("click", () => {
  const body = [
    field("link-url", "Address", "", { placeholder: "hyper://…", inputmode: "url" }),
    field("link-name", "Name", "", { maxlength: 60 }),
    el("p", { class: "soft small" }, "The site stays where it is: it is loaded from other peers each time you open it."),
  ];
  const body_of = () => ({ action: "link", url: at("link-url").value, name: at("link-name").value });
  form("Add a peer-to-peer site", body, "Add", body_of, () => "The link was added; it is on the home page, too.");
});

function remove(app) {
  const text = [
    el("p", {}, "Its files, the conversations that it kept and what you allowed it are deleted from this computer."),
    el(
      "p",
      { class: "soft small" },
      "What it stored by itself as web pages do (localStorage, IndexedDB) stays in the profile, where nothing can read it any " +
        "more: its address is not given again. What was published stays published, until you stop that in the archive.",
    ),
  ];
  const run = async () => {
    close();
    await act({ action: "delete", id: app.id }, `${app.name} was deleted.`);
  };
  ask(`Delete ${app.name}?`, text, [["Cancel", "", () => {}], ["Delete", "danger", run]]);
}

async function exportApp(app) {
  at("problem").hidden = true;
  try {
    const reply = await fetch(`/api/app-export?id=${encodeURIComponent(app.id)}`);
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    const url = URL.createObjectURL(await reply.blob());
    el("a", { href: url, download: `${app.id}.zip` }).click();
    // The download has its own hold on the data once it has begun.
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    fail(error);
  }
}

// --- publishing

function publish(app) {
  const choice = (value, label, text, checked) =>
    el(
      "label",
      { class: "choice" },
      el("input", { type: "radio", name: "network", value, checked }),
      el("strong", {}, label),
      el("span", { class: "soft small" }, text),
    );
  const body = [
    choice("hyper", "Hyper", "A drive of its own: publishing it again changes it, and the link stays.", true),
    choice("ipfs", "IPFS", "Fixed for ever: a changed app gets another link.", false),
    el("p", { class: "soft small" }, "Everybody who has the link can open it. It is shared while PeerSky runs."),
  ];
  ask(`Publish ${app.name}`, body, [
    ["Publish", "primary", (event) => {
      event.preventDefault();
      startPublishing(app, document.querySelector("input[name=network]:checked").value);
    }],
    ["Cancel", "", close],
  ]);
}

async function startPublishing(app, to) {
  const stop = new AbortController();
  const text = el("p", { role: "status" }, "Starting…");
  const bar = el("progress", { "aria-label": "Progress" });
  ask(`Publish ${app.name}`, [text, bar], [["Cancel", "", () => stop.abort()]]);
  at("ask").addEventListener("close", () => stop.abort(), { once: true });
  try {
    const options = { method: "POST", body: JSON.stringify({ id: app.id, to }), signal: stop.signal };
    const reply = await fetch("/api/app-publish", options);
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    let url = "";
    for await (const line of lines(reply.body)) {
      if (line.error) throw new Error(line.error.message);
      if (line.sentence) text.textContent = line.sentence;
      if (line.total) {
        text.textContent = `${line.files} of ${line.totalFiles} files, ${bytes(line.done)} of ${bytes(line.total)}`;
        bar.max = line.total;
        bar.value = line.done;
      }
      url = line.url ?? url;
    }
    if (!url) throw new Error("Publishing was interrupted; publish it again.");
    published(app, url);
  } catch (error) {
    if (stop.signal.aborted) return;
    ask(`Publish ${app.name}`, [], [["Close", "", () => {}]]);
    askProblem(error);
  }
  await refresh();
}

function published(app, url) {
  const link = el("input", { id: "url", type: "text", readonly: true, value: url, class: "address", "aria-label": "Link" });
  const copy = () => {
    // A selection that is copied on a click is always allowed; the clipboard API asks for a permission first.
    link.select();
    document.execCommand("copy");
    state.textContent = "Copied.";
  };
  const state = el("p", { class: "soft small", role: "status" }, "Whoever has this link can open it while PeerSky runs here.");
  ask(`${app.name} is published`, [link, state], [["Done", "primary", () => {}], ["Copy link", "", copy]]);
  at("ask-choices").append(el("a", { class: "button", href: url }, "Open"));
}

async function* lines(body) {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const parts = (rest + part.value).split("\n");
    rest = parts.pop();
    for (const line of parts) yield JSON.parse(line);
  }
}

// --- adding and updating

function update(app) {
  updating = app;
  const choose = (input) => () => at(input).click();
  const from = app.source ? `It was copied from ${app.source}. ` : "";
  const text = `${from}Choose the folder or zip again, or drop it here. Its address, name and stored data stay.`;
  ask(`Update ${app.name}`, [el("p", {}, text)], [
    ["Cancel", "", () => {}],
    ["Choose a folder…", "primary", choose("folder-input")],
    ["Choose a zip…", "", choose("zip-input")],
  ]);
}

at("ask").addEventListener("close", () => {
  updating = null;
});

async function add(read) {
  const app = updating;
  if (at("ask").open) close();
  if (running) {
    fail(new Error("Another app is being added; wait until it is done, or cancel it."));
    return;
  }
  at("problem").hidden = true;
  running = new AbortController();
  const { signal } = running;
  const tell = ({ bytes: done, total, files, totalFiles }) => {
    at("bar").max = Math.max(total, 1);
    at("bar").value = total ? done : 1;
    at("progress-text").textContent = `${files.toLocaleString()} of ${totalFiles.toLocaleString()} files, ${bytes(done)} of ${bytes(total)}`;
  };
  at("progress-text").textContent = "Copying…";
  at("bar").removeAttribute("value");
  at("add-choices").hidden = true;
  at("progress").hidden = false;
  try {
    const reply = await addApp(read, { id: app?.id ?? "", signal, tell });
    over();
    show(reply);
    const left = reply.skipped ? ` ${reply.skipped.toLocaleString()} hidden files and links were left out.` : "";
    say(`${reply.app.name} was ${app ? "updated" : "added"}.${left}`);
    find(`${reply.app.id} open`)?.focus();
  } catch (error) {
    // Before it is said: whoever reads it may choose again at once.
    over();
    if (signal.aborted) say("Nothing was added.");
    else fail(error);
    await refresh();
  }
}

function over() {
  running = null;
  at("progress").hidden = true;
  at("add-choices").hidden = false;
}

at("cancel").addEventListener("click", () => running?.abort());
at("choose-folder").addEventListener("click", () => at("folder-input").click());
at("choose-zip").addEventListener("click", () => at("zip-input").click());
for (const input of [at("folder-input"), at("zip-input")]) {
  input.addEventListener("change", () => {
    if (input.files.length > 0 || input.webkitdirectory) add(chosen(input));
    input.value = "";
  });
}

addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  add(dropped(event.dataTransfer));
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
