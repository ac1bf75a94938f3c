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

from peersky.core.origins import BROWSER, OPAQUE, OWN_SCHEMES, P2P_SCHEMES, parse_origin
from peersky.core.reach import NETWORK_SCHEMES, may_send
from peersky.core.trust import is_trusted
from peersky.web.asker import Asker

if TYPE_CHECKING:
    from collections.abc import Callable

    from peersky.core.reach import Closed
    from peersky.core.trust import Policy
    from peersky.qt.page import BrowserNavigations

_PARTS_OF_THE_BROWSER: Final = frozenset({"devtools", "chrome-extension"})
"""Chromium's developer tools and its viewer for PDF files. No web page has such an origin."""

HEADER: Final = b"X-Peersky-Stamp"
_Type = QWebEngineUrlRequestInfo.ResourceType
_RELOAD: Final = QWebEngineUrlRequestInfo.NavigationType.NavigationTypeReload
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
    """Stamps the requests of pages and frames to our schemes.

    A stamp tells the top page and nothing of the frames between. So where a trusted page frames an untrusted one, that
    one cannot frame a trusted page in turn: it would have the rights of a frame of the top page, which did not ask for
    it.
    """

    def __init__(
        self,
        navigations: BrowserNavigations,
        policy: Callable[[], Policy],
        closed: Callable[[], Closed],
        on_error: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._secret = secrets.token_urlsafe(24)
        self._navigations, self._policy, self._closed, self._on_error = navigations, policy, closed, on_error

    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
        try:
            if _RESOURCES.get(info.resourceType()) in ("sub-frame", "object") and self._is_smuggled(info):
                info.block(True)
            elif info.requestUrl().scheme() in NETWORK_SCHEMES:
                info.block(not self._may_send(info))
            elif info.requestUrl().scheme() in OWN_SCHEMES:
                info.setHttpHeader(HEADER, self._stamp(info).encode())
                if info.requestUrl().scheme() in P2P_SCHEMES and info.navigationType() == _RELOAD:
                    # A name may stand for something else by now. Chromium says it in HTTP alone.
                    info.setHttpHeader(b"Cache-Control", b"no-cache")
        except Exception as error:  # noqa: BLE001 - an exception in a Qt virtual aborts the browser
            info.block(True)
            self._on_error(f"request not stamped, so blocked: {error!r}")

    def _may_send(self, info: QWebEngineUrlRequestInfo) -> bool:
        """Whether a page may reach this address. Seen for redirects and for workers as well."""
        navigation = _RESOURCES.get(info.resourceType()) == "main-frame"
        asker = info.initiator() if not info.initiator().isEmpty() else QUrl() if navigation else info.firstPartyUrl()
        if asker.isEmpty() or asker.scheme() in _PARTS_OF_THE_BROWSER:
            return True
        url = _url_text(info.requestUrl())
        return may_send(parse_origin(_url_text(asker)), url, self._closed(), navigation=navigation)

    def _is_smuggled(self, info: QWebEngineUrlRequestInfo) -> bool:
        """Whether an untrusted frame of a trusted page loads a trusted one.

        Seen for redirects as well, where the reply is kept from the frame. A page that a service worker answers for is
        no way round: workers are apart by the frames between, too.
        """
        target, top = parse_origin(_url_text(info.requestUrl())), parse_origin(_url_text(info.firstPartyUrl()))
        initiator, policy = parse_origin(info.initiator().toString()), self._policy()
        return is_trusted(target, policy) and is_trusted(top, policy) and not is_trusted(initiator, policy)

    def _stamp(self, info: QWebEngineUrlRequestInfo) -> str:
        resource = _RESOURCES.get(info.resourceType(), "other")
        # A navigation of the tab is its own top page, whatever page stands there now.
        top = "" if resource == "main-frame" else _url_text(info.firstPartyUrl())
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


def _url_text(url: QUrl) -> str:
    # A user name (http://user@localhost/) is no part of an origin, and a password has no place in a header.
    return url.toEncoded(QUrl.UrlFormattingOption.RemoveUserInfo).data().decode("ascii", "replace")
