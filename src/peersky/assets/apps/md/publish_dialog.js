// The dialog that publishes: to a drive that keeps its address, or to IPFS; then the address, to open, copy or scan.

import { slides } from "./markup.js";
import { driveName } from "./p2p.js";
import { publish } from "./publish.js";
import { copyText, qrCode } from "./share.js";

const at = (id) => document.getElementById(id);

// draft: {text, title, published, model, page(asSlides), setPublished()}, asked when it is needed.
export function publishDialog(draft, announce) {
  const dialog = at("publish-dialog");
  const form = at("publish-form");
  let controller = null;

  const say = (text, problem = "") => {
    at("publish-state").textContent = text;
    at("publish-problem").textContent = problem;
    at("publish-problem").hidden = !problem;
  };

  function show() {
    const { published } = draft;
    at("drive-field").hidden = form.elements.to.value !== "hyper";
    at("publish-go").disabled = Boolean(controller);
    at("publish-stop").hidden = !controller;
    at("publish-go").textContent = published?.to === form.elements.to.value ? "Publish this version" : "Publish";
    at("published").hidden = !published;
    if (!published) return;
    Object.assign(at("link"), { href: published.url, textContent: published.url });
    at("qr").replaceChildren(qrCode(published.url));
  }

  async function run() {
    const to = form.elements.to.value;
    const name = at("drive").value.trim() || driveName(draft.title, "my-text");
    controller = new AbortController();
    say("Publishing…");
    show();
    try {
      const { text, model } = draft;
      const page = draft.page(at("as-slides").checked && !at("as-slides-field").hidden);
      draft.setPublished(await publish({ to, name, page, text, model, signal: controller.signal }));
      say(to === "hyper" ? "Published. Publish again to bring the next version to the same address." : "Published.");
      announce(`Published at ${draft.published.url}`);
    } catch (error) {
      if (error.name === "AbortError") say("Stopped. What peers had before is unchanged.");
      else say("", error.message);
    } finally {
      controller = null;
      show();
    }
  }

  at("publish").addEventListener("click", () => {
    say("", draft.text.trim() ? "" : "There is no text to publish yet.");
    form.elements.to.value = draft.published?.to ?? "hyper";
    at("drive").value = draft.published?.name || driveName(draft.title, "my-text");
    at("as-slides-field").hidden = slides(draft.text).length < 2;
    show();
    dialog.showModal();
  });
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!controller && draft.text.trim()) run();
  });
  at("publish-stop").addEventListener("click", () => controller?.abort());
  at("publish-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => controller?.abort());
  at("copy").addEventListener("click", (event) => copyText(at("link").href, event.target));
}
