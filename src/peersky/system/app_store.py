"""The apps that the user added: each a folder of the profile, with a file beside its content that says what it is.

``apps/<id>/app.json`` names the folder with the content, and is replaced atomically: a new version counts from that
moment on, whole. Links to peer-to-peer sites that stand among the apps are in ``apps/links.json``.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from peersky.core.app_files import INDEX, MANIFESTS, MAX_HEAD_BYTES, PAGES, AppWords, clean, describe, slug
from peersky.core.errors import InvalidRequest, NotFound, PeerSkyError, QuotaExceeded
from peersky.system.app_imports import Import, Imports
from peersky.system.files import make_directory, unusable, write_atomically

HOST: Final = "app-"
"""How the host of an app begins; its id follows."""

MAX_LINKS: Final = 500
_RECORD: Final = "app.json"
_LINKS: Final = "links.json"
_INCOMING: Final = ".incoming"
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_LONGEST_SOURCE: Final = 120


@dataclass(frozen=True, slots=True)
class App:
    """An app.

    Attributes:
        id: stable, the host is ``app-`` and this. Never given twice, since what an app stored stays at its host.
        name: what it is called; the user's word counts more than the app's.
        description: what it says of itself.
        icon: path of its icon, or empty.
        start: path of the page that opens first, or empty: then its files are listed.
        content: name of the folder with its files.
        source: name of the folder or zip that it was copied from.
        added, updated: in seconds since 1970.
        files, bytes: how many, and their size.
        pinned: whether it is on the home page.
        is_renamed: whether the user named it.
        published: its address on each network that it was published to.
    """

    id: str
    name: str
    description: str
    icon: str
    start: str
    content: str
    source: str
    added: float
    updated: float
    files: int
    bytes: int
    pinned: bool = False
    is_renamed: bool = False
    published: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Its serialised origin."""
        return f"peersky://{HOST}{self.id}"


@dataclass(frozen=True, slots=True)
class Link:
    """A peer-to-peer site that stands among the apps.

    Attributes:
        url: its canonical address.
        name: what the user calls it.
        pinned: whether it is on the home page.
    """

    url: str
    name: str
    pinned: bool = True


class AppStore:
    """All apps of a profile. Its methods block; any thread may call them.

    Args:
        folder: where they are.
        log: takes a sentence about an app that cannot be read.
        clock_s: seconds since 1970.
    """

    def __init__(
        self, folder: Path, log: Callable[[str], None] = lambda _: None, clock_s: Callable[[], float] = time.time
    ) -> None:
        self._folder, self._log, self._clock_s = folder, log, clock_s
        self._lock = threading.RLock()
        self._apps: dict[str, App] = {}
        self._links: list[Link] = []
        self._notices: list[str] = []
        self._is_loaded = False
        self._imports: Imports | None = None

    @property
    def imports(self) -> Imports:
        """Apps on their way in."""
        with self._lock:
            if self._imports is None:
                self._imports = Imports(self._folder / _INCOMING)
            return self._imports

    def begin(self) -> Import:
        """A new import; see :meth:`Imports.begin`."""
        return self.imports.begin()

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the user about what could not be read."""
        with self._lock:
            self._load()
            return tuple(self._notices)

    def all(self) -> list[App]:
        """All apps, by name."""
        with self._lock:
            self._load()
            return sorted(self._apps.values(), key=lambda app: (app.name.casefold(), app.id))

    def get(self, app_id: str) -> App:
        """An app.

        Raises:
            NotFound: ``no_such_app``.
        """
        with self._lock:
            self._load()
            if app_id not in self._apps:
                raise NotFound("This app is no longer here.", reason="no_such_app")
            return self._apps[app_id]

    def content(self, app: App) -> Path:
        """The folder with its files."""
        return self._folder / app.id / app.content

    def install(self, incoming: Import, source: str, app_id: str = "") -> App:
        """Make an app of what has arrived, or a new version of the app ``app_id``. The import is over then.

        Args:
            source: name of the folder or zip.

        Raises:
            InvalidRequest: ``no_page``: there is no web page in it.
            NotFound: ``no_such_app``.
            ProfileUnusable: the disk is full or read-only.
        """
        try:
            # Outside the lock, for which pages wait that are being served.
            words = read_words(incoming.files())
            with self._lock:
                return self._install(incoming, words, clean(source, _LONGEST_SOURCE), app_id)
        finally:
            self.imports.drop(incoming.token)

    def _install(self, incoming: Import, words: AppWords, source: str, app_id: str) -> App:
        old = self.get(app_id) if app_id else None
        app = self._described(incoming, words, source, old)
        target = self.content(app)
        try:
            make_directory(target.parent)
            incoming.files().rename(target)
        except OSError as error:
            raise unusable(error, target) from error
        try:
            self._store(app)
        except PeerSkyError:
            shutil.rmtree(target if old else target.parent, ignore_errors=True)
            raise
        if old is not None:
            shutil.rmtree(self.content(old), ignore_errors=True)
        return app

    def _described(self, incoming: Import, words: AppWords, source: str, old: App | None) -> App:
        self._load()
        pages = [path for path in incoming.contents.paths() if path.lower().endswith(PAGES)]
        if not pages:
            raise InvalidRequest(
                "There is no web page in it: an app needs at least one HTML file, best an index.html.", reason="no_page"
            )
        now, contents = self._clock_s(), incoming.contents
        name = words.name or clean(source.removesuffix(".zip")) or "App"
        app = App(
            id=old.id if old else self._new_id(name),
            name=old.name if old and old.is_renamed else name,
            description=words.description,
            icon=words.icon,
            start=words.start,
            content=f"v-{secrets.token_hex(6)}",
            source=source,
            added=old.added if old else now,
            updated=now,
            files=contents.files,
            bytes=contents.bytes,
        )
        return replace(app, pinned=old.pinned, is_renamed=old.is_renamed, published=old.published) if old else app

    def rename(self, app_id: str, name: str) -> App:
        """Call an app otherwise.

        Raises:
            InvalidRequest: the name is empty.
            NotFound: ``no_such_app``.
            ProfileUnusable: it cannot be written.
        """
        return self._change(app_id, name=_named(name), is_renamed=True)

    def pin(self, app_id: str, pinned: bool) -> App:
        """Put an app on the home page, or take it from there.

        Raises:
            NotFound: ``no_such_app``.
            ProfileUnusable: it cannot be written.
        """
        return self._change(app_id, pinned=pinned)

    def note_published(self, app_id: str, network: str, url: str) -> App:
        """Remember where an app was published.

        Raises:
            NotFound: ``no_such_app``.
            ProfileUnusable: it cannot be written.
        """
        with self._lock:
            return self._change(app_id, published={**self.get(app_id).published, network: url})

    def delete(self, app_id: str) -> None:
        """Delete an app and its files.

        Raises:
            NotFound: ``no_such_app``.
            ProfileUnusable: it cannot be deleted.
        """
        with self._lock:
            app = self.get(app_id)
            record = self._folder / app.id / _RECORD
            try:
                # First what makes it an app: what is left without it is swept up at the next start.
                record.unlink(missing_ok=True)
            except OSError as error:
                raise unusable(error, record, "delete") from error
            del self._apps[app_id]
            shutil.rmtree(record.parent, ignore_errors=True)

    def _change(self, app_id: str, **changes: Any) -> App:
        with self._lock:
            app = replace(self.get(app_id), **changes)
            self._store(app)
            return app

    def _store(self, app: App) -> None:
        write_atomically(self._folder / app.id / _RECORD, _json(asdict(app)))
        self._apps[app.id] = app

    def _new_id(self, name: str) -> str:
        while True:
            app_id = f"{slug(name)}-{''.join(secrets.choice(_LETTERS) for _ in range(8))}"
            if not (self._folder / app_id).exists():
                return app_id

    # --- links

    def links(self) -> list[Link]:
        """All links, by name."""
        with self._lock:
            self._load()
            return sorted(self._links, key=lambda link: (link.name.casefold(), link.url))

    def put_link(self, url: str, name: str, *, pinned: bool = True) -> Link:
        """Add a link, or change the one with this address.

        Raises:
            InvalidRequest: the name is empty.
            QuotaExceeded: ``too_many_links``.
            ProfileUnusable: it cannot be written.
        """
        with self._lock:
            self._load()
            link, others = Link(url, _named(name), pinned), [one for one in self._links if one.url != url]
            if len(others) >= MAX_LINKS:
                raise QuotaExceeded(
                    f"There are {MAX_LINKS} links already; remove one that you no longer need.",
                    reason="too_many_links",
                    requested=MAX_LINKS + 1,
                    quota=MAX_LINKS,
                )
            self._store_links([*others, link])
            return link

    def drop_link(self, url: str) -> None:
        """Remove a link, if it is there.

        Raises:
            ProfileUnusable: it cannot be written.
        """
        with self._lock:
            self._load()
            self._store_links([link for link in self._links if link.url != url])

    def _store_links(self, links: list[Link]) -> None:
        self._make_folder()
        write_atomically(self._folder / _LINKS, _json([asdict(link) for link in links]))
        self._links = links

    # --- reading

    def _make_folder(self) -> None:
        try:
            make_directory(self._folder)
        except OSError as error:
            raise unusable(error, self._folder, "create") from error

    def _load(self) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        for folder in self._folders():
            record = folder / _RECORD
            try:
                app = _app(json.loads(record.read_bytes()))
                if app.id != folder.name or not self.content(app).is_dir():
                    raise ValueError("it is not this folder's")
            except FileNotFoundError:
                # What a break left of an app that was being added or deleted.
                shutil.rmtree(folder, ignore_errors=True)
                continue
            except (OSError, ValueError, TypeError, KeyError) as error:
                self._notice(f"The app in {folder} cannot be read and is left as it is: {error}.")
                continue
            self._apps[app.id] = app
            for other in folder.glob("v-*"):
                if other.name != app.content:
                    shutil.rmtree(other, ignore_errors=True)
        self._load_links()

    def _folders(self) -> Iterator[Path]:
        try:
            entries = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            self._notice(f"The apps cannot be read: {error.strerror}.")
            return
        yield from (path for path in entries if path.is_dir() and not path.is_symlink() and path.name[0] != ".")

    def _load_links(self) -> None:
        file = self._folder / _LINKS
        try:
            self._links = [Link(str(one["url"]), str(one["name"]), one["pinned"] is True) for one in _read_list(file)]
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError):
            self._notice(f"The links in {file} cannot be read; the first one that you add replaces them.")

    def _notice(self, sentence: str) -> None:
        self._notices.append(sentence)
        self._log(sentence)


def read_words(folder: Path) -> AppWords:
    """What the app in a folder says of itself.

    Raises:
        ProfileUnusable: its files cannot be read.
    """
    try:
        paths = frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        html = sorted(path for path in paths if "/" not in path and path.lower().endswith(PAGES))
        manifest = next((name for name in MANIFESTS if name in paths), None)
        page = INDEX if INDEX in paths else html[0] if len(html) == 1 else None
        return describe(paths, _head(folder, manifest), _head(folder, page), html)
    except OSError as error:
        raise unusable(error, folder, "read") from error


def _head(folder: Path, name: str | None) -> bytes | None:
    if name is None:
        return None
    with (folder / name).open("rb") as file:
        return file.read(MAX_HEAD_BYTES)


def _app(value: Any) -> App:
    """An app as :data:`_RECORD` has it; what a newer version added is passed over."""
    app = App(**{one.name: value[one.name] for one in fields(App) if one.name in value})
    texts = (app.id, app.name, app.description, app.icon, app.start, app.content, app.source)
    if not all(isinstance(text, str) for text in texts) or not isinstance(app.published, dict):
        raise TypeError("it is damaged")
    if "/" in app.content or not app.content.startswith("v-"):
        raise ValueError("it names no folder of its own")
    return app


def _read_list(file: Path) -> list[dict[str, Any]]:
    found = json.loads(file.read_bytes())
    if not isinstance(found, list):
        raise TypeError("no list")
    return found


def _named(name: str) -> str:
    if not (cleaned := clean(name)):
        raise InvalidRequest("Give it a name.", param="name")
    return cleaned


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
