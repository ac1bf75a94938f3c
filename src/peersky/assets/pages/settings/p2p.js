// peersky://settings/p2p: what the P2P node does, by api/p2p, which looking does not start; its settings, by api/settings;
// and the reset.

import { collect, field, markProblem, save, say, showNotices } from "./fields.js";

const { bytes, el, request } = globalThis.PeerSky;

const LOOK_MS = 2000;
const NETWORK = ["p2p.listen", "p2p.keepSharing", "p2p.uploadLimit", "p2p.downloadLimit", "p2p.cacheBytes"];
const IPFS = ["p2p.ipfs.backend"];
const KUBO = "p2p.ipfs.kuboRpc";
const STATES = { stopped: "", installing: "warn", starting: "warn", ready: "on", crash_loop: "warn" };

const at = (id) => document.getElementById(id);
const form = at("form");
let settings = [];
let before = null;
let asked = 0;

// --- what runs

function rows(pairs) {
  return el("dl", {}, ...pairs.filter((pair) => pair).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

const list = (values) => el("ul", {}, ...values.map((value) => el("li", {}, value)));

function part(title, pairs, problem) {
  return el("section", {}, el("h3", {}, title), rows(pairs), problem ? el("p", { class: "bad" }, problem) : null);
}

function stateOf({ running, error }) {
  return error ? "Does not work" : running ? "Runs" : "Starts with its first page";
}

// Bytes per second since the page looked before.
function rate(traffic, name, now) {
  if (!before || now <= before.now) return "";
  const speed = ((traffic[name] - before.traffic[name]) * 1000) / (now - before.now);
  return speed >= 1 ? `, ${bytes(speed)}/s` : "";
}

function figures({ hyper, ipfs, traffic }) {
  const now = performance.now();
  const texts = [
    part(
      "Hyper",
      [
        ["State", stateOf(hyper)],
        ["Peers", String(hyper.peers ?? 0)],
        ["Drives", String(hyper.drives ?? 0)],
        hyper.address ? ["Node key", el("code", {}, String(hyper.address))] : null,
      ],
      hyper.error,
    ),
    part(
      ipfs.backend === "kubo" ? "IPFS (Kubo)" : "IPFS (Helia)",
      [
        ["State", stateOf(ipfs)],
        ["Peers", String(ipfs.peers ?? 0)],
        ipfs.peerId ? ["Peer ID", el("code", {}, ipfs.peerId)] : null,
        ipfs.addresses?.length ? ["Addresses", list(ipfs.addresses)] : null,
      ],
      ipfs.error,
    ),
    part("Traffic since the start", [
      ["Loaded", bytes(traffic.inBytes) + rate(traffic, "inBytes", now)],
      ["Sent", bytes(traffic.outBytes) + rate(traffic, "outBytes", now)],
    ]),
  ];
  before = { traffic, now };
  return texts;
}

// What is as it was stays, and a selection in it.
function replaceChanged(box, parts) {
  while (box.childElementCount > parts.length) box.lastElementChild.remove();
  for (const [index, now] of parts.entries()) {
    const old = box.children[index];
    if (!old) box.append(now);
    else if (!old.isEqualNode(now)) old.replaceWith(now);
  }
}

function showCache(storage) {
  const limit = settings.find((setting) => setting.key === "p2p.cacheBytes")?.value;
  at("cache-meter").hidden = !storage || !limit;
  if (!storage) {
    at("cache").textContent = "How much is kept is known once the node runs.";
    return;
  }
  at("cache").textContent =
    `${bytes(storage.pinnedBytes)} that you published, and ${bytes(storage.cacheBytes)} in the cache` +
    (limit ? ` of the ${bytes(limit)} that it may take.` : ".");
  if (!limit) return;
  at("cache-meter").max = limit;
  at("cache-meter").value = Math.min(storage.cacheBytes, limit);
}

function show({ state, sentence, node }) {
  const text = state === "stopped" ? "Not started: it starts with the first P2P page." : node ? summary(node) : sentence;
  if (at("state").dataset.text !== text) {
    at("state").dataset.text = text;
    at("state").replaceChildren(el("span", { class: `dot ${STATES[state] ?? ""}` }), text);
  }
  at("start").hidden = !["stopped", "crash_loop"].includes(state) && (!node || (node.hyper.running && node.ipfs.running));
  at("figures").hidden = !node;
  if (node) replaceChanged(at("figures"), figures(node));
  else before = null;
  showCache(node?.storage);
  at("main").setAttribute("aria-busy", "false");
}

function summary({ hyper, ipfs }) {
  const running = [hyper.running && "Hyper", ipfs.running && "IPFS"].filter(Boolean);
  if (running.length === 0) return "Started; Hyper and IPFS start with their first page.";
  return `${running.join(" and ")} ${running.length > 1 ? "run" : "runs"}.`;
}

async function refresh() {
  const number = ++asked;
  try {
    const reply = await request("/api/p2p");
    if (number === asked) show(reply);
  } catch (error) {
    at("state").textContent = error.message;
    at("state").dataset.text = "";
  }
}

// Asks for something; what goes wrong is said in `problem`. Resolves with the reply, or null.
async function act(body, problem) {
  problem.hidden = true;
  try {
    const reply = await request("/api/p2p", body);
    asked += 1;
    if (reply.state) show(reply);
    return reply;
  } catch (error) {
    note(problem, error.message, "bad");
    await refresh();
    return null;
  }
}

function note(box, text, look) {
  box.textContent = text;
  box.className = `note ${look}`;
  box.hidden = false;
}

at("start").addEventListener("click", async () => {
  at("start").disabled = true;
  at("state").replaceChildren("Starting…");
  at("state").dataset.text = "";
  await act({ action: "start" }, at("state-problem"));
  at("start").disabled = false;
});

at("gc").addEventListener("click", async () => {
  at("gc").disabled = true;
  const reply = await act({ action: "gc" }, at("cache-result"));
  at("gc").disabled = false;
  if (reply) {
    const freed = reply.freedBytes ? `${bytes(reply.freedBytes)} are free again.` : "There was nothing to free.";
    note(at("cache-result"), freed, "good");
  }
  at("gc").focus();
});

// --- settings

function fill(id, keys) {
  at(id).replaceChildren(...keys.map((key) => settings.find((setting) => setting.key === key)).filter(Boolean).map(field));
}

function showSettings(reply) {
  settings = reply.settings.filter((setting) => setting.key.startsWith("p2p."));
  showNotices(reply.notices);
  const named = new Set([...NETWORK, ...IPFS, KUBO]);
  fill("network", NETWORK);
  fill("ipfs", IPFS);
  fill("kubo-field", [KUBO]);
  fill("more", settings.map((setting) => setting.key).filter((key) => !named.has(key)));
  showKubo();
  form.setAttribute("aria-busy", "false");
}

function showKubo() {
  at("kubo").hidden = form.elements["p2p.ipfs.backend"]?.value !== "kubo";
}

form.addEventListener("change", showKubo);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await save(form, collect(form, settings));
  if (reply) showSettings(reply);
  await refresh();
});

at("test").addEventListener("click", async () => {
  const result = at("test-result");
  say(result, "Asking…", "");
  try {
    const { version } = await request("/api/p2p", { action: "test", kuboRpc: form.elements[KUBO].value.trim() });
    say(result, `Kubo ${version} answers.`, "good");
  } catch (error) {
    say(result, error.message, "bad");
    markProblem(error);
  }
});

// --- reset

at("reset").addEventListener("click", () => {
  at("identities").checked = false;
  at("confirm").showModal();
});

// Its buttons close the dialog by themselves, and so does Escape.
at("confirm").querySelector("form").addEventListener("submit", async ({ submitter }) => {
  if (submitter?.value !== "reset") return;
  const reply = await act({ action: "reset", identities: at("identities").checked }, at("reset-result"));
  if (reply) note(at("reset-result"), "All P2P data was deleted.", "good");
});

setInterval(() => {
  if (!document.hidden) refresh();
}, LOOK_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});

try {
  showSettings(await request("/api/settings"));
} catch (error) {
  showNotices([error.message]);
}
await refresh();
