// What the model is told. Short, concrete and one file at a time: that is what small models can follow. Pure.

import { KINDS, LABELS, MAIN } from "./files.js";

const PAGE = "a small web page made of three files: index.html, style.css and script.js";
const OFFLINE =
  "The page works without a network: no CDN, no web fonts, no pictures from elsewhere. For pictures use emoji, CSS or inline SVG.";
const RULES = {
  html:
    "Write a complete HTML document: <!doctype html>, lang, charset, viewport, title. Put no CSS and no JavaScript into it; " +
    'link <link rel="stylesheet" href="style.css"> and, before </body>, <script src="script.js"></script>. ' +
    "Use header, main, section and footer, real texts and class names that say what they are.",
  css:
    "Write only CSS, for the elements and class names that are in index.html. It has to look good on a phone and on a wide screen, " +
    "with enough contrast. No @import.",
  js:
    "Write only plain JavaScript for the browser, for the elements that are in index.html. No libraries, no imports. " +
    "If the page needs no script, answer with the one word NONE.",
};
const FENCES = { html: "html", css: "css", js: "js" };

// Which files a change needs, as JSON.
export const PLAN_SCHEMA = {
  type: "object",
  properties: {
    title: { type: "string", maxLength: 60 },
    files: { type: "array", items: { type: "string", enum: Object.values(MAIN) }, minItems: 1, maxItems: 3 },
  },
  required: ["title", "files"],
  additionalProperties: false,
};

export function planMessages(description, files) {
  const sizes = KINDS.map((kind) => `${MAIN[kind]}: ${files[MAIN[kind]]?.trim() ? "written" : "empty"}`).join(", ");
  const system =
    `You plan changes of ${PAGE}. Answer with JSON: {"title": a short name of the page, "files": the files that have to change}. ` +
    "index.html holds text and structure, style.css colours, sizes and layout, script.js what happens on clicks and input. " +
    "Name as few files as possible.";
  return [
    { role: "system", content: system },
    { role: "user", content: `The page now (${sizes}):\n\n${fence("html", clipped(files[MAIN.html] ?? "", 3000))}\n\nWhat is wanted: ${description}` },
  ];
}

// The plan that an answer holds, or null.
export function readPlan(text) {
  const start = text.indexOf("{");
  if (start < 0) return null;
  try {
    const plan = JSON.parse(text.slice(start, text.lastIndexOf("}") + 1));
    const wanted = KINDS.filter((kind) => Array.isArray(plan.files) && plan.files.includes(MAIN[kind]));
    return wanted.length ? { title: typeof plan.title === "string" ? plan.title.trim().slice(0, 60) : "", kinds: wanted } : null;
  } catch {
    return null;
  }
}

// The messages that ask for one file. `lean` tells less of the other files, for models that hold little.
export function fileMessages(kind, description, files, { lean = false } = {}) {
  const path = MAIN[kind];
  const now = files[path]?.trim() ? files[path].trim() : "";
  const system = [
    `You are an expert web developer. You write ${path} of ${PAGE}.`,
    RULES[kind],
    OFFLINE,
    `Answer with the complete file in one \`\`\`${FENCES[kind]} code block. No explanation.`,
  ].join("\n");
  const parts = [];
  const page = files[MAIN.html]?.trim();
  if (kind !== "html" && page) {
    parts.push(lean ? `The elements of index.html:\n${fence("html", outline(page))}` : `index.html:\n${fence("html", page)}`);
  } else if (kind === "html" && !lean) {
    for (const other of KINDS.filter((one) => one !== kind && files[MAIN[one]]?.trim())) {
      parts.push(`${MAIN[other]}:\n${fence(FENCES[other], files[MAIN[other]].trim())}`);
    }
  }
  if (now) parts.push(`${path} as it is now:\n${fence(FENCES[kind], now)}`);
  const wish = now
    ? `Change ${path} so that: ${description}\nKeep everything else as it is. Answer with the whole changed file.`
    : `Write ${path}. What is wanted: ${description}`;
  return [
    { role: "system", content: system },
    { role: "user", content: [...parts, wish].join("\n\n") },
  ];
}

export function againMessages(messages, answer, kind) {
  return [
    ...messages,
    { role: "assistant", content: clipped(answer, 600) },
    { role: "user", content: `That held no ${LABELS[kind]}. Answer with the code of ${MAIN[kind]} only, in one \`\`\`${FENCES[kind]} code block.` },
  ];
}

export function continueMessages(messages, answer) {
  return [
    ...messages,
    { role: "assistant", content: answer },
    {
      role: "user",
      content: "Your answer was cut off. Go on exactly where it stopped. Repeat nothing, explain nothing, and close the code block at the end.",
    },
  ];
}

// A page without its texts: what a style sheet and a script need to know of it.
const outline = (html) => html.replace(/>[^<]+</g, "><").replace(/<svg[\s\S]*?<\/svg>/gi, "<svg></svg>");

const fence = (language, text) => `\`\`\`${language}\n${text}\n\`\`\``;
const clipped = (text, length) => (text.length > length ? `${text.slice(0, length)}\n…` : text);
