// What an app's author writes against peersky.d.ts, each call at least once: `make check` has TypeScript read it.
/// <reference path="../../src/peersky/assets/peersky.d.ts" />

const messages: PeerSkyPrompt[] = [
  { role: "system", content: "Be brief." },
  {
    role: "user",
    content: [
      { type: "text", text: "What is this?" },
      { type: "image_url", image_url: { url: "data:image/png;base64," } },
      { type: "image_url", image_url: "data:image/png;base64," },
    ],
  },
];

export async function ask(signal: AbortSignal): Promise<string> {
  const { llm } = window;
  if (!llm || !(await llm.isSupported())) return "";
  const { model, provider, local, capabilities, contextLength } = await llm.model();
  const seen: string = `${model} ${provider} ${local} ${capabilities.join()} ${contextLength.toFixed()}`;
  const message = await llm.chat({ messages, temperature: 0.2, maxTokens: 100, stop: ["\n"], seed: 1, topP: 0.9, signal });
  for await (const { content } of message) console.log(content);
  const usage: PeerSkyUsage | undefined = message.usage;
  let text = "";
  for await (const delta of llm.chat({ messages: [...messages, message], conversation: "one", think: "low" })) {
    text += delta.content;
    if (delta.finishReason === "length") text += "…";
    console.log(delta.reasoning?.length, delta.progress?.total, delta.usage?.outputTokens, usage?.inputTokens);
  }
  const schema = { type: "object", properties: { title: { type: "string" } } };
  const json: string = await llm.complete("A title", { responseFormat: schema, max_tokens: 10 });
  for await (const piece of llm.complete("Go on")) text += piece;
  return [seen, json, text].join("\n");
}

export async function tools(): Promise<void> {
  const weather: PeerSkyTool = { type: "function", function: { name: "weather", parameters: {} } };
  const answer = await window.llm!.chat({ messages, tools: [weather], toolChoice: "auto" });
  const [call] = answer.toolCalls ?? [];
  if (!call) return;
  messages.push(answer, { role: "tool", toolCallId: call.id, content: JSON.parse(call.function.arguments) });
}

export function explain(error: unknown): string {
  const { name, message, reason, requested, quota } = error as PeerSkyError;
  return `${name} ${message} ${reason} ${requested ?? 0}/${quota ?? 0}`;
}

export async function remember(appId: string, sessionId: string): Promise<number> {
  const memory = window.llmMemory;
  if (!memory || !(await memory.isEnabled())) return 0;
  const added = await memory.add({ appId, sessionId, content: "Hello", ts: new Date(), meta: { mood: "good" } });
  if (!added.ok && added.reason === "invalid_entry") return 0;
  await memory.updateSession({ appId, sessionId }, { title: "Mine", pinned: true });
  const entries: PeerSkyMemoryEntry[] = await memory.list({ appId, search: "hello", limit: 3 });
  const [session] = await memory.listSessions({ appId });
  await memory.clear({ appId, sessionId });
  return entries.length + (session?.messageCount ?? 0);
}

export function history(): PeerSkyHistoryElement {
  const list = document.createElement("llm-history");
  list.setAttribute("app-id", "notes");
  list.addEventListener("select-session", ({ detail }) => console.log(detail.sessionId, detail.appId, detail.entries[0]?.role));
  list.addEventListener("select-entry", ({ detail }) => console.log(detail.sessionId, detail.entries.length));
  list.addEventListener("click", (event) => console.log(event.clientX));
  void list.refresh();
  return list;
}

export async function old(): Promise<void> {
  const bridge = window._llmBridge!;
  const { vision } = await bridge.modelInfo();
  const id = await bridge.chatStream({ messages });
  const { done, value } = await bridge.iteratorNext(id);
  console.log(vision, done, typeof value === "string" ? value : value?.content);
  await bridge.iteratorReturn(id);
}

// What must not pass.
// @ts-expect-error -- a message needs a role
void window.llm?.chat({ messages: [{ content: "Hello" }] });
// @ts-expect-error -- an entry needs its session
void window.llmMemory?.add({ appId: "a", content: "Hello" });
// @ts-expect-error -- nothing of it can be replaced
window.llm = undefined;
