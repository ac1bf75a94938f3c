// A text as slides, over the whole window: arrows, Space, Page, Home and End move, Escape closes.

import { slides } from "./markup.js";
import { rendered } from "./render.js";

const at = (id) => document.getElementById(id);
const STEPS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Home: -Infinity, End: Infinity };

export class SlidesView {
  #all = [""];
  #index = 0;

  constructor() {
    const dialog = at("slides-dialog");
    at("slide-before").addEventListener("click", () => this.#go(-1));
    at("slide-next").addEventListener("click", () => this.#go(1));
    at("slides-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => {
      const isButton = event.target.matches("button") && event.key === " ";
      if (!(event.key in STEPS) || isButton || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.#go(STEPS[event.key]);
    });
  }

  open(text) {
    this.#all = slides(text);
    this.#index = 0;
    at("slides-dialog").showModal();
    this.#show();
    at("slide").focus();
  }

  #go(by) {
    this.#index = Math.max(0, Math.min(this.#all.length - 1, this.#index + by));
    this.#show();
  }

  #show() {
    const count = `${this.#index + 1} of ${this.#all.length}`;
    at("slide").replaceChildren(rendered(this.#all[this.#index]));
    at("slide").setAttribute("aria-label", `Slide ${count}`);
    at("slide").scrollTop = 0;
    at("slide-count").textContent = count;
    at("slide-before").disabled = this.#index === 0;
    at("slide-next").disabled = this.#index === this.#all.length - 1;
  }
}
