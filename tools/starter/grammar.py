# SPDX-License-Identifier: GPL-3.0-or-later
"""Question patterns of the starter model's corpus: parse them, draw sentences from them, and match against them.

A pattern is ordinary text with three marks::

    (turn on|enable)   one of several; parts may be empty and may be nested
    [please]           there or not there, with equal chance
    {how}              a slot: one alternative of the list of that name in ``corpus/slots.md``
    <text>             a variable, filled in by the topic (see ``data.py``)

Drawing at random gives the training text its variety. Matching (:class:`Matcher`) answers the opposite question, "could
this sentence ever be drawn?", for the whole language of a pattern and without listing it; the check that keeps the
evaluation's questions out of the training text needs that.

Runs in the training tool and in the unit tests; standard library only.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache


class PatternError(ValueError):
    """A pattern is malformed or names a slot that does not exist. The message quotes the pattern."""


@dataclass(frozen=True)
class Text:
    """Literal text."""

    value: str


@dataclass(frozen=True)
class Slot:
    """A reference to a list of alternatives in ``slots.md``."""

    name: str


@dataclass(frozen=True)
class Variable:
    """A place that the topic fills, with an optional filter (``<items:bullets>``)."""

    name: str
    filter: str


@dataclass(frozen=True)
class Choice:
    """One of several sequences."""

    options: tuple[Sequence, ...]


@dataclass(frozen=True)
class Sequence:
    """Parts in order."""

    parts: tuple[Text | Slot | Variable | Choice, ...]


_VARIABLE = re.compile(r"<([a-z][a-z0-9_]*)(?::([a-z]+))?>")


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def fail(self, why: str) -> PatternError:
        return PatternError(f"{why} at character {self.at} of the pattern: {self.source!r}")

    def sequence(self, ends: str) -> Sequence:
        parts: list[Text | Slot | Variable | Choice] = []
        literal: list[str] = []

        def flush() -> None:
            if literal:
                parts.append(Text("".join(literal)))
                literal.clear()

        while self.at < len(self.source) and self.source[self.at] not in ends:
            char = self.source[self.at]
            variable = _VARIABLE.match(self.source, self.at) if char == "<" else None
            if char == "\\" and self.at + 1 < len(self.source):
                literal.append(self.source[self.at + 1])
                self.at += 2
            elif variable:
                flush()
                parts.append(Variable(variable[1], variable[2] or ""))
                self.at = variable.end()
            elif char == "{":
                flush()
                end = self.source.find("}", self.at)
                if end < 0:
                    raise self.fail("unclosed {")
                parts.append(Slot(self.source[self.at + 1 : end].strip()))
                self.at = end + 1
            elif char in "([":
                flush()
                parts.append(self.group(")" if char == "(" else "]"))
            elif char in ")]}":
                raise self.fail(f"unexpected {char}")
            else:
                literal.append(char)
                self.at += 1
        flush()
        return Sequence(tuple(parts))

    def group(self, close: str) -> Choice:
        self.at += 1
        options = [self.sequence("|" + close)]
        while self.at < len(self.source) and self.source[self.at] == "|":
            self.at += 1
            options.append(self.sequence("|" + close))
        if self.at >= len(self.source):
            raise self.fail(f"missing {close}")
        self.at += 1
        if close == "]":
            options.append(Sequence(()))
        return Choice(tuple(options))


@cache
def parse(pattern: str) -> Sequence:
    """Parse one pattern.

    Raises:
        PatternError: a bracket is not closed, or closes nothing.
    """
    parser = _Parser(pattern)
    return parser.sequence("")


@cache
def parse_alternatives(pattern: str) -> Choice:
    """Parse the right-hand side of a slot: patterns separated by ``|`` at the top level."""
    parser = _Parser(pattern)
    options = [parser.sequence("|")]
    while parser.at < len(pattern):
        parser.at += 1
        options.append(parser.sequence("|"))
    return Choice(tuple(options))


Slots = dict[str, Choice]


def draw(node: Sequence | Choice, slots: Slots, rng: random.Random, values: dict[str, str] | None = None) -> str:
    """Draw one sentence from a parsed pattern.

    Args:
        node: what :func:`parse` or :func:`parse_alternatives` returned.
        slots: the alternatives of each slot, by name.
        rng: the source of chance; the same state gives the same sentence.
        values: text for variables, keyed ``name`` or ``name:filter``.

    Returns:
        The sentence, with runs of spaces (left by options that were not taken) collapsed line by line.

    Raises:
        PatternError: an unknown slot or variable.
    """
    out: list[str] = []
    _draw(node, slots, rng, values or {}, out)
    lines = "".join(out).split("\n")
    return "\n".join(re.sub(r"(?<=\S) {2,}", " ", line).rstrip() for line in lines).strip()


def _draw(node: Sequence | Choice, slots: Slots, rng: random.Random, values: dict[str, str], out: list[str]) -> None:
    if isinstance(node, Choice):
        _draw(rng.choice(node.options), slots, rng, values, out)
        return
    for part in node.parts:
        if isinstance(part, Text):
            out.append(part.value)
        elif isinstance(part, Variable):
            key = f"{part.name}:{part.filter}" if part.filter else part.name
            if key not in values:
                raise PatternError(f"no value for the variable <{key}>")
            out.append(values[key])
        elif isinstance(part, Slot):
            if part.name not in slots:
                raise PatternError(f"no slot named {{{part.name}}}")
            _draw(slots[part.name], slots, rng, values, out)
        else:
            _draw(part, slots, rng, values, out)


def normalise(text: str) -> str:
    """Lower case, punctuation and symbols dropped, one space between words: how questions are compared."""
    words = re.sub(r"[^\w\s]|_", " ", text.lower().replace("'", "").replace("’", ""))
    return " ".join(words.split())


@cache
def compact(text: str) -> str:
    """:func:`normalise` without the spaces, the form in which :class:`Matcher` works.

    Spaces go because a pattern may join a word from parts ("model(s|)"); what that confuses, it confuses to the strict
    side.
    """
    return normalise(text).replace(" ", "")


class Matcher:
    """Where in one text the patterns of a corpus can begin and end.

    A variable matches anything but nothing, so a trained instruction with other content matches too.

    Args:
        text: a question, as a person would write it.
        slots: the alternatives of each slot, by name.
    """

    def __init__(self, text: str, slots: Slots) -> None:
        self.text = compact(text)
        self._slots = slots
        self._known: dict[tuple[str, frozenset[int]], frozenset[int]] = {}

    def slot(self, name: str, starts: frozenset[int]) -> frozenset[int]:
        """Like :meth:`ends`, for one alternative of a slot.

        Raises:
            PatternError: an unknown slot.
        """
        if name not in self._slots:
            raise PatternError(f"no slot named {{{name}}}")
        key = (name, starts)
        if key not in self._known:
            self._known[key] = self.ends(self._slots[name], starts)
        return self._known[key]

    def ends(self, node: Sequence | Choice, starts: frozenset[int]) -> frozenset[int]:
        """Where a pattern can end, if it begins at one of the given places of :attr:`text`.

        Args:
            node: what :func:`parse` or :func:`parse_alternatives` returned.
            starts: places, from 0 to the length of the text.

        Raises:
            PatternError: an unknown slot.
        """
        if isinstance(node, Choice):
            return frozenset().union(*(self.ends(option, starts) for option in node.options))
        at = starts
        for part in node.parts:
            if not at:
                break
            if isinstance(part, Text):
                literal = compact(part.value)
                at = frozenset(i + len(literal) for i in at if self.text.startswith(literal, i))
            elif isinstance(part, Variable):
                at = frozenset(range(min(at) + 1, len(self.text) + 1))
            elif isinstance(part, Slot):
                at = self.slot(part.name, at)
            else:
                at = self.ends(part, at)
        return at
