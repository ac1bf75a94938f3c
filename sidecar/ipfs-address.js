// What addresses of ipfs: and ipns: mean. Pure: bytes and text in, CIDs and names out, or a P2PError with status 400.
// Rules: CIDs https://github.com/multiformats/cid, names https://specs.ipfs.tech/ipns/ipns-record/#ipns-name.
import { base32 } from "multiformats/bases/base32";
import { base36 } from "multiformats/bases/base36";
import { base58btc } from "multiformats/bases/base58";
import { CID } from "multiformats/cid";
import * as Digest from "multiformats/hashes/digest";

import { malformed } from "./errors.js";
import { encodePath } from "./paths.js";

const LIBP2P_KEY = 0x72;
const BASES = base32.decoder.or(base36.decoder).or(base58btc.decoder);
const DOMAIN = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}$/i;

/** A CID of version 1, from a host of any version and base. */
export function parseCid(host) {
  try {
    return host.startsWith("Qm") ? CID.parse(host).toV1() : CID.parse(host, BASES).toV1();
  } catch {
    throw malformed(`“${shorten(host)}” is not an IPFS address (CID).`);
  }
}

/** {key: CID, name: base36 text} of an IPNS key in any of its spellings, or {domain} of a DNSLink name. */
export function parseName(host) {
  if (DOMAIN.test(host)) return { domain: host.toLowerCase() };
  try {
    // The oldest spelling is the bare hash in base58.
    const key = /^(Qm|1)/.test(host)
      ? CID.createV1(LIBP2P_KEY, Digest.decode(base58btc.baseDecode(host)))
      : CID.parse(host, BASES);
    if (key.code !== LIBP2P_KEY || ![0x00, 0x12].includes(key.multihash.code)) throw new TypeError("not a key");
    return { key, name: key.toString(base36) };
  } catch {
    throw malformed(`“${shorten(host)}” is neither an IPNS key nor a domain name.`);
  }
}

/** `ipfs://<cid>/<percent-encoded names>`; a folder ends in a slash. */
export function ipfsUrl(cid, names = [], isFolder = names.length === 0) {
  return `ipfs://${cid.toV1()}${encodePath(names)}${isFolder ? "/" : ""}`;
}

/** The same for a key's base36 name or a domain. */
export function ipnsUrl(name, names = [], isFolder = names.length === 0) {
  return `ipns://${name}${encodePath(names)}${isFolder ? "/" : ""}`;
}

/** {scheme, host, path} of an ipfs: or ipns: address or content path in a request's body, else 400. */
export function parseTarget(text) {
  const match = /^(?:(ipfs|ipns):\/\/|\/(ipfs|ipns)\/)([^/?#]+)(\/[^?#]*)?$/.exec(text.trim());
  if (match === null) {
    throw malformed("The body has to be an address such as ipfs://CID/ or ipns://KEY/.");
  }
  return { scheme: match[1] ?? match[2], host: match[3], path: match[4] ?? "/" };
}

function shorten(text) {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
