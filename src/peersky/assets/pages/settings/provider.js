// Who answers: presets that fill the base URL, the key for exactly that address, and a test of the connection before
// anything is saved. Speaks to api/llm-test and api/llm-key; says in `change` events of its form part what was chosen.

import { clearProblems, field, markProblem } from "./fields.js";

const { el, request } = globalThis.PeerSky;

const OPENROUTER = "openrouter.ai";
export const PRESETS = {
  builtin: { name: "Built-in", provider: "builtin", note: "PeerSky's own engine, on this computer." },
  ollama: {
    name: "Ollama",
    provider: "ollama",
    baseURL: "http://127.0.0.1:11434/",
    note: "An Ollama server, on this computer or in your network.",
  },
  openrouter: {
    name: "OpenRouter",
    provider: "openai",
    baseURL: `https://${OPENROUTER}/api/v1/`,
    note: "Many models on other people's computers. Needs a key; your questions leave this computer.",
  },
  custom: {
    name: "Custom",
    provider: "openai",
    baseURL: "",
    note: "Any OpenAI-compatible server: LM Studio, vLLM, llama-server, OpenAI…",
  },
};

// Beside the field; the whole sentence stands below the button.
const AT_FAULT = {
  "llm.apiKey": "It needs a key that the service takes.",
  "llm.baseURL": "This address did not pass the test.",
};

const hostOf = (url) => URL.parse(url)?.host ?? "";

export function presetOf(provider, baseURL) {
  if (provider !== "openai") return provider;
  return URL.parse(baseURL)?.origin === `https://${OPENROUTER}` ? "openrouter" : "custom";
}

export class ProviderPart {
  #form = document.getElementById("form");
  #connection = document.getElementById("connection");
  #keyState = document.getElementById("key-state");
  #result = document.getElementById("test-result");
  #settings = {};
  #stored = { preset: "", baseURL: "" };

  // `changed` is called whenever another back end, address or key is meant.
  constructor(changed) {
    this.changed = changed;
    document.getElementById("test").addEventListener("click", () => this.#test());
    document.getElementById("forget-key").addEventListener("click", () => this.#forget());
  }

  // Shows what is stored.
  show(settings, provider) {
    this.#settings = Object.fromEntries(settings.map((setting) => [setting.key, setting]));
    const baseURL = this.#settings["llm.baseURL"].value;
    this.#stored = { preset: presetOf(provider, baseURL), baseURL };
    document.getElementById("presets").replaceChildren(
      ...Object.entries(PRESETS).map(([value, { name, note }]) =>
        el(
          "label",
          { class: "choice" },
          el("input", {
            type: "radio",
            name: "preset",
            value,
            checked: value === this.#stored.preset,
            onchange: () => this.#choose(),
          }),
          el("span", { class: "name" }, name),
          el("span", { class: "facts" }, note),
        ),
      ),
    );
    this.#connection.replaceChildren(field(this.#settings["llm.baseURL"]), field(this.#settings["llm.apiKey"]));
    for (const name of ["llm.baseURL", "llm.apiKey"]) {
      this.#form.elements[name].addEventListener("change", () => this.changed());
    }
    this.#arrange();
  }

  get preset() {
    return this.#form.elements.preset.value;
  }

  // What a request about this back end says. A typed key goes with the typed address; else the browser takes the one
  // that it keeps for that address.
  get candidate() {
    const typed = this.#form.elements["llm.apiKey"].value.trim();
    const { provider } = PRESETS[this.preset];
    if (provider === "builtin") return { provider, baseURL: "" };
    return { provider, baseURL: this.#form.elements["llm.baseURL"].value.trim(), ...(typed && { apiKey: typed }) };
  }

  // The same as changes of settings.
  get changes() {
    const { provider, baseURL, apiKey } = this.candidate;
    const changes = { "llm.provider": provider };
    if (provider !== "builtin") changes["llm.baseURL"] = baseURL;
    if (apiKey) changes["llm.apiKey"] = apiKey;
    return changes;
  }

  // Tells whether a key is kept for the address.
  showKey(isSet) {
    const host = hostOf(this.candidate.baseURL);
    this.#keyState.hidden = !isSet || this.preset === "builtin";
    this.#keyState.firstElementChild.textContent = `A key for ${host} is set. Type another one to replace it.`;
  }

  #choose() {
    const { baseURL } = PRESETS[this.preset];
    const isStored = this.preset === this.#stored.preset;
    this.#form.elements["llm.apiKey"].value = "";
    if (this.preset !== "builtin") {
      this.#form.elements["llm.baseURL"].value = isStored ? this.#stored.baseURL : baseURL;
    }
    clearProblems(this.#form);
    this.#arrange();
    this.changed();
  }

  #arrange() {
    const isBuiltin = this.preset === "builtin";
    this.#connection.hidden = isBuiltin;
    this.#result.hidden = true;
    this.#keyState.hidden = true;
    this.#form.elements["llm.apiKey"].placeholder = this.preset === "ollama" ? "ollama" : "";
  }

  async #test() {
    clearProblems(this.#form);
    this.#say("Trying…", "");
    try {
      const report = await request("/api/llm-test", this.candidate);
      // The sentence is for pages, too; who reads it here is there already.
      const text = report.sentences.join(" ").replaceAll(" in peersky://settings/llm", "");
      this.#say(text, report.ok ? "good" : "bad");
      if (!report.ok) markProblem({ param: report.param, message: AT_FAULT[report.param] ?? report.sentences.at(-1) });
    } catch (error) {
      this.#say(error.message, "bad");
      markProblem(error);
    }
  }

  async #forget() {
    try {
      await request("/api/llm-key", { baseURL: this.candidate.baseURL });
      this.#keyState.hidden = true;
      this.#form.elements["llm.apiKey"].focus();
      this.changed();
    } catch (error) {
      this.#say(error.message, "bad");
    }
  }

  #say(text, look) {
    this.#result.hidden = false;
    this.#result.className = `note ${look}`.trim();
    this.#result.textContent = text;
  }
}
