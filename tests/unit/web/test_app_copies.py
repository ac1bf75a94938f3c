"""Modules that several built-in apps use: each app has a copy, since it is published as a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import peersky

APPS = Path(peersky.__file__).parent / "assets" / "apps"

# File -> the apps that have it; the first one's is the one to change.
COPIES = {
    "app.css": ("llm-lab", "md", "upload"),
    "code.js": ("editor", "llm-lab"),
    "p2p.js": ("upload", "md"),
    "share.js": ("upload", "md"),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_equal(name: str) -> None:
    first, *others = (APPS / app / name for app in COPIES[name])
    for other in others:
        assert other.read_bytes() == first.read_bytes(), f"cp {first} {other}"
