"""JSON lines: any split of the bytes gives the same lines, and none may be endless."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.errors import BackendFailed
from peersky.core.ndjson import LineDecoder


def decode(*chunks: bytes, max_line_bytes: int = 1000) -> list[str]:
    decoder = LineDecoder(max_line_bytes)
    return [line for chunk in chunks for line in decoder.feed(chunk)] + decoder.finish()


@given(
    st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=2), max_size=5),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_any_split_gives_the_same_lines(
    values: list[dict[str, str]], end: str, last_ended: bool, cuts: list[int]
) -> None:
    text = end.join(json.dumps(value, ensure_ascii=False) for value in values) + end * last_ended
    stream = text.encode("utf-8", "surrogatepass")
    points = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(points)]
    assert [json.loads(line) for line in decode(*chunks)] == values == [json.loads(line) for line in decode(stream)]


def test_a_line_is_there_as_soon_as_its_end() -> None:
    decoder = LineDecoder()
    assert decoder.feed(b'{"a":1}') == []
    assert decoder.feed(b"\n{") == ['{"a":1}']


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6] * 2, [b"x" * 11 + b"\n"], [b"ok\n", b"y" * 11]])
def test_an_endless_line_is_given_up(chunks: list[bytes]) -> None:
    with pytest.raises(BackendFailed) as caught:
        decode(*chunks, max_line_bytes=10)
    assert caught.value.reason == "backend_error"


def test_line_separators_within_a_text_end_nothing() -> None:
    assert decode("a\u2028b\u0085c\x0bd\n".encode()) == ["a\u2028b\u0085c\x0bd"]
