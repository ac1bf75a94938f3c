// Pictures for the model: made small enough, as data: URLs in a format that every back end reads.

const LONGEST_SIDE = 1536;
const MOST = 4;

// Data URLs of the files that are pictures, and a sentence about those that are not.
export async function readImages(files, room = MOST) {
  const urls = [];
  let problem = "";
  for (const file of files) {
    if (urls.length >= room) {
      problem = `A question takes ${MOST} pictures at most.`;
      break;
    }
    try {
      urls.push(await asDataUrl(file));
    } catch {
      problem = `${file.name || "This file"} is no picture that can be shown.`;
    }
  }
  return { urls, problem };
}

async function asDataUrl(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  // JPEG knows no transparency, and would make it black.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.85);
}

// The files of a paste or drop.
export function filesOf(transfer) {
  return [...(transfer?.files ?? [])];
}

// The pictures of the question that is being written.
export class Attachments {
  #urls = [];
  #host;

  constructor(host, onchange) {
    this.#host = host;
    this.onchange = onchange;
  }

  get urls() {
    return [...this.#urls];
  }

  // Returns a sentence where a file was not taken.
  async add(files) {
    const { urls, problem } = await readImages(files, MOST - this.#urls.length);
    this.set([...this.#urls, ...urls]);
    return problem;
  }

  set(urls) {
    this.#urls = urls;
    this.#host.replaceChildren(...urls.map((url, at) => this.#shown(url, at)));
    this.#host.hidden = urls.length === 0;
    this.onchange();
  }

  #shown(url, at) {
    const item = document.createElement("li");
    const image = document.createElement("img");
    const remove = document.createElement("button");
    image.src = url;
    image.alt = `Picture ${at + 1}`;
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove picture ${at + 1}`);
    remove.addEventListener("click", () => this.set(this.#urls.filter((_, other) => other !== at)));
    item.append(image, remove);
    return item;
  }
}
