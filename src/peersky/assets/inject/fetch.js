/*
 * Makes fetch() and XMLHttpRequest true to HTTP for PeerSky's own URL schemes. Injected at document creation, before any
 * script of a trusted page; runs inside a function of its own (see qt/profile.py), so nothing here is global.
 *
 * The other half is qt/asgi_scheme.py: Chromium gives a custom scheme neither status codes nor the case of header
 * values, so the browser sends them in X-Peersky-Status and X-Peersky-Headers, and the Response is rebuilt here. Bodies
 * over one slice go to an upload session (web/uploads.py) in slices, since the browser must read each request's body at
 * one go on its main thread.
 */

const SCHEMES = new Set(['peersky:', 'llm:', 'hyper:', 'ipfs:', 'ipns:']);
const STATUS_HEADER = 'x-peersky-status';
const HEADERS_HEADER = 'x-peersky-headers';
const UPLOAD_HEADER = 'X-Peersky-Upload';
const SLICE_BYTES = 4 * 1024 * 1024;
const NULL_BODY = new Set([101, 103, 204, 205, 304]);

const STATUS_TEXTS = {
  200: 'OK', 201: 'Created', 202: 'Accepted', 204: 'No Content', 206: 'Partial Content', 304: 'Not Modified',
  400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed',
  408: 'Request Timeout', 409: 'Conflict', 413: 'Content Too Large', 416: 'Range Not Satisfiable',
  422: 'Unprocessable Content', 429: 'Too Many Requests', 500: 'Internal Server Error', 501: 'Not Implemented',
  502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout', 507: 'Insufficient Storage',
};

const nativeFetch = window.fetch;
const XHR = window.XMLHttpRequest;

/** The absolute URL when it belongs to one of our schemes, else null. P2P keys are canonical here (keys.js). */
function ourUrl(input) {
  try {
    const url = new URL(input instanceof Request ? input.url : input, document.baseURI);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Status and headers as the app sent them, from the two headers that carry them. */
function trueHead(get) {
  const status = Number(get(STATUS_HEADER)) || 200;
  let pairs = [];
  try {
    pairs = JSON.parse(decodeURIComponent(get(HEADERS_HEADER) ?? '%5B%5D'));
  } catch {
    // A reply that the adapter did not make (a failed request) has no such header.
  }
  return { status, statusText: STATUS_TEXTS[status] ?? '', pairs };
}

function rebuilt(native) {
  if (!native.headers.has(STATUS_HEADER)) return native;
  const { status, statusText, pairs } = trueHead((name) => native.headers.get(name));
  const headers = new Headers();
  for (const [name, value] of pairs) headers.append(name, value);
  const response = new Response(NULL_BODY.has(status) ? null : native.body, { status, statusText, headers });
  return described(response, { url: native.url, redirected: native.redirected, type: native.type });
}

/** Gives a constructed Response what only a fetched one has; a clone has it too. */
function described(response, facts) {
  for (const [name, value] of Object.entries(facts)) Object.defineProperty(response, name, { value, configurable: true });
  const clone = response.clone.bind(response);
  Object.defineProperty(response, 'clone', { value: () => described(clone(), facts), configurable: true });
  return response;
}

/**
 * What a body is when it may need slices: {blob, type}, {stream}, or null when it is small enough to be sent as it is.
 * `type` is a Content-Type that must be kept, since a Blob's own would be lower-cased (a form's boundary would break).
 */
async function largeBody(body) {
  if (body instanceof Blob) return body.size > SLICE_BYTES ? { blob: body, type: body.type } : null;
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    return body.byteLength > SLICE_BYTES ? { blob: new Blob([body]), type: '' } : null;
  }
  if (typeof body === 'string') {
    // A character of a string is at most three bytes of UTF-8.
    return body.length * 3 > SLICE_BYTES ? { blob: new Blob([body]), type: 'text/plain;charset=UTF-8' } : null;
  }
  if (body instanceof FormData) {
    const whole = new Response(body);
    const type = whole.headers.get('content-type');
    return { blob: await whole.blob(), type };
  }
  if (body instanceof ReadableStream) return { stream: body, type: '' };
  return null;
}

/** The body in slices of at most SLICE_BYTES, as Blobs. An aborted signal ends a stream that keeps silent, too. */
async function* slices({ blob, stream }, signal) {
  if (blob) {
    for (let start = 0; start < blob.size; start += SLICE_BYTES) yield blob.slice(start, start + SLICE_BYTES);
    return;
  }
  let parts = [];
  let length = 0;
  for await (const chunk of chunks(stream, signal)) {
    for (let at = 0; at < chunk.byteLength;) {
      const part = chunk.subarray(at, at + SLICE_BYTES - length);
      parts.push(part);
      length += part.byteLength;
      at += part.byteLength;
      if (length === SLICE_BYTES) {
        yield new Blob(parts);
        parts = [];
        length = 0;
      }
    }
  }
  if (length) yield new Blob(parts);
}

async function* resumed(taken, rest) {
  yield* taken;
  yield* rest;
}

async function* chunks(stream, signal) {
  const reader = stream.getReader();
  const stop = () => reader.cancel(signal.reason).catch(() => {});
  signal?.addEventListener('abort', stop);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      if (!(value instanceof Uint8Array)) {
        throw new TypeError('A stream that is sent as a body must hold Uint8Array chunks; encode text with TextEncoder.');
      }
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    reader.cancel().catch(() => {});
  }
}

/**
 * Sends a body, a slice at a time, to an upload session. Returns the value of the header that commits it, or the
 * Response that refused it and the value that asks for the same refusal.
 */
async function upload(url, method, pieces, signal, onSlice = () => {}) {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
  let offset = 0;
  for await (const slice of pieces) {
    const headers = { [UPLOAD_HEADER]: `${id}; offset=${offset}` };
    const reply = rebuilt(await nativeFetch(url, { method, headers, body: slice, signal }));
    if (reply.status !== 202) return { refused: reply, commit: `${id}; refused=${offset}` };
    offset += slice.size;
    onSlice(offset);
  }
  return { commit: `${id}; commit=${offset}` };
}

async function fetchOurs(url, input, init) {
  const request = input instanceof Request ? input : null;
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase();
  const signal = init.signal ?? request?.signal;
  let body = init.body;
  if (body === undefined && request?.body) body = request.body;
  if (method === 'GET' || method === 'HEAD' || body === undefined || body === null) {
    return rebuilt(await nativeFetch(input, init));
  }
  signal?.throwIfAborted();
  const large = await largeBody(body);
  if (!large) return rebuilt(await nativeFetch(input, init));
  const headers = new Headers(init.headers ?? request?.headers);
  if (large.type && !headers.has('content-type')) headers.set('content-type', large.type);
  const pieces = slices(large, signal);
  const [first, second] = [await pieces.next(), await pieces.next()];
  if (second.done) {
    // What fits into one request needs no session.
    return rebuilt(await nativeFetch(url, { method, headers, body: first.value ?? new Blob(), signal }));
  }
  const { commit, refused } = await upload(url, method, resumed([first.value, second.value], pieces), signal);
  if (refused) return refused;
  headers.set(UPLOAD_HEADER, commit);
  return rebuilt(await nativeFetch(url, { method, headers, signal }));
}

async function fetch(input, init) {
  const target = input instanceof Request || input === undefined ? input : canonicalUrl(input);
  const url = ourUrl(target);
  return url === null ? nativeFetch.call(window, target, init) : fetchOurs(url, target, init ?? {});
}

Object.defineProperty(window, 'fetch', { value: fetch, writable: true, configurable: true, enumerable: true });

// XMLHttpRequest keeps its state machine; only what it tells of the reply, and large bodies, differ.

const proto = XHR.prototype;
const native = {
  open: proto.open,
  send: proto.send,
  abort: proto.abort,
  setRequestHeader: proto.setRequestHeader,
  getResponseHeader: proto.getResponseHeader,
  getAllResponseHeaders: proto.getAllResponseHeaders,
};
const nativeStatus = Object.getOwnPropertyDescriptor(proto, 'status').get;
const nativeStatusText = Object.getOwnPropertyDescriptor(proto, 'statusText').get;
/** What is known of each request to one of our schemes: {url, method, async, uploading}. */
const ours = new WeakMap();

function xhrHead(xhr) {
  if (!ours.has(xhr) || xhr.readyState < XHR.HEADERS_RECEIVED) return null;
  if (native.getResponseHeader.call(xhr, STATUS_HEADER) === null) return null;
  return trueHead((name) => native.getResponseHeader.call(xhr, name));
}

function define(name, value) {
  Object.defineProperty(proto, name, { value, writable: true, configurable: true, enumerable: true });
}

define('open', function open(method, address, async = true, ...rest) {
  const url = canonicalUrl(address);
  const href = ourUrl(url);
  if (href === null) ours.delete(this);
  else ours.set(this, { url: href, method: String(method).toUpperCase(), async: Boolean(async), headers: [] });
  return native.open.call(this, method, url, async, ...rest);
});

define('setRequestHeader', function setRequestHeader(name, value) {
  native.setRequestHeader.call(this, name, value);
  ours.get(this)?.headers.push(String(name).toLowerCase());
});

define('send', function send(body) {
  const facts = ours.get(this);
  if (!facts || !facts.async || body === undefined || body === null) return native.send.call(this, body);
  const small = typeof body === 'string' && body.length * 3 <= SLICE_BYTES;
  if (small || body instanceof Document) return native.send.call(this, body);
  const stop = new AbortController();
  facts.uploading = stop;
  sendLarge(this, facts, body, stop.signal).catch((error) => {
    if (!stop.signal.aborted) failed(this, error);
  });
  return undefined;
});

async function sendLarge(xhr, facts, body, signal) {
  const large = await largeBody(body);
  if (signal.aborted) return;
  if (large?.type && !facts.headers.includes('content-type')) {
    native.setRequestHeader.call(xhr, 'content-type', large.type);
  }
  if (!large || (large.blob && large.blob.size <= SLICE_BYTES)) {
    native.send.call(xhr, large ? large.blob : body);
    return;
  }
  const total = large.blob?.size ?? 0;
  const { commit } = await upload(facts.url, facts.method, slices(large, signal), signal, (loaded) => {
    xhr.upload.dispatchEvent(new ProgressEvent('progress', { lengthComputable: total > 0, loaded, total }));
  });
  if (signal.aborted) return;
  facts.uploading = null;
  // A refusal is shown by the request itself, which is refused the same way.
  native.setRequestHeader.call(xhr, UPLOAD_HEADER, commit);
  native.send.call(xhr, null);
}

function failed(xhr, error) {
  console.warn(error);
  native.abort.call(xhr);
  xhr.dispatchEvent(new ProgressEvent('error'));
  xhr.dispatchEvent(new ProgressEvent('loadend'));
}

define('abort', function abort() {
  const facts = ours.get(this);
  if (facts?.uploading) {
    facts.uploading.abort();
    facts.uploading = null;
    this.dispatchEvent(new ProgressEvent('abort'));
    this.dispatchEvent(new ProgressEvent('loadend'));
  }
  return native.abort.call(this);
});

define('getResponseHeader', function getResponseHeader(name) {
  const head = xhrHead(this);
  if (!head) return native.getResponseHeader.call(this, name);
  const values = head.pairs.filter(([key]) => key.toLowerCase() === String(name).toLowerCase()).map(([, value]) => value);
  return values.length ? values.join(', ') : null;
});

define('getAllResponseHeaders', function getAllResponseHeaders() {
  const head = xhrHead(this);
  if (!head) return native.getAllResponseHeaders.call(this);
  return head.pairs.map(([name, value]) => `${name.toLowerCase()}: ${value}\r\n`).sort().join('');
});

Object.defineProperty(proto, 'status', {
  get() { return xhrHead(this)?.status ?? nativeStatus.call(this); },
  configurable: true,
  enumerable: true,
});

Object.defineProperty(proto, 'statusText', {
  get() { return xhrHead(this)?.statusText ?? nativeStatusText.call(this); },
  configurable: true,
  enumerable: true,
});
