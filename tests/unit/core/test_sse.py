"""The SSE decoder against the specification's own algorithm, for any split of the bytes."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.errors import BackendFailed
from peersky.core.sse import DONE, SseDecoder, encode_json


def decode(*chunks: bytes, max_event_bytes: int | None = None) -> list[str]:
    decoder = SseDecoder() if max_event_bytes is None else SseDecoder(max_event_bytes)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


def by_the_specification(stream: bytes) -> list[str]:
    """HTML, section 9.2.6, on the whole text; an unfinished last event counts, as the decoder promises."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[str] = []
    data: list[str] = []
    for line in [*re.split("\r\n|\n|\r", text), ""]:
        if line == "" and data:
            events.append("\n".join(data))
            data = []
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
    return events


SPLIT_POINTS = ('\ufeff: hello\r\n\r\ndata: {"a":"é😀"}\r\ndata:second\r\rdata:  two\n\nid: 7\nretry: 5\n\n').encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_each_line_end(end: str) -> None:
    stream = end.join(["data: one", "", "event: x", "data: two", "data: three", "", ""]).encode()
    assert decode(stream) == ["one", "two\nthree"]


@pytest.mark.parametrize("at", range(len(SPLIT_POINTS) + 1))
def test_a_split_at_any_byte_changes_nothing(at: int) -> None:
    expected = ['{"a":"é😀"}\nsecond', " two"]
    assert decode(SPLIT_POINTS[:at], SPLIT_POINTS[at:]) == expected == by_the_specification(SPLIT_POINTS)


def test_byte_by_byte() -> None:
    assert decode(*(bytes([byte]) for byte in SPLIT_POINTS)) == decode(SPLIT_POINTS)


def test_an_event_is_there_as_soon_as_its_blank_line() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == ["a"]
    assert decoder.feed(b"data: b\r\n\r") == ["b"]
    assert decoder.feed(b"\n") == []
    assert decoder.finish() == []


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b": only a comment\n\n", []),
        (b"event: ping\nid: 1\n\n", []),
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data: \n\n", [""]),
        (b"data:x\n\n", ["x"]),
        (b"data:  x\n\n", [" x"]),
        (b"Data: x\n\n", []),
        (b" data: x\n\n", []),
        (b"data : x\n\n", []),
        (b"database: x\n\n", []),
        (b"data: say data: twice\n\n", ["say data: twice"]),
        (b"data: [DONE]\n\n", ["[DONE]"]),
        (b"data: cut", ["cut"]),
        (b"data: cut\n", ["cut"]),
        ("data: a\u2028b\u2029c\u0085d\x0be\x0c\n\n".encode(), ["a\u2028b\u2029c\u0085d\x0be\x0c"]),
        (b"data: \xff\xfe\n\n", ["\ufffd\ufffd"]),
        (b"\xef\xbb\xbfdata: x\n\n", ["x"]),
        (b"\n\xef\xbb\xbfdata: x\n\n", []),
    ],
)
def test_lines_that_are_and_are_not_data(stream: bytes, events: list[str]) -> None:
    assert decode(stream) == events == by_the_specification(stream)


def test_too_long_a_line_is_an_error_also_without_its_end() -> None:
    with pytest.raises(BackendFailed) as caught:
        decode(*[b"data: xxxxxxxxxx"] * 100, max_event_bytes=1000)
    assert caught.value.reason == "backend_error"


def test_too_long_an_event_of_short_lines_is_an_error() -> None:
    with pytest.raises(BackendFailed):
        decode(b"data: 0123456789\n" * 101, max_event_bytes=1000)


def test_the_limit_is_for_each_event_and_not_for_the_stream() -> None:
    assert len(decode(b"data: 0123456789\n\n" * 1000, max_event_bytes=1000)) == 1000


PIECES = st.sampled_from(
    [
        b"data",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"x",
        b"data: ",
        b"\xe2\x80\xa8",
        b"\xf0\x9f",
        b"\x98",
        b"\n\n",
        b"id: 1",
        b"\xff",
        b"\x00",
        b"event",
    ]
)


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 200), max_size=12))
def test_any_split_of_any_stream_is_read_as_the_specification_says(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert decode(*chunks) == decode(stream) == by_the_specification(stream)


ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\ud83d\ude00\u2028\n\r"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=5))
def test_what_is_encoded_is_decoded(values: list[Any]) -> None:
    stream = b"".join(map(encode_json, values)) + DONE
    *events, last = decode(stream)
    assert [json.loads(event) for event in events] == values
    assert last == "[DONE]"


def test_half_a_surrogate_pair_reaches_the_page_where_its_other_half_joins_it() -> None:
    halves = [json.loads(event) for event in decode(encode_json("\ud83d"), encode_json("\ude00"))]
    assert "".join(halves).encode("utf-16", "surrogatepass").decode("utf-16") == "😀"
