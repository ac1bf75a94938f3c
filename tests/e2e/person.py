"""Somebody at the browser's window: clicks where something is to be seen, types where the focus is, and counts both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from PyQt6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PyQt6.QtTest import QTest

from peersky.qt.driver import PageDriver, ScriptFailed, wait_until
from peersky.qt.page import PeerSkyPage
from peersky.qt.window import Browser

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

    from tests.e2e.conftest import Product

PATIENCE_S: Final = 60
INPUT: Any = QTest  # PyQt's stubs take the functions of this namespace for methods.

# Where the middle of an element is once it can be hit there: in sight, at rest, painted, and with nothing above it.
_FIND: Final = """
    const e = [...document.querySelectorAll(SELECTOR)].find((one) => one.checkVisibility());
    if (!e || e.disabled || e.closest('[inert]')) return null;
    e.scrollIntoView({block: 'nearest', behavior: 'instant'});
    const box = () => JSON.stringify(e.getBoundingClientRect());
    const before = box();
    for (let i = 0; i < 2; i++) await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const {x, y, width, height} = e.getBoundingClientRect();
    const point = [x + width / 2, y + height / 2];
    const hit = document.elementFromPoint(...point);
    return before === box() && hit && (e.contains(hit) || hit.contains(e)) ? point : null;
"""


class Person:
    """One window on the home page, and who sits before it.

    Attributes:
        steps: what was done, in words; a text that is typed is one step.
    """

    def __init__(self, product: Product) -> None:
        self.steps: list[str] = []
        self._browser = Browser(product.runtime)
        self.window = self._browser.new_window(self._browser.home)
        self.window.resize(1200, 800)
        self.window.activateWindow()
        self._drivers: dict[PeerSkyPage, PageDriver] = {}

    @property
    def page(self) -> PageDriver:
        """The page in front."""
        tab = self.window.tab
        assert tab is not None
        assert isinstance(tab.page, PeerSkyPage)
        if tab.page not in self._drivers:
            self._drivers[tab.page] = PageDriver(tab.page)
        return self._drivers[tab.page]

    def sees(self, selector: str, text: str = "") -> None:
        """Wait until an element is to be seen and says something."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        script = f"return {found}.some((e) => e.checkVisibility() && e.innerText.includes({json.dumps(text)}))"
        self._until(lambda: bool(self.page.evaluate(script)), f"{selector} with “{text}” was not to be seen")

    def click(self, selector: str) -> None:
        """Click what is there once it can be clicked."""
        points: list[list[float]] = []

        def can_be_hit() -> bool:
            point = self.page.evaluate(_FIND.replace("SELECTOR", json.dumps(selector)))
            points.extend([point] if point else [])
            return bool(points)

        self._until(can_be_hit, f"{selector} cannot be clicked")
        INPUT.mouseClick(self._input(), Qt.MouseButton.LeftButton, pos=QPoint(*map(round, points[-1])))
        self.steps.append(f"click {selector}")

    def write(self, text: str) -> None:
        """Type where the focus of the page is."""
        INPUT.keyClicks(self._input(), text)
        self.steps.append(f"write {text}")

    def go_to(self, address: str) -> None:
        """Type into the address bar."""
        bar = self.window.address.edit
        bar.setFocus()
        bar.selectAll()
        INPUT.keyClicks(bar, address)
        INPUT.keyClick(bar, Qt.Key.Key_Return)
        self.steps.append(f"go to {address}")

    def close(self) -> None:
        """Close the window, before its browser ends."""
        self._browser.dispose()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def _input(self) -> QWidget:
        """What takes the keys and clicks of the page in front."""
        tab = self.window.tab
        assert tab is not None
        proxy = tab.view.focusProxy()
        assert proxy is not None
        return proxy

    def _until(self, condition: Any, failure: str) -> None:
        def holds() -> bool:
            try:
                return bool(condition())
            except ScriptFailed as failure:
                if failure.error["name"] == "AbortError":  # Another page came meanwhile.
                    return False
                raise

        wait_until(holds, PATIENCE_S, f"{failure}.")
