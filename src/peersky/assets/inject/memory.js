/*
 * window.llmMemory: conversations that a page keeps, if the user allows it. Injected at document creation, before any
 * script of a trusted page; runs inside a function of its own (see qt/profile.py), so nothing here is global.
 *
 * The other half is web/memory_app.py at llm://bridge/v1/memory, which decides whose entries are meant by who asks. The
 * built-in apps share one origin: there the first part of this page's path says which app asks.
 */

const BASE = 'llm://bridge/v1/memory';

// Taken now, so that what a page does to its globals later does not change what it gets from us.
const { JSON, URL, URLSearchParams, fetch } = window;

// Of the base URL, since a frame without an address (about:blank, srcdoc) belongs to the app that made it.
const APP = self.origin === 'peersky://p2p' ? new URL(document.baseURI).pathname.split('/')[1] ?? '' : '';

const isText = (value) => typeof value === 'string';
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isLimit = (value) => value === Infinity || (Number.isInteger(value) && value >= 0);

const wrong = (message) => problem('TypeError', message, 'invalid_request');
const unreachable = () => problem('NetworkError', 'PeerSky\'s memory cannot be reached; try again.', 'unreachable');

/** The named members of the options that were given; '' and null mean the same as none. */
function given(options, names) {
  if (options === undefined || options === null) return {};
  if (!isObject(options)) throw wrong('The options must be an object.');
  const found = {};
  for (const name of names) {
    const value = options[name];
    if (value === undefined || value === null || value === '') continue;
    if (name === 'limit') {
      if (!isLimit(value)) throw wrong('The option limit must be a whole number that is not negative.');
      if (value === 0 || value > 999_999_999) continue;
    } else if (!isText(value)) {
      throw wrong(`The option ${name} must be a text.`);
    }
    found[name] = value;
  }
  return found;
}

async function ask(path, query, body) {
  const search = new URLSearchParams({ app: APP, ...query });
  let reply;
  let response;
  try {
    response = await fetch(`${BASE}/${path}?${search}`, body === undefined ? {} : { method: 'POST', body });
    reply = await response.json();
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw fromBridge(reply.error);
  return reply;
}

async function isEnabled() {
  return (await ask('status', {})).enabled === true;
}

async function add(entry) {
  let body;
  try {
    body = JSON.stringify(entry);
  } catch {
    // A cycle, or a BigInt.
  }
  return body === undefined ? { ok: false, reason: 'invalid_entry' } : ask('entries', {}, body);
}

async function list(options) {
  return (await ask('entries', given(options, ['appId', 'sessionId', 'search', 'limit']))).entries;
}

async function listSessions(options) {
  return (await ask('sessions', given(options, ['appId', 'limit']))).sessions;
}

async function clear(options) {
  return ask('clear', {}, JSON.stringify(given(options, ['appId', 'sessionId'])));
}

async function updateSession(session, changes) {
  const { appId, sessionId } = given(session, ['appId', 'sessionId']);
  if (!appId || !sessionId) throw wrong('The options appId and sessionId must say which session is meant.');
  if (changes !== undefined && changes !== null && !isObject(changes)) throw wrong('The changes must be an object.');
  const { title, pinned } = changes ?? {};
  return ask('sessions', {}, JSON.stringify({ appId, sessionId, title, pinned }));
}

// Configurable, since a page's own top-level `const llmMemory = window.llmMemory` would be a SyntaxError otherwise.
Object.defineProperty(window, 'llmMemory', {
  value: Object.freeze({ isEnabled, add, list, listSessions, clear, updateSession }),
  configurable: true,
  enumerable: true,
  writable: false,
});
