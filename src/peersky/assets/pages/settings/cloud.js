// Which pages may send questions to a service on the network, as the user said; api/cloud tells and takes back.

const { el, request } = globalThis.PeerSky;

const box = document.getElementById("cloud");
const list = document.getElementById("cloud-list");

function show({ decisions }) {
  list.replaceChildren(
    ...decisions.map(({ origin, service, allowed }) =>
      el(
        "li",
        { class: "row" },
        el("span", { class: "row-text" }, `${origin} ${allowed ? "may" : "may not"} ask ${service}`),
        el(
          "button",
          {
            class: "button",
            type: "button",
            "aria-label": `Ask again: ${origin}`,
            onclick: async () => show(await request("/api/cloud", { origin, service })),
          },
          "Ask again",
        ),
      ),
    ),
  );
  box.hidden = decisions.length === 0;
}

export async function showCloudDecisions() {
  show(await request("/api/cloud"));
}
