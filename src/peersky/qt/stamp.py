"""The stamp: a header that proves to the scheme adapter that the browser, not the page, tells what a request is for.

The interceptor runs for every request of pages and frames and sets the header, overriding one from the page. Workers of
every kind pass the interceptor by, and there a header of that name arrives as the page wrote it: hence the secret.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from PyQt6.QtCore import QUrl
from PyQt6.QtWebEngineCore import QWebEngineUrlRequestInfo, QWebEngineUrlRequestInterceptor

from peersky.core.origins import BROWSER, OPAQUE, OWN_SCHEMES, parse_origin
from peersky.web.asker import Asker

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.qt.page import BrowserNavigations

HEADER: Final = b"X-Peersky-Stamp"
_Type = QWebEngineUrlRequestInfo.ResourceType
_RESOURCES: Final = {
    _Type.ResourceTypeMainFrame: "main-frame",
    _Type.ResourceTypeNavigationPreloadMainFrame: "main-frame",
    _Type.ResourceTypeSubFrame: "sub-frame",
    _Type.ResourceTypeNavigationPreloadSubFrame: "sub-frame",
    _Type.ResourceTypeScript: "script",
    _Type.ResourceTypeStylesheet: "style",
    _Type.ResourceTypeImage: "image",
    _Type.ResourceTypeFavicon: "image",
    _Type.ResourceTypeFontResource: "font",
    _Type.ResourceTypeMedia: "media",
    _Type.ResourceTypeObject: "object",
    _Type.ResourceTypePluginResource: "object",
    _Type.ResourceTypeXhr: "xhr",
    _Type.ResourceTypePrefetch: "prefetch",
}


class StampingInterceptor(QWebEngineUrlRequestInterceptor):
    """Stamps the requests of pages and frames to our schemes."""

    def __init__(self, navigations: BrowserNavigations, on_error: Callable[[str], None]) -> None:
        super().__init__()
        self._secret = secrets.token_urlsafe(24)
        self._navigations, self._on_error = navigations, on_error

    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
        try:
            if info.requestUrl().scheme() in OWN_SCHEMES:
                info.setHttpHeader(HEADER, self._stamp(info).encode())
        except Exception as error:  # noqa: BLE001 - an exception in a Qt virtual aborts the browser
            info.block(True)
            self._on_error(f"request not stamped, so blocked: {error!r}")

    def _stamp(self, info: QWebEngineUrlRequestInfo) -> str:
        resource = _RESOURCES.get(info.resourceType(), "other")
        # A navigation of the tab is its own top page, whatever page stands there now.
        top = "" if resource == "main-frame" else _url_text(info)
        return f"{self._secret} {resource} {top}"

    def asker(self, url: QUrl, initiator: str, stamp: bytes | None) -> Asker:
        """Who sent a request.

        Args:
            url: what is asked for.
            initiator: origin of the page, frame or worker as Chromium tells it; empty for the browser itself, and for
                what a server redirected a typed address to.
            stamp: value of the stamp header, if there is one.
        """
        secret, _, rest = (stamp or b"").decode("utf-8", "replace").partition(" ")
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return Asker(parse_origin(initiator) if initiator else OPAQUE)
        resource, _, top_text = rest.partition(" ")
        if resource == "main-frame":
            origin = self._navigations.asker(url, parse_origin(initiator) if initiator else None)
            return Asker(origin, origin, resource)
        return Asker(parse_origin(initiator) if initiator else OPAQUE, parse_origin(top_text), resource)

    def redirected(self, asker: Asker, url: QUrl) -> None:
        """One of our own apps sends a main-frame load on: what the browser asked for, it still asks for."""
        if asker.origin == BROWSER:
            self._navigations.announce(id(self), url)


def _url_text(info: QWebEngineUrlRequestInfo) -> str:
    # A user name (http://user@localhost/) is no part of an origin, and a password has no place in a header.
    url = info.firstPartyUrl().toEncoded(QUrl.UrlFormattingOption.RemoveUserInfo)
    return url.data().decode("ascii", "replace")
