"""HTTP ``Range`` for one range of bytes (RFC 9110, section 14). Pure: header and length in, slice out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_BYTES = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z", re.ASCII | re.IGNORECASE)
_BEYOND: Final = 10**18


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``start`` to ``end``, both included, of ``total``."""

    start: int
    end: int
    total: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end}/{self.total}"


class RangeNotSatisfiable(Exception):
    """No byte of the range exists: answer 416 with ``Content-Range: bytes */total``."""


def parse_range(header: str | None, total: int) -> ByteRange | None:
    """The range that a request asks for, or None where the whole is to be sent.

    A missing, malformed or reversed header and one of several ranges mean the whole (RFC 9110 lets a server ignore
    ``Range``; several ranges would need multipart, which no page here uses).

    Args:
        header: value of the ``Range`` header.
        total: length of the whole, in bytes.

    Raises:
        RangeNotSatisfiable: well-formed, but no byte of it exists.
    """
    match = _BYTES.match(header or "")
    if match is None:
        return None
    start, end = _position(match[1]), _position(match[2])
    if start is None:
        if end is None:
            return None
        if end == 0 or total == 0:
            raise RangeNotSatisfiable
        return ByteRange(max(0, total - end), total - 1, total)
    if end is not None and end < start:
        return None
    if start >= total:
        raise RangeNotSatisfiable
    return ByteRange(start, total - 1 if end is None else min(end, total - 1), total)


def _position(digits: str) -> int | None:
    """A position in the file; None where it is left open. Beyond any file, all positions are the same one."""
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 18 else _BEYOND
