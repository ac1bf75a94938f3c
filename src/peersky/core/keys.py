"""Keys of P2P addresses in the form that a URL host can carry.

A URL parser lower-cases hosts and allows 63 characters a label, which ruins CIDv0 (``Qm…``), base58 peer ids and hex
hyper keys. Each has another spelling that survives: CIDv1 in base32, ``libp2p-key`` in base36, z-base-32.

Rules: multiformats CID specification (github.com/multiformats/cid), libp2p peer-id specification ("Peer Ids"),
multibase table, and Zooko's z-base-32 ("human-oriented base-32 encoding").
"""

from __future__ import annotations

import base64
import re
from typing import Final

MAX_LABEL: Final = 63
"""Longest label of a host name (RFC 1035, section 2.3.4)."""

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_Z32: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
_TO_Z32: Final = str.maketrans(_BASE32, _Z32)

_DAG_PB: Final = 0x70
_LIBP2P_KEY: Final = 0x72
_SHA256_MULTIHASH: Final = b"\x12\x20"
_LONGEST_CID: Final = 256

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")
_Z32_KEY = re.compile(rf"[{_Z32}]{{52}}\Z", re.IGNORECASE)


def hyper_host(key: str) -> str | None:
    """The host of a hyper drive's address: z-base-32 of a key that was written in hex or z-base-32; None otherwise."""
    if _HEX_KEY.match(key):
        encoded = base64.b32encode(bytes.fromhex(key)).decode().rstrip("=").lower()
        return encoded.translate(_TO_Z32)
    return key.lower() if _Z32_KEY.match(key) else None


def ipfs_host(cid: str) -> str | None:
    """The host of an IPFS address: CIDv1 in base32 (base36 where that is too long); None where ``cid`` is no CID."""
    binary = _cid_bytes(cid)
    if binary is None:
        return None
    base32 = "b" + base64.b32encode(binary).decode().rstrip("=").lower()
    host = base32 if len(base32) <= MAX_LABEL else "k" + _encode(binary, _BASE36)
    return host if len(host) <= MAX_LABEL else None


def ipns_host(name: str) -> str | None:
    """The host of an IPNS address: the key as CIDv1 ``libp2p-key`` in base36; None where ``name`` is no key.

    Takes base58 peer ids (``12D3Koo…``, ``Qm…``) and CIDs in any base. DNSLink names are hosts already and no keys.
    """
    binary = _cid_bytes(name)
    if binary is not None:
        body = binary[1:]
        if body[0] == _DAG_PB:
            # A CIDv0 in this place is a peer id: the hash of an RSA key.
            body = bytes([_LIBP2P_KEY]) + body[1:]
        elif body[0] != _LIBP2P_KEY:
            return None
    else:
        raw = _decode(name, _BASE58)
        # Identity multihash of an Ed25519 (36 bytes) or secp256k1 key (37 bytes).
        if raw is None or len(raw) not in (38, 39) or raw[0] != 0 or raw[1] != len(raw) - 2:
            return None
        body = bytes([_LIBP2P_KEY]) + raw
    host = "k" + _encode(b"\x01" + body, _BASE36)
    return host if len(host) <= MAX_LABEL else None


def _cid_bytes(text: str) -> bytes | None:
    """The binary CIDv1 of a CID in any usual spelling."""
    if len(text) == 46 and text.startswith("Qm"):
        multihash = _decode(text, _BASE58)
        if multihash is None or len(multihash) != 34 or not multihash.startswith(_SHA256_MULTIHASH):
            return None
        return bytes([1, _DAG_PB]) + multihash
    if not 8 < len(text) <= _LONGEST_CID:
        return None
    binary = _multibase(text[0], text[1:])
    if binary is None or len(binary) < 5 or binary[0] != 1 or not _has_multihash(binary[1:]):
        return None
    return binary


def _multibase(base: str, text: str) -> bytes | None:
    """Decode what follows the multibase letter ``base``; None where the letter or a character is unknown."""
    try:
        match base:
            case "b" | "B":
                lower = text.lower() if base == "B" else text
                if not set(lower) <= set(_BASE32):
                    return None
                return base64.b32decode(lower.upper() + "=" * (-len(lower) % 8))
            case "f" | "F":
                return bytes.fromhex(text)
            case "u":
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            case "z":
                return _decode(text, _BASE58)
            case "k" | "K":
                return _decode(text.lower(), _BASE36)
    except ValueError:
        return None
    return None


def _has_multihash(rest: bytes) -> bool:
    """Whether a codec and a multihash follow, the digest as long as the multihash says."""
    for _ in range(2):
        _, rest = _varint(rest)
    length, digest = _varint(rest)
    return length == len(digest)


def _varint(data: bytes) -> tuple[int, bytes]:
    """An unsigned LEB128 number and what follows it; -1 where it does not end."""
    value = 0
    for index, byte in enumerate(data[:9]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, data[index + 1 :]
    return -1, b""


def _decode(text: str, alphabet: str) -> bytes | None:
    """Number in ``alphabet`` → bytes; leading zero digits stand for leading zero bytes."""
    if not text or len(text) > _LONGEST_CID:
        return None
    number = 0
    for character in text:
        digit = alphabet.find(character)
        if digit < 0:
            return None
        number = number * len(alphabet) + digit
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _encode(data: bytes, alphabet: str) -> str:
    """Bytes → number in ``alphabet``, the reverse of :func:`_decode`."""
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return alphabet[0] * zeros + digits
