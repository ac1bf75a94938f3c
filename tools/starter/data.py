# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus: read it, draw conversations from it, and prove that no question of the evaluation is in it.

The corpus is the Markdown in ``corpus/``, written by the project. Its forms are described at the top of each file.
Every conversation is drawn anew: a topic, one of its question patterns, one sentence of that pattern, and then the kind
of noise that typing brings (case, punctuation, a greeting before, a slip of the finger, a small word lost).

Runs in the training tool, the evaluation and the unit tests; standard library only.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, from any folder

from tools.starter import grammar

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
HELD_OUT = HERE / "held_out.jsonl"
DEVELOPMENT = HERE / "development.jsonl"

# Share of turns drawn from each file of topics.
SHARES = {"peersky.md": 0.55, "talk.md": 0.17, "tasks.md": 0.28}

_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven"),
    *("eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen"),
)
_SLIPS = {
    "the": "teh", "and": "adn", "was": "wsa", "were": "wree", "friend": "freind", "book": "boook",
    "house": "huose", "found": "fuond", "table": "tabel", "garden": "gardne", "letter": "leter",
    "window": "windwo", "bought": "bougt", "lost": "losst", "school": "shcool", "river": "rivre",
    "yesterday": "yesterdy", "morning": "mornign", "with": "wiht", "car": "caar", "story": "storry",
    "new": "nwe", "small": "smal", "today": "tody", "door": "dooor", "their": "thier", "opened": "opend",
    "closed": "colsed", "bridge": "brigde", "train": "trian", "ticket": "tikcet", "picture": "pictuer",
    "teacher": "techer", "children": "chidlren", "moved": "moevd", "painted": "paintd", "carried": "caried",
    "old": "odl", "saw": "swa", "sold": "slod", "market": "markte", "station": "staiton", "week": "wek",
    "night": "nihgt",
}  # fmt: skip


@dataclass(frozen=True)
class Binding:
    """How one variable of a topic is drawn: ``let``, ``list`` or ``first``, with a pattern and a range of sizes."""

    kind: str
    name: str
    pattern: str
    least: int = 1
    most: int = 1


@dataclass
class Topic:
    """One heading of the corpus: patterns of questions, literal answers, and the variables that both may use."""

    name: str
    weight: float = 1.0
    questions: list[str] = field(default_factory=list)
    keys: str = ""
    answers: list[str] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    ``role`` is system, user or assistant. ``fixed`` says that an answer is always the same text, so that its beginning
    shows which one it is and the rest holds nothing new.
    """

    role: str
    content: str
    fixed: bool = False


@dataclass
class Corpus:
    """Everything that ``corpus/`` holds, parsed."""

    topics: dict[str, list[Topic]]
    slots: grammar.Slots
    slot_items: dict[str, list[str]]
    systems: list[str]


@dataclass(frozen=True)
class Question:
    """A question of an evaluation file, with its rubric.

    ``need`` is a list of groups; an answer passes when, case ignored, it contains at least one text of every group and
    none of ``forbid``.
    """

    id: str
    kind: str
    question: str
    need: tuple[tuple[str, ...], ...]
    forbid: tuple[str, ...]


class CorpusError(ValueError):
    """A corpus file is malformed. The message names the file and the line."""


_BINDING = re.compile(r"(let|list|first) ([a-z][a-z0-9_]*) = (?:(\d+)-(\d+) )?(.+)")


def _topics(path: Path) -> list[Topic]:
    topics: list[Topic] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        line = line.strip()
        if line.startswith("## "):
            topics.append(Topic(line[3:].strip()))
            continue
        if not topics or not line:
            continue
        topic = topics[-1]
        binding = _BINDING.fullmatch(line)
        if line.startswith("Q: "):
            topic.questions.append(line[3:].replace("\\n", "\n"))
        elif line.startswith("K: "):
            keys = "|".join(key.strip() for key in line[3:].split("|"))
            topic.keys = f"{{about}} ({keys})"
        elif line.startswith("A: "):
            topic.answers.append(line[3:].replace("\\n", "\n"))
        elif line.startswith("weight "):
            topic.weight = float(line.split()[1])
        elif binding:
            kind, name, least, most, pattern = binding.groups()
            topic.bindings.append(Binding(kind, name, pattern, int(least or 1), int(most or 1)))
        else:
            raise CorpusError(f"{path.name}:{number}: not a Q:, A:, K:, weight, let, list or first line: {line!r}")
    for topic in topics:
        # Keys are many and short: they get a third of the draws.
        topic.questions.extend([topic.keys] * (len(topic.questions) // 2) if topic.keys else [])
        if not topic.questions or not topic.answers:
            raise CorpusError(f"{path.name}: the topic {topic.name!r} needs at least one Q: and one A: line")
    return topics


def load(folder: Path = CORPUS) -> Corpus:
    """Read and parse the corpus.

    Raises:
        CorpusError: a line has none of the known forms.
        grammar.PatternError: a pattern is malformed.
    """
    slots: grammar.Slots = {}
    items: dict[str, list[str]] = {}
    for line in (folder / "slots.md").read_text("utf-8").splitlines():
        match = re.fullmatch(r"- ([a-z_]+): (.+)", line)
        if match:
            slots[match[1]] = grammar.parse_alternatives(match[2].replace(" | ", "|"))
            items[match[1]] = [item.strip() for item in match[2].split("|")]
    systems = [line[2:] for line in (folder / "systems.md").read_text("utf-8").splitlines() if line.startswith("- ")]
    return Corpus({name: _topics(folder / name) for name in SHARES}, slots, items, systems)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    text = _capital(text.strip())
    return text if text.endswith((".", "!", "?")) else text + "."


def _typo(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    known = [i for i, word in enumerate(words) if word in _SLIPS]
    for i in rng.sample(known, min(len(known), rng.choice((1, 1, 2)))):
        words[i] = _SLIPS[words[i]]
    return " ".join(words)


def _loose(items: list[str], rng: random.Random) -> str:
    style = rng.randrange(6)
    if style == 0:
        return "\n".join(items)
    if style == 1 and all(" " not in item for item in items):
        return " ".join(items)
    if style in (2, 3) and len(items) > 1:
        return ", ".join(items[:-1]) + (" and " if style == 2 else ", and ") + items[-1]
    return ", ".join(items)


def _values(topic: Topic, corpus: Corpus, rng: random.Random) -> dict[str, str]:
    """Draw the variables of a topic, each in all forms that a filter can ask for."""
    values: dict[str, str] = {}
    for binding in topic.bindings:
        name = binding.name
        size = rng.randint(binding.least, binding.most)
        if binding.kind == "let":
            text = grammar.draw(grammar.parse(binding.pattern), corpus.slots, rng)
            values |= {
                name: text,
                f"{name}:upper": text.upper(),
                f"{name}:lower": text.lower(),
                f"{name}:cap": _sentence(text),
                f"{name}:first": _capital(text),
                f"{name}:typo": _typo(text, rng),
            }
            continue
        if binding.kind == "first":
            drawn = corpus.slot_items[binding.pattern][:size]
        else:
            node = grammar.parse(binding.pattern)
            drawn = []
            while len(drawn) < size:
                item = grammar.draw(node, corpus.slots, rng)
                if item not in drawn:
                    drawn.append(item)
        values |= {
            name: ", ".join(drawn),
            f"{name}:comma": ", ".join(drawn),
            f"{name}:plain": " ".join(drawn),
            f"{name}:loose": _loose(drawn, rng),
            f"{name}:bullets": "\n".join(f"- {item}" for item in drawn),
            f"{name}:numbers": "\n".join(f"{i}. {item}" for i, item in enumerate(drawn, 1)),
            f"{name}:table": "| No. | Item |\n|---|---|\n"
            + "\n".join(f"| {i} | {item} |" for i, item in enumerate(drawn, 1)),
            f"{name}:json": json.dumps(drawn),
            f"{name}:html": "<ul>\n" + "\n".join(f"  <li>{item}</li>" for item in drawn) + "\n</ul>",
            f"{name}:count": str(len(drawn)),
            f"{name}:word": _WORDS[len(drawn)],
        }
    return values


def _fill(answer: str, values: dict[str, str]) -> str:
    """Put variables into an answer, which is otherwise literal: its brackets are the answer's own."""
    return re.sub(r"<([a-z][a-z0-9_]*(?::[a-z]+)?)>", lambda m: values.get(m[1], m[0]), answer)


_SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "do",
        "does",
        "i",
        "to",
        "of",
        "for",
        "in",
        "on",
        "my",
        "you",
        "can",
        "it",
        "with",
        "me",
        "be",
        "that",
        "this",
    ]
)


def _noise(text: str, corpus: Corpus, rng: random.Random) -> str:
    """Make a clean question look typed, and keep the model from relying on one wording.

    Most questions keep their words and their order. Some lose the small words, or words at random, or their order, or
    get a sentence beside them that has nothing to do with them: what remains common to all is the words that matter.
    """
    words = text.split(" ")
    if len(words) > 3:
        roll = rng.random()
        if roll < 0.10:
            words = [word for word in words if word.lower() not in _SMALL_WORDS] or words
        elif roll < 0.20:
            rng.shuffle(words)
        elif roll < 0.34:
            words = [word for word in words if rng.random() > 0.18] or words
    if len(words) > 3 and rng.random() < 0.12:
        small = [i for i, word in enumerate(words) if word.lower() in _SMALL_WORDS]
        if small:
            del words[rng.choice(small)]
    if len(words) > 2 and rng.random() < 0.10:
        extra = grammar.draw(corpus.slots["filler_word"], corpus.slots, rng)
        words.insert(rng.randrange(1, len(words)), extra)
    if len(words) > 2 and rng.random() < 0.12:
        i = rng.randrange(len(words))
        word = words[i]
        if len(word) > 3 and word.isalpha():
            at = rng.randrange(1, len(word) - 1)
            words[i] = rng.choice(
                (
                    word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                    word[:at] + word[at + 1 :],
                    word[:at] + word[at] + word[at:],
                )
            )
    text = " ".join(words)
    if rng.random() < 0.18:
        lead = grammar.draw(corpus.slots["lead"], corpus.slots, rng)
        text = lead + rng.choice((", ", ", ", " ", ": ", "! ", ". ")) + text
    if rng.random() < 0.12:
        text = text + rng.choice((" ", ", ")) + grammar.draw(corpus.slots["tail"], corpus.slots, rng)
    if rng.random() < 0.08:
        before = grammar.draw(corpus.slots["preamble"], corpus.slots, rng)
        text = _capital(before) + rng.choice((". ", ". ", ", ", " and ", ": ")) + _capital(text)
    elif rng.random() < 0.08:
        text = text + rng.choice(("? ", "? ", ". ", ", ")) + grammar.draw(corpus.slots["afterword"], corpus.slots, rng)
    if rng.random() < 0.10:
        beside = grammar.draw(corpus.slots["sentence"], corpus.slots, rng)
        end = rng.choice((". ", ". ", ", ", "; ", " and "))
        text = _capital(beside) + end + text if rng.random() < 0.6 else text + end + beside
    case = rng.random()
    if case < 0.55:
        text = _capital(text)
    elif case < 0.80:
        text = text.lower()
    elif case < 0.82:
        text = text.upper()
    return text + rng.choices(("?", "", ".", "!", " ?", "??"), (52, 34, 7, 3, 2, 2))[0]


def _task_noise(text: str, corpus: Corpus, rng: random.Random) -> str:
    """Noise around a task: its content must stay as it is, because the answer repeats it."""
    roll = rng.random()
    if roll < 0.10:
        return "Please " + text
    if roll < 0.18:
        lead = grammar.draw(corpus.slots["lead"], corpus.slots, rng)
        return _capital(lead) + rng.choice((", ", ": ", "! ")) + text
    return _capital(text) if roll < 0.70 else text


class Conversations:
    """An endless source of training conversations.

    Args:
        corpus: what :func:`load` returned.
        seed: the same seed gives the same conversations.
        forbidden: normalised questions that must never be a user message, whatever the noise makes of a pattern.
    """

    def __init__(self, corpus: Corpus, seed: int, forbidden: frozenset[str]) -> None:
        self._corpus = corpus
        self._rng = random.Random(seed)
        self._forbidden = forbidden
        self._files = list(SHARES)
        self._shares = list(SHARES.values())
        self._weights = {name: [topic.weight for topic in topics] for name, topics in corpus.topics.items()}
        self.refused = 0

    def turn(self) -> tuple[Message, Message]:
        """One question and its answer."""
        rng = self._rng
        while True:
            name = rng.choices(self._files, self._shares)[0]
            topic = rng.choices(self._corpus.topics[name], self._weights[name])[0]
            values = _values(topic, self._corpus, rng)
            pattern = grammar.parse(rng.choice(topic.questions))
            text = grammar.draw(pattern, self._corpus.slots, rng, values)
            starts_with_content = bool(pattern.parts) and isinstance(pattern.parts[0], grammar.Variable)
            fixed = all(binding.kind == "first" for binding in topic.bindings)
            if fixed:
                text = _noise(text, self._corpus, rng)
            elif not starts_with_content:
                text = _task_noise(text, self._corpus, rng)
            if grammar.normalise(text) in self._forbidden:
                self.refused += 1
                continue
            answer = _fill(rng.choice(topic.answers), values)
            return Message("user", text), Message("assistant", answer, fixed)

    def conversation(self) -> list[Message]:
        """Messages of one conversation: often one turn, sometimes several, sometimes after a system message."""
        rng = self._rng
        messages: list[Message] = []
        if rng.random() < 0.15:
            system = grammar.parse(rng.choice(self._corpus.systems))
            messages.append(Message("system", grammar.draw(system, self._corpus.slots, rng)))
        turns = rng.choices((1, 2, 3, 5, 8), (82, 9, 5, 3, 1))[0]
        for _ in range(turns):
            messages.extend(self.turn())
        return messages

    def __iter__(self) -> Iterator[list[Message]]:
        while True:
            yield self.conversation()


def questions(path: Path) -> list[Question]:
    """Read an evaluation file (JSON lines).

    Raises:
        CorpusError: a line lacks a field.
    """
    result: list[Question] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            result.append(
                Question(
                    id=raw["id"],
                    kind=raw["kind"],
                    question=raw["question"],
                    need=tuple(tuple(group) for group in raw["need"]),
                    forbid=tuple(raw.get("forbid", ())),
                )
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise CorpusError(f"{path.name}:{number}: {error!r}") from error
    return result


def forbidden_questions() -> frozenset[str]:
    """The normalised questions of both evaluation files."""
    paths = [path for path in (HELD_OUT, DEVELOPMENT) if path.exists()]
    return frozenset(grammar.normalise(q.question) for path in paths for q in questions(path))


def can_draw(corpus: Corpus, patterns: list[str], question: str) -> list[str]:
    """The patterns that, with the words that the noise may put around them, can produce a question.

    Case, punctuation and spaces do not count; a variable stands for any text.
    """
    matcher = grammar.Matcher(question, corpus.slots)
    start = frozenset({0})
    start |= matcher.ends(grammar.parse("please"), start)
    for around in ("preamble", "lead"):
        start |= matcher.slot(around, start)
    found = []
    for pattern in patterns:
        end = matcher.ends(grammar.parse(pattern), start)
        for around in ("tail", "afterword"):
            end |= matcher.slot(around, end) if end else end
        if len(matcher.text) in end:
            found.append(pattern)
    return found


def leaks(corpus: Corpus, held_out: list[Question], folder: Path = CORPUS) -> list[str]:
    """Questions of the evaluation that the training text contains or could produce.

    Two tests, both without regard to case and punctuation. The first looks for the question, word for word, in the
    corpus files. The second asks of every pattern whether it can produce the question (:func:`can_draw`), so a trained
    instruction with new content counts as a leak too.

    Returns:
        One line for each finding; empty when all is well.
    """
    raw = " " + " ".join(grammar.normalise(p.read_text("utf-8")) for p in sorted(folder.glob("*.md"))) + " "
    found = [
        f"{question.id}: {question.question!r} stands in the corpus"
        for question in held_out
        if f" {grammar.normalise(question.question)} " in raw
    ]
    topic_of = {
        pattern: topic.name for topics in corpus.topics.values() for topic in topics for pattern in topic.questions
    }
    for question in held_out:
        found.extend(
            f"{question.id}: {question.question!r} can be drawn from the topic {topic_of[pattern]!r}: {pattern}"
            for pattern in can_draw(corpus, sorted(topic_of), question.question)
        )
    return found


def nearest(corpus: Corpus, held_out: list[Question], draws: int = 40) -> list[tuple[float, Question, str]]:
    """How close the training text comes to each held-out question, the closest first.

    Args:
        corpus: what :func:`load` returned.
        held_out: the questions.
        draws: sentences drawn from every pattern.

    Returns:
        For each question: the share of words in common with the closest drawn sentence (Jaccard's index of the two sets
        of words: 1 for the same words, 0 for none in common), the question, and that sentence.
    """
    rng = random.Random(0)
    words = [(question, frozenset(grammar.normalise(question.question).split())) for question in held_out]
    best = {question.id: (0.0, question, "") for question in held_out}
    for topics in corpus.topics.values():
        for topic in topics:
            for pattern in sorted(set(topic.questions)):
                for _ in range(draws):
                    values = _values(topic, corpus, rng)
                    text = grammar.draw(grammar.parse(pattern), corpus.slots, rng, values)
                    drawn = frozenset(grammar.normalise(text).split())
                    for question, wanted in words:
                        share = len(drawn & wanted) / len(drawn | wanted)
                        if share > best[question.id][0]:
                            best[question.id] = (share, question, text)
    return sorted(best.values(), key=lambda entry: -entry[0])


def passes(question: Question, answer: str) -> bool:
    """Score one answer by the question's rubric."""
    text = answer.lower()
    missing = [group for group in question.need if not any(keyword.lower() in text for keyword in group)]
    return not missing and not any(keyword.lower() in text for keyword in question.forbid)


def main() -> None:
    """Print a sample of what the model is shown, or with ``--nearest`` how close it comes to the evaluation."""
    if "--nearest" in sys.argv[1:]:
        entries = nearest(load(), questions(HELD_OUT))
        for share, question, text in entries:
            print(f"{share:.2f}  {question.question}  |  {text!r}")
        print(f"highest {entries[0][0]:.2f}, median {entries[len(entries) // 2][0]:.2f}")
        return
    source = Conversations(load(), seed=1, forbidden=forbidden_questions())
    for _ in range(30):
        for message in source.conversation():
            print(f"[{message.role}] {message.content}")
        print("-" * 40)


if __name__ == "__main__":
    main()
