// The dialog that takes a conversation out of the app: as a file, on paper, or to an address that others can open.

import { fileName, shown, toHtml, toMarkdown } from "./export.js";
import { standalone } from "./markdown.js";
import { publish } from "./publish.js";
import encodeQR from "./vendor/qr.esm.js";
import { copyText } from "./view.js";

const SVG = "http://www.w3.org/2000/svg";
const TITLE_MS = 200;
const at = (id) => document.getElementById(id);

export class ShareDialog {
  #conversation = null;
  #model = "";
  #dialog = at("share");

  constructor() {
    at("save-markdown").addEventListener("click", () => this.#saveMarkdown());
    at("save-html").addEventListener("click", () => this.#saveHtml());
    at("print").addEventListener("click", () => this.#print());
    at("publish").addEventListener("click", () => this.#publish());
    at("published-copy").addEventListener("click", ({ currentTarget }) => copyText(at("published-link").href, currentTarget));
    at("share-close").addEventListener("click", () => this.#dialog.close());
  }

  open(conversation, model) {
    this.#conversation = conversation;
    this.#model = model;
    at("share-name").value = conversation.title;
    const count = shown(conversation.path).length;
    at("share-count").textContent = `Everybody with the address can read all ${count} messages shown, pictures and instructions included; the model's thoughts stay here.`;
    at("published").hidden = true;
    at("publish-problem").hidden = true;
    this.#dialog.showModal();
  }

  get #name() {
    return at("share-name").value.trim() || this.#conversation.title;
  }

  async #html() {
    const bodies = new Map();
    for (const { id, role, content } of shown(this.#conversation.path)) {
      if (role === "assistant") bodies.set(id, (await standalone(content)).innerHTML);
    }
    const style = await (await fetch("published.css")).text();
    return toHtml(this.#conversation, bodies, style, this.#name);
  }

  #saveMarkdown() {
    save(toMarkdown(this.#conversation, this.#name), "text/markdown", `${fileName(this.#name)}.md`);
  }

  async #saveHtml() {
    save(await this.#html(), "text/html", `${fileName(this.#name)}.html`);
  }

  #print() {
    const before = document.title;
    this.#dialog.close();
    // It becomes the name of the file. The browser learns of a title after a while, and here print() does not wait.
    document.title = this.#name;
    setTimeout(() => print(), TITLE_MS);
    setTimeout(() => {
      document.title = before;
    }, 10 * TITLE_MS);
  }

  async #publish() {
    const to = this.#dialog.querySelector("[name=to]:checked").value;
    at("publish").disabled = true;
    at("publish").textContent = "Publishing…";
    at("publish-problem").hidden = true;
    try {
      const { id } = this.#conversation;
      // One drive for each conversation: published again, it is the same address with what was said since.
      showAddress(await publish(await this.#html(), { to, name: `chat-${id}`, title: this.#name, model: this.#model }));
    } catch (error) {
      at("publish-problem").textContent = error.message;
      at("publish-problem").hidden = false;
    } finally {
      at("publish").disabled = false;
      at("publish").textContent = "Publish";
    }
  }
}

function showAddress(url) {
  at("published-link").href = url;
  at("published-link").textContent = url;
  at("published-open").href = url;
  at("published-qr").replaceChildren(qrCode(url));
  at("published").hidden = false;
  at("published").focus();
}

function qrCode(text) {
  const rows = encodeQR(text, "raw", { border: 2 });
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", `0 0 ${rows.length} ${rows.length}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the address");
  path.setAttribute("d", rows.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join(""));
  svg.append(path);
  return svg;
}

function save(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
