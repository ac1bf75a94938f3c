"""Under which name a download is saved: what a site made up becomes one that is a file name and no more. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

MAX_BYTES: Final = 180
"""Longest name in bytes of UTF-8; the common limit is 255, and Chromium adds an ending while it downloads."""

_SEPARATORS: Final = re.compile(r"[/\\]")
_NOT_IN_NAMES: Final = re.compile(r'[<>:"|?*]')
# Devices on Windows, with any ending.
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)


def file_name(suggested: str, is_taken: Callable[[str], bool]) -> str:
    """The name of a new file.

    Args:
        suggested: by a page or a server; may be a path, and may be anything else.
        is_taken: whether a file of this name is there.

    Returns:
        One part of a path, visible (no dot in front), as it is written (no control or direction characters), no device
        of Windows, and of no file that is there.
    """
    name = _SEPARATORS.split(suggested)[-1]
    name = "".join(char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    name = _NOT_IN_NAMES.sub("_", name).strip(". ") or "download"
    if _DEVICES.match(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > MAX_BYTES // 4:
        stem, dot, ending = name, "", ""
    stem = stem.encode()[: MAX_BYTES - len(ending.encode())].decode(errors="ignore").rstrip(". ")
    number, found = 0, f"{stem}{dot}{ending}"
    while is_taken(found):
        number += 1
        found = f"{stem} ({number}){dot}{ending}"
    return found
