"""Back ends that are not saved yet: what a form's values would reach, listed and tested before they count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from peersky.core.chat import ModelInfo
from peersky.core.errors import InvalidRequest, PeerSkyError
from peersky.core.origins import parse_origin
from peersky.core.settings_schema import setting
from peersky.llm.endpoint import Endpoint
from peersky.llm.providers.base import Provider
from peersky.system.settings_store import SettingsStore

MakeProvider = Callable[[Callable[[], Endpoint]], Provider]
NAMES: Final = {"builtin": "The built-in engine", "ollama": "Ollama", "openai": "The service"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a form says.

    Attributes:
        kind: of the back end.
        base_url: where it is; not used for the built-in engine.
        api_key: a key that was just typed; None: the one that is stored for the origin of ``base_url``, if any.
    """

    kind: str
    base_url: str
    api_key: str | None = None


class Connections:
    """Lists and tests candidates.

    Args:
        settings: holds the stored keys, one per origin.
        builtin: the built-in engine, which has no address.
        makers: how to make the other back ends, by kind.
    """

    def __init__(self, settings: SettingsStore, builtin: Provider, makers: Mapping[str, MakeProvider]) -> None:
        self._settings = settings
        self._builtin = builtin
        self._makers = dict(makers)

    @asynccontextmanager
    async def open(self, candidate: Candidate) -> AsyncIterator[Provider]:
        """A back end for the candidate, closed at the end.

        Raises:
            InvalidRequest: no such kind.
            SettingInvalid: the base URL is none.
        """
        if candidate.kind == self._builtin.kind:
            yield self._builtin
            return
        make = self._makers.get(candidate.kind)
        if make is None:
            raise InvalidRequest(f"There is no provider {candidate.kind!r}.", param="provider")
        setting("llm.baseURL").check(candidate.base_url)
        key = candidate.api_key
        if key is None:
            # In a thread: a keyring may take its time.
            key = await asyncio.to_thread(self._settings.secret, "llm.apiKey", candidate.base_url)
        endpoint = Endpoint(candidate.base_url, key.strip())
        provider = make(lambda: endpoint)
        try:
            yield provider
        finally:
            await provider.close()

    async def models(self, candidate: Candidate) -> Sequence[ModelInfo]:
        """What the back end has or offers.

        Raises:
            InvalidRequest, SettingInvalid: as :meth:`open`.
            BackendFailed: it cannot be reached, or refuses.
        """
        async with self.open(candidate) as provider:
            return await provider.models()

    async def test(self, candidate: Candidate) -> dict[str, Any]:
        """Try the connection.

        Returns:
            ``ok``, ``reached``, ``models`` (how many), ``key`` (state of a :class:`KeyCheck`), ``sentences`` for
            people, and ``param``, the setting at fault, if one is.

        Raises:
            InvalidRequest, SettingInvalid: as :meth:`open`.
        """
        report: dict[str, Any] = {"ok": False, "reached": False, "models": 0, "key": "unknown", "sentences": []}
        say = report["sentences"].append
        where = "" if candidate.kind == "builtin" else f" at {parse_origin(candidate.base_url)}"
        name = NAMES.get(candidate.kind, candidate.kind)
        async with self.open(candidate) as provider:
            try:
                count = len(await provider.models())
            except PeerSkyError as error:
                say(error.message)
                return {**report, "reached": error.reason in _LIMITS, "param": _field_of(error)}
            report |= {"reached": True, "models": count}
            say(f"{name}{where} answers and has {_counted(count)}.")
            try:
                checked = await provider.check_key()
            except PeerSkyError as error:
                say(error.message)
                return {**report, "param": _field_of(error)}
            report["key"] = checked.state
            say(_KEY_SENTENCES[checked.state])
            if checked.sentence:
                say(checked.sentence)
        report["ok"] = checked.state != "refused"
        report["sentences"] = [sentence for sentence in report["sentences"] if sentence]
        return report if report["ok"] else {**report, "param": "llm.apiKey"}


_LIMITS: Final = frozenset({"rate_limited", "credits"})
_KEY_SENTENCES: Final = {
    "none": "",
    "accepted": "It accepts the API key.",
    "refused": "It refuses the API key.",
    "unknown": "",
}


def _counted(count: int) -> str:
    return f"{count or 'no'} model{'' if count == 1 else 's'}"


def _field_of(error: PeerSkyError) -> str:
    """The field of the form that a failure belongs to; empty where the form is not to blame."""
    if error.reason in _LIMITS:
        return ""
    if error.reason in ("key_refused", "key_missing"):
        return "llm.apiKey"
    return error.param or "llm.baseURL"
