// "Describe with AI": asks the model about the files and fills the fields, which stay a person's to change. Beginnings of
// texts and names go to the model; pictures, made small, where it sees.

import {
  altMessages, descriptionMessages, headOf, isImage, MOST_IMAGES, readAlt, readDescription, SCHEMA, tagsOf, tellingTexts,
} from "./describe.js";

const SMALL = 768;
const NO_SCHEMA = new Set(["invalid_request", "capability_missing", "backend_error"]);
const at = (id) => document.getElementById(id);

export class Describer {
  #items = [];
  #alts = new Map(); // path -> its field
  #addresses = [];
  #controller = null;
  #before = null;
  model = null;

  constructor() {
    at("ask").addEventListener("click", () => this.#ask());
    at("ask-stop").addEventListener("click", () => this.#controller?.abort());
    at("ask-undo").addEventListener("click", () => {
      this.#write(this.#before);
      at("ask-undo").hidden = true;
      at("ask").focus();
    });
  }

  // {title, description, tags, alts}, as they stand in the fields.
  get described() {
    const alts = [...this.#alts].map(([path, field]) => [path, field.value.trim()]).filter(([, alt]) => alt);
    return {
      title: at("title").value.trim(),
      description: at("description").value.trim(),
      tags: tagsOf(at("tags").value),
      alts: Object.fromEntries(alts),
    };
  }

  get isEmpty() {
    const { title, description, tags, alts } = this.described;
    return !title && !description && !tags.length && !Object.keys(alts).length;
  }

  // The files that are there now; what was written about those that stay is kept.
  show(items) {
    const { alts } = this.described;
    this.#items = items;
    this.#alts.clear();
    for (const address of this.#addresses.splice(0)) URL.revokeObjectURL(address);
    const images = items.filter(({ path }) => isImage(path));
    at("alts").replaceChildren(...images.slice(0, MOST_IMAGES).map((item, index) => this.#row(item, index, alts[item.path] ?? "")));
    at("alts-field").hidden = !images.length;
    const more = images.length - MOST_IMAGES;
    at("alts-more").textContent = more > 0 ? `And ${more} more pictures, which are shown with their names.` : "";
  }

  clear() {
    this.#controller?.abort();
    this.#write({ title: "", description: "", tags: [], alts: {} });
    this.show([]);
    at("ask-undo").hidden = true;
    this.#say("");
  }

  async showModel() {
    this.model = null;
    try {
      if (await window.llm?.isSupported()) this.model = await window.llm.model();
    } catch {
      // What is wrong with it is said when it is asked.
      this.model = null;
    }
    const hint = "What you write here becomes a page for people (index.html) and metadata.json for programs. Leave it empty to publish the bare files.";
    const sees = this.#sees ? ", and small copies of the pictures," : "";
    const where = this.model && (this.model.local ? "on this computer" : "a service on the network");
    const name = this.model?.model.split(/[\\/]/).at(-1);
    at("describe-hint").textContent = this.model
      ? `${hint} The model gets the names and the beginnings of texts${sees} to describe them: ${name}, ${where}.`
      : hint;
    at("ask").disabled = !this.model;
    at("settings").hidden = Boolean(this.model) || !window.llm;
  }

  get #sees() {
    return Boolean(this.model?.capabilities.includes("vision"));
  }

  #row({ path, file }, index, alt) {
    const row = document.createElement("li");
    const image = document.createElement("img");
    const field = document.createElement("textarea");
    const label = document.createElement("label");
    const box = document.createElement("div");
    const address = URL.createObjectURL(file);
    this.#addresses.push(address);
    Object.assign(image, { src: address, alt: "", loading: "lazy" });
    Object.assign(field, { id: `alt-${index}`, rows: 1, maxLength: 500, value: alt });
    Object.assign(label, { htmlFor: field.id, textContent: path });
    box.append(label, field);
    row.append(image, box);
    this.#alts.set(path, field);
    return row;
  }

  #write({ title, description, tags, alts }) {
    at("title").value = title;
    at("description").value = description;
    at("tags").value = tags.join(", ");
    for (const [path, field] of this.#alts) field.value = alts[path] ?? "";
  }

  #say(state, problem = "") {
    at("ask-state").textContent = state;
    at("ask-problem").textContent = problem;
    at("ask-problem").hidden = !problem;
  }

  async #ask() {
    const controller = new AbortController();
    this.#controller = controller;
    this.#before = this.described;
    at("ask").disabled = true;
    at("ask-stop").hidden = false;
    at("ask-undo").hidden = true;
    try {
      if (this.#sees) await this.#askAboutPictures(controller.signal);
      await this.#askAboutAll(controller.signal);
      this.#say("Written. Change what is wrong: models make mistakes.");
    } catch (error) {
      if (error.name === "AbortError") this.#say("Stopped.");
      else this.#say("", error.message);
    } finally {
      if (this.#controller === controller) this.#controller = null;
      at("ask").disabled = !this.model;
      at("ask-stop").hidden = true;
      at("ask-undo").hidden = JSON.stringify(this.described) === JSON.stringify(this.#before);
    }
  }

  async #askAboutPictures(signal) {
    const empty = [...this.#alts].filter(([, field]) => !field.value.trim());
    for (const [index, [path, field]] of empty.entries()) {
      this.#say(`Looking at picture ${index + 1} of ${empty.length}…`);
      const item = this.#items.find((one) => one.path === path);
      const url = await smallCopy(item.file);
      if (!url) continue;
      const { content } = await window.llm.chat({ messages: altMessages(path, url), maxTokens: 120, temperature: 0.2, signal });
      if (!field.value.trim()) field.value = readAlt(content);
    }
  }

  async #askAboutAll(signal) {
    this.#say("Reading the files…");
    const heads = [];
    for (const item of tellingTexts(this.#items)) heads.push({ path: item.path, head: await headOf(item).catch(() => "") });
    this.#say("The model is writing…");
    const { alts } = this.described;
    const question = { maxTokens: 400, temperature: 0.2, signal };
    const found = await this.#answer({ ...question, messages: descriptionMessages(this.#items, heads, alts) }).catch((error) => {
      if (error.reason !== "context_length") throw error;
      // Once more with less.
      return this.#answer({ ...question, messages: descriptionMessages(this.#items.slice(0, 15), heads.slice(0, 1)) });
    });
    if (!found) throw new Error("The model said nothing that describes the files. Try a larger model, or write it yourself.");
    const now = this.described;
    // What a person wrote stays.
    this.#write({
      title: now.title || found.title,
      description: now.description || found.description,
      tags: now.tags.length ? now.tags : found.tags,
      alts: now.alts,
    });
  }

  async #answer(options) {
    let reply;
    try {
      reply = await window.llm.chat({ ...options, responseFormat: SCHEMA });
    } catch (error) {
      if (!NO_SCHEMA.has(error.reason)) throw error;
      // A service that cannot hold a model to a schema may still answer.
      reply = await window.llm.chat(options);
    }
    return readDescription(reply.content);
  }
}

// A picture as a data: URL that is no larger than a model needs; null where it cannot be read.
async function smallCopy(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return null;
  }
  const scale = Math.min(1, SMALL / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const paint = canvas.getContext("2d");
  paint.fillStyle = "#ffffff";
  paint.fillRect(0, 0, width, height);
  paint.drawImage(picture, 0, 0, width, height);
  picture.close();
  return canvas.toDataURL("image/jpeg", 0.85);
}
