"""Range headers against a model that looks at every byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.ranges import ByteRange, RangeNotSatisfiable, parse_range

WHOLE, UNSATISFIABLE = "whole", "416"


def answer(header: str | None, total: int) -> str | tuple[int, int]:
    try:
        found = parse_range(header, total)
    except RangeNotSatisfiable:
        return UNSATISFIABLE
    return WHOLE if found is None else (found.start, found.end)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, WHOLE),
        ("", WHOLE),
        ("bytes", WHOLE),
        ("bytes=", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=0-0", (0, 0)),
        ("bytes=0-9", (0, 9)),
        ("bytes=0-", (0, 9)),
        ("bytes=9-", (9, 9)),
        ("bytes=10-", UNSATISFIABLE),
        ("bytes=900-", UNSATISFIABLE),
        ("bytes=10-20", UNSATISFIABLE),
        ("bytes=5-900", (5, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-10", (0, 9)),
        ("bytes=-900", (0, 9)),
        ("bytes=-0", UNSATISFIABLE),
        ("bytes=5-4", WHOLE),
        ("bytes=900-899", WHOLE),
        ("bytes=0-1,3-4", WHOLE),
        ("bytes=--1", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=0x1-2", WHOLE),
        ("bytes=1.0-2", WHOLE),
        ("bytes=+1-2", WHOLE),
        ("bytes=١-٢", WHOLE),
        ("items=0-1", WHOLE),
        ("0-1", WHOLE),
        ("BYTES=0-1", (0, 1)),
        (" bytes = 0 - 1 ", (0, 1)),
        ("bytes=0-18446744073709551615", (0, 9)),
        ("bytes=-18446744073709551615", (0, 9)),
        ("bytes=18446744073709551615-", UNSATISFIABLE),
        ("bytes=00000000000000000000002-00000000000000000000003", (2, 3)),
        (f"bytes=0-{'9' * 5000}", (0, 9)),
        (f"bytes={'9' * 5000}-", UNSATISFIABLE),
        ("bytes=0-1\nbytes=2-3", WHOLE),
    ],
)
def test_each_form_of_range_on_ten_bytes(header: str | None, expected: str | tuple[int, int]) -> None:
    assert answer(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-"])
def test_of_an_empty_file_there_is_no_range(header: str) -> None:
    assert answer(header, 0) == UNSATISFIABLE


def test_what_is_sent_beside_the_bytes() -> None:
    assert parse_range("bytes=2-5", 10) == ByteRange(2, 5, 10)
    assert ByteRange(2, 5, 10).content_range == "bytes 2-5/10"
    assert ByteRange(2, 5, 10).length == 4


def by_looking_at_every_byte(first: int | None, last: int | None, total: int) -> str | tuple[int, int]:
    if first is None and last is None:
        return WHOLE
    if first is None:
        assert last is not None
        wanted = [at for at in range(total) if at >= total - last]
    elif last is not None and last < first:
        return WHOLE
    else:
        wanted = [at for at in range(total) if at >= first and (last is None or at <= last)]
    return (wanted[0], wanted[-1]) if wanted else UNSATISFIABLE


SMALL = st.none() | st.integers(0, 24)


@given(SMALL, SMALL, st.integers(0, 20))
def test_a_range_is_the_bytes_it_names(first: int | None, last: int | None, total: int) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    assert answer(header, total) == by_looking_at_every_byte(first, last, total)


@given(st.text(max_size=30) | st.text("bytes=0123456789-, ", max_size=30), st.integers(0, 50))
def test_no_header_makes_it_raise_anything_else_or_leave_the_file(header: str, total: int) -> None:
    found = answer(header, total)
    if isinstance(found, tuple):
        assert 0 <= found[0] <= found[1] < total
