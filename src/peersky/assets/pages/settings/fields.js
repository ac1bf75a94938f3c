// Form fields out of declared settings: peersky://settings/api/settings says what each one is, this builds label,
// control, bounds and unit from it, and sends what the user changed.

const { el, request } = globalThis.PeerSky;

// Names for people; a setting without one is shown by its key.
const LABELS = {
  "browser.home": "Home page",
  "browser.searchURL": "Search address",
  "browser.colorScheme": "Colour scheme",
  "limits.parallel": "Answers at once",
  "limits.waiting": "Questions that wait",
  "limits.tokensPerMinute": "This computer: tokens a minute",
  "limits.tokensPerDay": "This computer: tokens a day",
  "limits.cloudTokensPerMinute": "Services: tokens a minute",
  "limits.cloudTokensPerDay": "Services: tokens a day",
  "llm.enabled": "Enable Local LLM API",
  "llm.baseURL": "Base URL",
  "llm.apiKey": "API Key",
  "llm.model": "Model Name",
  "llm.think": "Thinking",
  "llm.contextLength": "Context length",
  "llm.idleTimeout": "Idle time",
  "llm.hangTimeout": "Patience",
  "llm.parallel": "Answers at once",
  "llm.temperature": "Temperature",
  "llm.maxTokens": "Longest answer",
  "p2p.listen": "Who can reach this computer",
  "p2p.keepSharing": "Keep sharing",
  "p2p.hyper.bootstrap": "Hyper: first addresses, one on each line",
  "p2p.hyper.port": "Hyper: port",
  "p2p.ipfs.peers": "IPFS: fixed peers, one on each line",
  "p2p.ipfs.port": "IPFS: port",
  "p2p.ipfs.backend": "Served by",
  "p2p.ipfs.kuboRpc": "Address of Kubo",
  "p2p.dnsResolver": "Resolver for names",
  "p2p.cacheBytes": "Cache",
  "p2p.uploadLimit": "Upload limit",
  "p2p.downloadLimit": "Download limit",
  "p2p.lookupSeconds": "Looking for peers",
};
const CHOICES = {
  system: "As the system",
  light: "Light",
  dark: "Dark",
  "": "Automatic",
  off: "Off",
  on: "On",
  low: "A little",
  medium: "Medium",
  high: "Thoroughly",
  everywhere: "Peers everywhere",
  lan: "Peers on the local network",
  loopback: "Programs on this computer alone",
  nowhere: "Nobody",
  helia: "This browser (Helia)",
  kubo: "A Kubo daemon that runs already",
};
const UNITS = { s: "seconds", bytes: "MB", "bytes/s": "kB/s" };
// How many of a setting's own unit make one of the unit that is shown.
const SCALES = { bytes: 1_000_000, "bytes/s": 1000 };

const shownNumber = (setting, value) => value / (SCALES[setting.unit] ?? 1);

const idOf = (key) => key.replaceAll(".", "-");

function control(setting, common) {
  const { value } = setting;
  if (setting.type === "secret") {
    // Never filled: the page does not learn a secret, only whether there is one.
    return el("input", { ...common, type: "password", autocomplete: "off", spellcheck: "false" });
  }
  if (setting.type === "bool") {
    return el("input", { ...common, type: "checkbox", class: "switch", role: "switch", checked: value });
  }
  if (setting.choices?.length) {
    const options = setting.choices.map((choice) =>
      el("option", { value: choice, selected: choice === value }, CHOICES[choice] ?? choice),
    );
    return el("select", common, ...options);
  }
  if (setting.type === "list") {
    return el("textarea", { ...common, rows: Math.max(3, value.length + 1), spellcheck: "false" }, value.join("\n"));
  }
  if (setting.type === "int" || setting.type === "float") {
    const step = setting.type === "int" && !SCALES[setting.unit] ? 1 : "any";
    const shown = (number) => (number == null ? null : shownNumber(setting, number));
    const bounds = { min: shown(setting.minimum), max: shown(setting.maximum), step };
    return el("input", { ...common, ...bounds, type: "number", inputmode: "decimal", value: shown(value) });
  }
  const type = setting.form === "url" ? "url" : "text";
  return el("input", { ...common, type, value, spellcheck: "false", autocomplete: "off" });
}

function bounds(setting) {
  const said = [];
  if (setting.minimum != null && setting.maximum != null) {
    const [low, high] = [setting.minimum, setting.maximum].map((bound) => shownNumber(setting, bound).toLocaleString());
    // A bound that nobody comes near says nothing.
    if (!SCALES[setting.unit]) said.push(`From ${low} to ${high}.`);
    else if (setting.minimum > 0) said.push(`At least ${low}.`);
  }
  if (["int", "float"].includes(setting.type)) {
    said.push(`Default: ${shownNumber(setting, setting.default).toLocaleString()}.`);
  }
  return said.join(" ");
}

// The field of one setting, to be put into a form that `collect` reads.
export function field(setting) {
  const id = idOf(setting.key);
  const common = { id, name: setting.key, "aria-describedby": `${id}-hint ${id}-problem` };
  const input = control(setting, common);
  const unit = UNITS[setting.unit] ?? setting.unit;
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, LABELS[setting.key] ?? setting.key),
    unit ? el("div", { class: "with-unit" }, input, el("span", { class: "soft" }, unit)) : input,
    el("p", { id: `${id}-hint`, class: "hint" }, `${setting.description} ${bounds(setting)}`.trim()),
    el("p", { id: `${id}-problem`, class: "problem", hidden: true }),
  );
}

function read(setting, input) {
  switch (setting.type) {
    case "bool":
      return input.checked;
    case "int":
    case "float":
      // What is no number goes as a text, so that the answer names the setting. An empty field means the default.
      if (input.validity.badInput) return "no number";
      if (input.value === "") return null;
      return SCALES[setting.unit] ? Math.round(input.valueAsNumber * SCALES[setting.unit]) : input.valueAsNumber;
    case "list":
      return input.value.split("\n").map((line) => line.trim()).filter(Boolean);
    case "secret":
      // Empty: the stored one stays.
      return input.value.trim() || undefined;
    default:
      return input.value.trim();
  }
}

// What of these settings differs from what is stored.
export function collect(form, settings) {
  const changes = {};
  for (const setting of settings) {
    const input = form.elements[setting.key];
    if (!input) continue;
    const value = read(setting, input);
    if (JSON.stringify(value) !== JSON.stringify(setting.value)) changes[setting.key] = value;
  }
  return changes;
}

// Stores changes. Resolves with the reply; on a refusal marks the field at fault and resolves with null.
export async function save(form, changes, api = "/api/settings") {
  const result = form.querySelector("#result");
  clearProblems(form);
  if (Object.keys(changes).length === 0) {
    say(result, "Nothing was changed.", "");
    return null;
  }
  try {
    const reply = await request(api, { changes });
    say(result, "Saved.", "good");
    return reply;
  } catch (error) {
    say(result, error.message, "bad");
    markProblem(error);
    return null;
  }
}

export function showNotices(notices) {
  const list = document.getElementById("notices");
  list.replaceChildren(...notices.map((text) => el("li", { class: "note warn" }, text)));
  list.hidden = notices.length === 0;
}

export function say(result, text, look) {
  result.textContent = text;
  result.className = look;
}

export function clearProblems(form) {
  for (const problem of form.querySelectorAll(".problem")) problem.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

// Puts an error beside the field it belongs to, and the focus there. Tells whether there is such a field.
export function markProblem(error) {
  const problem = error.param && document.getElementById(`${idOf(error.param)}-problem`);
  if (!problem) return false;
  problem.textContent = error.message;
  problem.hidden = false;
  problem.closest("details")?.setAttribute("open", "");
  const input = document.getElementById(idOf(error.param));
  input?.setAttribute("aria-invalid", "true");
  input?.focus();
  return true;
}
