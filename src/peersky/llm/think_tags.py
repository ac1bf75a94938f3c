"""Thoughts that raw servers leave within the text, ``<think>…</think>``, taken apart from the answer. Pure.

Only tags at the beginning of an answer count, so that an answer *about* these tags stays as it is. Some chat templates
open the tag in the prompt, and only its end is in the answer: that is dropped. What came before it has been shown as
text by then; nothing can be done about that in a stream.
"""

from __future__ import annotations

from typing import Final

OPEN: Final = "<think>"
CLOSE: Final = "</think>"
_LATE_CLOSE: Final = "\n" + CLOSE


class ThinkTags:
    """Splits the text of one answer, in whatever pieces it comes; the pieces do not change what comes out."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"
        """``start`` (only blanks so far), ``thinking``, ``gap`` (blanks after it), ``text`` (a closing tag may come)
        or ``rest``."""

    def feed(self, piece: str) -> tuple[str, str]:
        """Take the next piece, return the answer's text and the thoughts that are certain by now."""
        self._held += piece
        text, thoughts = "", ""
        while True:
            before = (self._state, self._held)
            match self._state:
                case "start":
                    self._start()
                case "thinking":
                    thoughts += self._take(CLOSE)
                case "gap":
                    self._held = self._held.lstrip()
                    if self._held:
                        self._state = "rest"
                case "text":
                    text += self._text()
                case _:
                    text += self._held
                    self._held = ""
            if (self._state, self._held) == before:
                return text, thoughts

    def finish(self) -> tuple[str, str]:
        """The answer ended: what was held back."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "thinking" else (held, "")

    def _start(self) -> None:
        shown = self._held.lstrip()
        if shown.startswith(OPEN):
            self._held, self._state = shown.removeprefix(OPEN), "thinking"
        elif shown.startswith(CLOSE):
            self._held, self._state = shown.removeprefix(CLOSE), "gap"
        elif shown and not OPEN.startswith(shown) and not CLOSE.startswith(shown):
            self._state = "text"

    def _text(self) -> str:
        opened, closed = self._held.find(OPEN), self._held.find(_LATE_CLOSE)
        if opened >= 0 and (closed < 0 or opened < closed):
            # The answer speaks of tags: from here on none of them is a tag.
            self._state = "rest"
            return ""
        return self._take(_LATE_CLOSE, OPEN)

    def _take(self, tag: str, *others: str) -> str:
        """What stands before ``tag``, which ends this part; without it, all that cannot be the beginning of a tag."""
        ready, found, rest = self._held.partition(tag)
        if found:
            self._held, self._state = rest, "gap"
            return ready
        kept = max(_overlap(self._held, each) for each in (tag, *others))
        ready, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return ready


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``tag``."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
