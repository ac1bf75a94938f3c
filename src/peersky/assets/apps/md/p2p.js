// Writing to Hyper and IPFS as any P2P page can: requests of XMLHttpRequest, which tells how far a body has been sent.
// Tested in Node with a `request` of the test's own.

export const EMPTY_FOLDER = "ipfs://bafyaabakaieac/";
const NO_ANSWER = "The peer-to-peer node did not answer. Look at peersky://settings/p2p, then try again.";

// A sentence for a person. `status` is the reply's, 0 where there was none.
export class Failed extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

const stopped = () => new DOMException("The upload was stopped.", "AbortError");

// Sends a request; resolves to {status, text, location}, rejects with Failed or an AbortError.
// onProgress(bytes): how much of the body has left.
export function request(url, { method = "GET", body = null, headers = {}, signal, onProgress } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers();
  if (signal?.aborted) return Promise.reject(stopped());
  const xhr = new XMLHttpRequest();
  const abort = () => xhr.abort();
  xhr.open(method, url);
  for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
  if (onProgress) xhr.upload.addEventListener("progress", ({ loaded }) => onProgress(loaded));
  xhr.addEventListener("load", () => {
    const { status, responseText } = xhr;
    if (status >= 200 && status < 300) {
      resolve({ status, text: responseText.trim(), location: xhr.getResponseHeader("location") ?? "" });
      return;
    }
    const said = responseText.trim();
    const isSentence = said && said.length < 400 && !said.startsWith("<");
    reject(new Failed(isSentence ? said : `The peer-to-peer node answered with the error ${status}.`, status));
  });
  xhr.addEventListener("error", () => reject(new Failed(NO_ANSWER)));
  xhr.addEventListener("abort", () => reject(stopped()));
  signal?.addEventListener("abort", abort);
  xhr.send(body);
  return promise.finally(() => signal?.removeEventListener("abort", abort));
}

// What the user's archive lists beside the address; a header takes Latin letters only.
export function publicationHeaders(app, model = "") {
  return { "Publication-App": app, ...(/^[\u0020-\u007e]+$/.test(model) && { "Publication-Model": model }) };
}

export const folder = (address) => `${address.replace(/\/+$/, "")}/`;
export const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

// The drive of a name, which is made where there is none.
export async function drive(name, { send = request, signal } = {}) {
  const { text } = await send(`hyper://localhost/?key=${encodeURIComponent(name)}`, { method: "POST", signal });
  return folder(text);
}

// The new folder that a PUT to IPFS made.
export function folderOf({ location, text }) {
  const host = /^ipfs:\/\/([^/]+)/.exec(location || text)?.[1];
  if (!host) throw new Failed("The peer-to-peer node did not say where it put the files.");
  return `ipfs://${host}/`;
}

// A name of a drive, made of a title.
export function driveName(title, otherwise) {
  const plain = title.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || otherwise;
}
