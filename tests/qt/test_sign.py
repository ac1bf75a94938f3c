"""The sign in the address bar that a page may use the model, in the real QtWebEngine."""

from __future__ import annotations

from peersky.core.settings_schema import STARTER_MODEL
from peersky.qt.address_bar import Sign
from peersky.qt.window import BrowserWindow
from tests.qt.window_host import (
    Site,
    WindowHost,
    open_page,
    until,
)


def test_sign_only_on_trusted_pages(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"llm.enabled": True, "llm.provider": "builtin", "llm.model": STARTER_MODEL})
    open_page(window, "peersky://home/", "home/")
    address = window.address
    assert address.sign is Sign.READY
    assert address.sign_button.isVisible()
    assert address.sign_button.text() == "AI"
    assert not address.sign_button.icon().isNull()
    assert "can use your model" in address.sign_button.accessibleName()
    assert "on this computer" in address.sign_button.accessibleName()
    open_page(window, site.url("/", "localhost"), "First")
    assert address.sign is Sign.READY
    open_page(window, site.url("/"), "First")
    assert address.sign is Sign.NONE
    assert not address.sign_button.isVisible()


def test_sign_while_answering_and_stop(window: BrowserWindow, host: WindowHost, site: Site) -> None:
    host.settings.change({"llm.enabled": True})
    open_page(window, "peersky://home/", "home/")
    host.activity.changed.emit("http://localhost:1", 1)
    assert window.address.sign is Sign.READY
    host.activity.changed.emit("peersky://home", 2)
    assert window.address.sign_button.text() == "Answering…"
    assert window.address.stop_button.isVisible()
    window.address.stop_button.click()
    assert host.stopped == ["peersky://home"]
    host.activity.changed.emit("peersky://home", 0)
    assert window.address.sign is Sign.READY
    assert not window.address.stop_button.isVisible()


def test_sign_follows_the_setting_and_names_a_cloud(window: BrowserWindow, host: WindowHost) -> None:
    open_page(window, "peersky://home/", "home/")
    assert window.address.sign is Sign.OFF
    cloud = {"llm.provider": "openai", "llm.baseURL": "https://cloud.example/v1", "llm.model": "big"}
    host.settings.change({"llm.enabled": True, **cloud})
    until(lambda: window.address.sign is Sign.READY, "the sign")
    assert window.address.sign_button.accessibleName() == "This page can use your model big at cloud.example"


def test_the_sign_belongs_to_the_page_shown_and_not_to_the_one_on_its_way(
    window: BrowserWindow, host: WindowHost, site: Site
) -> None:
    host.settings.change({"llm.enabled": True})
    open_page(window, site.url("/"), "First")
    window.go_to(site.url("/never", "localhost"))
    until(lambda: "/never" in site.seen, "the request")
    assert window.address.sign is Sign.NONE
