// The conversation as data: its entries, what of it the model gets to see, and its copy in this tab's sessionStorage
// (so that a reload keeps it; nothing is written anywhere else).
//
// Entry: {role: "user" | "assistant", content, reasoning, state, error}
// state: "streaming", "done", "stopped" (by the user), "cut" (too long), "failed" (then error: {message, reason})

const KEY = "ai-chat.conversation";
const CONTINUE = "Continue exactly where you stopped. Do not repeat anything.";

export function userEntry(content) {
  return { role: "user", content, reasoning: "", state: "done", error: null };
}

export function answerEntry() {
  return { role: "assistant", content: "", reasoning: "", state: "streaming", error: null };
}

// The messages for the model. Errors are no messages, and neither is an answer without a word; the questions on both
// sides of it are joined, since many chat templates insist on turns.
export function toMessages(entries) {
  const messages = [];
  for (const { role, content } of entries) {
    if (!content) continue;
    const last = messages.at(-1);
    if (last?.role === role) last.content += `\n\n${content}`;
    else messages.push({ role, content });
  }
  return messages;
}

// The messages that make the model go on with the last answer.
export function toContinue(entries) {
  return [...toMessages(entries), { role: "user", content: CONTINUE }];
}

export function store(entries) {
  try {
    if (entries.length) sessionStorage.setItem(KEY, JSON.stringify(entries));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Full or not available (sandboxed frames): the conversation then lives as long as the page.
    return false;
  }
  return true;
}

export function restore() {
  let found;
  try {
    found = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(found)) return [];
  return found
    .filter((entry) => ["user", "assistant"].includes(entry?.role) && typeof entry.content === "string")
    .map((entry) => ({ ...entry, state: entry.state === "streaming" ? "stopped" : entry.state }));
}
