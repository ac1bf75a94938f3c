"""What an app that the user adds may consist of: names of files, how many, how large, and what it says of itself. Pure.

An app comes from anywhere (a folder, a zip, what a model wrote) and is copied into the profile, so a name has to mean
the same file on every system and must lead nowhere else.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from peersky.core.errors import InvalidRequest, QuotaExceeded
from peersky.core.sizes import size_text

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 1 << 30
"""Of one app, all files together."""

MANIFESTS: Final = ("manifest.json", "manifest.webmanifest")
INDEX: Final = "index.html"
PAGES: Final = (".html", ".htm")
MAX_HEAD_BYTES: Final = 256 * 1024
"""How much of a manifest or a page is looked at."""

_MAX_NAME_BYTES: Final = 255
_MAX_PATH_BYTES: Final = 1024
_MAX_DEPTH: Final = 40
_LONGEST_NAME: Final = 60
_LONGEST_DESCRIPTION: Final = 300
_SHOWN: Final = 80
_LEFTOVERS: Final = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
# Names of devices, with any ending (Microsoft, "Naming Files, Paths, and Namespaces").
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?\Z", re.IGNORECASE | re.DOTALL)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_ICONS: Final = (".svg", ".png", ".webp", ".jpg", ".jpeg", ".gif", ".ico")
_USUAL_ICONS: Final = ("icon.svg", "icon.png", "favicon.svg", "favicon.png", "favicon.ico")


def app_path(name: str) -> str | None:
    """The path of a file in its app: parts joined by ``/``, in Unicode's composed form (NFC).

    Args:
        name: as the folder or the zip has it.

    Returns:
        None for what is left out: hidden files and the leftovers of file managers.

    Raises:
        InvalidRequest: it climbs, is absolute, or is a name that some system cannot have or takes for another.
    """
    path = unicodedata.normalize("NFC", name)
    parts = [part for part in path.split("/") if part != "."]
    if not parts or any(not part for part in parts):
        raise _refused(name, "it is no path below the app's folder")
    if ".." in parts:
        raise _refused(name, "it leads out of the app's folder")
    for part in parts:
        if part.startswith(".") or part.casefold() in _LEFTOVERS:
            return None
    for part in parts:
        if _FORBIDDEN.search(part) or not _is_text(part):
            raise _refused(name, "it holds characters that not every system can have in a file's name")
        if _RESERVED.match(part):
            raise _refused(name, f"{part} is the name of a device on Windows")
        if part[-1] in " .":
            raise _refused(name, "it has a name that ends in a space or a dot")
        if len(part.encode()) > _MAX_NAME_BYTES:
            raise _refused(name, "its name is too long")
    path = "/".join(parts)
    if len(path.encode()) > _MAX_PATH_BYTES or len(parts) > _MAX_DEPTH:
        raise _refused(name, "it lies too deep in folders")
    return path


class Contents:
    """The files of an app while they come in: refuses names that collide, and what is too many or too large.

    Attributes:
        files: how many there are.
        bytes: their size.
        skipped: how many were left out.
    """

    def __init__(self) -> None:
        self.files = self.bytes = self.skipped = 0
        self._folded: dict[str, tuple[str, bool]] = {}
        self._paths: set[str] = set()

    def add(self, name: str, size: int) -> str | None:
        """Admit a file; its path, or None where it is left out.

        Args:
            size: in bytes.

        Raises:
            InvalidRequest: the name cannot be, or collides with another.
            QuotaExceeded: ``too_many_files``, ``too_large``.
        """
        path = app_path(name)
        if path is None:
            self.skipped += 1
            return None
        self._claim(path)
        self.files += 1
        if self.files > MAX_FILES:
            raise QuotaExceeded(
                f"An app may have {MAX_FILES:,} files; leave out what it does not need, such as node_modules.",
                reason="too_many_files",
                requested=self.files,
                quota=MAX_FILES,
            )
        self.grow(size)
        return path

    def grow(self, size: int) -> None:
        """Count bytes.

        Raises:
            QuotaExceeded: ``too_large``.
        """
        self.bytes += size
        if self.bytes > MAX_BYTES:
            raise QuotaExceeded(
                f"An app may have {size_text(MAX_BYTES)}, and this one is larger; leave out what it does not need.",
                reason="too_large",
                requested=self.bytes,
                quota=MAX_BYTES,
            )

    def _claim(self, path: str) -> None:
        """Note a file and its folders by the name that systems which ignore case give them."""
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            own, is_file = "/".join(parts[:length]), length == len(parts)
            known = self._folded.setdefault(own.casefold(), (own, is_file))
            if known[0] != own:
                raise _refused(path, f"its name differs from {_short(known[0])} only in case")
            if known[1] != is_file:
                raise _refused(path, f"{_short(own)} is both a file and a folder")
            if is_file:
                if own in self._paths:
                    raise _refused(path, "it is there twice")
                self._paths.add(own)

    def top_folder(self) -> str:
        """Folders at the top that hold everything else and no page: how a folder is packed. Empty, or ends in ``/``."""
        top = ""
        while True:
            below = {path.removeprefix(top).partition("/") for path in self._paths}
            names = {name for name, _, _ in below}
            if len(names) != 1 or any(not slash for _, slash, _ in below):
                return top
            top += f"{names.pop()}/"

    def paths(self) -> frozenset[str]:
        """The paths of all files."""
        return frozenset(self._paths)


@dataclass(frozen=True, slots=True)
class AppWords:
    """What an app says of itself.

    Attributes:
        name: at most 60 characters; empty where it says none.
        description: one sentence or two.
        icon: path of an image of its own, or empty.
        start: path of the page that opens first; empty where there is none, and the files are listed.
    """

    name: str = ""
    description: str = ""
    icon: str = ""
    start: str = ""


def describe(paths: Container[str], manifest: bytes | None, page: bytes | None, html: list[str]) -> AppWords:
    """Put together what manifest, first page and files tell; what is wrong or missing in one is taken from the next.

    The manifest is a web app manifest (W3C, "Web Application Manifest"): ``name``, ``short_name``, ``description``,
    ``icons`` and ``start_url`` count, and ``icon`` and ``start`` as short forms of the last two.

    Args:
        paths: the files of the app.
        manifest: the manifest's text, if there is one.
        page: text of ``index.html``, or of the only page.
        html: paths of the pages at the top.
    """
    said = _json_object(manifest)
    head = PageHead(page.decode("utf-8", "replace")) if page is not None else PageHead("")
    start = next((path for path in (_own_path(said.get(key)) for key in ("start", "start_url")) if path in paths), "")
    if not start:
        start = INDEX if INDEX in paths else html[0] if len(html) == 1 else ""
    icons = [_own_path(said.get("icon")), *_manifest_icons(said.get("icons")), _own_path(head.icon), *_USUAL_ICONS]
    return AppWords(
        clean(said.get("name"), _LONGEST_NAME) or clean(said.get("short_name"), _LONGEST_NAME) or head.title,
        clean(said.get("description"), _LONGEST_DESCRIPTION) or head.description,
        next((icon for icon in icons if icon in paths and icon.lower().endswith(_ICONS)), ""),
        start,
    )


class PageHead(HTMLParser):
    """Title, description and icon of a page, as plain texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._title: list[str] = []
        self._is_title = False
        self.description = self.icon = ""
        self.feed(text)
        self.title = clean("".join(self._title), _LONGEST_NAME)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "title":
            self._is_title = not self._title
        elif tag == "meta" and named.get("name", "").lower() == "description" and not self.description:
            self.description = clean(named.get("content"), _LONGEST_DESCRIPTION)
        elif tag == "link" and "icon" in named.get("rel", "").lower().split() and not self.icon:
            self.icon = named.get("href", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._is_title = False

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self._title.append(data)


def clean(value: Any, longest: int = _LONGEST_NAME) -> str:
    """A stranger's text as one printable line; empty where it is no text.

    Args:
        longest: in characters.
    """
    if not isinstance(value, str):
        return ""
    line = " ".join("".join(char if char.isprintable() else " " for char in value).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def slug(name: str) -> str:
    """A name as the readable part of a host: ``[a-z0-9-]``, at most 24 characters, never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain)[:24].strip("-") or "own"


def _json_object(text: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _manifest_icons(value: Any) -> list[str]:
    """Paths of the icons, those that can be scaled first, then the largest."""
    icons = [icon for icon in value if isinstance(icon, dict)] if isinstance(value, list) else []
    found = [(_own_path(icon.get("src")), str(icon.get("sizes", ""))) for icon in icons]
    return [path for path, _ in sorted(found, key=lambda one: -_pixels(*one))]


def _pixels(path: str, sizes: str) -> int:
    if path.lower().endswith(".svg"):
        return 1 << 30
    return max((int(number) for number in re.findall(r"(\d{1,5})x", sizes.lower())), default=0)


def _own_path(value: Any) -> str:
    """A relative address as the path of a file of the app; empty where it is none."""
    if not isinstance(value, str):
        return ""
    try:
        parts = urlsplit(value)
        if parts.scheme or parts.netloc:
            return ""
        path = unquote(parts.path).removeprefix("./").removeprefix("/")
        if path.endswith("/") or not path:
            path += INDEX
        return app_path(path) or ""
    except (InvalidRequest, ValueError):
        return ""


def _is_text(part: str) -> bool:
    try:
        part.encode()
    except UnicodeEncodeError:
        return False
    # Marks of direction and the like, by which a name shows as another.
    return not any(unicodedata.category(char) in ("Cc", "Cs") or char in "\u202a\u202b\u202d\u202e" for char in part)


def _short(name: str) -> str:
    plain = "".join(char if char.isprintable() else "\ufffd" for char in name)
    return f"“{plain if len(plain) <= _SHOWN else f'…{plain[1 - _SHOWN :]}'}”"


def _refused(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The file {_short(name)} cannot be part of an app: {why}.", reason="bad_name")
