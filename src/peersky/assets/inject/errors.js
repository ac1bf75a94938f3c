/*
 * Errors as pages get them from the injected scripts: DOMExceptions with a stable `reason`. The other half is
 * core/errors.py, whose error objects (PeerSkyError.as_object) come in here. Shared by llm.js and memory.js; see
 * qt/profile.py.
 */

// Taken now, so that what a page does to its globals later does not change what it gets from us.
const { DOMException, TypeError } = window;
const NativeQuotaExceededError = window.QuotaExceededError;

/**
 * A DOMException (or TypeError) with `reason`; a QuotaExceededError has `requested` and `quota`, and `retryAfter`
 * (seconds) where it is known when there is room again.
 */
function problem(name, message, reason, { requested, quota, retryAfter } = {}) {
  let error;
  if (name === 'TypeError') {
    error = new TypeError(message);
  } else if (name === 'QuotaExceededError') {
    error = quotaError(message, requested ?? null, quota ?? null);
  } else {
    error = new DOMException(message, name);
  }
  return withProperties(error, { reason, ...(typeof retryAfter === 'number' && { retryAfter }) });
}

function quotaError(message, requested, quota) {
  if (typeof NativeQuotaExceededError === 'function') {
    try {
      return new NativeQuotaExceededError(message, { ...(requested !== null && { requested }), ...(quota !== null && { quota }) });
    } catch {
      // Numbers that the native class does not take (requested below quota) are carried as our own properties.
    }
  }
  return withProperties(new DOMException(message, 'QuotaExceededError'), { requested, quota });
}

function withProperties(object, values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(object, name, { value, configurable: true, enumerable: true });
  }
  return object;
}

/** The error that an error object of the browser stands for; options are named as the page spelled them. */
function fromBridge(object, spelled = {}) {
  const text = (value, otherwise) => (typeof value === 'string' ? value : otherwise);
  const param = object?.param;
  let message = text(object?.message, 'The model answered with an error that it did not explain.');
  const own = spelled[param];
  if (own && own !== param) message = message.replaceAll(param, own);
  return problem(text(object?.name, 'NetworkError'), message, text(object?.code, 'backend_error'), object ?? {});
}
