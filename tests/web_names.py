"""Made-up web sites that reach this machine: Chromium is told so before it starts, and asks no name server.

``*.example``, ``agregore.mauve.moe`` and punycode names are 127.0.0.1 on any port, so a test serves a site on a port of
its own. Port 443 of ``agregore.mauve.moe`` is :data:`HTTPS`, for the one web site that is trusted from the start.
"""

from __future__ import annotations

import atexit
import os
import socket
from typing import Final

HTTPS: Final = socket.socket()
"""Bound and not yet listening: the port is ours, and nobody can connect until a test serves it."""
PUBLIC: Final = socket.socket()
"""The same, for a server that Chromium takes to be on the public internet."""
for _bound in (HTTPS, PUBLIC):
    _bound.bind(("127.0.0.1", 0))
    atexit.register(_bound.close)

RULES: Final = (
    f"MAP agregore.mauve.moe:443 127.0.0.1:{HTTPS.getsockname()[1]}",
    "MAP agregore.mauve.moe 127.0.0.1",
    "MAP *.example 127.0.0.1",
    "MAP xn--* 127.0.0.1",
)


def teach_chromium() -> None:
    """Add the rules to Chromium's switches. Must happen before the QApplication is made."""
    switch = f'"--host-resolver-rules={",".join(RULES)}"'
    address = f"{PUBLIC.getsockname()[0]}:{PUBLIC.getsockname()[1]}"
    flags = os.environ.get("QTWEBENGINE_CHROMIUM_FLAGS", "")
    if switch not in flags:
        switch = f"{switch} --ip-address-space-overrides={address}=public"
        os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = f"{flags} {switch}".strip()
