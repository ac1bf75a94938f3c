/*
 * window.llm and window._llmBridge: the page's half of the model bridge. Injected at document creation, before any script
 * of a trusted page; runs inside a function of its own (see qt/profile.py), so nothing else here is global.
 *
 * The other half is web/llm_app.py at llm://bridge/v1, which speaks OpenAI's wire format and checks every request by
 * itself; the fetch wrapper (fetch.js, injected before) gives its replies their true status. Here that becomes: one lazy
 * object per question that is both a Promise and an async iterable, options checked by name, and typed errors (errors.js).
 *
 * What comes back, in our spelling: role, content (always a string), reasoning, toolCalls, finishReason, usage
 * {inputTokens, outputTokens}, progress {processed, total} while the prompt is read. Messages given to chat() may use
 * toolCalls and toolCallId as well as OpenAI's tool_calls and tool_call_id; a message that chat() resolved to also answers
 * to tool_calls.
 */

const BASE = 'llm://bridge/v1';

// Taken now, so that what a page does to its globals later does not change what it gets from us.
const {
  AbortController, JSON, Map, Promise, Set, TextDecoder, console,
  fetch,
} = window;

// --- options

const is = {
  text: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  whole: (value) => Number.isInteger(value),
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  objects: (value) => Array.isArray(value) && value.every(is.object),
  stop: (value) => is.text(value) || (Array.isArray(value) && value.every(is.text)),
  think: (value) => typeof value === 'boolean' || ['low', 'medium', 'high'].includes(value),
  effort: (value) => ['none', 'low', 'medium', 'high'].includes(value),
  choice: (value) => is.text(value) || is.object(value),
  signal: (value) => is.object(value) && typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function',
};

/** Name on the wire, test and description by option; the names after the first of a wire name are aliases. */
const OPTIONS = {
  messages: ['messages', is.objects, 'a list of messages'],
  temperature: ['temperature', is.number, 'a number'],
  maxTokens: ['max_tokens', is.whole, 'a whole number'],
  max_tokens: ['max_tokens', is.whole, 'a whole number'],
  max_completion_tokens: ['max_tokens', is.whole, 'a whole number'],
  topP: ['top_p', is.number, 'a number'],
  top_p: ['top_p', is.number, 'a number'],
  stop: ['stop', is.stop, 'a text or a list of texts'],
  seed: ['seed', is.whole, 'a whole number'],
  tools: ['tools', is.objects, 'a list of objects'],
  toolChoice: ['tool_choice', is.choice, 'a text or an object'],
  tool_choice: ['tool_choice', is.choice, 'a text or an object'],
  responseFormat: ['response_format', is.object, 'an object: a JSON schema or a response format'],
  response_format: ['response_format', is.object, 'an object: a JSON schema or a response format'],
  think: ['think', is.think, "true, false, 'low', 'medium' or 'high'"],
  reasoning_effort: ['reasoning_effort', is.effort, "'none', 'low', 'medium' or 'high'"],
  model: ['model', is.text, 'a text'],
  conversation: ['conversation', is.text, 'a text'],
  signal: ['signal', is.signal, 'an AbortSignal'],
};
const RESPONSE_FORMATS = new Set(['text', 'json_object', 'json_schema']);
// Every answer can be had whole and as a stream here, so what the page says of `stream` has no meaning.
const MEANINGLESS = new Set(['stream', 'stream_options']);
const warnedOf = new Set();

/** What to send, which signal to follow, and how the page spelled each option. Throws a TypeError that names one. */
function parsed(options, own = {}) {
  if (!is.object(options)) throw wrong('The options must be an object.');
  const wire = {};
  const spelled = {};
  const unknown = [];
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name) || Object.hasOwn(own, name)) {
      if (!MEANINGLESS.has(name)) unknown.push(name);
      continue;
    }
    if (value === undefined || value === null) continue;
    const [wireName, fits, description] = OPTIONS[name];
    if (!fits(value)) throw wrong(`The option ${name} must be ${description}.`);
    // Our own spelling wins over an alias of it, whatever their order.
    if (Object.hasOwn(wire, wireName) && name.includes('_')) continue;
    wire[wireName] = value;
    spelled[wireName] = name;
  }
  warn(unknown);
  const { signal, ...rest } = { ...wire, ...own };
  if (!rest.messages) throw wrong('The option messages must be a list of messages.');
  rest.messages = rest.messages.map(outgoing);
  if (rest.response_format && !RESPONSE_FORMATS.has(rest.response_format.type)) {
    rest.response_format = { type: 'json_schema', json_schema: { name: 'answer', schema: rest.response_format } };
  }
  return { body: asText({ ...rest, stream: true }, spelled), signal, spelled };
}

/** The request as JSON, made at the call: what the page does to its objects before the first await changes nothing. */
function asText(request, spelled) {
  const members = Object.entries(request).map(([name, value]) => {
    try {
      return `${JSON.stringify(name)}:${JSON.stringify(value)}`;
    } catch {
      throw wrong(`The option ${spelled[name] ?? name} holds something that JSON cannot.`);
    }
  });
  return `{${members.join(',')}}`;
}

function outgoing({ toolCalls, toolCallId, ...message }) {
  return { ...message, tool_calls: message.tool_calls ?? toolCalls, tool_call_id: message.tool_call_id ?? toolCallId };
}

function warn(unknown) {
  const names = unknown.join(', ');
  if (!names || warnedOf.has(names)) return;
  warnedOf.add(names);
  console.warn(`window.llm ignores options that it does not know: ${names}.`);
}

// --- errors

const wrong = (message) => problem('TypeError', message, 'invalid_request');
const unreachable = () => problem('NetworkError', 'PeerSky\'s model bridge cannot be reached; try again.', 'unreachable');
const unreadable = () => problem('NetworkError', 'The model\'s answer cannot be read; ask again.', 'backend_error');
const interrupted = () => problem('NetworkError', 'The model stopped in the middle of its answer; ask again.', 'interrupted');

function aborted(why) {
  const error = problem('AbortError', 'The question was withdrawn.', 'aborted');
  return why === undefined ? error : Object.defineProperty(error, 'cause', { value: why, configurable: true });
}

async function refused(response, spelled) {
  try {
    return fromBridge((await response.json()).error, spelled);
  } catch {
    return unreadable();
  }
}

// --- server-sent events (HTML Living Standard, 9.2.6)

/** The data of each event of a body. Works on any split of the bytes; lines end with LF, CRLF or CR. */
async function* eventsOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let data = [];
  for (;;) {
    const { done, value } = await reader.read();
    text += done ? `${decoder.decode()}\n\n` : decoder.decode(value, { stream: true });
    // A CR at the end may be half of a CRLF: it waits for what follows.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    text = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (data.length) yield data.join('\n');
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
    if (done) return;
  }
}

// --- one answer

/** One question and its answer, which any number of readers share. Sends nothing before {@link Generation#start}. */
class Generation {
  deltas = [];
  ended = false;
  error = null;
  #request;
  #convert;
  #started = false;
  #readers = 0;
  #controller = new AbortController();
  #waiting = [];
  #settle = Promise.withResolvers();

  /**
   * @param make returns {body, signal, spelled}; what it throws is the answer's error
   * @param convert {delta, whole}: what readers get for a delta (undefined: nothing) and for the whole answer
   */
  constructor(make, convert) {
    this.#convert = convert;
    try {
      this.#request = make();
    } catch (error) {
      // Promise-returning operations reject and do not throw (Web IDL).
      this.error = error;
    }
  }

  /** A promise of the whole answer. Asking for it starts nothing. */
  get result() {
    return this.#settle.promise;
  }

  start() {
    if (this.#started) return;
    this.#started = true;
    this.#run().then(
      (answer) => this.#end(null, answer),
      (error) => this.#end(error, null),
    );
  }

  /** Readers keep the generation alive: when the last one leaves early, it is stopped. */
  join() {
    this.#readers += 1;
  }

  leave() {
    this.#readers -= 1;
    if (this.#readers === 0 && !this.ended) this.stop();
  }

  stop(why) {
    this.#started = true;
    this.#end(aborted(why), null);
  }

  /** Resolves when there is more to read, or nothing more to come. */
  changed() {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #end(error, answer) {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    if (error) {
      this.#settle.reject(error);
      this.#controller.abort();
    } else {
      this.#settle.resolve(answer);
    }
    this.#wake();
  }

  async #run() {
    if (this.error) throw this.error;
    const { body, signal, spelled } = this.#request;
    if (signal?.aborted) throw aborted(signal.reason);
    const stop = () => this.stop(signal.reason);
    signal?.addEventListener('abort', stop);
    try {
      return await this.#read(await this.#send(body, spelled), spelled);
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#request = null;
    }
  }

  async #send(body, spelled) {
    let response;
    try {
      response = await fetch(`${BASE}/chat/completions`, { method: 'POST', body, signal: this.#controller.signal });
    } catch {
      throw unreachable();
    }
    if (!response.ok) throw await refused(response, spelled);
    return response;
  }

  async #read(response, spelled) {
    const answer = new Answer();
    try {
      for await (const data of eventsOf(response.body)) {
        if (data === '[DONE]') {
          if (!answer.isComplete) throw interrupted();
          return this.#convert.whole(answer);
        }
        const delta = incoming(data, spelled);
        if (!delta) continue;
        answer.add(delta);
        const shown = this.#convert.delta(delta);
        if (shown === undefined) continue;
        this.deltas.push(shown);
        this.#wake();
      }
    } catch (error) {
      // Ours has a reason; what else the reader throws means that the connection broke.
      throw is.text(error?.reason) ? error : interrupted();
    }
    throw interrupted();
  }
}

/** A delta in our spelling, from the data of an event; null where it holds nothing. Throws what an error event says. */
function incoming(data, spelled) {
  let chunk;
  try {
    chunk = JSON.parse(data);
  } catch {
    throw unreadable();
  }
  if (chunk?.error) throw fromBridge(chunk.error, spelled);
  const choice = chunk?.choices?.[0] ?? {};
  const { role, content, reasoning, tool_calls: toolCalls } = choice.delta ?? {};
  const delta = { content: is.text(content) ? content : '' };
  if (role) delta.role = role;
  if (reasoning) delta.reasoning = reasoning;
  if (toolCalls?.length) delta.toolCalls = toolCalls;
  if (choice.finish_reason) delta.finishReason = choice.finish_reason;
  if (chunk?.usage) {
    delta.usage = { inputTokens: chunk.usage.prompt_tokens, outputTokens: chunk.usage.completion_tokens };
  }
  if (chunk?.prompt_progress) delta.progress = chunk.prompt_progress;
  return delta.content === '' && Object.keys(delta).length === 1 ? null : delta;
}

/** The whole answer, gathered from its deltas. */
class Answer {
  content = '';
  #role = 'assistant';
  #reasoning = '';
  #toolCalls = [];
  #finishReason;
  #usage;

  add({ role, content, reasoning, toolCalls, finishReason, usage }) {
    this.content += content;
    this.#role = role ?? this.#role;
    this.#reasoning += reasoning ?? '';
    this.#finishReason = finishReason ?? this.#finishReason;
    this.#usage = usage ?? this.#usage;
    for (const fragment of toolCalls ?? []) this.#addToolCall(fragment);
  }

  get isComplete() {
    return this.#finishReason !== undefined;
  }

  #addToolCall({ index, id, function: called }) {
    const calls = this.#toolCalls;
    const at = index ?? Math.max(0, calls.length - 1);
    calls[at] ??= { id: '', type: 'function', function: { name: '', arguments: '' } };
    calls[at].id = id || calls[at].id;
    calls[at].function.name += called?.name ?? '';
    calls[at].function.arguments += called?.arguments ?? '';
  }

  /** The message that chat() resolves to. It is async-iterable too, since Agregore's documentation iterates it. */
  message() {
    const message = { role: this.#role, content: this.content };
    if (this.#reasoning) message.reasoning = this.#reasoning;
    if (this.#toolCalls.length) {
      message.toolCalls = this.#toolCalls.filter(Boolean);
      Object.defineProperty(message, 'tool_calls', { value: message.toolCalls });
    }
    message.finishReason = this.#finishReason;
    if (this.#usage) message.usage = this.#usage;
    const once = async function* once() {
      yield message;
    };
    return Object.defineProperty(message, Symbol.asyncIterator, { value: once });
  }
}

const MESSAGES = { delta: (delta) => delta, whole: (answer) => answer.message() };
const TEXTS = { delta: (delta) => delta.content || undefined, whole: (answer) => answer.content };

/** Reads the deltas of a generation. Its return() stops at once, also while a next() waits (an async generator's would not). */
class Deltas {
  #generation;
  #at = 0;
  #joined = false;
  #closed = false;

  constructor(generation) {
    this.#generation = generation;
  }

  async next() {
    const generation = this.#generation;
    if (this.#closed) return { done: true, value: undefined };
    if (!this.#joined) {
      this.#joined = true;
      generation.join();
      generation.start();
    }
    const at = this.#at++;
    while (generation.deltas.length <= at && !generation.ended && !this.#closed) await generation.changed();
    if (this.#closed) return { done: true, value: undefined };
    if (at < generation.deltas.length) return { done: false, value: generation.deltas[at] };
    this.#close();
    if (generation.error) throw generation.error;
    return { done: true, value: undefined };
  }

  async return(value) {
    this.#close();
    return { done: true, value };
  }

  async throw(error) {
    this.#close();
    throw error;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  #close() {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#joined) this.#generation.leave();
  }
}

/**
 * What chat() and complete() return: a Promise of the whole answer and an async iterable of its deltas, of one and the same
 * generation. Lazy: the first then() (await calls it) or next() sends the question.
 */
class Lazy extends Promise {
  #generation;
  #awaited = false;

  constructor(generation) {
    let adopt;
    super((resolve) => {
      adopt = resolve;
    });
    adopt(generation.result);
    // Who only iterates gets the error there; it must not be reported a second time as an unhandled rejection.
    super.then(undefined, () => {});
    this.#generation = generation;
  }

  // What then(), catch() and finally() return are plain promises.
  static get [Symbol.species]() {
    return Promise;
  }

  then(onFulfilled, onRejected) {
    if (!this.#awaited) {
      this.#awaited = true;
      this.#generation.join();
      this.#generation.start();
    }
    return super.then(onFulfilled, onRejected);
  }

  [Symbol.asyncIterator]() {
    return new Deltas(this.#generation);
  }
}

// --- window.llm

async function get(path) {
  let response;
  try {
    response = await fetch(BASE + path);
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw await refused(response);
  try {
    return await response.json();
  } catch {
    throw unreadable();
  }
}

function chat(options) {
  return new Lazy(new Generation(() => parsed(options), MESSAGES));
}

function complete(prompt, options) {
  const make = () => {
    if (!is.text(prompt)) throw wrong('The prompt must be a text.');
    return parsed(options ?? {}, { messages: [{ role: 'user', content: prompt }] });
  };
  return new Lazy(new Generation(make, TEXTS));
}

async function isSupported() {
  try {
    return (await get('/status')).supported === true;
  } catch {
    return false;
  }
}

async function model() {
  const [{ data: [info] }, { isLocal }] = await Promise.all([get('/models'), get('/status')]);
  return {
    model: info.id,
    provider: info.provider,
    local: isLocal === true,
    capabilities: info.capabilities,
    contextLength: info.contextLength,
  };
}

// --- window._llmBridge, as apps that were shipped with PeerSky use it

const iterators = new Map();
let lastId = 0;

function open(answer) {
  lastId += 1;
  iterators.set(lastId, answer[Symbol.asyncIterator]());
  return lastId;
}

function iterator(id) {
  const found = iterators.get(id);
  if (!found) throw wrong('There is no iterator of that id; chatStream() and completeStream() give ids.');
  return found;
}

const bridge = {
  isSupported,
  async modelInfo() {
    const { model: name, capabilities } = await model();
    return { model: name, vision: capabilities.includes('vision') };
  },
  chat,
  // Its callers pass one object that holds the prompt.
  complete(args, options) {
    if (!is.object(args)) return complete(args, options);
    const { prompt, ...rest } = args;
    return complete(prompt, rest);
  },
  async chatStream(args) {
    return open(chat(args));
  },
  async completeStream(prompt, args) {
    return open(complete(prompt, args));
  },
  async iteratorNext(id) {
    return iterator(id).next();
  },
  async iteratorReturn(id) {
    const found = iterator(id);
    iterators.delete(id);
    return found.return();
  },
};

// Configurable, since a page's own top-level `const llm = window.llm` would be a SyntaxError otherwise.
const shown = { configurable: true, enumerable: true, writable: false };
Object.defineProperty(window, 'llm', { ...shown, value: Object.freeze({ isSupported, model, chat, complete }) });
Object.defineProperty(window, '_llmBridge', { ...shown, value: Object.freeze(bridge) });
