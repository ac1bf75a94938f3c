// A conversation as a document: Markdown, or one HTML file that needs nothing else and runs no script. Pure; tested in Node.

import { clean, escape } from "./markup.js";

const NAMES = { user: "You", assistant: "Answer" };
const ENDS = { stopped: "(stopped)", cut: "(cut at its longest length)", failed: "(broken off)" };

// What of a conversation is worth keeping: messages with something in them. Errors are none.
export function shown(path) {
  return path.filter(({ content, images }) => content.trim() || images.length);
}

export function toMarkdown(conversation, name = conversation.title) {
  const parts = [`# ${oneLine(name)}`];
  if (conversation.system.trim()) parts.push(`## Instructions\n\n${clean(conversation.system.trim())}`);
  for (const { role, content, images, state, model } of shown(conversation.path)) {
    const who = role === "assistant" && model ? `${NAMES[role]} (${oneLine(model)})` : NAMES[role];
    const pictures = images.map((_, at) => `*[Picture ${at + 1}]*`).join(" ");
    parts.push([`## ${who}`, pictures, clean(content).trim(), ENDS[state] ?? ""].filter(Boolean).join("\n\n"));
  }
  return `${parts.join("\n\n")}\n`;
}

const oneLine = (text) => clean(text).replace(/\s+/g, " ").trim();

// The document. `bodies`: sanitised markup of each answer that is shown, by message id; `style`: its style sheet.
export function toHtml(conversation, bodies, style, name = conversation.title) {
  const title = escape(oneLine(name));
  const messages = shown(conversation.path).map((message) => messageHtml(message, bodies.get(message.id)));
  const system = conversation.system.trim();
  const told = system && `<details><summary>Instructions</summary><p class="text">${escape(clean(system))}</p></details>\n`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>
${style.replaceAll("</", "<\\/")}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${told}${messages.join("\n")}
</main>
<footer>A conversation with a model, which makes mistakes. Made with PeerSky.</footer>
</body>
</html>
`;
}

function messageHtml({ role, content, images, state, model }, body) {
  const name = role === "assistant" && model ? `${NAMES[role]} <small>${escape(oneLine(model))}</small>` : NAMES[role];
  const pictures = images
    .filter((url) => /^data:image\/(?:jpeg|png|gif|webp);base64,[\w+/=]+$/.test(url))
    .map((url, at) => `<img src="${url}" alt="Picture ${at + 1}">`);
  const text = role === "user" ? content && `<p class="text">${escape(clean(content))}</p>` : body ?? "";
  const end = ENDS[state] ? `<p class="end">${ENDS[state]}</p>` : "";
  return `<article class="${role}">\n<h2>${name}</h2>\n${pictures.join("")}${text}${end}\n</article>`;
}

// A name for a file or a drive.
export function fileName(title) {
  const words = oneLine(title).normalize("NFKD").replace(/[^\p{Letter}\p{Number}]+/gu, "-").replace(/^-+|-+$/g, "");
  return words.slice(0, 60).toLowerCase() || "conversation";
}
