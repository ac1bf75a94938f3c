"""Where things are: the profile directory and its parts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from peersky.core.errors import ProfileUnusable
from peersky.system.files import PRIVATE_DIRECTORY, make_directory, unusable

_PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Profile:
    """A directory with everything that belongs to one user of the browser.

    Attributes:
        root: absolute path. Its own mode is left alone where it was there already (it may be shared); all that is in
            it is private.
    """

    root: Path

    @property
    def settings_file(self) -> Path:
        """Settings, for people to read and edit."""
        return self.root / "settings.json"

    @property
    def secrets_file(self) -> Path:
        """API keys, only where the system has no keyring."""
        return self.root / "secrets.json"

    @property
    def log_file(self) -> Path:
        return self.root / "log.jsonl"

    @property
    def memory_file(self) -> Path:
        """What pages keep with ``window.llmMemory``."""
        return self.root / "memory.sqlite3"

    @property
    def run_dir(self) -> Path:
        """What only means something while PeerSky runs: lock, socket, address of the socket."""
        return self.root / "run"

    @property
    def lock_file(self) -> Path:
        return self.run_dir / "lock"

    @property
    def control_file(self) -> Path:
        """Where the command line finds the process that holds the profile."""
        return self.run_dir / "control.json"

    @property
    def models_dir(self) -> Path:
        return self.root / "models"

    @property
    def downloads_file(self) -> Path:
        """Downloads of models that are not finished."""
        return self.root / "downloads.json"

    @property
    def pending_model_file(self) -> Path:
        """The model that will answer once its download is done."""
        return self.root / "pending-model.json"

    @property
    def permissions_file(self) -> Path:
        """What the user decided about each site, and its limits."""
        return self.root / "permissions.json"

    @property
    def records_file(self) -> Path:
        """What each site used of the models, and who asked for what."""
        return self.root / "activity.sqlite3"

    @property
    def unreachable_file(self) -> Path:
        """There while the user has been told that Ollama cannot be reached."""
        return self.root / "ollama-unreachable.json"

    @property
    def p2p_dir(self) -> Path:
        """What the P2P node stores: blocks, drives, what is pinned."""
        return self.root / "p2p"

    @property
    def p2p_identity_dir(self) -> Path:
        """Keys of drives and names: who has them is their owner."""
        return self.root / "p2p-identity"

    @property
    def ledger_file(self) -> Path:
        """What was published from here."""
        return self.root / "ledger.sqlite3"

    @property
    def apps_dir(self) -> Path:
        """The apps that the user added."""
        return self.root / "apps"

    @property
    def spool_dir(self) -> Path:
        """Uploads that are under way."""
        return self.root / "spool"

    @property
    def web_dir(self) -> Path:
        """What web pages store, in QtWebEngine's own layout."""
        return self.root / "web"

    @property
    def tmp_dir(self) -> Path:
        return self.root / "tmp"


def default_root() -> Path:
    """The profile of a user who named none, where the platform keeps such data."""
    return platformdirs.user_data_path("peersky", appauthor=False)


def open_profile(root: Path | None) -> Profile:
    """The profile at ``root``, created where it is new.

    Args:
        root: the directory; None: :func:`default_root`.

    Raises:
        ProfileUnusable: it is no directory, read-only, full, or another user's; the sentence says which.
    """
    path = default_root() if root is None else root.expanduser().absolute()
    try:
        profile = Profile(path)
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        # A directory that is full or read-only is found out here, before anything is half done.
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(bytes(_PROBE_BYTES))
        for part in (profile.run_dir, profile.models_dir, profile.spool_dir, profile.web_dir, profile.tmp_dir):
            make_directory(part)
    except OSError as error:
        raise unusable(error, path, "use the profile directory") from error
    except ValueError as error:  # a NUL in the path
        raise ProfileUnusable(f"{str(path)!r} is no path of a directory.") from error
    return profile
