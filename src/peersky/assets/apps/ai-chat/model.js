// Who answers: asks window.llm for the model and shows it, or what to do where there is none.

const STARTER = "peersky-starter";
const ELSEWHERE = { ollama: "on another computer", openai: "cloud service" };
const at = (id) => document.getElementById(id);

export class Model {
  isReady = false;
  sees = false;
  name = "";

  // Looks again: the settings may have changed in another tab.
  async look() {
    const { llm } = window;
    try {
      this.isReady = Boolean(llm) && (await llm.isSupported());
    } catch {
      this.isReady = false;
    }
    at("unsupported").hidden = this.isReady;
    at("unsupported-text").textContent = llm
      ? "Local AI is off, or no model is chosen. Switch it on in the settings, then come back to this tab."
      : "This page has no access to a model. Open it in PeerSky, at an address that you trust.";
    at("unsupported-link").hidden = !llm;
    at("ideas").hidden = !this.isReady;
    if (this.isReady) await this.#show(llm);
    else at("model").hidden = true;
  }

  async #show(llm) {
    try {
      const { model, provider, local = provider !== "openai", capabilities = [] } = await llm.model();
      this.name = model;
      this.sees = capabilities.includes("vision");
      // A model of the user's own is named by its file: the name will do.
      const name = model === STARTER ? "Starter model, a demonstration" : model.split(/[\\/]/).at(-1);
      at("model").textContent = `${name} · ${local ? "on this computer" : ELSEWHERE[provider] ?? "elsewhere"}`;
      at("model").title = local ? "" : "What you write here leaves this computer.";
      at("model").classList.toggle("cloud", !local);
      at("model").hidden = false;
    } catch {
      // The name is a courtesy; what is wrong with the model is said when it is asked.
      at("model").hidden = true;
    }
  }
}
