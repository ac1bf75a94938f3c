"""What reaches the terminal."""

from __future__ import annotations

import io
import sys

import pytest

from peersky.cli.terminal import say, write_answer

HOSTILE = "Wrong key.\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08 Try\tagain.\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.attack("The command line")
def test_neither_an_answer_nor_a_servers_error_steers_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    write_answer(HOSTILE)
    say(HOSTILE)
    assert set(terminal.getvalue()) & {*map(chr, range(32)), *map(chr, range(127, 160))} == {"\t", "\n"}


def test_a_pipe_gets_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    write_answer(HOSTILE)
    assert pipe.getvalue() == HOSTILE
