// Downloads of models, as api/downloads streams them to every tab: progress, and what can be done with each.

const { bytes, duration, el, follow, request } = globalThis.PeerSky;

const RUNNING = new Set(["queued", "running", "verifying"]);

export function progressInWords(download) {
  const { state, percent, completedBytes, totalBytes, bytesPerSecond, secondsLeft } = download;
  const said = [];
  if (percent != null) said.push(`${Math.floor(percent)} %`);
  if (totalBytes) said.push(`${bytes(completedBytes)} of ${bytes(totalBytes)}`);
  if (state === "running" && bytesPerSecond) said.push(`${bytes(bytesPerSecond)}/s`);
  if (state === "running" && secondsLeft != null) said.push(`${duration(secondsLeft)} left`);
  return said.join(" · ");
}

function stateInWords({ state, status, message, interrupted }) {
  if (state === "failed") return message;
  if (state === "done") return `${status}.`;
  if (interrupted) return "Was interrupted when PeerSky closed. Resume it to go on where it stopped.";
  return { paused: "Paused.", queued: "Waits for its turn.", verifying: "Checking what arrived…" }[state] ?? status;
}

function pendingInWords({ model, download }, downloads) {
  const failed = downloads.some(({ id, state }) => id === download && state === "failed");
  return failed
    ? `${model} is not here, so nothing changed.`
    : `As soon as ${model} is here, it answers. Until then nothing changes.`;
}

// One download. Its elements stay while it changes, so that the focus stays, too.
class Row {
  #buttons = {};
  #name = el("strong");
  #state = el("span", { role: "status" });
  #amount = el("span", { class: "soft small" });
  #bar = el("progress", { max: 100 });

  constructor(id, steer) {
    const button = (action, label) => {
      this.#buttons[action] = el("button", { class: "button", type: "button", onclick: () => steer(action, id) }, label);
      return this.#buttons[action];
    };
    this.element = el(
      "li",
      { class: "row" },
      el("div", { class: "row-text" }, this.#name, this.#bar, this.#amount, this.#state),
      el(
        "div",
        { class: "actions" },
        button("pause", "Pause"),
        button("resume", "Resume"),
        button("cancel", "Cancel"),
        button("dismiss", "Remove from the list"),
      ),
    );
  }

  show(download) {
    const { model, state, percent } = download;
    const running = RUNNING.has(state);
    this.#name.textContent = model;
    this.#bar.hidden = state === "done" || state === "failed";
    this.#bar.setAttribute("aria-label", `Download of ${model}`);
    if (percent == null) this.#bar.removeAttribute("value");
    else this.#bar.value = percent;
    this.#amount.textContent = progressInWords(download);
    const words = stateInWords(download);
    if (this.#state.textContent !== words) this.#state.textContent = words;
    this.#state.className = state === "failed" ? "bad" : "soft small";
    this.#buttons.resume.textContent = state === "failed" ? "Try again" : "Resume";
    this.#buttons.cancel.textContent = state === "failed" ? "Remove" : "Cancel";
    const shown = {
      pause: running,
      resume: state === "paused" || state === "failed",
      cancel: state !== "done",
      dismiss: state === "done",
    };
    const focused = Object.values(this.#buttons).includes(document.activeElement);
    for (const [action, button] of Object.entries(this.#buttons)) {
      button.hidden = !shown[action];
      button.setAttribute("aria-label", `${button.textContent}: ${model}`);
    }
    // The button under the user's hand may have gone: its neighbour is what they look for next.
    if (focused && document.activeElement.hidden) {
      Object.values(this.#buttons)
        .find((button) => !button.hidden)
        ?.focus();
    }
  }
}

export class DownloadsPart {
  #rows = new Map();
  #list = document.getElementById("download-list");
  #pending = document.getElementById("pending");
  #over = new Set();

  // `changed` is called when a download has ended (with true) or another choice waits for one, since another model may
  // answer then.
  constructor(changed) {
    this.changed = changed;
    this.before = null;
    follow("/api/downloads", (now) => this.show(now));
  }

  // Whether a download is done or has failed, as far as is known.
  isOver(id) {
    return this.#over.has(id);
  }

  show({ downloads, pending }) {
    const ids = new Set(downloads.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    for (const download of downloads) {
      if (!this.#rows.has(download.id)) {
        const row = new Row(download.id, (action, id) => this.#steer(action, id));
        this.#rows.set(download.id, row);
        this.#list.append(row.element);
      }
      this.#rows.get(download.id).show(download);
    }
    document.getElementById("downloads").hidden = downloads.length === 0;
    const words = pending ? pendingInWords(pending, downloads) : "";
    if (this.#pending.textContent !== words) this.#pending.textContent = words;
    this.#pending.hidden = !pending;
    const over = downloads.filter(({ state }) => state === "done" || state === "failed");
    const now = { ended: JSON.stringify(over.map(({ id, state }) => [id, state])), pending: JSON.stringify(pending) };
    this.#over = new Set(over.map(({ id }) => id));
    const { before } = this;
    this.before = now;
    if (!before || (before.ended === now.ended && before.pending === now.pending)) return;
    this.changed(before.ended !== now.ended);
  }

  async #steer(action, id) {
    try {
      this.show(await request("/api/downloads", { action, id }));
    } catch (error) {
      this.#pending.textContent = error.message;
      this.#pending.hidden = false;
    }
  }
}
