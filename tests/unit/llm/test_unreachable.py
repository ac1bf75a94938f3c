"""When the notice that Ollama cannot be reached is shown: once, until base URL or key change."""

from __future__ import annotations

from pathlib import Path

import pytest

from peersky.core.errors import BackendFailed, NotSupported, PeerSkyError
from peersky.core.origins import USER, Origin
from peersky.llm.unreachable import UnreachableNotice
from peersky.system.secrets import SecretStore
from peersky.system.settings_store import SettingsStore

PAGE = Origin("hyper", "a")
DOWN = BackendFailed("Ollama cannot be reached at http://127.0.0.1:11434; start it.", reason="unreachable")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = SettingsStore(folder / "settings.json", SecretStore(folder / "secrets.json"))
        self.shown: list[str] = []
        self.notice = self.restarted()

    def restarted(self) -> UnreachableNotice:
        notice = UnreachableNotice(self.settings, self.folder / "notice.json")
        notice.show = self.shown.append
        return notice


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_is_shown_once_with_the_sentence_that_the_page_gets(world: World) -> None:
    for _ in range(3):
        world.notice.failed(PAGE, "ollama", DOWN)
    assert world.shown == [DOWN.message]


def test_once_survives_a_restart(world: World) -> None:
    world.notice.failed(PAGE, "ollama", DOWN)
    world.restarted().failed(PAGE, "ollama", DOWN)
    assert len(world.shown) == 1


@pytest.mark.parametrize("changes", [{"llm.baseURL": "http://127.0.0.1:9999/"}, {"llm.apiKey": "sk-12345"}])
def test_another_address_or_key_arms_it_again(world: World, changes: dict[str, str]) -> None:
    world.notice.failed(PAGE, "ollama", DOWN)
    world.settings.change({"llm.model": "other", "llm.enabled": True})
    world.notice.failed(PAGE, "ollama", DOWN)
    assert len(world.shown) == 1
    world.settings.change(changes)
    world.notice.failed(PAGE, "ollama", DOWN)
    assert len(world.shown) == 2


@pytest.mark.parametrize(
    ("origin", "kind", "error"),
    [
        (PAGE, "openai", DOWN),
        (PAGE, "builtin", DOWN),
        (USER, "ollama", DOWN),
        (PAGE, "ollama", BackendFailed("It broke.", reason="interrupted")),
        (PAGE, "ollama", NotSupported("There is no such model.", reason="model_missing")),
    ],
)
def test_nothing_else_shows_it(world: World, origin: Origin, kind: str, error: PeerSkyError) -> None:
    world.notice.failed(origin, kind, error)
    assert world.shown == []
    world.notice.failed(PAGE, "ollama", DOWN)
    assert len(world.shown) == 1


def test_without_a_window_it_does_not_count_as_shown(world: World) -> None:
    world.notice.show = None
    world.notice.failed(PAGE, "ollama", DOWN)
    world.restarted().failed(PAGE, "ollama", DOWN)
    assert len(world.shown) == 1


def test_closed_it_no_longer_watches(world: World) -> None:
    world.notice.failed(PAGE, "ollama", DOWN)
    world.notice.close()
    world.settings.change({"llm.apiKey": "sk-12345"})
    world.notice.failed(PAGE, "ollama", DOWN)
    assert len(world.shown) == 1
