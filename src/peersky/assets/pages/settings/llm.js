// peersky://settings/llm: switches local AI on and off and chooses who answers. Reads api/settings and api/llm-status;
// saves through api/llm-save, which downloads a model that is missing before it counts. The parts of the page are
// modules of their own: provider.js, models.js, downloads.js.

import { DownloadsPart } from "./downloads.js";
import { clearProblems, collect, field, markProblem, save, say, showNotices } from "./fields.js";
import { ModelPart } from "./models.js";
import { PRESETS, ProviderPart } from "./provider.js";

const { request } = globalThis.PeerSky;

const STARTER = "peersky-starter";
const ADVANCED = [
  "llm.contextLength",
  "llm.idleTimeout",
  "llm.hangTimeout",
  "llm.parallel",
  "llm.temperature",
  "llm.maxTokens",
  "llm.think",
];

const form = document.getElementById("form");
const enabled = document.getElementById("enabled");
const state = document.getElementById("state");
const useBuiltin = document.getElementById("use-builtin");
const restart = document.getElementById("restart");
const chat = document.getElementById("try");

let settings = [];
let status = {};
let preset = "";

const provider = new ProviderPart(loadModels);
const model = new ModelPart();
const advanced = () => settings.filter((setting) => ADVANCED.includes(setting.key));

const hasCrashed = () => status.enabled && status.backEnd.state === "crash_loop";

// What answers now, in words.
function stateInWords() {
  const { enabled: on, supported, model: name, isLocal, reason, host } = status;
  if (on && hasCrashed()) return ["bad", status.backEnd.sentence];
  if (reason === "provider_missing") return ["warn", "This version of PeerSky cannot use what the settings name."];
  if (on && !supported) return ["warn", "Local AI is on, but no model is chosen."];
  const where = isLocal ? `${name} answers on this computer` : `${name} answers, and your questions go to ${host}`;
  const hint = name === STARTER ? " It is a small demonstration; for real work, choose another model below." : "";
  return on ? ["good", `Local AI is on. ${where}.${hint}`] : ["", `Local AI is off. Switched on, ${where}.${hint}`];
}

function showState() {
  const [look, text] = stateInWords();
  state.className = `note ${look}`.trim();
  state.textContent = text;
  enabled.checked = status.enabled;
  enabled.disabled = false;
  useBuiltin.hidden = status.provider === "builtin";
  restart.hidden = !hasCrashed();
}

// The form as it is stored.
function showForm() {
  provider.show(settings, status.provider);
  model.show(settings, status.model);
  preset = provider.preset;
  document.getElementById("advanced").replaceChildren(
    ...ADVANCED.map((key) => settings.find((setting) => setting.key === key)).filter(Boolean).map(field),
  );
}

async function loadModels() {
  if (provider.preset !== preset) {
    // Another back end has other models: the name of the old one would only be wrong.
    preset = provider.preset;
    const isStored = PRESETS[preset].provider === status.provider;
    model.name = isStored ? status.model : preset === "builtin" ? STARTER : "";
  }
  const reply = await model.load(provider.candidate);
  if (reply) provider.showKey(reply.keySet);
}

async function load() {
  try {
    const [reply, now] = await Promise.all([request("/api/settings"), request("/api/llm-status")]);
    [settings, status] = [reply.settings, now];
    showNotices(reply.notices);
    showState();
    showForm();
    form.setAttribute("aria-busy", "false");
    await loadModels();
  } catch (error) {
    state.className = "note bad";
    state.textContent = error.message;
  }
}

async function refreshState() {
  try {
    status = await request("/api/llm-status");
    showState();
  } catch (error) {
    state.className = "note bad";
    state.textContent = error.message;
  }
}

// Changes settings and shows the state that follows; the switch and the offer use it.
async function apply(changes) {
  try {
    await request("/api/settings", { changes });
    await refreshState();
  } catch (error) {
    enabled.checked = !enabled.checked;
    state.className = "note bad";
    state.textContent = error.message;
  }
}

enabled.addEventListener("change", () => apply({ "llm.enabled": enabled.checked }));

// After it crashed again and again, the engine waits for a person to say so.
restart.addEventListener("click", async () => {
  try {
    status = await request("/api/llm-status", {});
    showState();
  } catch (error) {
    state.textContent = error.message;
  }
});

useBuiltin.addEventListener("click", async () => {
  await apply({ "llm.provider": "builtin", "llm.model": STARTER });
  await load();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const result = document.getElementById("result");
  clearProblems(form);
  if (provider.preset !== "builtin" && !provider.candidate.baseURL) {
    say(result, "The address is missing.", "bad");
    markProblem({ param: "llm.baseURL", message: "Type the address of the service." });
    return;
  }
  if (!model.check()) {
    say(result, "The model is missing.", "bad");
    return;
  }
  say(result, "Saving…", "");
  const changes = { ...collect(form, advanced()), ...provider.changes, "llm.model": model.name };
  const reply = await save(form, changes, "/api/llm-save");
  if (!reply) return;
  // It may have failed at once; then that is said where the downloads are.
  if (reply.download) say(result, downloads.isOver(reply.download) ? "" : `Saved. ${model.name} is being downloaded.`, "good");
  if (reply.notes.length) say(result, `Saved. ${reply.notes.join(" ")}`, "warn");
  const stored = await request("/api/settings");
  settings = stored.settings;
  showNotices(stored.notices);
  form.elements["llm.apiKey"].value = "";
  await refreshState();
  // Who saved has scrolled past the switch, and past the link to the chat.
  if (!status.enabled) {
    say(result, `${result.textContent} Local AI is off: switch it on at the top of this page.`.trim(), "warn");
  }
  chat.hidden = !(status.enabled && status.supported);
  if (!reply.pending) {
    showForm();
    await loadModels();
  }
});

// A model that was waited for may answer now, and the list of what is here has changed.
const downloads = new DownloadsPart(async (ended) => {
  // "Is being downloaded" is no longer so.
  if (ended) say(document.getElementById("result"), "", "");
  await refreshState();
  if (form.getAttribute("aria-busy") === "false") await loadModels();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refreshState();
});
load();
