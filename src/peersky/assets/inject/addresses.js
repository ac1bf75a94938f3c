/*
 * Takes P2P addresses with keys that no URL host can hold (keys.js) wherever a trusted page's script hands one over as
 * text: Request, EventSource, window.open, form.submit(). fetch() and XMLHttpRequest are in fetch.js, what people click
 * in links.js.
 *
 * `new URL()` cannot be helped: it is the URL parser, and what it lower-cases is lost.
 */

const nativeOpen = window.open;
const nativeSubmit = HTMLFormElement.prototype.submit;
const { Request: NativeRequest, EventSource: NativeEventSource } = window;

/** The same constructor, but for its first argument. Instances and prototype are the native ones. */
function rewriting(name, Native) {
  const made = new Proxy(Native, {
    construct(target, input, newTarget) {
      const [url, ...rest] = input;
      const changed = url === undefined || url instanceof NativeRequest ? input : [canonicalUrl(url), ...rest];
      return Reflect.construct(target, changed, newTarget);
    },
  });
  Native.prototype.constructor = made;
  Object.defineProperty(window, name, { value: made, writable: true, configurable: true });
}

rewriting('Request', NativeRequest);
rewriting('EventSource', NativeEventSource);

HTMLFormElement.prototype.submit = function submit() {
  const action = this.getAttribute('action');
  if (action) {
    const url = canonicalUrl(action);
    if (url !== action) this.setAttribute('action', url);
  }
  return nativeSubmit.call(this);
};

window.open = function open(url, ...rest) {
  return url === undefined ? nativeOpen.call(window) : nativeOpen.call(window, canonicalUrl(url), ...rest);
};
