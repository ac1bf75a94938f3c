"""What each origin uses of the models, and whether there is room for more. Runs on the service loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from peersky.core.errors import QuotaExceeded
from peersky.core.limits import LastMinute, Limits, limits_for
from peersky.core.origins import USER, Origin
from peersky.core.trust import MODEL
from peersky.llm.generation import Generation
from peersky.system.permissions import SitePermissions
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import Event, SiteRecords

CHECKED_EVERY: Final = 16
"""Chunks of an answer from one look at the day's limit to the next."""

_REFUSALS: Final = frozenset(
    {"declined", "blocked_by_user", "queue_full", "tokens_per_minute", "tokens_per_day", "llm_disabled"}
)


class Meter:
    """Counts, and refuses what is over a limit.

    A question is let in while less than the limit was used; what it then takes counts. The limit for a day also ends
    an answer that is being written.

    Args:
        settings: the limits that hold for every site.
        permissions: those of single sites.
        records: keeps what was used, and what happened.
        now: a clock that never jumps, in seconds.
    """

    def __init__(
        self,
        settings: SettingsStore,
        permissions: SitePermissions,
        records: SiteRecords,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._permissions, self._records, self._now = settings, permissions, records, now
        self._minutes: dict[tuple[Origin, bool], LastMinute] = {}
        self._running: set[Generation] = set()

    def limits(self, origin: Origin, *, cloud: bool) -> Limits:
        """The limits of an origin."""
        is_site = not (origin == USER or origin.is_internal)
        own = self._permissions.limits(str(origin))
        return limits_for(self._settings.whole, own, is_site=is_site, cloud=cloud)

    async def begin(self, generation: Generation) -> None:
        """Return if there is room for a question; its answer counts from now on.

        Raises:
            QuotaExceeded: ``tokens_per_minute`` or ``tokens_per_day``, with the time until there is room.
        """
        await self._records.load()
        self.check(generation)
        self._running.add(generation)

    def check(self, generation: Generation) -> None:
        """As :meth:`begin`, for a question that has waited since."""
        origin, cloud = generation.origin, generation.service is not None
        limits = self.limits(origin, cloud=cloud)
        if 0 < limits.tokens_per_minute <= self._minute(origin, cloud).used():
            wait_s = self._minute(origin, cloud).free_in_s(limits.tokens_per_minute)
            raise _refusal("minute", limits.tokens_per_minute, wait_s)
        if 0 < limits.tokens_per_day <= self._used_today(origin, cloud=cloud):
            raise _refusal("day", limits.tokens_per_day, self._records.until_tomorrow_s())

    def saw(self, generation: Generation) -> None:
        """An answer goes on.

        Raises:
            QuotaExceeded: ``tokens_per_day``.
        """
        if generation.chunks % CHECKED_EVERY:
            return
        origin, cloud = generation.origin, generation.service is not None
        limit = self.limits(origin, cloud=cloud).tokens_per_day
        if 0 < limit < self._used_today(origin, cloud=cloud):
            raise _refusal("day", limit, self._records.until_tomorrow_s())

    def end(self, generation: Generation) -> None:
        """A question has ended, however that was."""
        self._running.discard(generation)
        outcome = generation.result
        refused = outcome in _REFUSALS and not generation.started
        service = str(generation.service) if generation.service else ""
        if generation.started:
            used = generation.used()
            self._minute(generation.origin, bool(service)).add(used.tokens)
            self._records.use(str(generation.origin), service, used)
        details: dict[str, Any] = {"provider": generation.provider, "model": generation.model}
        if service:
            details["service"] = service
        if generation.started:
            used = generation.used()
            details |= {"inputTokens": used.input_tokens, "outputTokens": used.output_tokens}
            details |= {"seconds": round(used.seconds, 1), **({"cost": used.cost} if used.cost is not None else {})}
        if generation.content is not None:
            details |= generation.content.as_fields()
        asker, action = str(generation.origin), generation.action
        self._records.note(Event(asker, MODEL, action, outcome, refused, merge=refused, details=details))

    def _used_today(self, origin: Origin, *, cloud: bool) -> int:
        """Tokens of today, those of answers that are being written included."""
        same = (one for one in self._running if (one.origin, one.service is not None) == (origin, cloud))
        running = sum(one.tokens() for one in same if one.started)
        return self._records.today(str(origin), cloud=cloud).tokens + running

    def _minute(self, origin: Origin, cloud: bool) -> LastMinute:
        for key in [key for key, minute in self._minutes.items() if key != (origin, cloud) and not minute.used()]:
            del self._minutes[key]
        return self._minutes.setdefault((origin, cloud), LastMinute(self._now))


def _refusal(unit: str, limit: int, wait_s: float) -> QuotaExceeded:
    return QuotaExceeded(
        f"This site has used the {limit:,} tokens that it may use in a {unit}; ask again in {_duration(wait_s)}, or "
        "raise its limit in peersky://settings/sites.",
        reason=f"tokens_per_{unit}",
        quota=limit,
        retry_after_s=wait_s,
    )


def _duration(seconds: float) -> str:
    for size, name in ((3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    whole = max(1, round(seconds))
    return f"{whole} second{'s' if whole > 1 else ''}"
