"""The API of ``peersky://settings/sites``: what each site may do, what it used, and its limits.

Who may call it is decided before, by :func:`peersky.core.trust.may`.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from peersky.core.errors import InvalidRequest, PeerSkyError
from peersky.core.limits import NAMES, checked_limits
from peersky.core.origins import Origin, parse_origin
from peersky.core.trust import (
    CLOUD,
    MEMORY,
    MODEL,
    PUBLISH,
    SITE_CAPABILITIES,
    Capability,
    Decision,
    Policy,
    Publish,
    SendToService,
    UseMemory,
    UseModel,
    may,
)
from peersky.system.permissions import Decided, SitePermissions, check_site
from peersky.system.settings_store import SettingsStore
from peersky.system.site_records import SiteRecords, Used
from peersky.web.errors import NO_STORE
from peersky.web.json_reply import JSONResponse
from peersky.web.requests import json_object, text_of

DAYS: Final = 30
"""Over how many days usage is told, today included."""

_STEPS: Final = ("decide", "block", "forget", "limits")
_CAPABILITIES: Final[Mapping[str, Capability]] = {
    MODEL: UseModel(),
    MEMORY: UseMemory(),
    PUBLISH: Publish(),
    CLOUD: SendToService(),
}


def rights(origin: Origin, policy: Policy, decided: Iterable[Decided]) -> dict[str, dict[str, Any]]:
    """What a site may do, by capability.

    Returns:
        ``answer`` (``yes``, ``ask``, ``no``), ``decision`` (``allow``, ``ask``, ``block`` or, where the table holds,
        None), ``forGood``, ``declined``, and ``services``: what was decided for single services, each with
        ``service``, ``decision``, ``forGood`` and ``declined``.
    """
    told: dict[str, dict[str, Any]] = {}
    own = [one for one in decided if one.origin == str(origin)]
    for name in SITE_CAPABILITIES:
        whole = next((one for one in own if (one.capability, one.target) == (name, "")), None)
        told[name] = {
            "answer": may(origin, _CAPABILITIES[name], origin, policy).value,
            "decision": whole.decision.value if whole else None,
            "forGood": whole is None or whole.for_good,
            "declined": whole is not None and whole.declined,
            "services": [
                {
                    "service": one.target,
                    "decision": one.decision.value,
                    "forGood": one.for_good,
                    "declined": one.declined,
                }
                for one in own
                if one.capability == name and one.target
            ],
        }
    return told


class SitesApi:
    """Makes the routes for ``peersky://settings/api/``.

    Args:
        permissions: shown and changed.
        records: tells what was used.
        settings: the allowlist, and the limits of all sites.
    """

    def __init__(self, permissions: SitePermissions, records: SiteRecords, settings: SettingsStore) -> None:
        self._permissions, self._records, self._settings = permissions, records, settings

    def routes(self) -> list[Route]:
        return [Route("/sites", self._read, methods=["GET"]), Route("/sites", self._act, methods=["POST"])]

    async def _read(self, request: Request) -> Response:
        """``{sites, allowlist, limits, problem}``; ``limits`` are those of every site, by name."""
        today = datetime.date.fromisoformat(self._records.day)
        problem, used, of_today = None, dict[str, Used](), dict[str, Used]()
        try:
            used = await self._records.usage((today - datetime.timedelta(days=DAYS - 1)).isoformat())
            of_today = await self._records.usage(today.isoformat())
        except PeerSkyError as error:
            problem = error.message
        decided, policy = self._permissions.all(), self._permissions.policy()
        known = {*policy.allowlist, *used, *(one.origin for one in decided), *self._permissions.limited()}
        sites = [
            {
                "origin": site,
                "rights": rights(origin, policy, decided),
                "listed": site in policy.allowlist,
                "limits": dict(self._permissions.limits(site)),
                "today": of_today.get(site, Used()).as_object(),
                "month": used.get(site, Used()).as_object(),
            }
            for site, origin in sorted((site, parse_origin(site)) for site in known)
            if _is_site(site)
        ]
        common = {name: self._settings.whole(f"limits.{name}") for name in NAMES}
        reply = {"sites": sites, "allowlist": sorted(policy.allowlist), "limits": common, "problem": problem}
        return JSONResponse(reply, headers=NO_STORE)

    async def _act(self, request: Request) -> Response:
        """``{action, origin}``; ``decide`` with ``capability``, ``decision`` (null: as the table says), ``service``
        and ``forGood``; ``block`` with ``forGood``; ``forget``; ``limits`` with ``limits`` by name, null for none."""
        body = await json_object(request)
        origin, for_good = text_of(body, "origin"), body.get("forGood", True)
        if not isinstance(for_good, bool):
            raise InvalidRequest("The option forGood must be true or false.", param="forGood")
        match text_of(body, "action"):
            case "decide":
                capability, service = text_of(body, "capability"), text_of(body, "service", "")
                decision = decision_of(body.get("decision"))
                await asyncio.to_thread(
                    self._permissions.decide, origin, capability, decision, target=service, for_good=for_good
                )
            case "block":
                await asyncio.to_thread(self._permissions.block, origin, for_good=for_good)
            case "forget":
                await asyncio.to_thread(self._permissions.forget, origin)
                await self._records.forget(origin)
            case "limits":
                limits = body.get("limits")
                if not isinstance(limits, Mapping):
                    raise InvalidRequest("The option limits must be an object.", param="limits")
                await asyncio.to_thread(self._permissions.set_limits, origin, checked_limits(limits))
            case _:
                raise InvalidRequest(f"The option action must be one of {', '.join(_STEPS)}.", param="action")
        return await self._read(request)


def decision_of(value: Any) -> Decision | None:
    """A decision as the API has it.

    Raises:
        InvalidRequest: it is none.
    """
    if value is None:
        return None
    try:
        return Decision(value)
    except ValueError:
        known = ", ".join(decision.value for decision in Decision)
        raise InvalidRequest(f"The option decision must be one of {known}.", param="decision") from None


def site_summary(permissions: SitePermissions, records: SiteRecords, origin: Origin, limits: Any) -> dict[str, Any]:
    """What the panel in the address bar shows of a site: ``rights``, ``today``, ``limits``."""
    return {
        "rights": rights(origin, permissions.policy(), permissions.all()),
        "today": records.today(str(origin)).as_object(),
        "limits": asdict(limits),
    }


def _is_site(origin: str) -> bool:
    try:
        check_site(origin)
    except InvalidRequest:
        return False
    return True
