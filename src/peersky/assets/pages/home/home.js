// The home page's half of the conversation with peersky://home/api/: shows what state local AI is in (llm-status)
// turns it on with the built-in model when the user says so (llm-enable), lets a crashed engine start again, and tells
// of a download that runs (downloads). Apps and sites that the user pinned come from pinned, their icons from app-icon.

const { duration, el, follow, request } = globalThis.PeerSky;

const STARTER = "peersky-starter";
const STARTER_NOTE =
  "The built-in starter model is a small demonstration: it shows that this computer can answer without a network. " +
  "For real work, choose a larger model in the settings.";

const parts = Object.fromEntries(
  ["ai", "state", "text", "note", "problem", "download", "enable", "restart", "chat"].map((name) => [
    name,
    document.getElementById(name === "ai" ? "ai" : `ai-${name}`),
  ]),
);

function show({ state, look, text, note, action }) {
  parts.state.textContent = state;
  parts.state.className = `pill ${look}`.trim();
  parts.text.textContent = text;
  parts.note.textContent = note ?? "";
  parts.note.hidden = !note;
  parts.enable.hidden = action !== "enable";
  parts.restart.hidden = action !== "restart";
  parts.chat.hidden = action !== "chat";
  parts.problem.hidden = true;
  parts.ai.setAttribute("aria-busy", "false");
}

function showStatus(status) {
  const where =
    status.isLocal !== false
      ? `${status.model} answers on this computer.`
      : `${status.model} answers, and your questions go to ${status.host}.`;
  const note = status.model === STARTER ? STARTER_NOTE : "";
  const ownModel = status.provider === "builtin" && status.model && status.model !== STARTER;
  const local = status.isLocal !== false;
  if (status.enabled && status.supported && status.backEnd.state === "crash_loop") {
    show({ state: "Stopped", look: "warn", text: status.backEnd.sentence, action: "restart" });
  } else if (status.enabled && status.supported) {
    show({ state: "On", look: local ? "on" : "warn", text: where, note, action: "chat" });
  } else if (status.enabled) {
    const text =
      "It is switched on, but the model that the settings name cannot answer here. " +
      "One click takes the built-in model instead.";
    parts.enable.textContent = "Use the built-in model now";
    show({ state: "No model", look: "warn", text, note: STARTER_NOTE, action: "enable" });
  } else {
    parts.enable.textContent = ownModel ? "Turn local AI on" : "Use the built-in model now";
    const text = ownModel
      ? `No page can use a model. One click turns it on again; ${status.model} then answers on this computer.`
      : "No page can use a model. One click turns it on: pages that you trust can then ask a model that runs " +
        "on this computer, without a network.";
    show({ state: "Off", look: "", text, note: ownModel ? "" : STARTER_NOTE, action: "enable" });
  }
}

function showDownloads({ downloads }) {
  const running = downloads.find(({ state }) => ["queued", "running", "verifying"].includes(state));
  const interrupted = downloads.find(({ interrupted: was }) => was);
  if (running) {
    const { model, percent, secondsLeft } = running;
    const said = [percent == null ? "" : `${Math.floor(percent)} %`, secondsLeft == null ? "" : `${duration(secondsLeft)} left`];
    parts.download.textContent = [`Downloading ${model}`, ...said.filter(Boolean)].join(" · ");
  } else if (interrupted) {
    parts.download.textContent = `The download of ${interrupted.model} was interrupted; you can go on with it in the settings.`;
  }
  parts.download.hidden = !running && !interrupted;
  // A model that was waited for may answer now.
  if (!running && showDownloads.ran) refresh();
  showDownloads.ran = Boolean(running);
}

function showProblem(error) {
  parts.problem.textContent = error.message;
  parts.problem.hidden = false;
  parts.ai.setAttribute("aria-busy", "false");
}

async function refresh() {
  try {
    showStatus(await request("/api/llm-status"));
  } catch (error) {
    showProblem(error);
  }
}

function onClick(button, path) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      showStatus(await request(path, {}));
      if (!parts.chat.hidden) parts.chat.focus();
    } catch (error) {
      showProblem(error);
    } finally {
      button.disabled = false;
    }
  });
}

onClick(parts.enable, "/api/llm-enable");
// After it crashed again and again, the engine waits for a person to say so.
onClick(parts.restart, "/api/llm-status");

function pinnedTile({ url, name, description, icon }) {
  const picture = icon
    ? el("img", { src: icon, alt: "" })
    : el("span", { class: "letter", "aria-hidden": "true" }, [...name][0].toUpperCase());
  const text = description || url;
  return el("li", {}, el("a", { class: "tile", href: url }, picture, el("strong", {}, name), el("span", {}, text)));
}

async function refreshPinned() {
  try {
    const { pinned } = await request("/api/pinned");
    document.getElementById("pinned").hidden = pinned.length === 0;
    document.getElementById("pinned-list").replaceChildren(...pinned.map(pinnedTile));
  } catch (error) {
    showProblem(error);
  }
}

// The settings may have changed in another tab, and so may what is pinned.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  refresh();
  refreshPinned();
});
refresh();
refreshPinned();
follow("/api/downloads", showDownloads);
