"""``peersky chat``: a conversation in the terminal, or over a pipe with one question per line."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
from typing import Any, Final

from peersky.cli.ask import Answer, add_model_options, conclude, label_of, readable, receive, request_body
from peersky.cli.session import Session
from peersky.cli.terminal import say, write_answer
from peersky.core.errors import PeerSkyError
from peersky.system.paths import open_profile

HELP: Final = "Type a question. /new starts over, /exit or Ctrl-D ends, Ctrl-C stops an answer."


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser = commands.add_parser("chat", parents=[common], help="talk with the model in the terminal", description=HELP)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Talk until the input ends. Over a pipe the exit code is 1 if a question was not answered."""
    interactive = sys.stdin.isatty()
    with Session(open_profile(options.profile)) as session:
        model = session.call(lambda client: client.model(request_body([], options).get("model")))
        say(label_of(model))
        if interactive:
            say(HELP)
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  # gives input() its line editing; its history is in memory only
        return _Conversation(session, options).run(interactive)


class _Conversation:
    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session = session
        self._options = options
        self._messages: list[dict[str, str]] = []
        self._id = secrets.token_urlsafe(12)

    def run(self, interactive: bool) -> int:
        failed = False
        while True:
            try:
                line = _read_line(interactive)
            except EOFError:
                return 1 if failed and not interactive else 0
            except KeyboardInterrupt:
                # At the prompt, Ctrl-C drops the line that was typed.
                say("")
                continue
            match line.strip():
                case "":
                    continue
                case "/exit":
                    return 1 if failed and not interactive else 0
                case "/new":
                    self._messages, self._id = [], secrets.token_urlsafe(12)
                    say("A new conversation.")
                case question:
                    failed = not self._ask(question) or failed

    def _ask(self, question: str) -> bool:
        """Ask one question; True for a complete answer. What went wrong is said, and the conversation goes on."""
        self._messages.append({"role": "user", "content": readable(question)})
        answer = Answer()
        try:
            body = {**request_body(self._messages, self._options), "conversation": self._id}
            receive(self._session, body, write_answer, answer)
            print(_line_end(answer), end="", flush=True)
            complete = conclude(answer) == 0
        except KeyboardInterrupt:
            say("\nStopped.")
            complete = False
        except PeerSkyError as error:
            say(f"{_line_end(answer)}peersky: {error.message}")
            complete = False
        if answer.content:
            self._messages.append({"role": "assistant", "content": answer.content})
        else:
            self._messages.pop()
        return complete


def _line_end(answer: Answer) -> str:
    return "\n" if answer.content and not answer.content.endswith("\n") else ""


def _read_line(interactive: bool) -> str:
    if interactive:
        return input("> ")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line
