// peersky://logs/: the log as api/logs streams it. An answer is one line from its start to its end; so is a download.

const { bytes, el, follow, request } = globalThis.PeerSky;

const MOST = 1000;
const OUTCOMES = {
  stop: "complete",
  length: "cut at its longest length",
  tool_calls: "asked for a tool",
  content_filter: "cut by the service",
  cancelled: "the page went away",
  stopped: "stopped",
  interrupted: "broke off",
  unreachable: "could not be reached",
  declined: "not allowed to leave this computer",
  done: "complete",
  paused: "paused",
};
const GOOD = new Set(["stop", "tool_calls", "done"]);
const WHO = { "command-line": "Command line" };
const COLUMNS = ["Time", "What", "Who", "Provider", "Model", "Tokens", "Speed", "First token", "Outcome"];

const kind = document.getElementById("kind");
const filter = document.getElementById("filter");
const content = document.getElementById("content");
const rows = document.getElementById("rows");
const problem = document.getElementById("problem");

let lines = [];

const counted = (count) => `${count} ${count === 1 ? "entry" : "entries"}`;
const groupOf = (entry) => /^(generation|download)-/.exec(entry.kind)?.[1] ?? "";
const seconds = (ms) => (ms == null ? "" : `${(ms / 1000).toFixed(2)} s`);

function speed(entry) {
  if (groupOf(entry) === "download") {
    return entry.bytes && entry.duration_ms ? `${bytes((entry.bytes * 1000) / entry.duration_ms)}/s` : "";
  }
  // From the first token on: what came before is the wait and the reading of the question.
  const writing = entry.duration_ms - entry.first_token_ms;
  return entry.output_tokens > 1 && entry.first_token_ms != null && writing > 0
    ? `${(((entry.output_tokens - 1) * 1000) / writing).toFixed(1)} per second`
    : "";
}

function whatOf(entry) {
  return { generation: "Answer", download: "Download" }[groupOf(entry)] ?? entry.kind;
}

// The cells of a line, in the order of the columns.
function cells(entry) {
  const running = entry.kind.endsWith("-start");
  const amount =
    groupOf(entry) === "download"
      ? entry.bytes && bytes(entry.bytes)
      : entry.output_tokens != null && `${entry.input_tokens} in, ${entry.output_tokens} out`;
  const rest = groupOf(entry) ? "" : details(entry);
  return [
    new Date(entry.at).toLocaleTimeString(),
    whatOf(entry),
    WHO[entry.origin] ?? entry.origin ?? "",
    entry.provider ?? "",
    entry.model ?? "",
    amount || "",
    speed(entry),
    seconds(entry.first_token_ms),
    running ? "running…" : (OUTCOMES[entry.outcome] ?? entry.outcome ?? rest),
  ];
}

function details({ at: _at, kind: _kind, ...fields }) {
  return Object.entries(fields)
    .filter(([, value]) => value != null)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" · ");
}

function said(entry) {
  const asked = entry.asked?.join("\n\n");
  return [asked, entry.answered].filter(Boolean);
}

function isShown(entry) {
  const group = groupOf(entry);
  if (kind.value === "model" ? !group : kind.value && group !== kind.value) return false;
  const wanted = filter.value.trim().toLowerCase();
  return !wanted || [...cells(entry), ...said(entry)].join("\n").toLowerCase().includes(wanted);
}

function rowOf(entry) {
  const texts = cells(entry);
  const look = entry.outcome == null ? "" : GOOD.has(entry.outcome) ? "good" : "bad";
  const row = el(
    "tr",
    {},
    ...texts.map((text, index) => {
      const name = COLUMNS[index];
      const number = ["Tokens", "Speed", "First token"].includes(name) ? "number" : "";
      const look_ = name === "Outcome" ? look : name === "Time" ? "time" : number;
      return el("td", { "data-label": name, class: look_ || null }, text);
    }),
  );
  const quotes = said(entry);
  if (!quotes.length) return [row];
  const cell = el("td", { class: "wide", colspan: COLUMNS.length }, ...quotes.map((text) => el("p", { class: "said" }, text)));
  return [row, el("tr", {}, cell)];
}

function show() {
  const shown = lines.filter(isShown);
  rows.replaceChildren(...shown.toReversed().flatMap(rowOf));
  document.getElementById("empty").hidden = shown.length > 0;
  document.getElementById("count").textContent = `${shown.length} of ${counted(lines.length)}`;
}

// The end of something takes the place of its beginning.
function add(entry) {
  if (entry.kind.endsWith("-end")) {
    const begun = entry.kind.replace("-end", "-start");
    const start = lines.findLastIndex(
      (line) =>
        line.kind === begun &&
        line.number === entry.number &&
        line.provider === entry.provider &&
        line.model === entry.model,
    );
    if (start >= 0) {
      lines[start] = entry;
      return;
    }
  }
  lines.push(entry);
  lines = lines.slice(-MOST);
}

function take(value) {
  if (value.entry) {
    add(value.entry);
  } else {
    lines = [];
    for (const entry of value.entries) add(entry);
    content.checked = value.content;
    content.disabled = false;
  }
  show();
}

async function change(body) {
  problem.hidden = true;
  try {
    take(await request("/api/logs", body));
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

document.getElementById("clear").addEventListener("click", () => change({ action: "clear" }));
content.addEventListener("change", () => change({ action: "content", on: content.checked }));
kind.addEventListener("input", show);
filter.addEventListener("input", show);

document.getElementById("copy").addEventListener("click", () => {
  const shown = lines.filter(isShown);
  const text = [COLUMNS, ...shown.map((entry) => [entry.at, ...cells(entry).slice(1), ...said(entry)])]
    .map((line) => line.map((cell) => cell.replaceAll(/\s+/g, " ")).join("\t"))
    .join("\n");
  // A selection that is copied on a click is always allowed; the clipboard API asks the user for a permission first.
  const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  document.getElementById("copy").focus();
  document.getElementById("count").textContent = done ? `Copied ${counted(shown.length)}.` : "Copying did not work.";
});

follow("/api/logs", take);
