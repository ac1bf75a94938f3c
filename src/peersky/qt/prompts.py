"""The window's side of the prompt port: services ask on their thread, the user answers on the main thread."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PyQt6.QtCore import QObject, pyqtSignal

from peersky.system.prompt_port import Consent, Question

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[Consent], None]
    Key = tuple[str, str, str]
    Withdraw = Callable[[], None]


@dataclass(slots=True, eq=False)
class _Waiter:
    """One call of :meth:`WindowPrompts.ask` that waits on its own loop."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Consent]

    def answer(self, reply: Consent) -> None:
        def settle() -> None:
            if not self.future.done():
                self.future.set_result(reply)

        # The loop may be gone when the browser closes; then nobody waits either.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(settle)


@dataclass(slots=True)
class _Shown:
    """A question that stands in a window."""

    withdraw: Withdraw
    waiters: list[_Waiter] = field(default_factory=list)


def _key(question: Question) -> Key:
    return str(question.origin), question.capability, question.target


class WindowPrompts(QObject):
    """A :class:`~peersky.system.prompt_port.PromptPort` whose questions stand in the browser window.

    Make it on the main thread. Until a window set :attr:`presenter`, and after the last one is gone, the answer is no.
    """

    _asked = pyqtSignal(object, object)
    _gave_up = pyqtSignal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self.presenter: Callable[[Question, Answer], Withdraw | None] | None = None
        """Shows a question and returns what takes it away again; None where there is no window to show it in."""
        self._shown: dict[Key, _Shown] = {}
        self._asked.connect(self._show)
        self._gave_up.connect(self._withdraw)

    async def ask(self, question: Question) -> Consent:
        """See :class:`~peersky.system.prompt_port.PromptPort`. May be called on any thread's loop."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop, loop.create_future())
        self._asked.emit(question, waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._gave_up.emit(question, waiter)
            raise

    def refuse_all(self) -> None:
        """Answer everything that is open with no; the last window closes."""
        for key in list(self._shown):
            self._settle(key, Consent.REFUSED)

    def _show(self, question: Question, waiter: _Waiter) -> None:
        key = _key(question)
        if key in self._shown:
            self._shown[key].waiters.append(waiter)
            return
        withdraw = self.presenter(question, lambda reply: self._settle(key, reply)) if self.presenter else None
        if withdraw is None:
            waiter.answer(Consent.REFUSED)
            return
        self._shown[key] = _Shown(withdraw, [waiter])

    def _withdraw(self, question: Question, waiter: _Waiter) -> None:
        key = _key(question)
        shown = self._shown.get(key)
        if shown is None or waiter not in shown.waiters:
            return
        shown.waiters.remove(waiter)
        if not shown.waiters:
            del self._shown[key]
            shown.withdraw()

    def _settle(self, key: Key, reply: Consent) -> None:
        shown = self._shown.pop(key, None)
        if shown is None:
            return
        shown.withdraw()
        for waiter in shown.waiters:
            waiter.answer(reply)
