"""The APIs of ``peersky://settings/llm`` beside the plain settings: models and tests of what a form says, saving with a
download, the downloads themselves, and which pages may ask a service on the network.

Who may call them is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.core.errors import InvalidRequest, PeerSkyError
from peersky.core.settings_schema import PROVIDERS, setting
from peersky.llm.choice import KEY
from peersky.llm.connections import Candidate
from peersky.llm.downloads import Download
from peersky.llm.local_ai import DOWNLOADERS, LocalAi
from peersky.system.memory import free_memory_bytes
from peersky.system.settings_store import SettingsStore
from peersky.web.event_stream import Report, Unsubscribe, event_stream, wants_events
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object, text_of


class LocalAiApi:
    """Makes the routes.

    Args:
        settings: tells for which addresses a key is set.
        ai: what is shown and steered.
    """

    def __init__(self, settings: SettingsStore, ai: LocalAi) -> None:
        self._settings = settings
        self._remove_model = ai.remove_model
        self._connections, self._switch = ai.connections, ai.switch
        self._downloads = downloads = ai.downloads
        self._steps: Final[Mapping[str, Callable[[str], None]]] = {
            "pause": downloads.pause,
            "resume": downloads.resume,
            "cancel": downloads.cancel,
            "dismiss": downloads.dismiss,
        }

    def settings_routes(self) -> list[Route]:
        """For ``peersky://settings/api/``."""
        return [
            Route("/models", self._models, methods=["POST"]),
            Route("/models-remove", self._remove, methods=["POST"]),
            Route("/llm-test", self._test, methods=["POST"]),
            Route("/llm-key", self._forget_key, methods=["POST"]),
            Route("/llm-save", self._save, methods=["POST"]),
            *self.home_routes(),
            Route("/downloads", self._steer, methods=["POST"]),
        ]

    def home_routes(self) -> list[Route]:
        """For ``peersky://home/api/``: to look at."""
        return [Route("/downloads", self._list, methods=["GET"])]

    async def _models(self, request: Request) -> Response:
        """``{provider, baseURL, apiKey?}`` → what is installed or offered there.

        ``problem`` says why there are none; ``keySet``, whether a key is stored for the address.
        """
        candidate = _candidate(await json_object(request))
        key_set = await asyncio.to_thread(self._settings.has_secret, KEY, candidate.base_url)
        reply: dict[str, Any] = {"models": [], "freeMemoryBytes": free_memory_bytes(), "keySet": key_set}
        try:
            reply["models"] = [model.as_object() for model in await self._connections.models(candidate)]
        except PeerSkyError as error:
            reply["problem"] = error.as_object()
        return JSONResponse(reply)

    async def _remove(self, request: Request) -> Response:
        """``{model}`` → ``{freedBytes}``: delete a model of the built-in engine."""
        model = text_of(await json_object(request), "model")
        if model == self._settings.text("llm.model") and self._settings.text("llm.provider") == "builtin":
            raise InvalidRequest(f"{model} is the model that answers; choose another one first.", param="llm.model")
        return JSONResponse({"freedBytes": await self._remove_model(model)})

    async def _forget_key(self, request: Request) -> Response:
        """``{baseURL}``: forget the key of that address."""
        base_url = text_of(await json_object(request), "baseURL")
        setting("llm.baseURL").check(base_url)
        await asyncio.to_thread(self._settings.set_secret, KEY, base_url, None)
        return JSONResponse({})

    async def _test(self, request: Request) -> Response:
        return JSONResponse(await self._connections.test(_candidate(await json_object(request))))

    async def _save(self, request: Request) -> Response:
        """``{changes}`` → ``{download, notes, pending}``; see :meth:`ModelSwitch.save`."""
        changes = (await json_object(request)).get("changes")
        if not isinstance(changes, Mapping):
            raise InvalidRequest("The option changes must be an object of settings.", param="changes")
        saved = await self._switch.save(changes)
        return JSONResponse({"download": saved.download, "notes": saved.notes, "pending": self._pending()})

    def _pending(self) -> dict[str, Any] | None:
        pending = self._switch.pending
        return pending.as_object() if pending else None

    async def _list(self, request: Request) -> Response:
        """All downloads, and the choice that waits for one; as a stream: again at each change."""
        if not wants_events(request):
            return JSONResponse(self._all())

        def subscribe(report: Report) -> Unsubscribe:
            # Always the whole list: a tab that was asleep misses nothing, and there are only a few.
            def changed(_download: Download) -> None:
                report("all", self._all())

            report("all", self._all())
            return self._downloads.subscribe(changed)

        return event_stream(subscribe)

    def _all(self) -> dict[str, Any]:
        listed = [download.as_object() for download in self._downloads.list()]
        return {"downloads": listed, "pending": self._pending()}

    async def _steer(self, request: Request) -> Response:
        """``{action, id}``; or ``{action: "start", provider, model}``."""
        body = await json_object(request)
        action = text_of(body, "action")
        if action == "start":
            self._downloads.start(_local_kind(text_of(body, "provider")), text_of(body, "model"))
        elif action in self._steps:
            self._steps[action](text_of(body, "id"))
        else:
            known = ", ".join(["start", *self._steps])
            raise InvalidRequest(f"The option action must be one of {known}.", param="action")
        return JSONResponse(self._all())


def _candidate(body: Mapping[str, Any]) -> Candidate:
    provider = body.get("provider")
    base_url, key = body.get("baseURL", ""), body.get("apiKey")
    if provider not in PROVIDERS:
        raise InvalidRequest(f"The option provider must be one of {', '.join(PROVIDERS)}.", param="provider")
    if not isinstance(base_url, str):
        raise InvalidRequest("The option baseURL must be a text.", param="llm.baseURL")
    if provider != "builtin":
        setting("llm.baseURL").check(base_url)
    return Candidate(provider, base_url, None if key is None else str(setting(KEY).check(key)))


def _local_kind(kind: str) -> str:
    """A service on the network is never asked to download anything."""
    if kind not in DOWNLOADERS:
        raise InvalidRequest("Only the built-in engine and Ollama download models.", param="provider")
    return kind
