"""Sizes as people read them."""

from __future__ import annotations

import pytest

from peersky.core.sizes import size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (527_757_440, "528 MB"),
        (1_929_912_432, "1.9 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text
