"""``peersky ask``: one question, its answer on standard output and nothing else there."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peersky.cli.session import Session
from peersky.cli.terminal import say, write_answer
from peersky.core.errors import BackendFailed, InvalidRequest
from peersky.system.paths import open_profile

EXIT_CUT_SHORT: Final = 3
COMPLETE: Final = ("stop", "tool_calls")


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "ask",
        parents=[common],
        help="ask the model one question",
        description="Streams the answer to standard output. Exit code: 0 for a complete answer, 3 for one that was cut "
        "at its longest length, 1 for an error, 130 when interrupted.",
    )
    parser.add_argument("prompt", metavar="PROMPT", help="the question; - reads it from standard input")
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object when the answer is complete")
    parser.set_defaults(run=run)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``ask`` and ``chat`` share."""
    parser.add_argument("--model", metavar="M", help="name of a model, or the absolute path of a GGUF file")
    parser.add_argument("--temperature", type=float, metavar="T", help="0: always the likeliest word; up to 2")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest answer, in tokens")


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    if not prompt.strip():
        raise InvalidRequest("The question is empty.")
    body = request_body([{"role": "user", "content": readable(prompt)}], options)
    with Session(open_profile(options.profile)) as session:
        model = session.call(lambda client: client.model(body.get("model")))
        say(label_of(model))
        answer = receive(session, body, (lambda _: None) if options.json else write_answer)
    if options.json:
        print(json.dumps(answer.as_object(model), ensure_ascii=False))
    elif answer.content and not answer.content.endswith("\n"):
        print()
    return conclude(answer)


def readable(text: str) -> str:
    """``text`` without what is no Unicode (bytes of another encoding in an argument)."""
    return text.encode("utf-8", "replace").decode()


def request_body(messages: list[dict[str, str]], options: argparse.Namespace) -> dict[str, Any]:
    """The request for a chat, with the options that were given."""
    body: dict[str, Any] = {"messages": messages}
    for name in ("model", "temperature", "max_tokens"):
        if getattr(options, name) is not None:
            body[name] = getattr(options, name)
    # The services may run elsewhere: a file is named from where the user is.
    if body.get("model", "").endswith(".gguf") and Path(body["model"]).is_file():
        body["model"] = str(Path(body["model"]).absolute())
    return body


def label_of(model: dict[str, Any]) -> str:
    """One line that says which model answers, and what to think of it."""
    return f"Model: {model['id']} ({model['provider']}). {model['note']}".rstrip()


@dataclass(slots=True)
class Answer:
    """What came back."""

    content: str = ""
    model: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)

    def as_object(self, model: dict[str, Any]) -> dict[str, Any]:
        """The answer for ``--json``. ``model`` as the holder described it."""
        return {
            "content": self.content,
            "model": self.model or model["id"],
            "provider": model["provider"],
            "finishReason": self.finish_reason,
            "usage": self.usage,
        }


def receive(
    session: Session, body: dict[str, Any], show: Callable[[str], None], answer: Answer | None = None
) -> Answer:
    """Ask and show the answer piece by piece.

    Args:
        answer: filled as the pieces come, so that it is there also when the answer is interrupted.

    Raises:
        PeerSkyError: as the model's server or the bridge said.
        BackendFailed: the stream ended before the answer did.
    """
    answer = Answer() if answer is None else answer
    with session.chat({"conversation": secrets.token_urlsafe(12), **body}) as chunks:
        for chunk in chunks:
            answer.model = chunk.get("model") or answer.model
            answer.usage = chunk.get("usage") or answer.usage
            for choice in chunk.get("choices", ()):
                answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
                if text := (choice.get("delta") or {}).get("content"):
                    answer.content += text
                    show(text)
    if answer.finish_reason is None:
        raise BackendFailed("The answer broke off; ask again.", reason="interrupted")
    return answer


def conclude(answer: Answer) -> int:
    """The exit code of an answer, with a sentence where it is not complete."""
    if answer.finish_reason in COMPLETE:
        return 0
    if answer.finish_reason == "length":
        say("The answer was cut at its longest length; --max-tokens allows a longer one.")
        return EXIT_CUT_SHORT
    say(f"The answer is not complete: the model ended it with {answer.finish_reason!r}.")
    return 1
