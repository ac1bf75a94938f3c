"""`peersky eval` and `peersky shot`: one page in a window that nobody sees. Authors of P2P apps test with these."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QCoreApplication, QEvent, QSize
from PyQt6.QtWebEngineWidgets import QWebEngineView

from peersky.core.errors import ProfileUnusable
from peersky.qt.application import create_application
from peersky.qt.driver import PageDriver, ScriptFailed, wait_until
from peersky.qt.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peersky.system.paths import Profile

_DEFAULT_SIZE: Final = (1280, 800)
_PAINTED: Final = (
    "await document.fonts.ready;"
    # A part of an internal page that still loads says so; five seconds are enough for any.
    "for (let i = 0; i < 100 && document.querySelector('[aria-busy=true]'); i++)"
    "  await new Promise((r) => setTimeout(r, 50));"
    "for (let i = 0; i < 3; i++) await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 30)));"
)


def evaluate(profile: Profile, url: str, script: str, timeout_s: float) -> int:
    """Open ``url``, run ``script`` (the body of an async function) in it, print its result as one line of JSON.

    Returns:
        The exit code: 0, or 1 with the error on stderr.
    """
    with _page(profile, _DEFAULT_SIZE, dark=False) as driver:
        try:
            driver.load(url, timeout_s)
            result = driver.evaluate(script, timeout_s)
        except ScriptFailed as failure:
            print(json.dumps({"error": failure.error}, ensure_ascii=False), file=sys.stderr)  # noqa: T201
            return 1
        print(json.dumps(result, ensure_ascii=False))  # noqa: T201
        return 0


def screenshot(
    profile: Profile, url: str, file: Path, size: tuple[int, int] | None, dark: bool, timeout_s: float
) -> int:
    """Save a picture of the page at ``url`` as PNG.

    Args:
        size: width and height in pixels; None: 1280 by 800.
        dark: ask for the page's dark colours.

    Returns:
        The exit code.
    """
    with _page(profile, size or _DEFAULT_SIZE, dark) as driver:
        driver.load(url, timeout_s)
        driver.evaluate(_PAINTED, timeout_s)
        save_picture(driver, file)
    return 0


def save_picture(driver: PageDriver, file: Path) -> None:
    """Write what the driver's view shows now.

    Raises:
        ProfileUnusable: the file cannot be written.
    """
    view = QWebEngineView.forPage(driver.page)
    assert view is not None
    # Chromium hands its frame to Qt asynchronously; an empty picture means that it has not yet.
    wait_until(lambda: not view.grab().toImage().isNull(), 5, None)
    if not view.grab().save(str(file), "PNG"):
        raise ProfileUnusable(f"{file} cannot be written.", reason="not_writable")


@contextmanager
def _page(profile: Profile, size: tuple[int, int], dark: bool) -> Iterator[PageDriver]:
    errors: list[str] = []
    application = create_application(headless=True, on_error=errors.append, dark=dark)
    try:
        runtime = Runtime(profile)
    except ProfileUnusable as error:
        if error.reason == "profile_locked":
            raise ProfileUnusable(
                f"{error.message} Give this command a profile of its own with --profile DIR.", reason=error.reason
            ) from error
        raise
    view = QWebEngineView()
    page = runtime.new_page(view)
    view.setPage(page)
    view.resize(QSize(*size))
    view.show()
    try:
        yield PageDriver(page)
    finally:
        # The page before its profile, or Chromium aborts.
        view.deleteLater()
        page.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        runtime.close()
        del application
        for text in errors:
            print(f"peersky: {text}", file=sys.stderr)  # noqa: T201
