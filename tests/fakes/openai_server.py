"""An OpenAI-compatible service over real HTTP that answers as its script says, with every fault that services were seen
to have.

::

    with OpenAIServer(models=["gpt-x"], key="sk-1") as server:
        server.script = ["Hel", "lo"]
        … server.url + "/v1" …
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.fakes.http_server import Abort, Answer, Cut, Drip, FakeServer, Hold, Recorded, Refuse, Silence

Step = str | bytes | Mapping[str, Any] | Hold | Refuse | type[Abort] | type[Cut] | type[Silence] | type[Drip]
"""Of an answer: a text is a piece of the content, an object an event, bytes go out as they are."""

HELLO: Final[tuple[Step, ...]] = ("Hel", "lo")
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 2}
DONE: Final = b"data: [DONE]\n\n"


def delta(value: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    """One event of an answer."""
    return {"choices": [{"index": 0, "delta": value, "finish_reason": finish}], **more}


def end(reason: str = "stop") -> list[Step]:
    """What a well-behaved service ends an answer with."""
    return [delta({}, reason), {"choices": [], "usage": USAGE}, DONE]


class OpenAIServer(FakeServer):
    """The parts of the API that a client uses.

    Attributes:
        models: entries of the list, or names.
        key: the one that is accepted; empty: none is asked for.
        path: below which the API lies.
        script: the steps of an answer, or a function that makes them of the request's body. A script that is one
            object with ``choices`` and ``message`` is sent as plain JSON, as by a server that ignores ``stream``.
            Where no step ends the answer, :func:`end` does.
        refusals: answers to the next requests for a generation, in order, each used once.
        elsewhere: answer to every path but those of the API.
        not_taken: options that are refused as unsupported.
        list_reply: instead of the true list.
        embed_reply: instead of the true embeddings.
    """

    def __init__(
        self, models: Sequence[str | dict[str, Any]] = ("gpt-x",), *, key: str = "", path: str = "/v1", port: int = 0
    ) -> None:
        super().__init__(port)
        self.models = [{"id": model, "object": "model"} if isinstance(model, str) else model for model in models]
        self.key = key
        self.path = path
        self.script: Sequence[Step] | Callable[[dict[str, Any]], Sequence[Step]] = HELLO
        self.whole: Any = None
        self.refusals: list[Refuse | type[Abort]] = []
        self.elsewhere = Refuse(404, {"error": {"message": "Invalid URL", "type": "invalid_request_error"}})
        self.not_taken: set[str] = set()
        self.list_reply: Any = None
        self.embed_reply: Any = None

    def chats(self) -> list[dict[str, Any]]:
        """The bodies of all requests for an answer."""
        return [request.json for request in self.requests if request.path.endswith("/chat/completions")]

    def keys(self) -> set[str]:
        """Every key that ever came here."""
        return {request.headers.get("authorization", "") for request in self.requests} - {""}

    async def handle(self, request: Recorded, answer: Answer) -> None:
        call = request.path.removeprefix(self.path) if request.path.startswith(self.path) else ""
        if call not in ("/chat/completions", "/models", "/embeddings"):
            await _send(answer, self.elsewhere)
            return
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            given = request.headers.get("authorization", "none").removeprefix("Bearer ")
            message = f"Incorrect API key provided: {given}."
            await answer.json({"error": {"message": message, "code": "invalid_api_key"}}, 401)
        elif call == "/models":
            reply = {"object": "list", "data": self.models} if self.list_reply is None else self.list_reply
            await _send(answer, reply if isinstance(reply, Refuse) else Refuse(200, reply))
        elif call == "/embeddings":
            await self._embed(request.json, answer)
        else:
            await self._chat(request.json, answer)

    async def _chat(self, body: dict[str, Any], answer: Answer) -> None:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Refuse):
                await _send(answer, refusal)
            else:
                await answer.abort()
            return
        for option in sorted(self.not_taken & body.keys()):
            error = {"message": f"Unsupported parameter: '{option}'.", "param": option, "code": "unsupported_parameter"}
            await answer.json({"error": error}, 400)
            return
        if body["model"] not in [model.get("id") for model in self.models]:
            error = {"message": f"The model `{body['model']}` does not exist.", "code": "model_not_found"}
            await answer.json({"error": error}, 404)
            return
        if self.whole is not None:
            await answer.json(self.whole)
            return
        script = list(self.script(body) if callable(self.script) else self.script)
        if not any(_ends(step) for step in script):
            script += end()
        await answer.start(headers={"content-type": "text/event-stream"})

        async def send(step: str | Mapping[str, Any]) -> None:
            event = delta({"content": step}) if isinstance(step, str) else step
            await answer.send(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")

        if await self.play(script, answer, send):
            await answer.end()

    async def _embed(self, body: dict[str, Any], answer: Answer) -> None:
        if self.embed_reply is not None:
            reply = self.embed_reply
            await _send(answer, reply if isinstance(reply, Refuse) else Refuse(200, reply))
            return
        rows = [{"index": i, "embedding": [float(len(text)), 0.5]} for i, text in enumerate(body["input"])]
        await answer.json({"object": "list", "data": rows[::-1]})


def _ends(step: Step) -> bool:
    if isinstance(step, Mapping):
        choices = step.get("choices")
        return "error" in step or bool(choices and choices[0].get("finish_reason"))
    return step in (Abort, Cut, Silence) or (isinstance(step, bytes) and b"finish_reason" in step)


async def _send(answer: Answer, reply: Refuse) -> None:
    if isinstance(reply.body, str):
        await answer.text(reply.body, reply.status, {"content-type": "text/html", **(reply.headers or {})})
    else:
        await answer.json(reply.body, reply.status, reply.headers)
