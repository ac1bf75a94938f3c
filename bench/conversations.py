"""Turn ten of a conversation: does it pay for the turns before it again? Also with three conversations in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from bench import direct
from bench.asking import FETCH, in_page
from bench.rows import Row
from bench.world import BrowserChild, World, half_model, model_settings

BUDGET_S: Final = {True: 60.0, False: 240.0}
ANSWER_TOKENS: Final = 12
_WORDS: Final = "the sea and the hills of the north are quiet in winter and loud in spring when the birds return "

Message = dict[str, str]
Ask = Callable[[list[Message]], direct.Answer]


def measure(world: World) -> list[Row]:
    """All rows of the section; on the 0.5B model, whose prompts take their time."""
    turns = 5 if world.quick else 10
    with BrowserChild(world.profile(model_settings(half_model()))) as browser:
        page = browser.page()
        browser.run(page, "await llm.complete('x', {maxTokens: 2})")
        port = browser.engine()

        def through_bridge(messages: list[Message]) -> direct.Answer:
            return in_page(browser, page, FETCH, _body(messages))

        def to_engine(messages: list[Message]) -> direct.Answer:
            return direct.ask(port, _body(messages))

        found: dict[str, list[float]] = {}
        cached: dict[str, list[float]] = {}
        number = 0
        for number in world.rounds(1 if world.quick else 4, 1, 0.6):
            sides: list[tuple[str, Ask]] = [("bridge", through_bridge), ("direct", to_engine)]
            for name, ask in sides if number % 2 else reversed(sides):
                last, history = _talk(ask, f"{name} {number}", turns)
                found.setdefault(name, []).append(last.first_ms)
                read = last.usage["prompt_tokens"]
                share = last.usage["prompt_tokens_details"]["cached_tokens"] / read
                cached.setdefault(name, []).append(share * 100)
                if name == "bridge":
                    found.setdefault("length", []).append(read)
                    cold = ask([{"role": "user", "content": f"Cold {number}. "}, *history])
                    found.setdefault("cold", []).append(cold.first_ms)
        rotating = [_rotate(through_bridge, f"three {n}", turns) for n in world.rounds(1 if world.quick else 2, 1)]
    length = f"{found['length'][-1]:.0f} tokens"
    turn = f"first token, turn {turns}"
    return [
        Row(f"{turn}, through the bridge", "ms", found["bridge"], found["direct"], "engine with its cache", most=1.2),
        Row(f"{turn}, against a cold prompt", "ms", found["bridge"], found["cold"], f"cold, {length}", most=0.5),
        Row(
            f"{turn}, prompt in the cache", "%", cached["bridge"], cached["direct"], "engine with its cache", least=0.95
        ),
        Row(
            f"{turn}, three conversations in turn",
            "ms",
            rotating,
            found["cold"][: len(rotating)],
            f"cold, {length}",
            most=0.5,
            note="two slots, so each conversation loses its own and comes back from the engine's memory",
        ),
    ]


def _body(messages: list[Message]) -> dict[str, Any]:
    return {"messages": messages, "max_tokens": ANSWER_TOKENS, "temperature": 0, "stream": True}


def _ask_of(name: str, turn: int) -> Message:
    return {"role": "user", "content": f"{name}, question {turn}: {_WORDS}"}


def _talk(ask: Ask, name: str, turns: int) -> tuple[direct.Answer, list[Message]]:
    """The last answer of a conversation, and what it was asked with."""
    history: list[Message] = []
    while True:
        history.append(_ask_of(name, len(history)))
        answer = ask(history)
        turns -= 1
        if not turns:
            return answer, history
        history.append({"role": "assistant", "content": "".join(answer.texts)})


def _rotate(ask: Ask, name: str, turns: int) -> float:
    """Three conversations, a turn of each in rotation: the slowest first token of the last turn, in milliseconds."""
    histories: list[list[Message]] = [[] for _ in range(3)]
    slowest_ms = 0.0
    for turn in range(turns):
        for number, history in enumerate(histories):
            history.append(_ask_of(f"{name}.{number}", turn))
            answer = ask(json.loads(json.dumps(history)))
            history.append({"role": "assistant", "content": "".join(answer.texts)})
            if turn == turns - 1:
                slowest_ms = max(slowest_ms, answer.first_ms)
    return slowest_ms
