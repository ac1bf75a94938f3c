// Writes or changes the page with a model: which files, one after the other, each answer made into code while it grows.
// Knows the model only as the function `chat`, which is window.llm.chat in the app and a script in the tests.

import { isUnfinished, readAnswer } from "./answer.js";
import { join, loopStart } from "./continuation.js";
import { isBlank, isText, KINDS, LABELS, linked, MAIN, split, titleOf, wholePage } from "./files.js";
import { againMessages, continueMessages, fileMessages, PLAN_SCHEMA, planMessages, readPlan } from "./prompts.js";

const CONTINUATIONS = 2;
const MOST_TOKENS = 8192;
const USUAL_TOKENS = 4096;
const LOOP_CHECK = 400;
const NO_SCHEMA = new Set(["invalid_request", "capability_missing", "backend_error"]);
const SHOW_EVERY_MS = 60;

const whole = ({ begun, own }) => (begun ? join(begun, own) : own);

export class NoCode extends Error {}

// One wish, from its description to a proposal. Attributes: `files` (the proposal), `title`, `notes` (sentences about
// what went not quite as it should), `cut` (the kind of the file that stops in the middle, or null).
export class Generation {
  #cut = null;

  // options: {chat, files, description, kinds (null: what is needed), contextLength, signal, report}. `report` is called
  // with {stage: "plan" | "wait" | "write" | "file", kind, files} as things go on.
  constructor(options) {
    Object.assign(this, options);
    this.before = options.files;
    this.files = { ...options.files };
    this.title = "";
    this.notes = [];
  }

  get cut() {
    return this.#cut?.kind ?? null;
  }

  async run() {
    this.#ready = new Set();
    await this.#all(this.kinds ?? (await this.#plan()));
  }

  // Goes on where the cut file stops, and then with the files that were still to come.
  async goOn() {
    const { kind, messages, raw } = this.#cut;
    this.#cut = null;
    this.notes = [];
    await this.#all([kind, ...this.#waiting], async (kinds) => {
      this.#take(kind, await this.#ask(kind, messages, raw), kinds, messages);
    });
  }

  #ready = new Set();
  #waiting = [];
  // What is being written: {kind, messages, begun, own}.
  #partial = null;
  #shownAt = -Infinity;

  // Writes files in order, the first one by `begin` where that is given, until one is cut.
  async #all(kinds, begin = null) {
    try {
      for (const [index, kind] of kinds.entries()) {
        if (this.cut) break;
        this.#waiting = kinds.slice(index + 1);
        if (index === 0 && begin) await begin(kinds);
        else if (!this.#ready.has(kind)) await this.#write(kind, kinds);
      }
    } catch (error) {
      this.#keepPartial();
      throw error;
    } finally {
      this.#finish();
    }
  }

  // What was written until it broke off can be kept, and gone on with.
  #keepPartial() {
    const partial = this.#partial;
    this.#partial = null;
    if (!partial) return;
    const { kind, messages } = partial;
    const raw = whole(partial);
    const { code } = readAnswer(raw, kind);
    if (!code.trim()) return;
    this.files[MAIN[kind]] = code;
    this.#ready.add(kind);
    this.#cut = { kind, messages, raw };
    this.notes.push(`${MAIN[kind]} stops in the middle.`);
  }

  // --- which files ----------------------------------------------------------------------------------------------

  async #plan() {
    if (KINDS.every((kind) => !this.before[MAIN[kind]]?.trim()) || isBlank(this.before)) return KINDS;
    this.report({ stage: "plan", files: this.files });
    const messages = planMessages(this.description, this.before);
    const options = { messages, temperature: 0, maxTokens: 200, signal: this.signal };
    let text;
    try {
      text = (await this.chat({ ...options, responseFormat: PLAN_SCHEMA })).content;
    } catch (error) {
      if (!NO_SCHEMA.has(error.reason) && !(error instanceof TypeError)) throw error;
      // A service that cannot hold a model to a schema may still answer the question.
      text = (await this.chat(options)).content;
    }
    const plan = readPlan(text);
    this.title = plan?.title ?? "";
    return plan?.kinds ?? KINDS;
  }

  // --- one file -------------------------------------------------------------------------------------------------

  async #write(kind, kinds) {
    let messages = fileMessages(kind, this.description, this.files);
    let answer;
    try {
      answer = await this.#ask(kind, messages);
    } catch (error) {
      if (error.reason !== "context_length") throw error;
      // Once more with less around it.
      messages = fileMessages(kind, this.description, this.files, { lean: true });
      answer = await this.#ask(kind, messages);
    }
    if (!this.#found(kind, answer)) {
      messages = againMessages(messages, answer.raw, kind);
      answer = await this.#ask(kind, messages);
    }
    this.#take(kind, answer, kinds, messages);
  }

  #found(kind, { raw }) {
    const { code, none } = readAnswer(raw, kind);
    return Boolean(code.trim()) || none;
  }

  // Asks, and asks to go on while the answer is cut. Returns {raw, isCut}.
  async #ask(kind, messages, begun = "") {
    let raw = begun;
    for (let round = begun ? 1 : 0; ; round += 1) {
      const { text, finishReason, isLoop } = await this.#stream(kind, messages, round ? raw : "");
      raw = text;
      this.#partial = null;
      const { code, closed } = readAnswer(raw, kind);
      const isCut = isLoop || (!closed && (finishReason === "length" || isUnfinished(code, kind)) && Boolean(code));
      if (!isCut) return { raw, isCut: false };
      if (isLoop || round >= CONTINUATIONS) return { raw, isCut: true, isLoop };
    }
  }

  // Where something is begun, the model is asked to go on.
  async #stream(kind, question, begun) {
    const messages = begun ? continueMessages(question, begun) : question;
    const controller = new AbortController();
    const signal = this.signal ? AbortSignal.any([this.signal, controller.signal]) : controller.signal;
    this.report({ stage: "wait", kind, files: this.files });
    const answer = { kind, messages: question, begun, own: "" };
    let checked = 0;
    let finishReason = "stop";
    for await (const delta of this.chat({ messages, signal, maxTokens: this.#tokens })) {
      answer.own += delta.content ?? "";
      finishReason = delta.finishReason ?? finishReason;
      if (!delta.content) continue;
      this.#partial = answer;
      this.#show(answer);
      if (answer.own.length - checked < LOOP_CHECK) continue;
      checked = answer.own.length;
      const loop = loopStart(answer.own);
      if (loop < 0) continue;
      controller.abort();
      answer.own = answer.own.slice(0, loop);
      return { text: whole(answer), finishReason: "length", isLoop: true };
    }
    return { text: whole(answer), finishReason, isLoop: false };
  }

  get #tokens() {
    const room = this.contextLength ? Math.floor(this.contextLength / 2) : USUAL_TOKENS;
    return Math.max(512, Math.min(MOST_TOKENS, room));
  }

  // Often enough for the eye: a long answer is read from its start each time.
  #show(answer) {
    if (performance.now() - this.#shownAt < SHOW_EVERY_MS) return;
    const { kind } = answer;
    const { code } = readAnswer(whole(answer), kind);
    this.report({ stage: "write", kind, code, files: { ...this.files, ...(code ? { [MAIN[kind]]: code } : {}) } });
    this.#shownAt = performance.now();
  }

  // Puts an answer into the proposal.
  #take(kind, { raw, isCut, isLoop }, kinds, messages) {
    const { code, extras, none } = readAnswer(raw, kind);
    if (!code.trim()) {
      if (!none) this.#lacks(kind, raw);
      return;
    }
    this.files[MAIN[kind]] = code;
    this.#ready.add(kind);
    const parts = kind === "html" ? this.#unpacked(code) : {};
    for (const [other, text] of Object.entries({ ...extras, ...parts })) {
      const isOpen = !this.before[MAIN[other]]?.trim() || kinds.includes(other);
      if (!KINDS.includes(other) || this.#ready.has(other) || !isOpen || !text.trim()) continue;
      this.files[MAIN[other]] = text;
      this.#ready.add(other);
    }
    if (isLoop) this.notes.push(`The model repeated itself in ${MAIN[kind]}, so it was stopped there.`);
    else if (isCut) this.notes.push(`${MAIN[kind]} stops in the middle: the model reached its longest answer.`);
    if (isCut) this.#cut = { kind, messages, raw };
    this.report({ stage: "file", kind, files: this.files });
  }

  // A page that brought style and script along inside: into their own files, where these were empty.
  #unpacked(code) {
    const found = split(code);
    const isFree = (kind) => !found[kind].trim() || !this.before[MAIN[kind]]?.trim();
    if ((!found.css.trim() && !found.js.trim()) || !isFree("css") || !isFree("js")) return {};
    this.files[MAIN.html] = found.html;
    return { css: found.css, js: found.js };
  }

  #lacks(kind, raw) {
    const said = raw.replace(/\s+/g, " ").trim();
    const quoted = said ? ` It said: “${said.length > 160 ? `${said.slice(0, 160)}…` : said}”` : " It said nothing.";
    const sentence = `The model wrote no ${LABELS[kind]}.${quoted}`;
    if (kind === "html" || this.kinds?.length === 1) {
      throw new NoCode(`${sentence} Try other words, or a larger model.`);
    }
    this.notes.push(sentence);
  }

  #finish() {
    const html = this.files[MAIN.html];
    if (!isText(html) || !html.trim() || this.cut === "html") return;
    const changed = this.#ready.has("html") ? wholePage(html, this.title) : html;
    this.files[MAIN.html] = linked(changed, this.files);
    this.title ||= titleOf(this.files[MAIN.html]);
  }
}
