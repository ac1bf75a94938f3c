// peersky://about/: version and libraries (api/about), the text of a licence (api/licence), and doctor's findings
// (api/doctor), which take a few seconds and so wait for a click.

const { el, request } = globalThis.PeerSky;

const at = (id) => document.getElementById(id);
const PARTS = {
  Python: "Python packages, which the browser itself is made of",
  Web: "Web libraries of the built-in apps",
  "P2P node": "Packages in the peer-to-peer node",
};
const LOOKS = { ok: "on", note: "warn", missing: "bad" };
const WORDS = { ok: "In order", note: "Note", missing: "Missing" };

function fail(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}

async function showLicence(part, name) {
  try {
    const query = new URLSearchParams({ part, name });
    const reply = await fetch(`/api/licence?${query}`);
    if (!reply.ok) throw new Error((await reply.json()).error.message);
    at("licence-title").textContent = name;
    at("licence-text").textContent = await reply.text();
    at("licence").showModal();
    at("licence-text").scrollTop = 0;
  } catch (error) {
    fail(error);
  }
}

function row({ part, name, version, license, hasText }) {
  const text = hasText
    ? el("button", { class: "text-link", type: "button", "aria-label": `Licence of ${name}: ${license}`, onclick: () => showLicence(part, name) }, license)
    : license;
  return el("tr", {}, el("td", {}, name), el("td", {}, version), el("td", {}, text));
}

function tableOf(part, components) {
  const heads = ["Name", "Version", "Licence"].map((name) => el("th", { scope: "col" }, name));
  const body = el("tbody", {}, ...components.map(row));
  return el(
    "details",
    {},
    el("summary", {}, `${PARTS[part] ?? part} (${components.length})`),
    el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body),
  );
}

at("look").addEventListener("click", async () => {
  at("look").disabled = true;
  at("looking").hidden = false;
  try {
    const { findings } = await request("/api/doctor");
    at("findings").replaceChildren(
      ...findings.map(({ state, sentence }) =>
        el("li", {}, el("span", { class: `dot ${LOOKS[state]}` }), el("strong", {}, `${WORDS[state]}: `), sentence),
      ),
    );
    at("findings").hidden = false;
  } catch (error) {
    fail(error);
  } finally {
    at("look").disabled = false;
    at("looking").hidden = true;
  }
});

try {
  const { version, python, components } = await request("/api/about");
  at("version").textContent = `Version ${version}, on Python ${python} and ${chromium()}. ${at("version").textContent}`;
  const parts = Map.groupBy(components, ({ part }) => part);
  at("parts").replaceChildren(...[...parts].map(([part, found]) => tableOf(part, found)));
  at("count").textContent = `${components.length} libraries come with PeerSky, each under its own licence.`;
} catch (error) {
  fail(error);
}
at("main").setAttribute("aria-busy", "false");

function chromium() {
  return `Chromium ${/Chrom(?:e|ium)\/([\d.]+)/.exec(navigator.userAgent)?.[1] ?? "of Qt"}`;
}
