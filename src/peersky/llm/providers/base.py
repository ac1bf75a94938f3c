"""The contract of a back end. One small class per kind; pages see no difference between them, errors included."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal

from peersky.core.chat import ChatChunk, ChatRequest, ModelInfo
from peersky.core.errors import NotSupported


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far the download of a model is, over all its parts.

    Attributes:
        status: one short text for people.
        completed_bytes, total_bytes: over all parts; ``total_bytes`` 0 while unknown.
        verifying: what arrived is being checked.
        found_bytes: those of ``completed_bytes`` that were here before: they say nothing on the speed.
        nothing_to_do: this is the end, nothing was fetched, and ``status`` says why.
    """

    status: str
    completed_bytes: int = 0
    total_bytes: int = 0
    verifying: bool = False
    found_bytes: int = 0
    nothing_to_do: bool = False


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a server says to the API key.

    Attributes:
        state: ``none`` (no key is set), ``accepted``, ``refused``, or ``unknown`` (it does not tell).
        sentence: the server's own words on a refusal, or what is left on the account; empty where it says nothing.
    """

    state: Literal["none", "accepted", "refused", "unknown"]
    sentence: str = ""


class Provider(ABC):
    """A back end that answers with models of its own.

    All methods run on the service loop. All raise only :class:`peersky.core.errors.PeerSkyError`: other libraries'
    errors are translated inside the provider.
    """

    kind: str
    """``builtin``, ``ollama`` or ``openai``."""

    @property
    @abstractmethod
    def is_local(self) -> bool:
        """Whether prompts stay on this machine, as the settings stand now. No I/O."""

    def state(self) -> tuple[str, str]:
        """What the back end is doing, and a sentence about it for people.

        ``crash_loop`` means that only :meth:`reset` helps; back ends without a process of ours are always ``ready``.
        """
        return "ready", ""

    def reset(self) -> None:  # noqa: B027 - most back ends have nothing to reset
        """Allow another try after a crash loop: the user said so."""

    async def check_key(self) -> KeyCheck:
        """Ask the server whether it takes the key, without a generation.

        Raises:
            BackendFailed: it cannot be reached.
        """
        return KeyCheck("unknown")

    @abstractmethod
    async def models(self) -> Sequence[ModelInfo]:
        """The models that this back end has or offers.

        Raises:
            BackendFailed: it cannot be reached.
        """

    @abstractmethod
    async def describe(self, model: str) -> ModelInfo:
        """What is known of one model. Costs no generation.

        Raises:
            NotSupported: ``model_missing``: the back end has no such model.
            BackendFailed: it cannot be reached.
        """

    @abstractmethod
    async def ensure(self, model: str, report: Callable[[PullProgress], None]) -> None:
        """Make the model present in its newest version, downloading what is missing.

        One that is there is no error without a network; then it stays as it is.

        Raises:
            NotSupported: there is no such model, or this back end cannot run it.
            QuotaExceeded: the disk is too full.
            BackendFailed: the download broke; what arrived is kept.
        """

    async def discard(self, model: str) -> None:  # noqa: B027 - a server of its own keeps its own order
        """Throw away what an unfinished download of the model left."""

    async def remove(self, model: str) -> int:
        """Delete a model; the bytes that this freed.

        Raises:
            NotSupported: there is no such model (``model_missing``), or this back end deletes none.
            ProfileUnusable: a file cannot be deleted.
        """
        raise NotSupported(f"{model} can only be removed where it is installed.")

    def canonical_name(self, model: str) -> str:
        """The one way to write this model's name, so that two ways to write it are known as one model."""
        return model.strip()

    @abstractmethod
    def chat(self, model: str, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[ChatChunk]]:
        """Generate an answer.

        Use as ``async with provider.chat(model, request) as chunks: async for chunk in chunks: …``; leaving the block
        for whatever reason stops the generation at the back end, prompt processing included. The last chunk but for one
        with usage has ``finish_reason``; a stream that breaks raises and never just ends.

        Raises:
            ContextExceeded: the prompt is longer than the context.
            NotSupported: the model cannot do what the request asks for.
            BackendFailed: unreachable, or died in mid-answer (``interrupted``).
        """

    @abstractmethod
    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text.

        Raises:
            NotSupported: the model or back end makes no embeddings.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop what this provider started. Safe to call twice."""
