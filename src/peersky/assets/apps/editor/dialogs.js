// The dialogs that start, open and list: templates, a site as a copy, drafts, the files of a page.

import { isText, MAIN, paneOf, safePath, titleOf } from "./files.js";
import { copySite } from "./publish.js";
import { TEMPLATES } from "./templates.js";

const MOST_FILE_BYTES = 20_000_000;
const at = (id) => document.getElementById(id);
const make = (name, properties) => Object.assign(document.createElement(name), properties);

function choice(title, about, onclick) {
  const item = make("li", {});
  const button = make("button", { type: "button" });
  button.append(make("b", { textContent: title }), make("span", { textContent: about }));
  button.addEventListener("click", onclick);
  item.append(button);
  return item;
}

export function newDialog(page) {
  const start = async ({ files }) => {
    at("new-dialog").close();
    await page.start(files);
  };
  at("templates").replaceChildren(...TEMPLATES.map((one) => choice(one.title, one.about, () => start(one))));
  for (const id of ["new", "start"]) at(id).addEventListener("click", () => at("new-dialog").showModal());
}

export function openDialog(page, drafts) {
  const dialog = at("open-dialog");
  const say = (text) => {
    at("copy-state").textContent = text;
  };
  let controller = null;

  async function list() {
    const all = drafts ? (await drafts.list()).filter((draft) => draft.id !== page.id) : [];
    at("drafts").replaceChildren(...all.map((draft) => draftItem(draft)));
    if (!all.length) at("drafts").append(make("li", { textContent: "No other drafts." }));
  }

  function draftItem(draft) {
    const when = new Date(draft.saved).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const title = draft.name || titleOf(draft.files[MAIN.html]) || "A page without a name";
    const item = choice(title, when, async () => {
      if (await page.open(draft)) dialog.close();
      else say("This draft is open in another tab.");
    });
    const remove = make("button", { type: "button", className: "quiet", textContent: "Delete" });
    remove.setAttribute("aria-label", `Delete the draft ${title}`);
    let isSure = false;
    remove.addEventListener("click", async () => {
      if (!isSure) {
        isSure = true;
        remove.textContent = "Really?";
        return;
      }
      await drafts.remove(draft.id);
      await list();
    });
    item.append(remove);
    return item;
  }

  at("open").addEventListener("click", async () => {
    await page.flush();
    say("");
    await list();
    dialog.showModal();
  });
  dialog.addEventListener("close", () => controller?.abort());
  at("copy-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    controller = new AbortController();
    at("copy").disabled = true;
    say("Looking for peers that have it…");
    try {
      const { files, skipped } = await copySite(at("address").value, {
        fetch: window.fetch,
        signal: controller.signal,
        report: (count) => say(`${count} files…`),
      });
      await page.start(files, titleOf(files[MAIN.html]));
      if (skipped) say(`${skipped} files were left out: their names are not safe, or there are too many.`);
      else dialog.close();
    } catch (error) {
      say(error.name === "AbortError" ? "" : error.message);
    } finally {
      at("copy").disabled = false;
    }
  });
}

export function filesDialog(page, show) {
  const dialog = at("files-dialog");
  const say = (text) => {
    at("files-state").textContent = text;
  };

  function list() {
    at("file-list").replaceChildren(...Object.keys(page.files).map((path) => row(path)));
  }

  function row(path) {
    const content = page.files[path];
    const size = isText(content) ? new Blob([content]).size : content.size;
    const item = make("li", {});
    item.append(make("span", { textContent: `${path} (${size < 1000 ? `${size} bytes` : `${(size / 1000).toFixed(1)} kB`})` }));
    if (isText(content) && paneOf(path)) {
      const edit = make("button", { type: "button", className: "quiet", textContent: "Edit" });
      edit.setAttribute("aria-label", `Edit ${path}`);
      edit.addEventListener("click", () => {
        dialog.close();
        show(path);
      });
      item.append(edit);
    }
    if (!Object.values(MAIN).includes(path)) {
      const remove = make("button", { type: "button", className: "quiet", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove ${path}`);
      remove.addEventListener("click", () => {
        const rest = Object.entries(page.files).filter(([other]) => other !== path);
        page.replace(Object.fromEntries(rest), `removing ${path}`);
        say(`${path} is removed; “Undo” brings it back.`);
        list();
      });
      item.append(remove);
    }
    return item;
  }

  at("files").addEventListener("click", () => {
    say("");
    list();
    dialog.showModal();
  });
  at("file-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const path = safePath(at("file-name").value.trim());
    if (!path || !paneOf(path)) say("Give a name such as about.html, notes.md or data.json.");
    else if (path in page.files) say(`${path} is there already.`);
    else {
      page.replace({ ...page.files, [path]: "" }, `adding ${path}`);
      at("file-name").value = "";
      dialog.close();
      show(path);
    }
  });
  at("file-add").addEventListener("change", async (event) => {
    const added = {};
    const refused = [];
    for (const file of event.target.files) {
      const path = safePath(file.name);
      if (!path || file.size > MOST_FILE_BYTES) refused.push(file.name);
      else added[path] = paneOf(path) ? await file.text() : new Blob([file], { type: file.type });
    }
    if (Object.keys(added).length) page.replace({ ...page.files, ...added }, "adding files");
    say(refused.length ? `Left out, because of the name or more than 20 MB: ${refused.join(", ")}` : "");
    event.target.value = "";
    list();
  });
}
