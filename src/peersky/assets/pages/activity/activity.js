// peersky://activity/: who asked for what, by api/activity, which also tells by a stream when there is something new;
// api/activity-export is the file.

const { el, follow, request } = globalThis.PeerSky;

const at = (id) => document.getElementById(id);
const WHO = { "command-line": "Command line" };
const COLUMNS = ["Time", "Who", "What", "Outcome", "Details"];
const WHAT = {
  "llm question": "Asked the model",
  "llm embeddings": "Asked the model for vectors",
  "llm status": "Looked for the model",
  "llm prompt": "Whether it may ask your model",
  "cloud prompt": "Whether its questions may go to a service",
  "memory read": "Read its conversations",
  "memory write": "Kept a conversation",
  "memory clear": "Deleted its conversations",
  "memory prompt": "Whether it may keep conversations",
  "publish prompt": "Whether it may publish",
  "publish create": "Made a drive or a name",
  "publish forget": "Deleted a name",
  "publish write": "Changed what it publishes",
  "publish signal": "Sent a message to peers",
  "publish add": "Published",
  "publish unpin": "Stopped sharing",
};
const OUTCOMES = {
  allowed: "allowed",
  stop: "complete",
  length: "cut at its longest length",
  tool_calls: "asked for a tool",
  content_filter: "cut by the service",
  cancelled: "the page went away",
  stopped: "stopped",
  interrupted: "broke off",
  unreachable: "could not be reached",
  declined: "you said no",
  not_trusted: "not trusted",
  no_stamp: "a worker asked",
  blocked_by_user: "you blocked it",
  llm_disabled: "local AI is off",
  queue_full: "too many questions waited",
  tokens_per_minute: "over its limit of a minute",
  tokens_per_day: "over its limit of a day",
  not_writable: "not its own",
};
const GOOD = new Set(["allowed", "stop", "tool_calls"]);

let entries = [];
let asked = 0;
let waiting = null;

const DETAILS = {
  service: (value) => value,
  model: (value) => value,
  address: (value) => value,
  inputTokens: (value, { outputTokens }) => `${value.toLocaleString()} + ${outputTokens.toLocaleString()} tokens`,
  seconds: (value) => `${value.toLocaleString()} s`,
  cost: (value) => `${value.toLocaleString(undefined, { maximumFractionDigits: 6 })} credits`,
};

function detailsOf({ details, top }) {
  const parts = Object.entries(DETAILS)
    .filter(([name]) => details[name] != null && details[name] !== "")
    .map(([name, say]) => say(details[name], details));
  return [top && `in ${top}`, ...parts].filter(Boolean).join(" · ");
}

function rowsOf(entry) {
  const { origin, capability, action, outcome, refused, count, details } = entry;
  const what = WHAT[`${capability} ${action}`] ?? `${capability} ${action}`;
  const cells = [
    new Date(entry.at).toLocaleString(),
    WHO[origin] ?? origin,
    count > 1 ? `${what} (${count.toLocaleString()} times)` : what,
    OUTCOMES[outcome] ?? outcome,
    detailsOf(entry),
  ];
  const look = refused || !GOOD.has(outcome) ? "bad" : "good";
  const row = el(
    "tr",
    {},
    ...cells.map((text, index) =>
      el("td", { "data-label": COLUMNS[index], class: { Time: "time", Outcome: look }[COLUMNS[index]] }, text),
    ),
  );
  const quotes = [details.asked?.join("\n\n"), details.answered].filter(Boolean);
  if (!quotes.length) return [row];
  const said = quotes.map((text) => el("p", { class: "said" }, text));
  return [row, el("tr", {}, el("td", { class: "wide", colspan: COLUMNS.length }, ...said))];
}

function show({ more, content }) {
  at("rows").replaceChildren(...entries.flatMap(rowsOf));
  at("empty").hidden = entries.length > 0;
  at("more").hidden = !more;
  at("count").textContent = `${entries.length.toLocaleString()}${more ? " or more" : ""} ${entries.length === 1 ? "line" : "lines"}`;
  at("content").checked = content;
  at("content").disabled = false;
}

function query(before) {
  return new URLSearchParams({
    search: at("filter").value.trim(),
    capability: at("capability").value,
    outcome: at("outcome").value,
    before: String(before),
  });
}

// Asks for the newest lines, or for those that come after the ones that are shown.
async function load(before = 0) {
  const number = ++asked;
  at("problem").hidden = true;
  try {
    const reply = await request(`/api/activity?${query(before)}`);
    if (number !== asked) return;
    entries = before ? [...entries, ...reply.entries] : reply.entries;
    show(reply);
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}

function loadSoon(wait = 150) {
  clearTimeout(waiting);
  waiting = setTimeout(load, wait);
}

async function change(body) {
  try {
    await request("/api/activity", body);
  } catch (error) {
    fail(error);
    return;
  }
  await load();
}

for (const id of ["capability", "outcome"]) at(id).addEventListener("input", () => load());
at("filter").addEventListener("input", () => loadSoon());
at("more").addEventListener("click", () => load(entries.at(-1).id));
at("content").addEventListener("change", () => change({ action: "content", on: at("content").checked }));
at("clear").addEventListener("click", () => at("confirm").showModal());
at("confirm").querySelector("form").addEventListener("submit", ({ submitter }) => {
  if (submitter?.value === "clear") change({ action: "clear" });
});

at("export").addEventListener("click", async () => {
  try {
    const reply = await fetch("/api/activity-export");
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    const url = URL.createObjectURL(await reply.blob());
    const link = el("a", { href: url, download: "peersky-activity.json" });
    link.click();
    // The download has its own hold on the data once it has begun.
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    fail(error);
  }
});

// Tells at once, and at each change. Whoever reads on below is not thrown back to the top.
follow("/api/activity", () => {
  if (entries.length <= 200) loadSoon(asked ? 500 : 0);
});
