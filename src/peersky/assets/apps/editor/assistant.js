// What the model writes, from the wish to the accepted or rejected proposal. The page itself is changed by "Accept" alone.

import { DiffView } from "./code.js";
import { provisional } from "./continuation.js";
import { isSame, isText, LABELS, languageOf, MAIN } from "./files.js";
import { Generation } from "./generate.js";

const NEEDS_SETTINGS = ["llm_disabled", "provider_missing", "model_missing", "model_file_invalid", "not_enough_memory", "crash_loop"];
const at = (id) => document.getElementById(id);

export class Assistant {
  #page;
  #on;
  #diff = new DiffView(at("diff"));
  #generation = null;
  #controller = null;
  #shown = "";
  #live = null;
  #frame = 0;
  #wish = "";

  // on: {changed(): the proposal or its state changed, accepted(title), announce(text)}.
  constructor(page, on) {
    this.#page = page;
    this.#on = on;
    at("accept").addEventListener("click", () => this.accept());
    at("reject").addEventListener("click", () => this.reject());
    at("go-on").addEventListener("click", () => this.#run((generation) => generation.goOn()));
  }

  get isWriting() {
    return this.#controller !== null;
  }

  get isOpen() {
    return this.#generation !== null;
  }

  // The files as they would be, for the preview: only what is complete, since half a script is none.
  get files() {
    return this.#generation?.files ?? null;
  }

  // info: {contextLength} of the model. kinds: which files, null where the model decides.
  async ask(wish, kinds, info) {
    this.#wish = wish;
    this.#shown = "";
    this.#generation = new Generation({
      chat: (options) => window.llm.chat(options),
      files: this.#page.files,
      description: wish,
      kinds,
      contextLength: info?.contextLength ?? 0,
      report: (state) => this.#report(state),
    });
    await this.#run((generation) => generation.run());
  }

  stop() {
    this.#controller?.abort();
  }

  accept() {
    if (!this.isOpen || this.isWriting) return;
    const { files, title } = this.#generation;
    this.#close();
    this.#page.replace(files, this.#wish);
    this.#on.accepted(title);
  }

  reject() {
    if (!this.isOpen) return;
    this.stop();
    this.#close();
    this.#on.announce("Rejected. The page is as it was.");
  }

  async #run(work) {
    const generation = this.#generation;
    const controller = new AbortController();
    generation.signal = controller.signal;
    this.#controller = controller;
    this.#live = null;
    this.#hideProblem();
    this.#say("The model reads your description…");
    this.#on.announce("The model is writing.");
    this.#draw();
    let failure = null;
    try {
      await work(generation);
    } catch (error) {
      failure = error;
    }
    if (this.#controller === controller) this.#controller = null;
    // Rejected meanwhile.
    if (this.#generation !== generation) return;
    this.#settle(failure, controller.signal.aborted || failure?.name === "AbortError");
  }

  // The model has ended, one way or the other.
  #settle(failure, isStopped) {
    const { files, before } = this.#generation;
    if (failure && !isStopped) this.#showProblem(failure);
    if (isSame(files, before)) {
      this.#close();
      if (isStopped) this.#on.announce("Stopped. The page is as it was.");
      else if (!failure) this.#showProblem(new Error("The model changed nothing. Say more precisely what should be different."));
      return;
    }
    this.#live = null;
    const count = this.#changed().length;
    const what = count === 1 ? "one file" : `${count} files`;
    this.#say(isStopped || failure ? `This much was written before it ended: ${what}.` : `The model changes ${what}. Look at the preview, then accept or reject.`);
    this.#draw();
    this.#on.announce(at("proposal-state").textContent);
    at("accept").focus();
  }

  #report(state) {
    const { stage, kind } = state;
    if (stage === "plan") this.#say("The model decides which files to change…");
    if (stage === "wait") this.#say(`The model gets ready to write ${MAIN[kind]}…`);
    if (stage === "write") {
      this.#say(`Writing ${LABELS[kind]}: ${state.code.split("\n").length} lines`);
      this.#shown = MAIN[kind];
      this.#live = { path: MAIN[kind], code: state.code };
    }
    if (stage === "file") {
      this.#live = null;
      this.#on.changed();
    }
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.isOpen) this.#draw();
    });
  }

  #changed() {
    const { files, before } = this.#generation;
    const paths = Object.keys(files).filter((path) => isText(files[path]) && files[path] !== (before[path] ?? ""));
    if (this.#live && !paths.includes(this.#live.path)) paths.push(this.#live.path);
    return paths;
  }

  #draw() {
    const { files, before, notes, cut } = this.#generation;
    const paths = this.#changed();
    at("proposal").hidden = false;
    at("panes").hidden = true;
    if (!paths.includes(this.#shown)) this.#shown = paths[0] ?? MAIN.html;
    at("proposal-files").replaceChildren(...paths.map((path) => this.#chip(path)));
    const old = before[this.#shown] ?? "";
    const live = this.#live?.path === this.#shown ? this.#live.code : null;
    this.#diff.show(this.#shown, old, live === null ? (files[this.#shown] ?? "") : provisional(old, live), languageOf(this.#shown));
    if (live !== null && !old) this.#diff.follow();
    at("proposal-notes").hidden = notes.length === 0;
    at("proposal-notes").replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
    at("accept").disabled = this.isWriting;
    at("go-on").hidden = this.isWriting || !cut;
    this.#on.changed();
  }

  #chip(path) {
    const chip = Object.assign(document.createElement("button"), { type: "button", textContent: path });
    chip.setAttribute("aria-pressed", String(path === this.#shown));
    chip.addEventListener("click", () => {
      this.#shown = path;
      this.#draw();
    });
    return chip;
  }

  #close() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#generation = null;
    at("proposal").hidden = true;
    at("panes").hidden = false;
    this.#on.changed();
  }

  #say(text) {
    at("proposal-state").textContent = text;
  }

  #showProblem(error) {
    const box = at("problem");
    box.replaceChildren(error.message);
    if (NEEDS_SETTINGS.includes(error.reason)) {
      const link = Object.assign(document.createElement("a"), { href: "peersky://settings/llm", target: "_blank", textContent: "Open the settings of local AI" });
      box.append(" ", link);
    }
    box.hidden = false;
  }

  #hideProblem() {
    at("problem").hidden = true;
  }
}
