// What pages that the user trusts get from PeerSky, as TypeScript declarations.
// Served at peersky://p2p/peersky.d.ts, readable by every page that has the bridge:
//   /// <reference path="peersky.d.ts" />

export {};

declare global {
  interface Window {
    /** The model that the user chose. Undefined on pages that may not use it. */
    readonly llm?: PeerSkyLLM;
    /** The same bridge as apps written for earlier versions of PeerSky call it. */
    readonly _llmBridge?: PeerSkyLLMBridge;
    /** Conversations that this page keeps on the user's computer, if the user allows it. */
    readonly llmMemory?: PeerSkyLLMMemory;
  }

  interface PeerSkyLLM {
    /** Whether a question would be answered: the bridge is on, this page may use it, a model is configured. Answers at once, without network. */
    isSupported(): Promise<boolean>;

    /** The model that answers, without asking it anything. */
    model(): Promise<PeerSkyModel>;

    /**
     * Continues a conversation. Nothing is sent until the result is awaited or iterated; doing both shares one answer.
     *
     *     const { content } = await window.llm.chat({ messages });
     *     for await (const { content } of window.llm.chat({ messages })) text += content;
     *
     * Leaving the loop, aborting the signal, navigating away and closing the tab all stop the model.
     */
    chat(options: PeerSkyChatOptions): PeerSkyLLMChat;

    /** Continues a text. Awaited it is a string, iterated it is pieces of one. */
    complete(prompt: string, options?: PeerSkyOptions): PeerSkyAnswer<string, string>;
  }

  /** A lazy promise that can be iterated instead. It rejects and throws with a DOMException that has a `reason`, or with a TypeError that names the option. */
  type PeerSkyAnswer<Whole, Piece> = Promise<Whole> & AsyncIterable<Piece>;
  type PeerSkyLLMChat = PeerSkyAnswer<PeerSkyMessage & AsyncIterable<PeerSkyMessage>, PeerSkyDelta>;

  /** Options that are not listed here are ignored, with one warning on the console. */
  interface PeerSkyOptions {
    /** 0 to 2. Default: the user's setting, 0.7. */
    temperature?: number;
    /** Longest answer, in tokens. Default: the user's setting, 2048. A cut answer has the finishReason "length". */
    maxTokens?: number;
    /** Texts that end the answer. */
    stop?: string | string[];
    signal?: AbortSignal;
    /** A JSON schema that the answer has to fit, or OpenAI's response_format. */
    responseFormat?: PeerSkyResponseFormat | object;
    /** Functions that the model may ask for, in OpenAI's form. */
    tools?: PeerSkyTool[];
    toolChoice?: "auto" | "none" | "required" | { type: "function"; function: { name: string } };
    seed?: number;
    /** 0 to 1. */
    topP?: number;
    /** Whether, or how hard, a model that can think does so before it answers. */
    think?: boolean | "low" | "medium" | "high";
    /** Only models that the user exposed to pages. */
    model?: string;
    /** Names a conversation, so that the next question in it starts faster. It never leaves this computer. */
    conversation?: string;
    /** OpenAI's spellings of the same options. */
    max_tokens?: number;
    max_completion_tokens?: number;
    top_p?: number;
    response_format?: PeerSkyResponseFormat | object;
    tool_choice?: PeerSkyOptions["toolChoice"];
    reasoning_effort?: "none" | "low" | "medium" | "high";
  }

  interface PeerSkyChatOptions extends PeerSkyOptions {
    messages: PeerSkyPrompt[];
  }

  interface PeerSkyPrompt {
    role: "system" | "user" | "assistant" | "tool";
    content: string | PeerSkyPart[];
    name?: string;
    toolCalls?: PeerSkyToolCall[];
    toolCallId?: string;
    /** OpenAI's spellings of the same. */
    tool_calls?: PeerSkyToolCall[];
    tool_call_id?: string;
  }

  /** Images are data: URLs; remote addresses are refused. */
  type PeerSkyPart =
    | { type: "text"; text: string }
    | { type: "image_url"; image_url: { url: string } | string };

  type PeerSkyResponseFormat =
    | { type: "text" }
    | { type: "json_object" }
    | { type: "json_schema"; json_schema: { name?: string; schema: object; strict?: boolean } };

  interface PeerSkyTool {
    type: "function";
    function: { name: string; description?: string; parameters?: object };
  }

  interface PeerSkyToolCall {
    id: string;
    type: "function";
    function: { name: string; arguments: string };
  }

  type PeerSkyFinishReason = "stop" | "length" | "tool_calls" | "content_filter";

  interface PeerSkyUsage {
    inputTokens: number;
    outputTokens: number;
  }

  interface PeerSkyMessage {
    role: "assistant";
    content: string;
    reasoning?: string;
    toolCalls?: PeerSkyToolCall[];
    finishReason: PeerSkyFinishReason;
    usage?: PeerSkyUsage;
  }

  interface PeerSkyDelta {
    role?: "assistant";
    /** Always a string; empty where the piece carries something else. */
    content: string;
    /** What the model thinks before it answers. */
    reasoning?: string;
    /** Pieces of calls; those of one index belong together. */
    toolCalls?: { index: number; id?: string; type?: "function"; function?: { name?: string; arguments?: string } }[];
    /** How much of the prompt has been read, in tokens. */
    progress?: { processed: number; total: number };
    /** On the last piece. */
    finishReason?: PeerSkyFinishReason;
    usage?: PeerSkyUsage;
  }

  interface PeerSkyModel {
    model: string;
    provider: "builtin" | "ollama" | "openai";
    /** Whether questions stay on this computer. */
    local: boolean;
    capabilities: string[];
    /** In tokens; 0 where unknown. */
    contextLength: number;
  }

  /**
   * What the promises reject with, besides TypeError: NotAllowedError (disabled, not trusted, blocked), NotSupportedError,
   * QuotaExceededError (with `requested` and `quota`), NetworkError (the model cannot be reached or died), AbortError.
   */
  interface PeerSkyError extends DOMException {
    /** Stable identifier: "llm_disabled", "context_length", "interrupted"… */
    readonly reason: string;
    readonly requested?: number;
    readonly quota?: number;
    /** In how many seconds there is room again, where that is known ("tokens_per_minute", "tokens_per_day"). */
    readonly retryAfter?: number;
  }

  interface PeerSkyLLMBridge {
    isSupported(): Promise<boolean>;
    modelInfo(): Promise<{ model: string; vision: boolean }>;
    chat(args: PeerSkyChatOptions): PeerSkyLLMChat;
    complete(prompt: string, args?: PeerSkyOptions): PeerSkyAnswer<string, string>;
    complete(args: PeerSkyOptions & { prompt: string }): PeerSkyAnswer<string, string>;
    /** Prepares an answer; its id goes to iteratorNext and iteratorReturn. */
    chatStream(args: PeerSkyChatOptions): Promise<number>;
    completeStream(prompt: string, args?: PeerSkyOptions): Promise<number>;
    iteratorNext(id: number): Promise<{ done: boolean; value: PeerSkyDelta | string | undefined }>;
    iteratorReturn(id: number): Promise<{ done: boolean; value: undefined }>;
  }

  /** Entries of this origin (of a built-in app: of this app). Off until the user switches it on. */
  interface PeerSkyLLMMemory {
    isEnabled(): Promise<boolean>;
    /** Keeps an entry. Rejects with a QuotaExceededError (reason "memory_full") where this origin keeps 50 MB already. */
    add(entry: PeerSkyMemoryDraft): Promise<PeerSkyMemoryAnswer<"memory_disabled" | "invalid_entry">>;
    /** Entries, oldest first; none while memory is off. */
    list(options?: {
      appId?: string;
      sessionId?: string;
      /** Text that the content contains, upper or lower case. */
      search?: string;
      /** The last so many. */
      limit?: number;
    }): Promise<PeerSkyMemoryEntry[]>;
    /** Sessions, newest first; none while memory is off. */
    listSessions(options?: { appId?: string; limit?: number }): Promise<PeerSkyMemorySession[]>;
    /** Names a session (null or "": its first question again) or pins it. */
    updateSession(
      session: { appId: string; sessionId: string },
      changes: { title?: string | null; pinned?: boolean },
    ): Promise<PeerSkyMemoryAnswer<"memory_disabled" | "no_such_session">>;
    /** Deletes entries; where both are given, those that match both. Works while memory is off, too. */
    clear(options?: { appId?: string; sessionId?: string }): Promise<{ ok: true }>;
  }

  type PeerSkyMemoryAnswer<Reason> = { ok: true } | { ok: false; reason: Reason };

  interface PeerSkyMemoryDraft {
    /** 1 to 64 characters, like sessionId. */
    appId: string;
    sessionId: string;
    /** Up to 16 characters. Default: "user". */
    role?: string;
    /** Up to 100,000 characters. */
    content: string;
    /** Up to 128 characters. */
    model?: string;
    /** ISO 8601, or milliseconds since 1970. Default: now. */
    ts?: string | number | Date;
    /** Anything else, up to 16,384 characters as JSON. */
    meta?: Record<string, unknown>;
  }

  interface PeerSkyMemoryEntry {
    appId: string;
    sessionId: string;
    role: string;
    content: string;
    model: string;
    ts: string;
    meta: Record<string, unknown>;
  }

  interface PeerSkyMemorySession {
    sessionId: string;
    appId: string;
    title: string;
    /** Of the newest entry. */
    ts: string;
    model: string;
    messageCount: number;
    pinned: boolean;
  }
  /**
   * `<llm-history app-id limit mode="sessions|entries" current readonly>`: what this page keeps, as a list. From
   *     <script src="peersky://p2p/components/llm-history.js"></script>
   */
  interface PeerSkyHistoryElement extends HTMLElement {
    /** Shows what is kept now. */
    refresh(): Promise<void>;
    addEventListener<K extends keyof PeerSkyHistoryEvents>(
      type: K,
      listener: (event: PeerSkyHistoryEvents[K]) => void,
      options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener<K extends keyof HTMLElementEventMap>(
      type: K,
      listener: (event: HTMLElementEventMap[K]) => void,
      options?: boolean | AddEventListenerOptions,
    ): void;
    addEventListener(
      type: string,
      listener: EventListenerOrEventListenerObject,
      options?: boolean | AddEventListenerOptions,
    ): void;
  }

  interface PeerSkyHistoryEvents {
    "select-session": CustomEvent<{ sessionId: string; appId: string; entries: PeerSkyMemoryEntry[] }>;
    "select-entry": CustomEvent<{ sessionId: string; entries: PeerSkyMemoryEntry[] }>;
    "session-deleted": CustomEvent<{ sessionId: string; appId: string }>;
    "session-renamed": CustomEvent<{ sessionId: string; appId: string }>;
  }

  interface HTMLElementTagNameMap {
    "llm-history": PeerSkyHistoryElement;
  }
}
