// peersky://archive/: what was published from here, as api/ledger lists it, and what can be done with each of them.
// api/ledger-qr draws a QR code, api/ledger-export is the file.

const { bytes, el, request } = globalThis.PeerSky;

const STEP = 50;
const LOOK_MS = 5000;
const KINDS = { hyper: "Hyper", ipfs: "IPFS", ipns: "IPNS" };

const at = (id) => document.getElementById(id);
const entries = at("entries");
const search = at("search");
const problem = at("problem");

let shown = STEP;
let seen = "";
let asked = 0;
let isListMissing = false;

const kindOf = (entry) => entry.root.split(":")[0];

function titleOf(entry) {
  if (entry.name) return entry.name;
  const last = entry.url.replace(/\/$/, "").split("/").pop();
  try {
    return entry.url.replace(/\/$/, "") === entry.root.replace(/\/$/, "") ? "Without a name" : decodeURIComponent(last);
  } catch {
    return last;
  }
}

function publisherOf(entry) {
  if (entry.origin === "user") return "you";
  return entry.app && entry.origin === "peersky://p2p" ? `the app ${entry.app}` : entry.origin;
}

function fact(name, ...values) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, ...values));
}

function facts(entry) {
  const time = new Date(entry.time);
  const files = `${entry.files.toLocaleString()} ${entry.files === 1 ? "file" : "files"}`;
  const first = new Date(entry.firstTime).toLocaleDateString([], { dateStyle: "medium" });
  return el(
    "dl",
    { class: "facts" },
    fact("Published by", publisherOf(entry)),
    fact(
      entry.times > 1 ? "Last published" : "Published",
      el("time", { datetime: entry.time }, time.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })),
      entry.times > 1 ? ` (${entry.times.toLocaleString()} times since ${first})` : "",
    ),
    fact(entry.times > 1 ? "Last change" : "Size", `${bytes(entry.bytes)}, ${files}`),
    entry.model ? fact("Written by", entry.model) : null,
  );
}

function action(entry, name, label, run) {
  return el(
    "button",
    {
      class: "button",
      type: "button",
      "data-key": `${entry.id} ${name}`,
      "aria-label": `${label}: ${titleOf(entry)}`,
      onclick: () => run(entry),
    },
    label,
  );
}

function entryOf(entry) {
  const id = `entry-${entry.id}`;
  return el(
    "li",
    { class: "entry card", "aria-labelledby": id },
    el(
      "h2",
      {},
      el("span", { id }, titleOf(entry)),
      el("span", { class: "badge" }, KINDS[kindOf(entry)] ?? kindOf(entry)),
      entry.pinned ? null : el("span", { class: "badge off" }, "no longer shared"),
    ),
    el("p", { class: "url" }, el("a", { href: entry.url, "data-key": `${entry.id} url` }, entry.url)),
    facts(entry),
    el(
      "p",
      { class: "actions" },
      el(
        "a",
        { class: "button", href: entry.url, "data-key": `${entry.id} open`, "aria-label": `Open: ${titleOf(entry)}` },
        "Open",
      ),
      action(entry, "copy", "Copy link", copy),
      action(entry, "qr", "QR code", showQr),
      entry.pinned ? action(entry, "announce", "Announce again", announce) : null,
      !entry.pinned && entry.owned && kindOf(entry) === "hyper" ? action(entry, "share", "Share again", announce) : null,
      entry.pinned ? action(entry, "unpin", "Stop sharing…", stop) : action(entry, "forget", "Remove from list…", forget),
    ),
  );
}

function say(text) {
  at("count").textContent = text;
}

function counted(reply) {
  if (reply.total === 0) return search.value.trim() ? "Nothing fits your search." : "";
  const all = `${reply.total.toLocaleString()} ${reply.total === 1 ? "publication" : "publications"}`;
  return reply.publications.length < reply.total ? `The newest ${reply.publications.length.toLocaleString()} of ${all}` : all;
}

// Draws anew only what is new, and leaves the focus where it was.
function show(reply) {
  const now = JSON.stringify(reply.publications);
  if (now !== seen) {
    seen = now;
    const key = document.activeElement?.dataset?.key;
    entries.replaceChildren(...reply.publications.map(entryOf));
    if (key) {
      const find = (name) => entries.querySelector(`[data-key="${name}"]`);
      (find(key) ?? find(`${key.split(" ")[0]} open`) ?? search).focus();
    }
    say(counted(reply));
  }
  const nothing = reply.total === 0 && !search.value.trim();
  at("empty").hidden = !nothing;
  at("tools").hidden = nothing;
  at("more").hidden = reply.publications.length >= reply.total;
  showNotices(reply.notices);
  showNode(reply.node, nothing);
  at("main").setAttribute("aria-busy", "false");
}

function showNotices(notices) {
  const list = at("notices");
  list.hidden = notices.length === 0;
  if (list.childElementCount === notices.length) return;
  list.replaceChildren(...notices.map((text) => el("li", { class: "note warn" }, text)));
}

function showNode({ state, sentence }, nothing) {
  at("node").hidden = nothing || state === "ready";
  const text = state === "stopped" ? "The P2P node is not started, so nothing of this is shared right now." : sentence;
  if (at("node-text").textContent !== text) at("node-text").textContent = text;
  at("start").hidden = state !== "stopped" && state !== "crash_loop";
}

async function refresh() {
  const number = ++asked;
  const query = new URLSearchParams({ search: search.value, limit: shown });
  try {
    const reply = await request(`/api/ledger?${query}`);
    if (number !== asked) return;
    show(reply);
    if (isListMissing) problem.hidden = true;
    isListMissing = false;
  } catch (error) {
    isListMissing = true;
    fail(error);
  }
}

function fail(error) {
  problem.textContent = error.message;
  problem.hidden = false;
  at("main").setAttribute("aria-busy", "false");
}

// Runs what a control does; whatever goes wrong is said, and the list shows what is true then.
async function act(work, done) {
  problem.hidden = true;
  try {
    await work();
    await refresh();
    if (done) say(done);
  } catch (error) {
    fail(error);
    await refresh();
  }
}

function copy(entry) {
  // A selection that is copied on a click is always allowed; the clipboard API asks the user for a permission first.
  const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" }, entry.url);
  const focus = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focus?.focus();
  say(done ? `Copied ${entry.url}` : "Copying did not work.");
}

function showQr(entry) {
  const image = at("qr-image");
  image.onerror = async () => {
    at("qr").close();
    // The image cannot say why; the address of it can.
    await act(() => request(`/api/ledger-qr?id=${entry.id}`));
  };
  image.alt = `QR code of ${entry.url}`;
  image.src = `/api/ledger-qr?id=${entry.id}`;
  at("qr-url").textContent = entry.url;
  at("qr").showModal();
}

function announce(entry) {
  const title = titleOf(entry);
  const done = entry.pinned ? `Other peers are told again that you have ${title}.` : `${title} is shared again.`;
  return act(() => request("/api/ledger", { action: "announce", id: entry.id }), done);
}

// Asks before something that cannot be undone. `choices` are [label, what it does]; Cancel comes first.
function ask(title, text, choices) {
  at("ask-title").textContent = title;
  at("ask-text").textContent = text;
  at("ask-choices").replaceChildren(
    el("button", { class: "button", autofocus: true }, "Cancel"),
    ...choices.map(([label, run]) => el("button", { class: "button danger", onclick: run }, label)),
  );
  at("ask").showModal();
}

function stop(entry) {
  const unpin = (purge, done) => () => act(() => request("/api/ledger", { action: "unpin", id: entry.id, purge }), done);
  const done = `${titleOf(entry)} is no longer shared.`;
  const title = `Stop sharing ${titleOf(entry)}?`;
  if (kindOf(entry) === "hyper") {
    ask(
      title,
      "Other peers can no longer load this drive from you; who has a copy may go on sharing it. You can keep the drive " +
        "on this computer, or delete it and everything in it.",
      [
        ["Stop, keep the drive", unpin(false, done)],
        ["Stop, delete the drive", unpin(true, done)],
      ],
    );
  } else if (kindOf(entry) === "ipns") {
    ask(title, "The name is no longer renewed, so it stops leading anywhere after a day or two.", [
      ["Stop renewing", unpin(false, done)],
    ]);
  } else {
    ask(
      title,
      "Other peers can no longer load it from you, and it may be deleted here to make room. Who has a copy may go on " +
        "sharing it.",
      [["Stop sharing", unpin(false, done)]],
    );
  }
}

function forget(entry) {
  ask(`Remove ${titleOf(entry)} from the list?`, "Its address is then kept nowhere in this browser. Nothing else is deleted.", [
    ["Remove", () => act(() => request("/api/ledger", { action: "forget", id: entry.id }), `${titleOf(entry)} was removed.`)],
  ]);
}

at("start").addEventListener("click", () => {
  at("node-text").textContent = "Starting…";
  act(async () => {
    const { problems } = await request("/api/ledger", { action: "start" });
    if (problems.length > 0) throw new Error(problems.join(" "));
  }, "What you published is shared again.");
});

at("export").addEventListener("click", () =>
  act(async () => {
    const reply = await fetch("/api/ledger-export");
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    const url = URL.createObjectURL(await reply.blob());
    el("a", { href: url, download: "peersky-archive.json" }).click();
    // The download has its own hold on the data once it has begun.
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }),
);

at("more").addEventListener("click", () => {
  shown += STEP;
  refresh();
});

search.addEventListener("input", () => {
  shown = STEP;
  seen = "";
  refresh();
});

// Pages may publish meanwhile, and the node may start.
setInterval(() => {
  if (!document.hidden) refresh();
}, LOOK_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
