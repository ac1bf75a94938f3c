// What the browser's own pages share: requests to their JSON APIs, streams of them, and building elements without markup.
// A classic script at peersky://assets/page.js, because modules do not load from another host. It defines PeerSky.

"use strict";

globalThis.PeerSky = Object.freeze({
  // Asks an API of this page's own host. Resolves with the reply; rejects with an Error whose message is the
  // sentence for the user and whose `param` names the setting or option at fault.
  async request(path, body) {
    const options =
      body === undefined
        ? {}
        : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    let reply;
    try {
      reply = await (await fetch(path, options)).json();
    } catch {
      throw new Error("The browser did not answer this page. Reload the page to try again.");
    }
    if (reply.error) throw Object.assign(new Error(reply.error.message), { param: reply.error.param });
    return reply;
  },

  // Follows an API that streams: calls `take` with each value until the page goes, and connects again after a break.
  async follow(path, take) {
    for (let wait = 500; ; wait = Math.min(wait * 2, 10_000)) {
      try {
        const reader = (await fetch(path, { headers: { accept: "text/event-stream" } })).body
          .pipeThrough(new TextDecoderStream())
          .getReader();
        let text = "";
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          text += part.value;
          const events = text.split("\n\n");
          text = events.pop();
          for (const event of events) if (event.startsWith("data: ")) take(JSON.parse(event.slice(6)));
          wait = 500;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) console.error(error);
      }
      await new Promise((resume) => {
        setTimeout(resume, wait);
      });
    }
  },

  // An element: el("p", {class: "soft", onclick: f}, "text", child…). Texts stay texts.
  el(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  },

  // 8500000 → "8.5 MB"
  bytes(count) {
    const units = ["bytes", "kB", "MB", "GB", "TB"];
    let power = 0;
    while (count >= 1000 && power < units.length - 1) {
      count /= 1000;
      power += 1;
    }
    return `${power && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[power]}`;
  },

  // 4000 (seconds) → "1 h 7 min"
  duration(seconds) {
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  },
});
