/*
 * What a page, frame or worker tries against the browser's own schemes, and what it learns. Part of the test sites' pages
 * (sites.py); the tests in this folder call these functions, and the frames and workers among them call by themselves.
 *
 * Where the injected fetch wrapper runs, a reply has its true status; elsewhere Chromium says 200, and the true one is in
 * X-Peersky-Status. Both come out as {status, code, text}, a failed request as {threw}.
 */

/* global Blob, EventSource, FontFace, URL, XMLHttpRequest, document, fetch, location, navigator, self, top */

'use strict';

const QUESTION = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 });
const CHANGES = JSON.stringify({ changes: { 'llm.temperature': 0.123, 'trust.allowlist': ['https://evil.example'] } });
const FORGED = 'peersky://settings/';

/** Header sets that pretend to be somebody else. */
const DISGUISES = [
  {},
  { 'X-Peersky-Stamp': `secret main-frame ${FORGED}` },
  { 'x-peersky-stamp': ` xhr ${FORGED}` },
  { 'X-PEERSKY-STAMP': `null xhr ${FORGED}`, 'x-Peersky-Stamp': 'x' },
  { Origin: 'peersky://settings', Referer: FORGED, Host: 'settings', 'X-Peersky-Origin': 'peersky://settings' },
];

/** One request as it is, and what its reply tells. */
async function request(url, init = {}) {
  let reply;
  try {
    reply = await fetch(url, init);
  } catch (error) {
    return { threw: error.name };
  }
  const status = Number(reply.headers.get('x-peersky-status') ?? reply.status);
  let text = '';
  try {
    text = await reply.text();
  } catch (error) {
    return { status, threw: error.name };
  }
  let code = null;
  try {
    code = JSON.parse(text).error?.code ?? null;
  } catch {
    // No JSON, so no error object: a page or a file.
  }
  return { status, code, text: text.slice(0, 400) };
}

const post = (url, body, headers = {}, more = {}) => request(url, { method: 'POST', body, headers, ...more });

/** Every way to the model by fetch: the name of each attempt and what it learnt. */
async function tryModel() {
  const learnt = {};
  for (const [number, headers] of DISGUISES.entries()) {
    learnt[`status ${number}`] = await request('llm://bridge/v1/status', { headers });
    learnt[`chat ${number}`] = await post('llm://bridge/v1/chat/completions', QUESTION, headers);
  }
  learnt.models = await request('llm://bridge/v1/models');
  learnt.embeddings = await post('llm://bridge/v1/embeddings', '{"input": "hi"}');
  learnt['status no-cors'] = await request('llm://bridge/v1/status', { mode: 'no-cors', credentials: 'include' });
  learnt['chat no-cors'] = await post('llm://bridge/v1/chat/completions', QUESTION, {}, { mode: 'no-cors' });
  learnt['chat keepalive'] = await post('llm://bridge/v1/chat/completions', QUESTION, {}, { keepalive: true });
  return learnt;
}

/** Every way to the internal APIs by fetch, for reading and for writing. */
async function tryApis() {
  const learnt = {};
  for (const [number, headers] of DISGUISES.entries()) {
    learnt[`settings ${number}`] = await post('peersky://settings/api/settings', CHANGES, headers);
  }
  for (const [name, mode] of [['cors', 'cors'], ['no-cors', 'no-cors']]) {
    learnt[`change settings ${name}`] = await post('peersky://settings/api/settings', CHANGES, {}, { mode });
    learnt[`enable ${name}`] = await post('peersky://home/api/llm-enable', '', {}, { mode });
    for (const path of ['settings/api/settings', 'settings/api/models', 'home/api/llm-status', 'home/api/llm-enable']) {
      learnt[`read ${path} ${name}`] = await request(`peersky://${path}`, { mode });
    }
  }
  return learnt;
}

/** The files of internal pages by fetch. */
async function tryPages() {
  const learnt = {};
  for (const mode of ['cors', 'no-cors']) {
    for (const url of ['settings/', 'settings/llm', 'home/', 'p2p/ai-chat/', 'assets/page.js', 'nowhere/']) {
      learnt[`${url} ${mode}`] = await request(`peersky://${url}`, { mode });
    }
  }
  return learnt;
}

/** EventSource and XMLHttpRequest, which have their own ways to the network. */
async function tryOtherClients(url) {
  const stream = await new Promise((done) => {
    const source = new EventSource(url);
    source.onopen = () => done('open');
    source.onmessage = () => done('message');
    source.onerror = () => { source.close(); done('error'); };
  });
  const xhr = await new Promise((done) => {
    const client = new XMLHttpRequest();
    client.open('GET', url);
    client.onloadend = () => done({
      status: Number(client.getResponseHeader('x-peersky-status') ?? client.status),
      text: client.responseText.slice(0, 400),
    });
    client.send();
  });
  let beacon;
  try {
    beacon = navigator.sendBeacon(url, 'x');
  } catch (error) {
    beacon = error.name;
  }
  return { stream, xhr, beacon };
}

/** Markup that loads `url` as a part of the page: the name of each kind, and whether it loaded. */
async function tryElements(url) {
  const make = (tag, attributes) => Object.assign(document.createElement(tag), attributes);
  const kinds = {
    image: make('img', { src: url }),
    script: make('script', { src: url }),
    module: make('script', { type: 'module', src: url }),
    style: make('link', { rel: 'stylesheet', href: url }),
    preload: Object.assign(make('link', { rel: 'preload', href: url }), { as: 'script' }),
    prefetch: make('link', { rel: 'prefetch', href: url }),
    modulepreload: make('link', { rel: 'modulepreload', href: url }),
    audio: make('audio', { src: url, preload: 'auto' }),
    video: make('video', { src: url, preload: 'auto' }),
    input: make('input', { type: 'image', src: url }),
  };
  const learnt = {};
  const known = new Set(Object.keys(globalThis));
  await Promise.all(Object.entries(kinds).map(([name, element]) => new Promise((done) => {
    for (const event of ['load', 'loadedmetadata', 'error']) {
      element.addEventListener(event, () => { learnt[name] = event; done(); });
    }
    document.body.append(element);
  })));
  const sheet = make('style', { textContent: `@import url("${url}"); @font-face { font-family: f; src: url("${url}"); }` });
  document.head.append(sheet);
  learnt.font = await new FontFace('g', `url("${url}")`).load().then(() => 'load', () => 'error');
  learnt.import = await import(url).then(() => 'load', () => 'error');
  learnt.globals = Object.keys(globalThis).filter((name) => !known.has(name));
  learnt.rules = Array.from(document.styleSheets, (one) => {
    try {
      return Array.from(one.cssRules, (rule) => rule.styleSheet?.cssRules.length ?? 0).reduce((a, b) => a + b, 0);
    } catch {
      return 0;
    }
  }).reduce((a, b) => a + b, 0);
  return learnt;
}

/** Puts frames of every kind into the page; which events they get depends on how they fail, so nobody waits for one. */
function openFrames(url) {
  for (const [tag, source] of [['iframe', 'src'], ['object', 'data'], ['embed', 'src']]) {
    const element = document.createElement(tag);
    element[source] = url;
    document.body.append(element);
  }
}

/** What the page can see in its frames: the text of those that it can look into. */
function lookIntoFrames() {
  return Array.from(document.querySelectorAll('iframe, object, embed'), (element) => {
    try {
      const inside = element.contentDocument ?? element.getSVGDocument?.() ?? null;
      return inside?.documentElement?.textContent ?? '';
    } catch (error) {
      return error.name;
    }
  });
}

/** What this page or frame is given, and what it gets by asking. */
async function probe() {
  return {
    network: (await request(`${self.origin}/attacks.js`)).status === 200,
    origin: self.origin,
    llm: typeof self.llm,
    bridge: typeof self._llmBridge,
    learnt: { ...await tryModel(), ...await tryApis() },
  };
}

function reportToTop(name = location.href) {
  probe().then((result) => top.postMessage({ name, ...result }, '*'));
}

/** A worker tells whoever made it, by whichever way its kind has. */
function reportFromWorker() {
  const result = probe();
  const tell = (port) => result.then((found) => port.postMessage(found), (error) => port.postMessage(String(error)));
  if ('onconnect' in self) self.onconnect = (event) => tell(event.ports[0]);
  else if ('clients' in self) self.onmessage = (event) => event.waitUntil(tell(event.ports[0]));
  else tell(self);
}

/** The reports of `count` frames that `add` makes. */
function reportsOf(count, add) {
  return new Promise((done) => {
    const reports = [];
    self.addEventListener('message', ({ data }) => {
      reports.push(data);
      if (reports.length === count) done(reports);
    });
    add();
  });
}

/** A frame with these attributes, in the page; `blob` is the markup of a blob: frame. */
function addFrame({ blob, ...attributes }) {
  const frame = document.createElement('iframe');
  for (const [name, value] of Object.entries(attributes)) frame.setAttribute(name, value);
  if (blob) frame.src = URL.createObjectURL(new Blob([blob], { type: 'text/html' }));
  document.body.append(frame);
  return frame;
}

// For the scripts of tests and of served pages.
Object.assign(globalThis, {
  addFrame, lookIntoFrames, openFrames, post, probe, reportFromWorker, reportToTop, reportsOf, request, tryApis,
  tryElements, tryModel, tryOtherClients, tryPages,
});
