"""What is written to the terminal, and what a model must not write there."""

from __future__ import annotations

import re
import sys
from typing import Final

# Everything that a terminal acts upon but line end and tab: C0 with ESC, DEL, and C1.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def say(sentence: str) -> None:
    """Tell the user something that is not the result: on standard error.

    What a server said may be part of it, so control characters are left out as in an answer.
    """
    print(_CONTROLS.sub("", sentence) if sys.stderr.isatty() else sentence, file=sys.stderr, flush=True)


def write_answer(text: str) -> None:
    """Write a piece of a model's answer to standard output, at once.

    On a terminal, control characters are left out: an escape sequence could rename the window, fill the clipboard or
    draw a false prompt. A pipe gets the text as it is.
    """
    sys.stdout.write(_CONTROLS.sub("", text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
