// peersky://settings/sites: what each site may do, used, and may use, by api/sites; the allowlist and the limits of every
// site are settings, by api/settings.

import { clearProblems, collect, field, markProblem, say, showNotices } from "./fields.js";

const { el, request } = globalThis.PeerSky;

const at = (id) => document.getElementById(id);
const LIST = "trust.allowlist";
const RIGHTS = {
  llm: "Ask your model",
  memory: "Keep conversations",
  publish: "Publish",
  cloud: "Send questions to services",
};
const CHOICES = {
  "": "As usual",
  allow: "Allow",
  "allow-now": "Allow until PeerSky closes",
  ask: "Ask me",
  block: "Block",
  "block-now": "Block until PeerSky closes",
};
const ANSWERS = { yes: "allowed", ask: "asks first", no: "not allowed" };
const LIMITS = {
  parallel: "Answers at once",
  waiting: "Questions that wait",
  tokensPerMinute: "Tokens a minute, this computer",
  tokensPerDay: "Tokens a day, this computer",
  cloudTokensPerMinute: "Tokens a minute, services",
  cloudTokensPerDay: "Tokens a day, services",
};

let state = { sites: [], allowlist: [], limits: {} };
let settings = [];
const open = new Set();

const number = (value) => value.toLocaleString();
const tokensOf = ({ inputTokens, outputTokens }) => inputTokens + outputTokens;

function usedText({ today, month }) {
  if (!month.requests) return "Has not used your model in the last 30 days.";
  if (!today.requests) return "Has not used your model today.";
  return `Today: ${number(today.requests)} ${today.requests === 1 ? "question" : "questions"}, ${number(tokensOf(today))} tokens`;
}

// --- one site

function badge({ rights, origin, listed }) {
  const decided = Object.values(rights);
  if (decided.every(({ decision, declined }) => decision === "block" && !declined)) {
    return el("span", { class: "badge bad" }, "Blocked");
  }
  if (decided.some(({ decision }) => decision === "block")) return el("span", { class: "badge" }, "Partly blocked");
  // Its rights were taken from it by taking it off the list.
  const isWeb = /^https?:/.test(origin) && !/^http:\/\/localhost(:\d+)?$/.test(origin);
  return isWeb && !listed ? el("span", { class: "badge" }, "Not listed") : null;
}

function rightField(site, capability) {
  const { decision, forGood, declined, answer } = site.rights[capability];
  const chosen = decision ? (forGood ? decision : `${decision}-now`) : "";
  const id = `${capability} ${site.origin}`;
  const options = Object.entries(CHOICES)
    .filter(([value]) => value !== "ask-now")
    .map(([value, label]) =>
      el(
        "option",
        { value, selected: value === chosen },
        value ? label : decision ? label : `${label} (${ANSWERS[answer]})`,
      ),
    );
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, RIGHTS[capability]),
    el(
      "select",
      {
        id,
        onchange: ({ target }) => {
          const [value, now] = target.value.split("-");
          act({ action: "decide", origin: site.origin, capability, decision: value || null, forGood: !now });
        },
      },
      ...options,
    ),
    declined ? el("p", { class: "hint" }, "You said no when you were asked.") : null,
  );
}

function services(site) {
  const single = Object.entries(site.rights).flatMap(([capability, right]) =>
    right.services.map((one) => ({ capability, ...one })),
  );
  if (!single.length) return null;
  return el(
    "ul",
    { class: "services", "aria-label": `Services of ${site.origin}` },
    ...single.map(({ capability, service, decision, forGood }) =>
      el(
        "li",
        {},
        el("span", {}, `${decision === "allow" ? "May" : "May not"} ask ${service}${forGood ? "" : ", until PeerSky closes"}`),
        el(
          "button",
          {
            id: `${capability} ${service} ${site.origin}`,
            class: "button",
            type: "button",
            "aria-label": `Ask again: ${service}, for ${site.origin}`,
            onclick: () =>
              act({ action: "decide", origin: site.origin, capability, service, decision: null }, `cloud ${site.origin}`),
          },
          "Ask again",
        ),
      ),
    ),
  );
}

function usage({ today, month }) {
  const whole = (name) => [today, month].map((used) => number(Math.round(used[name])));
  const credits = [today, month].map(({ cost }) => (cost ?? 0).toLocaleString(undefined, { maximumFractionDigits: 4 }));
  const rows = [
    ["Questions", whole("requests")],
    ["Tokens read", whole("inputTokens")],
    ["Tokens written", whole("outputTokens")],
    ["Seconds", whole("seconds")],
    ...(month.cost == null ? [] : [["Credits", credits]]),
  ];
  const heads = ["Today", "30 days"].map((name) => el("th", { scope: "col" }, name));
  return el(
    "table",
    { class: "usage" },
    el("caption", { class: "visually-hidden" }, "What it used"),
    el("thead", {}, el("tr", {}, el("td"), ...heads)),
    el(
      "tbody",
      {},
      ...rows.map(([name, values]) =>
        el("tr", {}, el("th", { scope: "row" }, name), ...values.map((value) => el("td", {}, value))),
      ),
    ),
  );
}

function ownLimits(site) {
  const inputs = Object.entries(LIMITS).map(([name, label]) => {
    const id = `limit ${name} ${site.origin}`;
    const value = site.limits[name];
    return el(
      "div",
      { class: "field" },
      el("label", { for: id }, label),
      el("input", { id, name, type: "number", min: 0, step: 1, value, placeholder: state.limits[name] }),
    );
  });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const save = async (event) => {
    event.preventDefault();
    const limits = {};
    for (const input of event.target.querySelectorAll("input")) {
      limits[input.name] = input.validity.badInput ? "no number" : input.value === "" ? null : input.valueAsNumber;
    }
    problem.hidden = true;
    try {
      show(await request("/api/sites", { action: "limits", origin: site.origin, limits }), `save ${site.origin}`);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
  return el(
    "details",
    { open: open.has(`limits ${site.origin}`), ontoggle: ({ target }) => remember(`limits ${site.origin}`, target.open) },
    el("summary", {}, Object.keys(site.limits).length ? "Limits of its own" : "Limits"),
    el(
      "form",
      { novalidate: true, class: "fields", onsubmit: save },
      el("p", { class: "soft small" }, "Empty: as for every site. 0 tokens: no limit."),
      el("div", { class: "own-limits" }, ...inputs),
      problem,
      el(
        "p",
        { class: "actions" },
        el("button", { id: `save ${site.origin}`, class: "button", type: "submit" }, "Save limits of this site"),
      ),
    ),
  );
}

function inside(site) {
  const { origin } = site;
  return el(
    "div",
    { class: "inside" },
    el("div", { class: "rights" }, ...Object.keys(RIGHTS).map((capability) => rightField(site, capability))),
    services(site),
    usage(site),
    ownLimits(site),
    el(
      "p",
      { class: "actions" },
      el(
        "button",
        {
          id: `block ${origin}`,
          class: "button danger",
          type: "button",
          "aria-label": `Block everything: ${origin}`,
          onclick: () => act({ action: "block", origin }),
        },
        "Block everything",
      ),
      el(
        "button",
        {
          id: `forget ${origin}`,
          class: "button",
          type: "button",
          "aria-label": `Forget: ${origin}`,
          title: "Its rights, limits, usage and activity; what it used today counts until tomorrow.",
          onclick: () => act({ action: "forget", origin }, "sites-title"),
        },
        "Forget",
      ),
    ),
  );
}

function remember(key, isOpen) {
  if (isOpen) open.add(key);
  else open.delete(key);
}

function siteItem(site) {
  const details = el(
    "details",
    {
      class: "site",
      open: open.has(site.origin),
      ontoggle: ({ target }) => {
        remember(site.origin, target.open);
        // Hundreds of sites: what nobody looks at is not built.
        if (target.open && !target.querySelector(".inside")) target.append(inside(site));
      },
    },
    el(
      "summary",
      { id: `site ${site.origin}` },
      el("span", { class: "name" }, site.origin),
      badge(site),
      el("span", { class: "used" }, usedText(site)),
    ),
  );
  if (details.open) details.append(inside(site));
  return el("li", {}, details);
}

// --- all of them

function showSites() {
  const wanted = at("search").value.trim().toLowerCase();
  const sites = state.sites
    .filter(({ origin }) => origin.toLowerCase().includes(wanted))
    .sort((one, other) => tokensOf(other.month) - tokensOf(one.month) || (one.origin < other.origin ? -1 : 1));
  at("sites").replaceChildren(...sites.map(siteItem));
  at("count").textContent = state.sites.length
    ? `${sites.length} of ${state.sites.length} ${state.sites.length === 1 ? "site" : "sites"}`
    : "No site has asked for anything yet.";
}

function showListed() {
  at("none-listed").hidden = state.allowlist.length > 0;
  at("listed").replaceChildren(
    ...state.allowlist.map((origin) =>
      el(
        "li",
        { class: "row" },
        el("span", { class: "row-text" }, origin),
        el(
          "button",
          {
            class: "button",
            type: "button",
            "aria-label": `Remove: ${origin}`,
            onclick: () => list(state.allowlist.filter((one) => one !== origin), "listed-title"),
          },
          "Remove",
        ),
      ),
    ),
  );
}

function show(reply, focus) {
  const active = focus ?? document.activeElement?.id;
  state = reply;
  showNotices(reply.problem ? [reply.problem] : []);
  showListed();
  showSites();
  at("main").setAttribute("aria-busy", "false");
  if (active) at(active)?.focus();
}

async function act(body, focus) {
  at("result").hidden = true;
  try {
    show(await request("/api/sites", body), focus);
  } catch (error) {
    at("result").textContent = error.message;
    at("result").hidden = false;
    await refresh();
  }
}

async function refresh() {
  try {
    show(await request("/api/sites"));
  } catch (error) {
    showNotices([error.message]);
  }
}

// --- the allowlist

async function list(allowlist, focus) {
  at("address-problem").hidden = true;
  at("address").removeAttribute("aria-invalid");
  try {
    await request("/api/settings", { changes: { [LIST]: allowlist } });
    show(await request("/api/sites"), focus);
    return true;
  } catch (error) {
    at("address-problem").textContent = error.message;
    at("address-problem").hidden = false;
    at("address").setAttribute("aria-invalid", "true");
    at("address").focus();
    return false;
  }
}

at("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = at("address").value.trim();
  if (typed && (await list([...state.allowlist, typed], "address"))) at("address").value = "";
});

// --- the limits of every site

function showLimits(reply) {
  settings = reply.settings.filter(({ key }) => key.startsWith("limits."));
  at("limits").replaceChildren(...settings.map(field));
  at("form").setAttribute("aria-busy", "false");
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const changes = collect(at("form"), settings);
  clearProblems(at("form"));
  try {
    showLimits(await request("/api/settings", { changes }));
    say(at("limits-result"), "Saved.", "good");
    await refresh();
  } catch (error) {
    say(at("limits-result"), error.message, "bad");
    markProblem(error);
  }
});

at("search").addEventListener("input", showSites);
document.addEventListener("visibilitychange", () => {
  // What is being typed or chosen is not taken away.
  if (!document.hidden && !at("sites").contains(document.activeElement)) refresh();
});

try {
  showLimits(await request("/api/settings"));
} catch (error) {
  showNotices([error.message]);
}
await refresh();
