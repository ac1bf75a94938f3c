// peersky://settings/memory: switches memory on and off, shows how much is kept, exports and deletes it. Reads and writes
// api/settings (the switch) and api/memory; api/memory-export is the file.

import { showNotices } from "./fields.js";

const { bytes, request } = globalThis.PeerSky;

const KEY = "llm.memoryEnabled";
const main = document.getElementById("main");
const enabled = document.getElementById("enabled");
const kept = document.getElementById("kept");
const exporting = document.getElementById("export");
const reset = document.getElementById("reset");
const result = document.getElementById("result");
const dialog = document.getElementById("confirm");

function amount({ entries, bytes: size }) {
  if (entries === 0) return "Nothing is kept.";
  return `${entries.toLocaleString()} ${entries === 1 ? "message" : "messages"}, ${bytes(size)}.`;
}

function show(state) {
  enabled.checked = state.enabled;
  enabled.disabled = false;
  kept.textContent = amount(state);
  exporting.disabled = state.entries === 0;
  // What a damaged file left behind is deleted, too.
  reset.disabled = state.entries === 0 && state.notices.length === 0;
  document.getElementById("confirm-text").textContent =
    `This deletes every conversation that any page or app keeps on this computer. ${amount(state)} It cannot be undone.`;
  showNotices(state.notices);
  main.setAttribute("aria-busy", "false");
}

function say(text, look) {
  result.textContent = text;
  result.className = `note ${look}`;
  result.hidden = false;
}

// Runs what a control does; whatever goes wrong is said, and the page shows what is true then.
async function act(work) {
  result.hidden = true;
  try {
    await work();
  } catch (error) {
    say(error.message, "bad");
  }
  await refresh();
}

async function refresh() {
  try {
    show(await request("/api/memory"));
  } catch (error) {
    kept.textContent = error.message;
  }
}

enabled.addEventListener("change", () =>
  act(() => request("/api/settings", { changes: { [KEY]: enabled.checked } })),
);

exporting.addEventListener("click", () =>
  act(async () => {
    const reply = await fetch("/api/memory-export");
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    const url = URL.createObjectURL(await reply.blob());
    const link = document.createElement("a");
    link.href = url;
    link.download = "peersky-memory.json";
    link.click();
    // The download has its own hold on the data once it has begun.
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }),
);

reset.addEventListener("click", () => dialog.showModal());

// Its buttons close the dialog by themselves, and so does Escape.
dialog.querySelector("form").addEventListener("submit", ({ submitter }) => {
  if (submitter?.value !== "reset") return;
  act(async () => {
    await request("/api/memory", { action: "reset" });
    say("All conversations were deleted.", "good");
  });
});

// Pages may have added to it, and another tab may have switched it.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
