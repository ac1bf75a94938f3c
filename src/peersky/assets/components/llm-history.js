/*
 * <llm-history>: the conversations that a page keeps in window.llmMemory, as a list with search, renaming, pinning and
 * deleting. A classic script, since modules of another host do not load:
 *
 *     <script src="peersky://p2p/components/llm-history.js"></script>
 *     <llm-history app-id="notes" limit="100"></llm-history>
 *
 * Attributes: app-id (only this app's), limit (the newest so many), mode ("sessions", or "entries": every message),
 * current (the session that is open), readonly (nothing can be changed).
 * Events: select-session {sessionId, appId, entries}, select-entry {sessionId, entries}; and session-deleted,
 * session-renamed {sessionId, appId}. Methods: refresh().
 *
 * It shows what window.llmMemory (inject/memory.js) gives to the page that it stands in, and has no rights of its own. All
 * text is set as text. Colours follow the custom properties --text, --text-soft, --surface, --line, --line-strong,
 * --accent, --accent-soft and --bad, where the page has them.
 */

(() => {
  if (customElements.get("llm-history")) return;

  const STYLE = `
    :host { display: block; min-width: 0; color: var(--text, CanvasText); font: inherit; }
    * { box-sizing: border-box; }
    [hidden] { display: none !important; }
    p { margin: 0.5rem 0; color: var(--text-soft, inherit); font-size: 0.9rem; }
    a { color: var(--accent, LinkText); }
    ul { display: grid; gap: 0.125rem; margin: 0; padding: 0; list-style: none; }
    input {
      width: 100%; min-height: 2.5rem; padding: 0.35rem 0.75rem; border: 1px solid var(--line-strong, GrayText);
      border-radius: 0.6rem; background: var(--surface, Field); color: inherit; font: inherit; font-size: 0.95rem;
    }
    ::placeholder { color: var(--text-soft, GrayText); opacity: 1; }
    .search { margin-bottom: 0.5rem; }
    button { border: 0; background: none; color: inherit; font: inherit; text-align: start; cursor: pointer; }
    :focus-visible { outline: 3px solid var(--accent, Highlight); outline-offset: -1px; }
    li { position: relative; border-radius: 0.6rem; }
    li:hover, li:focus-within { background: var(--accent-soft, rgb(128 128 128 / 12%)); }
    li[aria-current] {
      background: var(--accent-soft, rgb(128 128 128 / 20%)); box-shadow: inset 3px 0 var(--accent, Highlight);
    }
    .open { display: grid; width: 100%; min-height: 2.75rem; padding: 0.35rem 0.75rem; border-radius: inherit; }
    .title {
      overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: plaintext; font-size: 0.95rem;
    }
    li[aria-current] .title { font-weight: 650; }
    .when { color: var(--text-soft, inherit); font-size: 0.8rem; }
    .tools { display: none; flex-wrap: wrap; gap: 0.25rem; padding: 0 0.4rem 0.4rem; }
    li:focus-within .tools, li:hover .tools, li.asking .tools { display: flex; }
    .tools button {
      min-height: 1.9rem; padding: 0.15rem 0.6rem; border: 1px solid var(--line, GrayText); border-radius: 1rem;
      background: var(--surface, Canvas); color: var(--text-soft, inherit); font-size: 0.8rem; font-weight: 600;
    }
    .tools button:hover { color: var(--text, inherit); border-color: var(--accent, Highlight); }
    .tools .bad { color: var(--bad, inherit); }
    @media (hover: none) { .tools { display: flex; } }
  `;
  const PATIENCE_MS = 250;
  const MOST = 200;

  function made(name, properties = {}, ...children) {
    const { className = "", ...rest } = properties;
    const element = document.createElement(name);
    if (className) element.className = className;
    for (const [key, value] of Object.entries(rest)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  function whenText(ts) {
    const date = new Date(ts);
    if (Number.isNaN(date.valueOf())) return "";
    const isToday = date.toDateString() === new Date().toDateString();
    return isToday
      ? date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })
      : date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
  }

  class LlmHistory extends HTMLElement {
    static observedAttributes = ["app-id", "limit", "mode", "current", "readonly"];

    #root = this.attachShadow({ mode: "open" });
    #search = made("input", {
      type: "search", className: "search", "aria-label": "Search the conversations", placeholder: "Search",
      oninput: () => this.#refreshSoon(),
    });
    #said = made("p", { role: "status" });
    #list = made("ul", { "aria-label": "Conversations", onkeydown: (event) => this.#onKey(event) });
    #timer = 0;
    #turn = 0;
    #latest = Promise.resolve();

    constructor() {
      super();
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      this.#root.adoptedStyleSheets = [sheet];
      this.#root.append(this.#search, this.#said, this.#list);
    }

    connectedCallback() {
      document.addEventListener("visibilitychange", this.#onVisible);
      this.refresh();
    }

    disconnectedCallback() {
      document.removeEventListener("visibilitychange", this.#onVisible);
      clearTimeout(this.#timer);
    }

    attributeChangedCallback(name) {
      if (!this.isConnected) return;
      if (name === "current") this.#markCurrent();
      else this.#refreshSoon(0);
    }

    #onVisible = () => {
      if (!document.hidden) this.#refreshSoon(0);
    };

    #refreshSoon(wait = PATIENCE_MS) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.refresh(), wait);
    }

    get #options() {
      const limit = Number.parseInt(this.getAttribute("limit") ?? "", 10);
      return { appId: this.getAttribute("app-id") ?? "", limit: limit > 0 ? limit : MOST };
    }

    /** Shows what is kept now. Resolves when it is shown. */
    refresh() {
      clearTimeout(this.#timer);
      this.#turn += 1;
      this.#latest = this.#load(this.#turn);
      return this.#latest;
    }

    async #load(turn) {
      const memory = window.llmMemory;
      let rows = [];
      let sentence = "";
      try {
        if (!memory) sentence = "This page cannot keep conversations here.";
        else if (!(await memory.isEnabled())) sentence = "off";
        else rows = await (this.getAttribute("mode") === "entries" ? this.#entryRows(memory) : this.#sessionRows(memory));
      } catch (error) {
        sentence = error.message;
      }
      // A later call may have been answered sooner, or will show more than this one.
      if (turn === this.#turn) this.#show(rows, sentence);
      else await this.#latest;
    }

    async #sessionRows(memory) {
      const { appId, limit } = this.#options;
      const search = this.#search.value.trim();
      const sessions = await memory.listSessions({ appId });
      // The title is the first question, or a name that stands in no message.
      const found = search ? new Set((await memory.list({ appId, search })).map(keyOf)) : null;
      const folded = search.toLocaleLowerCase();
      const fitting = sessions.filter((one) => !found || found.has(keyOf(one)) || one.title.toLocaleLowerCase().includes(folded));
      const sorted = fitting.sort((a, b) => Number(b.pinned) - Number(a.pinned));
      return sorted.slice(0, limit).map((one) => this.#sessionRow(one));
    }

    async #entryRows(memory) {
      const { appId, limit } = this.#options;
      const entries = await memory.list({ appId, limit, search: this.#search.value.trim() });
      return entries.reverse().map((entry) => {
        const { sessionId, role, content, ts } = entry;
        const open = this.#opener(content.slice(0, 200), `${role} · ${whenText(ts)}`, async () => {
          this.#tell("select-entry", { sessionId, entries: await memory.list({ appId: entry.appId, sessionId }) });
        });
        return this.#row(entry, open);
      });
    }

    #row({ sessionId, appId }, ...children) {
      const row = made("li", {}, ...children);
      row.dataset.session = sessionId;
      row.dataset.app = appId;
      return row;
    }

    #opener(title, when, onclick) {
      const label = made("span", { className: "title" }, title || "Without a title");
      const open = made("button", { type: "button", className: "open", title: title.slice(0, 200) }, label);
      open.append(made("span", { className: "when" }, when));
      open.addEventListener("click", () => this.#trying(onclick));
      return open;
    }

    #sessionRow(session) {
      const { sessionId, appId, title, ts, pinned } = session;
      const open = this.#opener(title, `${pinned ? "Pinned · " : ""}${whenText(ts)}`, async () => {
        const entries = await window.llmMemory.list({ appId, sessionId });
        this.#tell("select-session", { sessionId, appId, entries });
      });
      const row = this.#row(session, open);
      if (this.hasAttribute("readonly")) return row;
      open.setAttribute("aria-keyshortcuts", "F2 Delete");
      const tool = (label, act, className = "") =>
        made("button", { type: "button", className, "aria-label": `${label}: ${title}`, onclick: act }, label);
      row.append(made("div", { className: "tools" },
        tool("Rename", () => this.#rename(row, session)),
        tool(pinned ? "Unpin" : "Pin", () => this.#change(session, { pinned: !pinned })),
        tool("Delete", () => this.#askDelete(row, session), "bad")));
      row.addEventListener("keydown", (event) => {
        if (event.target !== open) return;
        const act = { F2: () => this.#rename(row, session), Delete: () => this.#askDelete(row, session) }[event.key];
        if (!act) return;
        event.preventDefault();
        act();
      });
      return row;
    }

    #show(rows, sentence) {
      const active = this.#root.activeElement?.closest("li")?.dataset.session;
      this.#list.replaceChildren(...rows);
      this.#search.hidden = sentence !== "";
      this.#said.replaceChildren(...this.#words(rows, sentence));
      this.#said.hidden = !this.#said.childNodes.length;
      this.#markCurrent();
      const again = rows.find(({ dataset }) => dataset.session === active) ?? null;
      if (again) again.querySelector(".open").focus();
      this.#rove(again ?? rows.find((row) => row.hasAttribute("aria-current")) ?? rows[0]);
    }

    #words(rows, sentence) {
      if (sentence === "off") {
        // The one settings page that every trusted page may open leads on to the other.
        const href = location.protocol === "peersky:" ? "peersky://settings/memory" : "peersky://settings/llm";
        const link = made("a", { href, target: "_top" }, "Turn memory on");
        return ["Conversations are not kept. ", link, " to find them here."];
      }
      if (sentence) return [sentence];
      if (rows.length) return [];
      return [this.#search.value.trim() ? "Nothing was found." : "Nothing is kept yet."];
    }

    #markCurrent() {
      const current = this.getAttribute("current");
      for (const row of this.#list.children) {
        if (current && row.dataset.session === current) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
    }

    // One row at a time is on the way of the Tab key; arrows lead to the others.
    #rove(active) {
      for (const row of this.#list.children) {
        for (const button of row.querySelectorAll("button")) button.tabIndex = row === active ? 0 : -1;
      }
    }

    #onKey(event) {
      const row = event.target.closest("li");
      if (!row || event.target.matches("input")) return;
      const rows = [...this.#list.children];
      const at = rows.indexOf(row);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
      const next = rows[to];
      if (!next) return;
      event.preventDefault();
      this.#rove(next);
      next.querySelector("button").focus();
    }

    #rename(row, session) {
      const open = row.querySelector(".open");
      const field = made("input", { "aria-label": "New name", maxlength: "200" });
      field.value = session.title;
      const end = async (isWanted) => {
        if (!field.isConnected) return;
        const title = field.value.trim();
        field.replaceWith(open);
        open.focus();
        if (isWanted && title !== session.title) await this.#change(session, { title });
      };
      field.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Enter" && !event.isComposing) end(true);
        else if (event.key === "Escape") end(false);
      });
      field.addEventListener("blur", () => end(true));
      open.replaceWith(field);
      field.select();
    }

    async #change(session, changes) {
      await this.#trying(async () => {
        const { sessionId, appId } = session;
        await window.llmMemory.updateSession({ sessionId, appId }, changes);
        if ("title" in changes) this.#tell("session-renamed", { sessionId, appId });
      });
      await this.refresh();
    }

    #askDelete(row, session) {
      if (row.classList.contains("asking")) return;
      const tools = row.querySelector(".tools");
      const before = [...tools.childNodes];
      const keep = () => {
        row.classList.remove("asking");
        tools.removeEventListener("keydown", onKey);
        tools.replaceChildren(...before);
        row.querySelector(".open").focus();
      };
      const onKey = (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        keep();
      };
      const really = made("button", { type: "button", className: "bad", onclick: () => this.#delete(row, session) });
      really.append("Delete for good");
      row.classList.add("asking");
      tools.replaceChildren(really, made("button", { type: "button", onclick: keep }, "Keep"));
      tools.addEventListener("keydown", onKey);
      really.focus();
    }

    async #delete(row, { sessionId, appId }) {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      await this.#trying(async () => {
        await window.llmMemory.clear({ sessionId, appId });
        (next?.querySelector(".open") ?? this.#search).focus();
        this.#tell("session-deleted", { sessionId, appId });
      });
      await this.refresh();
    }

    async #trying(act) {
      try {
        await act();
      } catch (error) {
        this.#said.textContent = error.message;
        this.#said.hidden = false;
      }
    }

    #tell(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
    }
  }

  const keyOf = ({ appId, sessionId }) => JSON.stringify([appId, sessionId]);

  customElements.define("llm-history", LlmHistory);
})();
