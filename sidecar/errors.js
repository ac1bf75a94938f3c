// What the sidecar answers when it cannot do what was asked: an HTTP status, a reason for programs, a sentence for people.

/** An expected failure. `reason` is one of those that docs/p2p.md lists; `sentence` is what the user reads. */
export class P2PError extends Error {
  constructor(status, reason, sentence) {
    super(sentence);
    this.name = "P2PError";
    this.status = status;
    this.reason = reason;
    this.headers = {};
  }

  /** The same failure with a header in its reply, such as Allow. */
  with(name, value) {
    this.headers[name] = value;
    return this;
  }
}

export const malformed = (sentence) => new P2PError(400, "malformed", sentence);
export const notWritable = (sentence) => new P2PError(403, "not_writable", sentence);
export const noSuchPath = (path) =>
  new P2PError(404, "no_such_path", `There is nothing at ${path} in this place. Check the address.`);
export const noSuchKey = (name) => new P2PError(404, "no_such_key", `Nothing was made under the name ${name} yet.`);
export const methodNotAllowed = (method, allowed) =>
  new P2PError(405, "method_not_allowed", `${method} is not possible at this address.`).with("Allow", allowed.join(", "));
export const badRange = (size) =>
  new P2PError(416, "range", `The range does not lie within the ${size} bytes of the file.`).with(
    "Content-Range",
    `bytes */${size}`,
  );
export const noPeers = () =>
  new P2PError(504, "no_peers", "No peer that has this answered in time. Try again when somebody who has it is online.");
export const offline = () =>
  new P2PError(504, "offline", "This is not on this computer, and there is no connection to the peer-to-peer network.");

const DISK_FULL = /ENOSPC|EDQUOT|no space left|disk quota exceeded/i;

/** Any error as a P2PError: the ones that are known by what they say, the rest as `internal`. */
export function asP2PError(error) {
  if (error instanceof P2PError) return error;
  const text = `${error?.code ?? ""} ${error?.message ?? error}`;
  if (DISK_FULL.test(text)) {
    return new P2PError(507, "disk_full", "There is no room left on the disk. Free some, and try again.");
  }
  return new P2PError(500, "internal", "The P2P node failed at this. Its log says more.");
}
