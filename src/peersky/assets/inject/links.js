/*
 * Links and forms whose P2P address has a key that no URL host can hold (hex hyper keys, CIDv0, base58 names) open the
 * right page. Injected into every page, trusted or not, in a world of its own: a page sees nothing of it but the corrected
 * attribute. The other half is core/address.py, which does the same for the address bar.
 *
 * What the URL parser has seen before us is lost where capital letters count: `location = 'ipfs://Qm…'`, the src of an
 * image. Hex keys survive that, and the navigation is caught here.
 */

function rewriteAttribute(element, name) {
  const text = element.getAttribute(name);
  if (!text) return;
  try {
    const url = canonicalUrl(text);
    if (url !== text) element.setAttribute(name, url);
  } catch {
    // No key: the navigation fails, and the browser's own page says why.
  }
}

function onLink(event) {
  const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement || node instanceof HTMLAreaElement);
  if (link) rewriteAttribute(link, 'href');
}

// At the click itself, and before it where the browser shows or copies the address.
for (const type of ['click', 'auxclick', 'contextmenu', 'mouseover', 'focusin', 'dragstart']) {
  window.addEventListener(type, onLink, true);
}

window.addEventListener('submit', (event) => {
  if (event.target instanceof HTMLFormElement) rewriteAttribute(event.target, 'action');
  if (event.submitter) rewriteAttribute(event.submitter, 'formaction');
}, true);

window.navigation?.addEventListener('navigate', (event) => {
  let url;
  try {
    url = canonicalUrl(event.destination.url);
  } catch {
    return;
  }
  if (url === event.destination.url || !event.cancelable) return;
  event.preventDefault();
  if (event.navigationType === 'replace') location.replace(url);
  else location.assign(url);
});
