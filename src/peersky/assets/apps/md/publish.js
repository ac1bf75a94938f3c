// Publishing a text: the page of it, and the text itself for those who go on writing.

import { drive, EMPTY_FOLDER, folderOf, publicationHeaders, request } from "./p2p.js";

export const APP = "Markdown";

// to: "hyper" (a drive called `name`, which keeps its address) or "ipfs". Returns {to, url, name}.
export async function publish({ to, name, page, text, model = "", signal, send = request }) {
  const form = new FormData();
  form.append("file", new Blob([page], { type: "text/html" }), "index.html");
  form.append("file", new Blob([text], { type: "text/markdown" }), "text.md");
  const options = { method: "PUT", body: form, headers: publicationHeaders(APP, model), signal };
  if (to === "ipfs") return { to, url: folderOf(await send(EMPTY_FOLDER, options)), name: "" };
  const root = await drive(name, { send, signal });
  await send(root, options);
  return { to, url: root, name };
}
