"""An Ollama over real HTTP that answers as its script says, with every fault that a real one was seen to have.

::

    with OllamaServer(models=[Model("qwen3:4b", thinking=True)]) as server:
        server.script = ["Hel", "lo"]
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.http_server import Abort, Answer, Cut, Drip, FakeServer, Hold, Recorded, Refuse, Silence

MODIFIED: Final = "2026-08-21T10:00:00Z"


@dataclass(frozen=True)
class Model:
    """A model that the server has."""

    name: str
    capabilities: tuple[str, ...] = ("completion", "tools")
    context_length: int = 32768
    size: int = 2_000_000_000
    remote_host: str = ""


Step = str | bytes | Mapping[str, Any] | Hold | Refuse | type[Abort] | type[Cut] | type[Silence] | type[Drip]
"""Of an answer: a text is a piece of the content, an object a line, bytes go out as they are."""

HELLO: Final[tuple[Step, ...]] = ("Hel", "lo")


class OllamaServer(FakeServer):
    """The parts of Ollama's API that a client uses.

    Attributes:
        models: what is installed; a pull that succeeds adds to it.
        script: the steps of an answer, or a function that makes them of the request's body. After the last step comes
            the line with ``done``, unless a step broke the reply before.
        end: fields of that line.
        pull_script: the steps of a download; None: one layer of 1000 bytes and success.
        old: ``/api/tags`` tells neither capabilities nor context length, as before May 2026.
        embed_reply: instead of the true answer to ``/api/embed``.
    """

    def __init__(self, models: Sequence[Model | str] = ("qwen2.5-coder:3b",), port: int = 0, *, old: bool = False):
        super().__init__(port)
        self.models = [model if isinstance(model, Model) else Model(model) for model in models]
        self.script: Sequence[Step] | Callable[[dict[str, Any]], Sequence[Step]] = HELLO
        self.end: dict[str, Any] = {"done_reason": "stop", "prompt_eval_count": 7, "eval_count": 2}
        self.pull_script: Sequence[Step] | None = None
        self.old = old
        self.embed_reply: Refuse | dict[str, Any] | None = None
        self.everything: Refuse | None = None

    async def handle(self, request: Recorded, answer: Answer) -> None:
        if self.everything is not None:
            await _refuse(answer, self.everything)
            return
        if "origin" in request.headers:
            await answer.text("", 403)
            return
        match request.method, request.path:
            case "GET", "/":
                await answer.text("Ollama is running")
            case "GET", "/api/version":
                await answer.json({"version": "0.33.0"})
            case "GET", "/api/tags":
                await answer.json({"models": [self._tag(model) for model in self.models]})
            case "POST", "/api/show":
                await self._show(request.json, answer)
            case "POST", "/api/chat":
                await self._chat(request.json, answer)
            case "POST", "/api/pull":
                await self._pull(request.json, answer)
            case "POST", "/api/embed":
                await self._embed(request.json, answer)
            case _:
                await answer.text("404 page not found", 404)

    def chats(self) -> list[dict[str, Any]]:
        """The bodies of all requests for an answer."""
        return [request.json for request in self.requests if request.path == "/api/chat"]

    def _find(self, name: str) -> Model | None:
        wanted = _full(name)
        return next((model for model in self.models if _full(model.name) == wanted), None)

    def _tag(self, model: Model) -> dict[str, Any]:
        tag: dict[str, Any] = {
            "name": model.name,
            "model": model.name,
            "modified_at": MODIFIED,
            "size": model.size,
            "digest": f"{abs(hash(model)):064x}"[-64:],
            "details": {"format": "gguf", "family": "test", "parameter_size": "3B", "quantization_level": "Q4_K_M"},
        }
        if not self.old:
            tag["capabilities"] = list(model.capabilities)
            tag["details"]["context_length"] = model.context_length
        if model.remote_host:
            tag |= {"remote_host": model.remote_host, "remote_model": model.name}
        return tag

    async def _show(self, body: dict[str, Any], answer: Answer) -> None:
        model = self._find(body["model"])
        if model is None:
            await answer.json({"error": f"model '{body['model']}' not found"}, 404)
            return
        info = {"general.architecture": "test", "test.context_length": model.context_length}
        await answer.json({"capabilities": list(model.capabilities), "model_info": info, "details": {}})

    async def _chat(self, body: dict[str, Any], answer: Answer) -> None:
        script = self.script(body) if callable(self.script) else self.script
        if script and isinstance(script[0], Refuse):
            await _refuse(answer, script[0])
            return
        refusal = self._refusal(body)
        if refusal is not None:
            await _refuse(answer, refusal)
            return
        if script and isinstance(script[0], Hold):
            # Nothing, not even the head of the reply, is sent before the first token.
            await self.hold(answer, script[0].name)
            script = script[1:]
        await answer.start(headers={"content-type": "application/x-ndjson"})
        if await self._play(script, answer, lambda text: {"message": {"role": "assistant", "content": text}}):
            await _line(answer, {"model": body["model"], "message": {"content": ""}, "done": True, **self.end})
            await answer.end()

    def _refusal(self, body: dict[str, Any]) -> Refuse | None:
        """What the real server refuses, too."""
        model = self._find(body["model"])
        if model is None:
            return Refuse(404, {"error": f"model '{body['model']}' not found"})
        if not isinstance(body.get("options", {}).get("stop", []), list):
            return Refuse(500, {"error": 'option "stop" must be of type array'})
        if body.get("think") and "thinking" not in model.capabilities:
            return Refuse(400, {"error": f'"{body["model"]}" does not support thinking'})
        if body.get("tools") and "tools" not in model.capabilities:
            return Refuse(400, {"error": f"registry.ollama.ai/library/{body['model']} does not support tools"})
        for message in body["messages"]:
            for image in message.get("images", ()):
                try:
                    base64.b64decode(image, validate=True)
                except ValueError:
                    return Refuse(400, {"error": "illegal base64 data at input byte 0"})
            for call in message.get("tool_calls", ()):
                if not isinstance(call["function"]["arguments"], dict):
                    return Refuse(400, {"error": "json: cannot unmarshal string into Go struct field"})
        return None

    async def _pull(self, body: dict[str, Any], answer: Answer) -> None:
        await answer.start(headers={"content-type": "application/x-ndjson"})
        digest = "sha256:" + "a" * 64
        script = self.pull_script
        if script is None:
            script = [
                {"status": "pulling manifest"},
                {"status": "pulling aaaaaaaaaaaa", "digest": digest, "total": 1000},
                {"status": "pulling aaaaaaaaaaaa", "digest": digest, "total": 1000, "completed": 1000},
                {"status": "verifying sha256 digest"},
                {"status": "writing manifest"},
            ]
        if await self._play(script, answer, lambda text: {"status": text}):
            self.models.append(Model(body["model"]))
            await _line(answer, {"status": "success"})
            await answer.end()

    async def _embed(self, body: dict[str, Any], answer: Answer) -> None:
        model = self._find(body["model"])
        if isinstance(self.embed_reply, Refuse):
            await _refuse(answer, self.embed_reply)
        elif self.embed_reply is not None:
            await answer.json(self.embed_reply)
        elif model is None:
            await answer.json({"error": f"model '{body['model']}' not found"}, 404)
        elif "embedding" not in model.capabilities:
            await answer.json({"error": "this model does not support embeddings"}, 400)
        else:
            vectors = [[float(len(text)), 0.5] for text in body["input"]]
            await answer.json({"model": body["model"], "embeddings": vectors, "prompt_eval_count": 3})

    async def _play(self, script: Sequence[Step], answer: Answer, line_of: Callable[[str], dict[str, Any]]) -> bool:
        """Send the steps; whether the reply is still to be ended."""

        async def send(step: str | Mapping[str, Any]) -> None:
            whole = {"created_at": MODIFIED, **line_of(step), "done": False} if isinstance(step, str) else step
            await _line(answer, whole)

        return await self.play(script, answer, send)


async def _line(answer: Answer, value: Mapping[str, Any]) -> None:
    await answer.send(json.dumps(value, ensure_ascii=False).encode() + b"\n")


async def _refuse(answer: Answer, refusal: Refuse) -> None:
    if isinstance(refusal.body, str):
        await answer.text(refusal.body, refusal.status, refusal.headers)
    else:
        await answer.json(refusal.body, refusal.status, refusal.headers)


def _full(name: str) -> str:
    name = name.lower()
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"
