/*
 * P2P addresses in the spelling that a URL host can carry, before the URL parser lower-cases them or finds them too long.
 * The other half is core/keys.py, which does the same for the address bar; tests/qt/test_p2p_addresses.py holds them
 * together. Shared by fetch.js, addresses.js and links.js; see qt/profile.py.
 */

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const BASE36 = '0123456789abcdefghijklmnopqrstuvwxyz';
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BASE16 = '0123456789abcdef';
const Z32 = 'ybndrfg8ejkmcpqxot1uwisza345h769';
const MAX_LABEL = 63;
const LONGEST_CID = 256;
const DAG_PB = 0x70;
const LIBP2P_KEY = 0x72;
const P2P_URL = /^[\0- ]*(hyper|ipfs|ipns):\/\/([^/?#\\]*)([^]*)$/i;

/** Bytes of a text in which each character stands for a fixed number of bits; null where one does not belong. */
function fromBits(text, alphabet) {
  const bits = Math.log2(alphabet.length);
  const bytes = [];
  let value = 0;
  let have = 0;
  for (const character of text) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) return null;
    value = (value << bits) | digit;
    have += bits;
    if (have >= 8) {
      have -= 8;
      bytes.push(value >> have);
      value &= (1 << have) - 1;
    }
  }
  return bytes;
}

function toBits(bytes, alphabet) {
  const bits = Math.log2(alphabet.length);
  let text = '';
  let value = 0;
  let have = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    have += 8;
    while (have >= bits) {
      have -= bits;
      text += alphabet[value >> have];
      value &= (1 << have) - 1;
    }
  }
  return have ? text + alphabet[value << (bits - have)] : text;
}

/** Bytes of a number in another base; leading zero digits stand for leading zero bytes. Null where it is none. */
function fromNumber(text, alphabet) {
  if (!text || text.length > LONGEST_CID) return null;
  let number = 0n;
  for (const character of text) {
    const digit = alphabet.indexOf(character);
    if (digit < 0) return null;
    number = number * BigInt(alphabet.length) + BigInt(digit);
  }
  const bytes = [];
  for (; number; number >>= 8n) bytes.unshift(Number(number & 255n));
  for (let at = 0; text[at] === alphabet[0]; at++) bytes.unshift(0);
  return bytes;
}

function toNumber(bytes, alphabet) {
  let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let digits = '';
  for (const base = BigInt(alphabet.length); number; number /= base) digits = alphabet[Number(number % base)] + digits;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return alphabet[0].repeat(zeros < 0 ? bytes.length : zeros) + digits;
}

function fromMultibase(text) {
  const rest = text.slice(1);
  switch (text[0]) {
    case 'b': return fromBits(rest, BASE32);
    case 'B': return fromBits(rest.toLowerCase(), BASE32);
    case 'f': case 'F': return rest.length % 2 ? null : fromBits(rest.toLowerCase(), BASE16);
    case 'u': return fromBits(rest, BASE64);
    case 'z': return fromNumber(rest, BASE58);
    case 'k': case 'K': return fromNumber(rest.toLowerCase(), BASE36);
    default: return null;
  }
}

/** Where the unsigned LEB128 number at `at` ends, and its value; -1 where it does not end. */
function varint(bytes, at) {
  let value = 0;
  for (let index = 0; index < 9 && at + index < bytes.length; index++) {
    value += (bytes[at + index] & 0x7f) * 2 ** (7 * index);
    if (bytes[at + index] < 0x80) return [value, at + index + 1];
  }
  return [-1, bytes.length];
}

/** The binary CIDv1 of a CID in any usual spelling; null where it is none. */
function cidBytes(text) {
  if (text.length === 46 && text.startsWith('Qm')) {
    const multihash = fromNumber(text, BASE58);
    return multihash?.length === 34 && multihash[0] === 0x12 && multihash[1] === 0x20 ? [1, DAG_PB, ...multihash] : null;
  }
  if (text.length <= 8 || text.length > LONGEST_CID) return null;
  const bytes = fromMultibase(text);
  if (!bytes || bytes.length < 5 || bytes[0] !== 1) return null;
  // Version, codec and hash function, then a digest that is as long as it says.
  const [, codec] = varint(bytes, 1);
  const [, hash] = varint(bytes, codec);
  const [length, digest] = varint(bytes, hash);
  return length === bytes.length - digest ? bytes : null;
}

function short(host) {
  return host.length <= MAX_LABEL ? host : null;
}

function hyperHost(key) {
  if (/^[0-9a-f]{64}$/i.test(key)) return toBits(fromBits(key.toLowerCase(), BASE16), Z32);
  return /^[ybndrfg8ejkmcpqxot1uwisza345h769]{52}$/i.test(key) ? key.toLowerCase() : null;
}

function ipfsHost(cid) {
  const bytes = cidBytes(cid);
  return bytes && (short(`b${toBits(bytes, BASE32)}`) ?? short(`k${toNumber(bytes, BASE36)}`));
}

function ipnsHost(name) {
  let body = cidBytes(name)?.slice(1);
  if (body?.[0] === DAG_PB) {
    // A CIDv0 in this place is a peer id: the hash of an RSA key.
    body[0] = LIBP2P_KEY;
  } else if (body) {
    if (body[0] !== LIBP2P_KEY) return null;
  } else {
    const raw = fromNumber(name, BASE58);
    if (!raw || raw.length < 38 || raw.length > 39 || raw[0] !== 0 || raw[1] !== raw.length - 2) return null;
    body = [LIBP2P_KEY, ...raw];
  }
  return short(`k${toNumber([1, ...body], BASE36)}`);
}

const HOSTS = { hyper: hyperHost, ipfs: ipfsHost, ipns: ipnsHost };

/**
 * The URL with its key in the spelling that survives; any other text comes back as it is.
 * Throws a TypeError where the host is too long for a URL and no key.
 */
function canonicalUrl(url) {
  let text = String(url).replace(/[\t\n\r]/g, '');
  if (/^[\0- ]*\/\//.test(text)) text = document.baseURI.split('//', 1)[0] + text.trimStart();
  const match = P2P_URL.exec(text);
  if (!match) return url;
  const scheme = match[1].toLowerCase();
  const host = HOSTS[scheme](match[2]);
  if (host) return `${scheme}://${host}${match[3]}`;
  if (match[2].split('.').some((label) => label.length > MAX_LABEL)) {
    const start = `${match[2].slice(0, 16)}…`;
    throw problem(
      'TypeError',
      `${start} is too long for an address and no key that ${scheme}: knows; check that it was copied whole.`,
      'malformed',
    );
  }
  return url;
}
