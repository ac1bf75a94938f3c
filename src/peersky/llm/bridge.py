"""The one door to every model: a question is checked against the settings, waits for its turn, and is answered by the
provider that the user chose. Runs on the service loop. Trust is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from peersky.core.address import is_loopback
from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import Cancelled, NotAllowed, NotSupported, PeerSkyError
from peersky.core.origins import USER, Origin, parse_origin
from peersky.core.settings_schema import STARTER_MODEL, STARTER_TEMPERATURE, THINKING, provider_for
from peersky.core.trust import INTERNAL_APIS, Answer
from peersky.llm.consent import CloudConsent
from peersky.llm.generation import Content, Generation, characters_of, whole_answer
from peersky.llm.meter import Meter
from peersky.llm.providers.base import Provider
from peersky.llm.queue import RequestQueue
from peersky.system.settings_store import SettingsStore

REMOTE_PARALLEL: Final = 16
"""Answers that a back end on another machine writes at once; the built-in engine has its own setting."""


OLLAMA_CLOUD: Final = Origin("https", "ollama.com", 443)
_THINKING: Final[Mapping[str, bool | str]] = {level: level for level in THINKING} | {"off": False, "on": True}


class Bridge:
    """Answers for pages and for the command line.

    Args:
        settings: read at each request, so that a change counts at once.
        providers: the back ends that exist, by kind.
        log: takes a kind and fields; a prompt or an answer only where the user turned ``logs.content`` on.
        consent: asked before a page's question is answered, or leaves this computer; None: every page may.
        meter: counts, and refuses what is over a limit; None: there are none.
        on_failure: told who asked, the kind of back end and the error of a question that it failed to answer.
    """

    def __init__(
        self,
        settings: SettingsStore,
        providers: Mapping[str, Provider],
        log: Callable[..., None],
        consent: CloudConsent | None = None,
        on_failure: Callable[[Origin, str, PeerSkyError], None] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._settings = settings
        self._providers = dict(providers)
        self._log = log
        self._consent = consent
        self._on_failure = on_failure
        self._meter = meter
        self._visible: frozenset[Origin] = frozenset({USER})
        self._queues = {kind: self._queue_of(provider) for kind, provider in providers.items()}
        self._generations: dict[Origin, list[Generation]] = {}
        self._subscribers: list[Callable[[Origin, int], None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def is_supported(self, origin: Origin) -> bool:
        """Whether a question of this origin has somebody to answer it, as far as the settings tell. No I/O."""
        return bool(self.status(origin)["supported"])

    def status(self, origin: Origin) -> dict[str, Any]:
        """What the settings say, without asking any back end.

        Returns:
            ``enabled``, ``supported``, ``provider``, ``model`` (for pages: without the folder of a file),
            ``isLocal`` (None where the provider is missing),
            ``reason`` (why it is not supported: ``llm_disabled``, ``provider_missing``, ``model_missing``; else None),
            ``active`` (questions of this origin that run or wait) and ``position`` (turns until the first of its
            waiting questions is served; 0 if none waits).
        """
        kind, model = self._choice(origin)
        provider, queue = self._providers.get(kind), self._queues.get(kind)
        try:
            self._ready(origin, None)
            reason = None
        except PeerSkyError as error:
            reason = error.reason
        return {
            "enabled": self._is_enabled(origin),
            "supported": reason is None,
            "provider": kind,
            "model": _name_for(origin, model),
            "isLocal": provider.is_local if provider else None,
            "reason": reason,
            "active": len(self._generations.get(origin, ())),
            "position": queue.position(origin) if queue else 0,
        }

    def service(self, origin: Origin) -> Origin | None:
        """Where this origin's questions go; None while they stay on this computer, or nobody answers them."""
        provider = self._providers.get(self._choice(origin)[0])
        return self._service_of(provider) if provider else None

    def back_end(self, origin: Origin) -> tuple[str, str]:
        """State of the back end that answers this origin, and a sentence about it; see ``Provider.state``."""
        provider = self._providers.get(self._choice(origin)[0])
        return provider.state() if provider else ("missing", "")

    def reset(self) -> None:
        """Let back ends that gave up after a crash loop try again."""
        for provider in self._providers.values():
            provider.reset()

    async def model_info(self, origin: Origin) -> ModelInfo:
        """What is known of the model that answers this origin.

        Raises:
            NotAllowed, NotSupported, BackendFailed: as :meth:`chat`.
        """
        provider, model = self._ready(origin, None)
        with _discreet(origin, model):
            return replace(await provider.describe(model), name=_name_for(origin, model))

    async def models(self, origin: Origin) -> Sequence[ModelInfo]:
        """The models that this origin may ask: the chosen one; for the user and the settings page, those of the
        chosen back end and of the built-in one.

        Raises:
            NotAllowed, NotSupported, BackendFailed: as :meth:`chat`.
        """
        if not _sees_all_models(origin):
            return [await self.model_info(origin)]
        found: list[ModelInfo] = []
        failure: PeerSkyError | None = None
        chosen = self._choice(origin)[0]
        for kind, provider in self._providers.items():
            if kind not in ("builtin", chosen):
                # The base URL is the chosen one's. What it means to another kind of back end, nobody asked for.
                continue
            try:
                found += await provider.models()
            except PeerSkyError as error:
                # One server that is down must not hide the models of the others.
                failure = failure or error
        if failure and not found:
            raise failure
        return found

    async def embed(
        self, origin: Origin, texts: Sequence[str], model: str | None = None, page: Origin | None = None
    ) -> list[list[float]]:
        """One vector per text, by the chosen model or, for the user, by ``model``; ``page`` as for :meth:`chat`.

        Raises:
            NotAllowed, NotSupported, QuotaExceeded, BackendFailed: as :meth:`chat`.
        """
        provider, chosen = self._ready(origin, model)
        async with self._generation(origin, provider, chosen) as generation:
            generation.action, generation.asked_characters = "embeddings", sum(map(len, texts))
            generation.page = page
            async with self._turn(generation):
                vectors = await provider.embed(chosen, texts)
            generation.outcome = "stop"
            return vectors

    @asynccontextmanager
    async def chat(
        self, origin: Origin, request: ChatRequest, page: Origin | None = None
    ) -> AsyncIterator[AsyncIterator[ChatChunk]]:
        """Generate an answer: ``async with bridge.chat(origin, request) as chunks: async for chunk in chunks: …``.

        The wait for a turn is inside; leaving the block, for whatever reason, stops the generation at the back end. The
        last chunk of a complete answer, and only that, has ``finish_reason``, and ``usage`` where the back end told it.

        Args:
            page: origin of the tab's page, where a frame in it asks: whether the user looks at it decides about turns.

        Raises:
            NotAllowed: ``llm_disabled``, ``declined``, ``blocked_by_user``.
            NotSupported: ``provider_missing``, ``model_missing``, ``model_not_exposed``, and what the provider cannot.
            QuotaExceeded: ``queue_full``, ``tokens_per_minute``, ``tokens_per_day``, and what the provider says.
            BackendFailed: unreachable, or died in mid-answer (``interrupted``).
            Cancelled: somebody pressed stop.
        """
        provider, model = self._ready(origin, request.model)
        request = self._with_defaults(request, provider, model)
        async with AsyncExitStack() as stack:
            generation = await stack.enter_async_context(self._generation(origin, provider, model))
            if self._settings.flag("logs.content"):
                generation.content = Content(request)
            generation.page, generation.asked_characters = page, characters_of(request)
            await stack.enter_async_context(self._turn(generation))
            self._log(
                "generation-start",
                number=generation.number,
                origin=str(origin),
                provider=provider.kind,
                model=model,
                waited_ms=generation.age_ms(),
            )
            chunks = await stack.enter_async_context(provider.chat(model, request))
            yield await stack.enter_async_context(aclosing(whole_answer(chunks, generation, self._saw)))

    def stop(self, origin: Origin) -> int:
        """Stop everything this origin has asked for; tells how many questions that were."""
        stopped = [generation for generation in self._generations.get(origin, ()) if not generation.stopped]
        for generation in stopped:
            generation.stop()
        return len(stopped)

    def recheck(self) -> None:
        """The user changed what sites may do: stop what is not allowed any more."""
        for generation in [one for own in self._generations.values() for one in own]:
            if self._consent and self._consent.answer(generation.origin, generation.service) is Answer.NO:
                generation.stop(NotAllowed("You blocked this site.", reason="blocked_by_user"))

    def show_pages(self, origins: frozenset[Origin]) -> None:
        """Which pages the user looks at: their questions, and those of frames in them, go before those of other sites.

        So do the user's own. A tab in the background counts as looked at while one of the same origin is.
        """
        self._visible = origins | {USER}

    def subscribe(self, callback: Callable[[Origin, int], None]) -> Callable[[], None]:
        """Call ``callback(origin, questions that run or wait)`` on the service loop at every change.

        What the user has still to allow is none of them: nothing of it went anywhere yet.

        Returns:
            A function that ends the subscription.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    async def close(self) -> None:
        """Stop every generation, wait until each has let go of its back end, and close the back ends."""
        self._closed = True
        for origin in list(self._generations):
            self.stop(origin)
        await self._idle.wait()
        for provider in self._providers.values():
            await provider.close()

    @asynccontextmanager
    async def _generation(self, origin: Origin, provider: Provider, model: str) -> AsyncIterator[Generation]:
        """Count, make stoppable and log one question."""
        stopper = asyncio.timeout(None)
        generation = Generation(origin, provider.kind, model, stopper, self._service_of(provider))
        try:
            async with stopper:
                generation.asking = self._must_ask(generation)
                self._add(generation)
                try:
                    with _discreet(origin, model):
                        yield generation
                except PeerSkyError as error:
                    generation.outcome = error.reason
                    if self._on_failure is not None:
                        self._on_failure(origin, provider.kind, error)
                    raise
                except Exception:
                    generation.outcome = "internal_error"
                    raise
                finally:
                    self._remove(generation)
        except TimeoutError as error:
            if not stopper.expired():
                raise
            if generation.stopped_by is not None:
                raise generation.stopped_by from error
            raise Cancelled("The answer was stopped.", reason="stopped") from error

    def _add(self, generation: Generation) -> None:
        self._idle.clear()
        self._generations.setdefault(generation.origin, []).append(generation)
        self._notify(generation.origin)

    def _remove(self, generation: Generation) -> None:
        own = self._generations[generation.origin]
        own.remove(generation)
        if not own:
            del self._generations[generation.origin]
        if not self._generations:
            self._idle.set()
        self._log("generation-end", **generation.as_fields())
        if self._meter is not None:
            self._meter.end(generation)
        self._notify(generation.origin)

    def _notify(self, origin: Origin) -> None:
        count = sum(not generation.asking for generation in self._generations.get(origin, ()))
        for callback in list(self._subscribers):
            callback(origin, count)

    def _must_ask(self, generation: Generation) -> bool:
        consent = self._consent
        return consent is not None and consent.answer(generation.origin, generation.service) is Answer.ASK

    @asynccontextmanager
    async def _turn(self, generation: Generation) -> AsyncIterator[None]:
        """Wait for the user's yes, for room under the limits and for a turn; hold the turn for the block's length."""
        if self._consent is not None:
            await self._consent.check(generation.origin, generation.service)
        if generation.asking:
            generation.asking = False
            self._notify(generation.origin)
        if self._meter is not None:
            await self._meter.begin(generation)
        async with self._queues[generation.provider].turn(generation.origin, generation.page):
            if self._meter is not None:
                self._meter.check(generation)
            generation.started = True
            yield

    def _saw(self, generation: Generation) -> None:
        if self._meter is not None:
            self._meter.saw(generation)

    def _service_of(self, provider: Provider) -> Origin | None:
        if provider.is_local:
            return None
        origin = parse_origin(self._settings.text("llm.baseURL"))
        # An Ollama on this computer passes questions to models of its cloud on to there.
        return OLLAMA_CLOUD if provider.kind == "ollama" and is_loopback(origin.host) else origin

    def _queue_of(self, provider: Provider) -> RequestQueue:
        def limit() -> int:
            return self._settings.whole("llm.parallel") if provider.is_local else REMOTE_PARALLEL

        def is_visible(page: Origin) -> bool:
            return page in self._visible

        meter = self._meter
        if meter is None:
            return RequestQueue(limit, is_visible=is_visible)
        return RequestQueue(
            limit,
            lambda origin: meter.limits(origin, cloud=not provider.is_local).waiting,
            lambda origin: meter.limits(origin, cloud=not provider.is_local).parallel,
            is_visible,
        )

    def _is_enabled(self, origin: Origin) -> bool:
        return origin == USER or self._settings.flag("llm.enabled")

    def _choice(self, origin: Origin) -> tuple[str, str]:
        """The kind of provider and the model that the settings mean for this origin."""
        settings = self._settings
        if origin == USER and not (settings.is_stored("llm.provider") or settings.is_stored("llm.baseURL")):
            return "builtin", STARTER_MODEL
        named, base_url = settings.text("llm.provider"), settings.text("llm.baseURL")
        kind = provider_for(named, base_url, "")
        if not named and kind == "openai":
            # Only here does the key decide. Reading it may mean asking the keyring, which may ask the user.
            kind = provider_for(named, base_url, settings.secret("llm.apiKey"))
        if kind == "builtin" and not settings.is_stored("llm.model"):
            return kind, STARTER_MODEL
        return kind, settings.text("llm.model").strip()

    def _ready(self, origin: Origin, wanted: str | None) -> tuple[Provider, str]:
        """The provider and the model that answer, or the reason why none does."""
        if self._closed:
            raise Cancelled("PeerSky is closing.", reason="closing")
        if not self._is_enabled(origin):
            raise NotAllowed("Local AI is switched off; turn it on in peersky://settings/llm.", reason="llm_disabled")
        kind, model = self._choice(origin)
        provider = self._providers.get(kind)
        if provider is None:
            raise NotSupported(
                f"There is no back end {kind} here; choose the built-in engine in peersky://settings/llm.",
                reason="provider_missing",
            )
        if wanted and wanted not in (model, _name_for(origin, model)):
            if origin != USER:
                raise NotSupported(
                    "The page asked for a model that is not the one you chose; "
                    "leave the option model out, or choose that model in peersky://settings/llm.",
                    reason="model_not_exposed",
                    param="model",
                )
            model = wanted
        if not model:
            raise NotSupported("No model is chosen; choose one in peersky://settings/llm.", reason="model_missing")
        return provider, model

    def _temperature(self, provider: Provider, model: str) -> float:
        if (provider.kind, model) == ("builtin", STARTER_MODEL) and not self._settings.is_stored("llm.temperature"):
            return STARTER_TEMPERATURE
        return self._settings.number("llm.temperature")

    def _with_defaults(self, request: ChatRequest, provider: Provider, model: str) -> ChatRequest:
        temperature, max_tokens = request.temperature, request.max_tokens
        think = _THINKING.get(self._settings.text("llm.think")) if request.think is None else request.think
        return replace(
            request,
            model=model,
            think=think,
            think_if_possible=request.think is None and think is not None,
            temperature=self._temperature(provider, model) if temperature is None else temperature,
            max_tokens=self._settings.whole("llm.maxTokens") if max_tokens is None else max_tokens,
        )


def _sees_all_models(origin: Origin) -> bool:
    return origin == USER or (origin.is_internal and "models" in INTERNAL_APIS.get(origin.host, frozenset()))


def _name_for(origin: Origin, model: str) -> str:
    """A model's name as this origin may know it: a page is not told where on this computer the user's files are."""
    if _sees_all_models(origin) or not Path(model).is_absolute():
        return model
    return Path(model).name


@contextmanager
def _discreet(origin: Origin, model: str) -> Iterator[None]:
    """Take the paths of this computer out of the sentence of an error that a page will read."""
    try:
        yield
    except PeerSkyError as error:
        if not _sees_all_models(origin):
            error.message = error.message.replace(model, _name_for(origin, model))
            error.message = error.message.replace(f"{Path.home()}/", "~/")
        raise
