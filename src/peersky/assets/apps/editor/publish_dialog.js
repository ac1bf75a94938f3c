// The dialog that publishes: to a drive that keeps its address, or to IPFS; then the address, to open, copy or scan.

import { driveName, publish } from "./publish.js";
import encodeQR from "./vendor/qr.esm.js";

const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);

// model(): the name of the model that wrote in this page, or "".
export function publishDialog(page, model, announce) {
  const dialog = at("publish-dialog");
  const form = at("publish-form");
  let controller = null;

  const say = (text) => {
    at("publish-state").textContent = text;
  };

  function fail(text) {
    at("publish-problem").textContent = text;
    at("publish-problem").hidden = !text;
  }

  function showFields() {
    at("drive-field").hidden = form.elements.to.value !== "hyper";
    at("publish-go").textContent = page.published?.to === form.elements.to.value ? "Publish this version" : "Publish";
  }

  function showRunning(isRunning) {
    at("publish-go").disabled = isRunning;
    at("publish-stop").hidden = !isRunning;
  }

  function showPublished() {
    at("published").hidden = !page.published;
    if (!page.published) return;
    const { url } = page.published;
    const link = at("published-link");
    link.href = url;
    link.textContent = url;
    at("qr").replaceChildren(drawn(url));
  }

  async function run() {
    const to = form.elements.to.value;
    const name = at("drive").value.trim() || driveName(page.title);
    controller = new AbortController();
    fail("");
    showRunning(true);
    say("Publishing…");
    try {
      const previous = page.published?.to === "hyper" ? page.published : null;
      const options = { files: page.files, to, name, title: page.title, model: model(), previous, fetch: window.fetch };
      page.setPublished(await publish({ ...options, signal: controller.signal }));
      await page.flush();
      say(to === "hyper" ? "Published. Publish again to bring the next version to the same address." : "Published.");
      announce(`Published at ${page.published.url}`);
      showPublished();
      at("published-link").focus();
    } catch (error) {
      const isStopped = error.name === "AbortError";
      say(isStopped ? "Stopped. What peers had before is unchanged." : "");
      if (!isStopped) fail(error.message);
    } finally {
      controller = null;
      showRunning(false);
      showFields();
    }
  }

  at("publish").addEventListener("click", () => {
    say("");
    fail("");
    form.elements.to.value = page.published?.to ?? "hyper";
    at("drive").value = page.published?.name || driveName(page.title);
    showFields();
    showPublished();
    dialog.showModal();
  });
  form.addEventListener("change", showFields);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!controller) run();
  });
  at("publish-stop").addEventListener("click", () => controller?.abort());
  at("publish-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => controller?.abort());
  at("copy-link").addEventListener("click", async (event) => {
    const isCopied = await copied(page.published.url, dialog);
    event.target.textContent = isCopied ? "Copied" : "Copying is not allowed";
    setTimeout(() => {
      at("copy-link").textContent = "Copy the address";
    }, 2000);
  });
}

// A selection that is copied on a click is always allowed; the clipboard API would ask the user first.
async function copied(text, host) {
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  host.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  return isDone;
}

function drawn(text) {
  const rows = encodeQR(text, "raw", { border: 1 });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${rows.length} ${rows.length}`);
  svg.setAttribute("shape-rendering", "crispEdges");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the address");
  const path = document.createElementNS(SVG, "path");
  const squares = rows.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])));
  path.setAttribute("d", squares.join(""));
  svg.append(path);
  return svg;
}
