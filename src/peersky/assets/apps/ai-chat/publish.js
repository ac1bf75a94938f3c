// Publishes a page: PUT to a drive of the user's own (hyper:, the address stays) or as content (ipfs:, each version has an
// address of its own). It uses fetch alone, as any P2P page could. Tested in Node with a fetch of the test's own.

const APP = "AI chat";
const EMPTY_IPFS = "ipfs://bafyaabakaieac/";
const TYPE = "text/html; charset=utf-8";

// Returns the address. Throws an Error with a sentence for a person.
export async function publish(html, { to, name, title = "", model = "", fetch = globalThis.fetch }) {
  const headers = { "Publication-App": APP, "Content-Type": TYPE };
  if (title) headers["Publication-Title"] = encodeURIComponent(title.toWellFormed());
  // A header takes Latin letters only.
  if (/^[\x20-\x7e]+$/.test(model)) headers["Publication-Model"] = model;
  const put = (url) => send(fetch, url, { method: "PUT", body: html, headers });
  if (to === "ipfs") {
    const reply = await put(`${EMPTY_IPFS}index.html`);
    return rootOf(reply.headers.get("location") || (await reply.text()));
  }
  const made = await send(fetch, `hyper://localhost/?key=${encodeURIComponent(name)}`, { method: "POST" });
  const root = rootOf(await made.text());
  await put(`${root}index.html`);
  return root;
}

function rootOf(text) {
  const found = /^(?:hyper|ipfs):\/\/[\w.-]+\//.exec(`${text.trim()}/`);
  if (!found) throw new Error("The browser did not say at which address it published.");
  return found[0];
}

async function send(fetch, url, options) {
  let reply;
  try {
    reply = await fetch(url, options);
  } catch {
    throw new Error("This browser could not publish: its P2P node does not answer, or it has none.");
  }
  if (reply.ok) return reply;
  const said = (await reply.text().catch(() => "")).trim();
  throw new Error(said && said.length < 500 ? said : `Publishing failed (status ${reply.status}).`);
}
