// The kept conversations beside the open one. The list is PeerSky's own <llm-history>, which every P2P page may use; where
// it cannot be had, there is no memory either.

const COMPONENT = "peersky://p2p/components/llm-history.js";
const WIDE = matchMedia("(min-width: 64rem)");
const at = (id) => document.getElementById(id);

export class Sidebar {
  #history = null;
  #wasOpened = false;

  // on: {select(sessionId, entries), deleted(sessionId)}
  constructor(keeper, appId, on) {
    this.keeper = keeper;
    this.appId = appId;
    this.on = on;
    at("sidebar-toggle").addEventListener("click", () => this.#toggle(at("sidebar").hidden));
    at("sidebar-close").addEventListener("click", () => this.#toggle(false));
    at("sidebar").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      this.#toggle(false);
    });
    // A list beside the conversation must not suddenly lie over it.
    WIDE.addEventListener("change", () => this.#show(WIDE.matches && !at("sidebar").hidden));
  }

  get isOverlay() {
    return !WIDE.matches && !at("sidebar").hidden;
  }

  // Shows what memory allows now; `current` is the open conversation.
  async refresh(current) {
    if (!window.llmMemory) return;
    at("sidebar-toggle").hidden = false;
    const isOn = await this.keeper.isEnabled();
    at("kept-where").hidden = isOn;
    at("welcome-kept").textContent = isOn
      ? "Your model answers. Conversations are kept on this computer."
      : "Your model answers. The conversation stays in this tab and ends with it.";
    // From elsewhere this is the one page of the settings that may be opened; it leads on to the other.
    at("turn-on").href = location.protocol === "peersky:" ? "peersky://settings/memory" : "peersky://settings/llm";
    at("turn-on").hidden = isOn;
    if (!this.#history) await this.#build();
    this.mark(current);
    if (!this.#wasOpened && isOn && WIDE.matches) {
      this.#wasOpened = true;
      this.#show(true);
    }
    await this.#history?.refresh();
  }

  mark(current) {
    this.#history?.setAttribute("current", current);
  }

  // After a choice, where the list lies over the conversation.
  leave() {
    if (this.isOverlay) this.#toggle(false);
  }

  async #build() {
    if (!(await isDefined())) {
      at("sidebar-problem").textContent = "The list of conversations cannot be shown by this browser.";
      return;
    }
    if (this.#history) return;
    const history = document.createElement("llm-history");
    history.setAttribute("app-id", this.appId);
    history.setAttribute("mode", "sessions");
    history.addEventListener("select-session", ({ detail }) => {
      this.on.select(detail.sessionId, detail.entries);
      this.leave();
    });
    history.addEventListener("session-deleted", ({ detail }) => this.on.deleted(detail.sessionId));
    at("sidebar-list").replaceChildren(history);
    this.#history = history;
  }

  #toggle(isOpen) {
    this.#wasOpened = true;
    this.#show(isOpen);
    if (isOpen) at("sidebar-close").focus();
    else at("sidebar-toggle").focus();
  }

  #show(isOpen) {
    at("sidebar").hidden = !isOpen;
    at("sidebar-toggle").setAttribute("aria-expanded", String(isOpen));
    this.#fit();
  }

  // What lies under the list is out of reach.
  #fit() {
    for (const part of [at("scroller"), at("bottom")]) part.inert = this.isOverlay;
    document.body.classList.toggle("with-sidebar", !at("sidebar").hidden);
  }
}

let loading = null;

function isDefined() {
  loading ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = COMPONENT;
    script.addEventListener("load", () => resolve(Boolean(customElements.get("llm-history"))));
    script.addEventListener("error", () => resolve(false));
    document.head.append(script);
  });
  return loading;
}
