// The model: a text that may be typed, and a list of what the chosen back end has or offers, asked of api/models.

import { field, markProblem } from "./fields.js";

const { bytes, el, request } = globalThis.PeerSky;

const STARTER = "peersky-starter";
const SHOWN_AT_ONCE = 40;
const FIND_FROM = 9;

// For a user who has none yet. Names of the library that Ollama and the built-in engine download from.
const SUGGESTED = [
  ["qwen3:0.6b", "Small and quick; fits nearly every computer.", 0.5e9],
  ["qwen2.5-coder:3b", "Writes and explains code.", 1.9e9],
  ["llama3.2:3b", "For general conversation.", 2.0e9],
  ["qwen3:4b", "Thinks before it answers.", 2.5e9],
];
const CAPABILITIES = {
  tools: "uses tools",
  vision: "sees images",
  thinking: "can think first",
  embedding: "makes embeddings",
};

const HINTS = {
  builtin:
    "Choose one below, or type a name of Ollama's library, hf.co/user/repository, or the whole path of a .gguf file. " +
    "What is missing is downloaded when you save.",
  ollama: "Choose one below, or type a name of Ollama's library. What is missing is downloaded when you save.",
  openai: "Choose one below, or type the service's name of a model.",
};

const isHere = ({ provider, baseURL }) =>
  provider === "builtin" || /^(localhost|127\.[\d.]+|\[::1\])$/.test(URL.parse(baseURL)?.hostname ?? "");

const nameOf = (model) => (model.id === STARTER ? "Starter model (a demonstration)" : model.id);

function suggestions(provider, models) {
  if (provider === "openai") return [];
  const here = new Set(models.map((model) => model.id));
  return SUGGESTED.filter(([id]) => !here.has(id)).map(([id, note, sizeBytes]) => ({
    id,
    note,
    sizeBytes,
    capabilities: [],
    present: false,
  }));
}

// The weights have to be in memory, whoever loads them; how much more it takes only the built-in engine tells.
function memoryNeed(model, provider) {
  if (model.memoryBytes) return { need: model.memoryBytes, words: `needs ${bytes(model.memoryBytes)} of memory` };
  if (provider === "openai" || !model.sizeBytes) return null;
  return { need: model.sizeBytes, words: `needs more than ${bytes(model.sizeBytes)} of memory` };
}

// Ollama may have a graphics card with memory of its own.
const isTooLarge = (model, provider, freeMemoryBytes) =>
  provider === "builtin" && freeMemoryBytes != null && memoryNeed(model, provider)?.need > freeMemoryBytes;

function facts(model, provider, freeMemoryBytes) {
  const said = [];
  if (!model.present) said.push("not on this computer yet");
  if (model.sizeBytes) said.push(`${model.present ? "" : "about "}${bytes(model.sizeBytes)} on disk`);
  const memory = memoryNeed(model, provider);
  if (memory) {
    const free = freeMemoryBytes == null ? "" : `, and ${bytes(freeMemoryBytes)} is free`;
    const tooMuch = isTooLarge(model, provider, freeMemoryBytes) ? ": too much now" : "";
    said.push(`${memory.words}${free}${tooMuch}`);
  }
  if (model.contextLength) said.push(`context ${model.contextLength.toLocaleString()} tokens`);
  said.push(...model.capabilities.filter((name) => name in CAPABILITIES).map((name) => CAPABILITIES[name]));
  if (model.price) said.push(model.price);
  return [said.join(" · "), model.note].filter(Boolean).join(" — ");
}

export class ModelPart {
  #form = document.getElementById("form");
  #box = document.getElementById("models");
  #state = document.getElementById("models-state");
  #find = document.getElementById("find-model");
  #asked = 0;
  #models = [];
  #free = null;
  #provider = "";

  constructor() {
    this.#find.addEventListener("input", () => this.#list());
  }

  show(settings, model) {
    const setting = settings.find(({ key }) => key === "llm.model");
    document.getElementById("model-name").replaceChildren(field({ ...setting, value: model }));
    this.#input.addEventListener("input", () => this.#mark());
  }

  get #input() {
    return this.#form.elements["llm.model"];
  }

  get name() {
    return this.#input.value.trim();
  }

  set name(value) {
    this.#input.value = value;
    this.#mark();
  }

  #hint(provider) {
    document.getElementById("llm-model-hint").textContent = HINTS[provider];
  }

  // Asks for the models of a back end. Resolves with the reply; null if another question came meanwhile.
  async load(candidate) {
    const turn = (this.#asked += 1);
    this.#hint(candidate.provider);
    this.#state.textContent = "Asking which models there are…";
    this.#box.replaceChildren();
    let reply;
    try {
      reply = await request("/api/models", candidate);
    } catch (error) {
      reply = { models: [], problem: error, keySet: false };
    }
    if (turn !== this.#asked) return null;
    this.#models = [...reply.models, ...suggestions(candidate.provider, reply.models)];
    // What is free here says nothing of a server elsewhere.
    this.#free = isHere(candidate) ? (reply.freeMemoryBytes ?? null) : null;
    this.#provider = candidate.provider;
    this.#find.value = "";
    document.getElementById("find").hidden = this.#models.length < FIND_FROM;
    this.#list(reply.problem?.message);
    return reply;
  }

  #list(problem) {
    const wanted = this.#find.value.trim().toLowerCase();
    const found = this.#models.filter((model) => `${nameOf(model)} ${model.note}`.toLowerCase().includes(wanted));
    this.#box.replaceChildren(...found.slice(0, SHOWN_AT_ONCE).map((model) => this.#choice(model)));
    const more = found.length - SHOWN_AT_ONCE;
    if (problem) this.#state.textContent = problem;
    else if (!found.length) this.#state.textContent = wanted ? "None is called so." : "It offers no models.";
    else if (more > 0) this.#state.textContent = `${more} more; type a part of the name to find them.`;
    else this.#state.textContent = "";
    this.#mark();
  }

  #choice(model) {
    const tooLarge = isTooLarge(model, this.#provider, this.#free);
    const id = `facts-${this.#models.indexOf(model)}`;
    const label = el(
      "label",
      { class: `choice ${tooLarge ? "too-large" : ""}`.trim() },
      el("input", {
        type: "radio",
        name: "listed",
        value: model.id,
        "aria-describedby": id,
        onchange: () => {
          this.#input.value = model.id;
        },
      }),
      el("span", { class: "name" }, nameOf(model)),
      el("span", { class: "facts", id }, facts(model, this.#provider, this.#free)),
    );
    const isOurs = this.#provider === "builtin" && model.present && model.id !== STARTER;
    return isOurs ? el("div", { class: "removable" }, label, this.#removeButton(model)) : label;
  }

  // Asks in its own place: the first press says what a second one does.
  #removeButton(model) {
    const button = el("button", { class: "button small", type: "button", "aria-label": `Remove: ${model.id}` }, "Remove");
    const ask = () => {
      const words = `Delete it? ${bytes(model.sizeBytes)}`;
      button.textContent = words;
      button.setAttribute("aria-label", `${words}: ${model.id}`);
      button.classList.add("danger");
      button.removeEventListener("click", ask);
      button.addEventListener("click", () => this.#remove(model));
    };
    button.addEventListener("click", ask);
    return button;
  }

  async #remove(model) {
    try {
      const { freedBytes } = await request("/api/models-remove", { model: model.id });
      await this.load({ provider: this.#provider, baseURL: "" });
      this.#state.textContent = `${model.id} is removed; ${bytes(freedBytes)} are free again.`;
    } catch (error) {
      this.#state.textContent = error.message;
    }
    this.#input.focus();
  }

  #mark() {
    for (const input of this.#box.querySelectorAll("input")) input.checked = input.value === this.name;
  }

  // Whether a name is there; if not, says so beside the field.
  check() {
    if (this.name) return true;
    markProblem({ param: "llm.model", message: "Name a model, or choose one from the list." });
    return false;
  }
}
