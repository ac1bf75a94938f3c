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
    chat(options: PeerSkyChatOptions): PeerSkyAnswer<PeerSkyMessage & AsyncIterable<PeerSkyMessage>, PeerSkyDelta>;

    /** Continues a text. Awaited it is a string, iterated it is pieces of one. */
    complete(prompt: string, options?: PeerSkyOptions): PeerSkyAnswer<string, string>;
  }

  /** A lazy promise that can be iterated instead. It rejects and throws with a DOMException that has a `reason`, or with a TypeError that names the option. */
  type PeerSkyAnswer<Whole, Piece> = Promise<Whole> & AsyncIterable<Piece>;

  /** Options that are not listed here are ignored, with one warning on the console. */
  interface PeerSkyOptions {
    /** 0 to 2. Default: the user's setting, 0.7. */
    temperature?: number;
    /** Longest answer, in tokens. Default: the user's setting, 2048. A cut answer has the finishReason "length". */
    maxTokens?: number;
    /** Texts that end the answer. */
    stop?: string | string[];
    signal?: AbortSignal;
    /** OpenAI's response_format; a JSON schema makes the model write JSON that fits it. */
    responseFormat?: PeerSkyResponseFormat;
    /** Functions that the model may ask for, in OpenAI's form. */
    tools?: PeerSkyTool[];
    seed?: number;
    /** 0 to 1. */
    topP?: number;
    /** Whether, or how hard, a model that can think does so before it answers. */
    think?: boolean | "low" | "medium" | "high";
    /** Only models that the user exposed to pages. */
    model?: string;
    /** OpenAI's spellings of the same options. */
    max_tokens?: number;
    top_p?: number;
    response_format?: PeerSkyResponseFormat;
  }

  interface PeerSkyChatOptions extends PeerSkyOptions {
    messages: PeerSkyPrompt[];
  }

  interface PeerSkyPrompt {
    role: "system" | "user" | "assistant" | "tool";
    content: string | PeerSkyPart[];
    name?: string;
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

  type PeerSkyFinishReason = "stop" | "length" | "tool_calls";

  interface PeerSkyUsage {
    inputTokens: number;
    outputTokens: number;
  }

  interface PeerSkyMessage {
    role: "assistant";
    content: string;
    reasoning?: string;
    tool_calls?: PeerSkyToolCall[];
    finishReason: PeerSkyFinishReason;
    usage?: PeerSkyUsage;
  }

  interface PeerSkyDelta {
    role?: "assistant";
    /** Always a string; empty where the piece carries something else. */
    content: string;
    /** What the model thinks before it answers. */
    reasoning?: string;
    /** On the last piece. */
    finishReason?: PeerSkyFinishReason;
    usage?: PeerSkyUsage;
  }

  interface PeerSkyModel {
    model: string;
    provider: "builtin" | "ollama" | "openai";
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
  }

  interface PeerSkyLLMBridge {
    isSupported(): Promise<boolean>;
    modelInfo(): Promise<{ model: string; vision: boolean }>;
    chat(args: PeerSkyChatOptions): Promise<PeerSkyMessage>;
    complete(prompt: string, args?: PeerSkyOptions): Promise<string>;
    /** Starts an answer; its id goes to iteratorNext and iteratorReturn. */
    chatStream(args: PeerSkyChatOptions): Promise<string>;
    completeStream(prompt: string, args?: PeerSkyOptions): Promise<string>;
    iteratorNext(id: string): Promise<{ done: boolean; value: PeerSkyDelta | string | undefined }>;
    iteratorReturn(id: string): Promise<{ done: boolean; value: undefined }>;
  }
}
