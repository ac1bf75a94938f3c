// The preview beside the panes: a sandboxed frame that is replaced at every run, and thrown away when it does not answer.
// Its page is what a model wrote: what it sends is text about itself and nothing else.

const PING_MS = 1000;
const PATIENCE_MS = 3000;
const GIVE_UP_MS = 10_000;
const MOST_PROBLEMS = 50;
// A page that says more than this in a second only wants to keep the editor busy.
const MOST_MESSAGES = 500;

export class Preview {
  #host;
  #tell;
  #frame = null;
  #old = null;
  #html = "";
  #lastSign = 0;
  #problems = [];
  #messages = 0;

  // host: the element that holds the frame. tell(state): called with {state, problems, link} as these change; state is
  // "empty", "starting", "running", "silent" (it does not answer) or "stopped".
  constructor(host, tell) {
    this.#host = host;
    this.#tell = tell;
    this.state = "empty";
    window.addEventListener("message", (event) => this.#hear(event));
    setInterval(() => this.#watch(), PING_MS);
  }

  // Runs a document from its start.
  run(html) {
    this.#html = html;
    this.#messages = 0;
    this.#problems = [];
    this.#old?.remove();
    this.#old = this.#frame;
    // One that does not answer would keep its processor busy while the new one starts.
    if (this.state === "silent") this.#dropOld();
    const frame = document.createElement("iframe");
    frame.title = "Preview of the page";
    // Scripts run, forms reach scripts; no origin, no windows, no way to the page around it.
    frame.setAttribute("sandbox", "allow-scripts allow-forms");
    frame.setAttribute("referrerpolicy", "no-referrer");
    frame.setAttribute("allow", "");
    frame.src = "preview.html";
    this.#frame = frame;
    this.#lastSign = performance.now();
    this.#host.append(frame);
    this.#change("starting");
  }

  // Ends whatever runs there, and leaves the frame empty.
  stop() {
    this.#dropOld();
    this.#frame?.remove();
    this.#frame = null;
    this.#change("stopped");
  }

  #dropOld() {
    this.#old?.remove();
    this.#old = null;
  }

  #hear(event) {
    if (!this.#frame || event.source !== this.#frame.contentWindow) return;
    this.#messages += 1;
    if (this.#messages > MOST_MESSAGES) {
      this.stop();
      return;
    }
    const { type, text } = Object(event.data);
    this.#lastSign = performance.now();
    if (type === "ready" && this.state === "starting") {
      this.#frame.contentWindow.postMessage({ type: "show", html: this.#html }, "*");
    } else if (type === "shown" || type === "alive") {
      if (type === "shown") this.#dropOld();
      if (this.state !== "running" && (type === "shown" || this.state === "silent")) this.#change("running");
    } else if (type === "problem") this.#note(`Script: ${text}`);
    else if (type === "blocked") this.#note(`Not loaded: ${text}. The preview loads nothing from elsewhere.`);
    else if (type === "link") this.#tell({ state: this.state, problems: this.#problems, link: String(text) });
  }

  #note(sentence) {
    if (this.#problems.includes(sentence) || this.#problems.length >= MOST_PROBLEMS) return;
    this.#problems = [...this.#problems, sentence];
    this.#change(this.state);
  }

  #watch() {
    this.#messages = 0;
    if (!this.#frame || document.hidden) {
      this.#lastSign = performance.now();
      return;
    }
    const silence = performance.now() - this.#lastSign;
    if (silence > GIVE_UP_MS) this.stop();
    else if (silence > PATIENCE_MS && this.state !== "silent") {
      this.#dropOld();
      this.#change("silent");
    }
    this.#frame?.contentWindow?.postMessage({ type: "ping" }, "*");
  }

  #change(state) {
    this.state = state;
    this.#tell({ state, problems: this.#problems, link: "" });
  }
}
