"""Registration of PeerSky's URL schemes with Chromium; must happen before QApplication exists."""

from __future__ import annotations

from typing import Final

from PyQt6.QtWebEngineCore import QWebEngineUrlScheme

_Flag = QWebEngineUrlScheme.Flag

_OWN_PAGES: Final = _Flag.SecureScheme | _Flag.FetchApiAllowed | _Flag.ViewSourceAllowed
_FLAGS: Final = {
    "peersky": _OWN_PAGES,
    # Trusted pages of other origins call the bridge, also where their own policy says connect-src 'none'. The flags
    # are convenience: web/llm_app.py checks every request.
    "llm": _Flag.SecureScheme | _Flag.FetchApiAllowed | _Flag.CorsEnabled | _Flag.ContentSecurityPolicyIgnored,
    "hyper": _OWN_PAGES | _Flag.CorsEnabled,
    "ipfs": _OWN_PAGES | _Flag.CorsEnabled,
    "ipns": _OWN_PAGES | _Flag.CorsEnabled,
}


def register_schemes() -> None:
    """Make the schemes known. Safe to call twice."""
    for name, flags in _FLAGS.items():
        if QWebEngineUrlScheme.schemeByName(name.encode()).name():
            continue
        scheme = QWebEngineUrlScheme(name.encode())
        # Without Host syntax, all sites of a scheme share one origin.
        scheme.setSyntax(QWebEngineUrlScheme.Syntax.Host)
        scheme.setFlags(flags)
        QWebEngineUrlScheme.registerScheme(scheme)
