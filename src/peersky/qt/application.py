"""The QApplication: Chromium's switches, the sandbox rule, and the hook without which an exception ends the browser."""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QCoreApplication, Qt
from PyQt6.QtWidgets import QApplication

from peersky.core.errors import NotAllowed
from peersky.qt.schemes import register_schemes
from peersky.qt.theme import prepare_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

# Requests that Chromium would make on its own account: none of them is the user's.
_QUIET: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-pings",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,DnsOverHttps",
)
# Chromium's own check of what a name resolves to, which only warns unless told otherwise: a page of the public network
# reaches nothing on this machine or in its network, in whatever way but by WebSocket (core/reach.py sees to those).
_LOCAL_NETWORK: Final = (
    "--enable-features=LocalNetworkAccessChecks:LocalNetworkAccessChecksWarn/false,LocalNetworkAccessChecksWebRTC,"
    "LocalNetworkAccessForWorkers,LocalNetworkAccessForSubframeNavigations"
)
# Each site in a process of its own, sandboxed frames too, which QtWebEngine leaves off: a process cannot claim the
# origin of another site then, and a page can remove a frame whose script never ends.
_ISOLATION: Final = "--site-per-process"
# With it, Chromium would keep a process without a page in store: 23 MB, and time of the first paint.
_NO_SPARE: Final = "--disable-features=SpareRendererForSitePerProcess"
_FLAGS: Final = "QTWEBENGINE_CHROMIUM_FLAGS"


def is_root() -> bool:
    """Whether Chromium will refuse its sandbox because of who runs it."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def create_application(*, headless: bool, on_error: Callable[[str], None], dark: bool | None = None) -> QApplication:
    """Make the one QApplication, with our URL schemes registered before it.

    Args:
        headless: no window system is used. Only then may root run it, without the sandbox, which stderr is told.
        on_error: takes the traceback of an exception that reached Qt, and what Qt warns of.
        dark: the colour scheme of pages without a window system, which could tell it; None: light.

    Raises:
        NotAllowed: root asked for a window: Chromium's sandbox does not work for root, and users never run without it.
    """
    flags = [*_QUIET, _LOCAL_NETWORK, _ISOLATION, _NO_SPARE]
    if is_root():
        if not headless:
            raise NotAllowed(
                "Chromium's sandbox, which keeps web pages away from your files, does not work for root: start PeerSky "
                "as an ordinary user, for example with `runuser -u NAME -- make run`.",
                reason="root_without_sandbox",
            )
        print("peersky: running as root, so headless and without Chromium's sandbox", file=sys.stderr)  # noqa: T201
        flags.append("--no-sandbox")
    if headless:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        # Qt's and Chromium's lines about the graphics card that is not used would hide the program's own.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        flags += ["--disable-gpu", "--log-level=3", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    else:
        prepare_environment()
    os.environ[_FLAGS] = merged([*flags, *os.environ.get(_FLAGS, "").split()])
    _hook_exceptions(on_error)
    register_schemes()
    # Without it, QtWebEngineWidgets (the window's views) can no longer be imported once the application exists.
    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_ShareOpenGLContexts)
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    application.setApplicationName("PeerSky")
    application.setApplicationDisplayName("PeerSky")
    return application


def merged(switches: Sequence[str]) -> str:
    """Chromium's switches as one line. Of two lists of features it would take the last alone, so they become one."""
    features: dict[str, list[str]] = {}
    others = []
    for switch in switches:
        name, _, value = switch.partition("=")
        if name in ("--enable-features", "--disable-features"):
            features.setdefault(name, []).append(value)
        else:
            others.append(switch)
    return " ".join([*others, *(f"{name}={','.join(values)}" for name, values in features.items())])


def remote_debugging_port(environment: Mapping[str, str]) -> int | None:
    """Where Chromium serves its developer tools, if whoever started the browser asked for that; nobody else can."""
    switches = f"{environment.get('QTWEBENGINE_REMOTE_DEBUGGING', '')} {environment.get(_FLAGS, '')}"
    found = re.search(r"(?:^|--remote-debugging-port=)(?:[^ ]*:)?(\d+)\b", switches)
    return int(found[1]) if found else None


def _hook_exceptions(on_error: Callable[[str], None]) -> None:
    """PyQt aborts the process on an exception in a slot or virtual unless there is a hook: log it and go on."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        on_error("".join(traceback.format_exception(kind, error, trace)))

    sys.excepthook = hook
