// peersky://settings/: the settings of the browser, generated from their declarations.

import { collect, field, save, showNotices } from "./fields.js";

const { request } = globalThis.PeerSky;
const form = document.getElementById("form");
let settings = [];

function show(reply) {
  settings = reply.settings;
  showNotices(reply.notices);
  const own = settings.filter((setting) => setting.key.startsWith("browser."));
  document.getElementById("browser").replaceChildren(...own.map(field));
  form.setAttribute("aria-busy", "false");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await save(form, collect(form, settings));
  if (reply) show(reply);
});

try {
  show(await request("/api/settings"));
} catch (error) {
  showNotices([error.message]);
}
