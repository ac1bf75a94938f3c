"""The APIs of ``peersky://about/``: versions, licences of everything that comes with PeerSky, and what doctor finds."""

from __future__ import annotations

import asyncio
import json
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import peersky
from peersky.core.errors import NotFound
from peersky.system.doctor import examine
from peersky.web.errors import NO_STORE
from peersky.web.json_reply import JSONResponse

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)")
_EXTRA = re.compile(r"\bextra\s*==")
_LICENCE_FILE = re.compile(r"(?:licen[cs]e|copying|notice)[^/]*\Z", re.IGNORECASE)
_RULER = re.compile(r"^={40,}\n", re.MULTILINE)
_BUNDLED = re.compile(r"(\S+) (\S+): ([^,\n]+)")
_CLASSIFIER: Final = "License :: OSI Approved :: "
_UNSTATED: Final = "see its text"
_LONGEST_NAME: Final = 60


class AboutApi:
    """Makes the routes.

    Args:
        assets: the folder of the assets.
        profile_root: which profile doctor looks at.
    """

    def __init__(self, assets: Path, profile_root: Path) -> None:
        self._assets, self._profile_root = assets, profile_root

    def routes(self) -> list[Route]:
        """For ``peersky://about``."""
        return [
            Route("/about", self._about, methods=["GET"]),
            Route("/doctor", self._doctor, methods=["GET"]),
            Route("/licence", self._licence, methods=["GET"]),
        ]

    async def _about(self, request: Request) -> Response:
        """``{version, python, components: [{part, name, version, license}]}``."""
        components = await asyncio.to_thread(lambda: [_without_text(one) for one in self._components()])
        reply = {"version": peersky.__version__, "python": platform.python_version(), "components": components}
        return JSONResponse(reply, headers=NO_STORE)

    async def _doctor(self, request: Request) -> Response:
        """``{findings}``; takes a second or two, since libraries are tried out."""
        findings = await asyncio.to_thread(examine, self._profile_root)
        return JSONResponse({"findings": [finding.as_object() for finding in findings]}, headers=NO_STORE)

    async def _licence(self, request: Request) -> Response:
        """``?part&name``: the text of a licence."""
        part, name = request.query_params.get("part", ""), request.query_params.get("name", "")

        def find() -> str | None:
            found = (one for one in self._components() if (one["part"], one["name"]) == (part, name))
            return next((str(one["text"]) for one in found), None)

        text = await asyncio.to_thread(find)
        if not text:
            raise NotFound("The text of this licence did not come with it; its project's home page has it.")
        return PlainTextResponse(text)

    def _components(self) -> Iterator[dict[str, str]]:
        yield from python_packages("peersky")
        yield from _web_libraries(self._assets)
        yield from _node_packages(self._assets)


def _without_text(component: dict[str, str]) -> dict[str, Any]:
    return {**{key: value for key, value in component.items() if key != "text"}, "hasText": bool(component["text"])}


def python_packages(root: str) -> Iterator[dict[str, str]]:
    """The installed packages that a package needs, and that those need, by name; extras excepted.

    A requirement that does not count on this system is not installed, and so not in the list.
    """
    found: dict[str, metadata.Distribution] = {}
    waiting = [root]
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for requirement in distribution.requires or ():
            match = _REQUIREMENT.match(requirement)
            if match and not _EXTRA.search(requirement):
                waiting.append(match[1])
    for name in sorted(found.keys() - {_normal(root)}):
        yield {
            "part": "Python",
            "name": found[name].metadata["Name"] or name,
            "version": found[name].version,
            "license": _license(found[name]),
            "text": _license_text(found[name]),
        }


def _license(distribution: metadata.Distribution) -> str:
    head = distribution.metadata
    stated = next(iter([*(head.get_all("License-Expression") or ()), *(head.get_all("License") or ())]), "")
    if not stated or "\n" in stated.strip() or len(stated) > _LONGEST_NAME:
        classified = [one for one in head.get_all("Classifier") or () if one.startswith(_CLASSIFIER)]
        stated = " AND ".join(one.removeprefix(_CLASSIFIER) for one in classified)
    return stated.strip() or _UNSTATED


def _license_text(distribution: metadata.Distribution) -> str:
    texts = []
    for file in distribution.files or ():
        if ".dist-info" in file.parts[0] and _LICENCE_FILE.match(file.name):
            try:
                texts.append(file.read_text("utf-8").strip())
            except (OSError, UnicodeDecodeError):
                continue
    return "\n\n".join(texts)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _web_libraries(assets: Path) -> Iterator[dict[str, str]]:
    """As ``tools/bundle_assets.py`` lists them."""
    for library in json.loads((assets / "licenses" / "web-libraries.json").read_text("utf-8")):
        yield {"part": "Web", **{key: str(library[key]) for key in ("name", "version", "license", "text")}}


def _node_packages(assets: Path) -> Iterator[dict[str, str]]:
    """As ``sidecar/build.js`` lists them: packages of the same text together, the text below a blank line."""
    text = (assets / "sidecar" / "LICENSES.txt").read_text("utf-8")
    found = []
    for section in filter(str.strip, _RULER.split(text)):
        heads, _, licence = section.partition("\n\n")
        for head in heads.splitlines():
            if match := _BUNDLED.match(head):
                name, version, license_ = match.groups()
                found.append(
                    {"part": "P2P node", "name": name, "version": version, "license": license_, "text": licence.strip()}
                )
    yield from sorted(found, key=lambda one: one["name"])
