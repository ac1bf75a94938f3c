// peersky://settings/llm: switches local AI on and off and chooses who answers. Reads api/settings, api/llm-status and
// api/models, writes api/settings. Each back end has one entry in BACK_ENDS and one section of the page.

import { collect, field, save, showNotices } from "./fields.js";

const { bytes, el, request } = globalThis.PeerSky;

const STARTER = "peersky-starter";
const ADVANCED = ["llm.contextLength", "llm.idleTimeout", "llm.parallel", "llm.temperature", "llm.maxTokens"];
const BACK_ENDS = {
  builtin: { name: "the built-in engine" },
  ollama: { name: "an Ollama server" },
  openai: { name: "an OpenAI-compatible service" },
};
const OTHER_FILE = "file:";

const form = document.getElementById("form");
const enabled = document.getElementById("enabled");
const state = document.getElementById("state");
const useBuiltin = document.getElementById("use-builtin");
const restart = document.getElementById("restart");
const modelBox = document.getElementById("models");
const modelsProblem = document.getElementById("models-problem");

let settings = [];
let status = {};

const valueOf = (key) => settings.find((setting) => setting.key === key)?.value;

const hasCrashed = () => status.enabled && status.backEnd.state === "crash_loop";

// What answers now, in words.
function stateInWords() {
  const { enabled: on, supported, provider, model, isLocal, reason } = status;
  const missing = reason === "provider_missing" || (provider !== "builtin" && !supported);
  if (missing && provider !== "builtin") {
    const where = valueOf("llm.baseURL");
    return [
      "warn",
      `The settings name ${BACK_ENDS[provider]?.name ?? provider} at ${where} with the model ${model}. ` +
        "This version of PeerSky answers with its built-in engine only.",
    ];
  }
  if (!on) return ["", `Local AI is off. Switched on, ${model} answers on this computer.`];
  if (!supported) return ["warn", "Local AI is on, but no model is chosen."];
  if (hasCrashed()) return ["bad", status.backEnd.sentence];
  return ["good", `Local AI is on. ${model} answers ${isLocal === false ? "through a service" : "on this computer"}.`];
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

function facts(model) {
  const said = [];
  if (model.sizeBytes) said.push(bytes(model.sizeBytes));
  if (model.contextLength) said.push(`context ${model.contextLength.toLocaleString()} tokens`);
  if (!model.present) said.push("not on this computer yet");
  return [said.join(" · "), model.note].filter(Boolean).join(" — ");
}

function choice(value, name, note, checked) {
  return el(
    "label",
    { class: "choice" },
    el("input", { type: "radio", name: "model", value, checked }),
    el("span", { class: "name" }, name),
    note ? el("span", { class: "facts" }, note) : null,
  );
}

function showModels(models) {
  const builtin = models.filter((model) => model.provider === "builtin");
  const chosen = status.provider === "builtin" ? status.model : STARTER;
  const listed = builtin.some((model) => model.id === chosen);
  const path = el("input", {
    id: "llm-model",
    type: "text",
    value: listed ? "" : chosen,
    placeholder: "/path/to/model.gguf",
    spellcheck: "false",
    autocomplete: "off",
    "aria-describedby": "llm-model-hint llm-model-problem",
    // Typing a path chooses it.
    oninput: () => {
      form.elements.model.value = OTHER_FILE;
    },
  });
  modelBox.replaceChildren(
    ...builtin.map((model) => choice(model.id, nameOf(model), facts(model), model.id === chosen)),
    choice(OTHER_FILE, "A GGUF file of my own", null, !listed),
    el(
      "div",
      { class: "field file" },
      el("label", { for: "llm-model" }, "Path of the file"),
      path,
      el("p", { id: "llm-model-hint", class: "hint" }, "The whole path of a model file that ends in .gguf."),
      el("p", { id: "llm-model-problem", class: "problem", hidden: true }),
    ),
  );
}

const nameOf = (model) => (model.id === STARTER ? "Starter model (a demonstration)" : model.id);

function chosenModel() {
  const { value } = form.elements.model;
  return value === OTHER_FILE ? document.getElementById("llm-model").value.trim() : value;
}

function showAdvanced() {
  const own = ADVANCED.map((key) => settings.find((setting) => setting.key === key)).filter(Boolean);
  document.getElementById("advanced").replaceChildren(...own.map(field));
}

async function loadModels() {
  try {
    showModels((await request("/api/models")).models);
    modelsProblem.hidden = true;
  } catch (error) {
    modelsProblem.textContent = error.message;
    modelsProblem.hidden = false;
    showModels([]);
  }
}

async function load() {
  try {
    const [reply, now] = await Promise.all([request("/api/settings"), request("/api/llm-status")]);
    [settings, status] = [reply.settings, now];
    showNotices(reply.notices);
    showState();
    showAdvanced();
    await loadModels();
    form.setAttribute("aria-busy", "false");
  } catch (error) {
    state.className = "note bad";
    state.textContent = error.message;
  }
}

// Changes settings and shows the state that follows; the switch and the offer use it.
async function apply(changes) {
  try {
    await request("/api/settings", { changes });
    status = await request("/api/llm-status");
    showState();
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
  await loadModels();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const changes = collect(form, settings);
  const model = chosenModel();
  if (!model) {
    const problem = document.getElementById("llm-model-problem");
    problem.textContent = "Name the file, or choose a model from the list.";
    problem.hidden = false;
    document.getElementById("llm-model").focus();
    return;
  }
  if (model !== status.model || status.provider !== "builtin") {
    Object.assign(changes, { "llm.provider": "builtin", "llm.model": model });
  }
  const reply = await save(form, changes);
  if (!reply) return;
  settings = reply.settings;
  status = await request("/api/llm-status");
  showState();
  showAdvanced();
  await loadModels();
});

load();
