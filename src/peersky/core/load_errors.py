"""Why a page did not load, as a person reads it: a title, a sentence, and what to do next.

Codes are Chromium's (``net/base/net_error_list.h``): 100 to 199 connection, 200 to 299 certificate, 300 to 399 HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

ABORTED: Final = -3
"""The load was stopped: by the user, by a download, by another navigation. No error to show."""

_CERTIFICATE: Final = {
    -200: "The site's certificate belongs to another site, so somebody may be posing as {host}.",
    -201: "The site's certificate has expired or is not valid yet; check that this computer's clock is right.",
    -202: "The site's certificate comes from an authority that this computer does not know.",
    -206: "The site's certificate has been revoked.",
    -207: "The site's certificate is malformed.",
}


@dataclass(frozen=True, slots=True)
class LoadError:
    """What the error panel says."""

    title: str
    sentence: str
    advice: str
    code: str = ""


def explain(
    url: str, code: int, name: str = "", *, http_status: bool = False, guessed_https: bool = False
) -> LoadError:
    """Put a failed load into words.

    Args:
        url: the address that failed.
        code: Chromium's net error (negative), or the HTTP status.
        name: Chromium's own name of the error, shown small, for people who search for it.
        http_status: ``code`` is an HTTP status.
        guessed_https: the user typed no scheme and https was taken.
    """
    if not url:
        return _NO_ADDRESS
    host = _host(url)
    if http_status:
        return _explain_status(host, code)
    error = _explain_net(host, code)
    if guessed_https and -199 <= code <= -100:
        advice = f"{error.advice} If the site has no secure connection, type http:// in front of its name."
        error = LoadError(error.title, error.sentence, advice)
    return LoadError(error.title, error.sentence, error.advice, name.removeprefix("net::"))


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return parts.netloc.rpartition("@")[2] or url[:80]
    except ValueError:
        return url[:80]


def _explain_status(host: str, status: int) -> LoadError:
    code = f"HTTP {status}"
    match status:
        case 401 | 403:
            return LoadError(
                "You may not see this page", f"{host} refused to show it.", "Sign in, if the site offers it.", code
            )
        case 404 | 410:
            return LoadError(
                "This page does not exist",
                f"{host} has nothing at this address.",
                "Check the address for a mistake.",
                code,
            )
        case _ if status >= 500:
            return LoadError(
                "The site has a problem", f"{host} could not answer the request.", "Try again in a few minutes.", code
            )
        case _:
            return LoadError(
                "The page was not shown", f"{host} answered with an error and no text.", "Try again.", code
            )


def _explain_net(host: str, code: int) -> LoadError:
    match code:
        case -102:
            return LoadError(
                "Nothing answers here",
                f"{host} refused the connection.",
                "Check that the address and the port are right and that the server is running.",
            )
        case -105 | -137:
            return LoadError(
                "The site was not found",
                f"There is no site named {host}, or the name could not be looked up.",
                "Check the spelling and your network connection.",
            )
        case -106:
            return LoadError(
                "You are offline",
                "This computer has no network connection.",
                "PeerSky's own pages and the built-in model work without one. Check the cable or the wireless network.",
            )
        case -7 | -118:
            return LoadError(
                "The site took too long",
                f"{host} did not answer in time.",
                "Try again, or check your network connection.",
            )
        case -109 | -108 | -104:
            return LoadError(
                "The site cannot be reached",
                f"There is no way to {host} from here.",
                "Check the address and your network.",
            )
        case -21 | -100 | -101 | -103 | -324:
            return LoadError("The connection broke", f"{host} closed the connection without an answer.", "Try again.")
        case -310:
            return LoadError(
                "The page goes in circles",
                f"{host} sent the browser from page to page without end.",
                "Try another address.",
            )
        case -312:
            return LoadError(
                "This port is closed to browsers",
                "The port in this address is used by other services than web sites.",
                "Start the server on another port.",
            )
        case -6:
            return LoadError(
                "This page does not exist",
                f"There is nothing at this address of {host}.",
                "Check the address for a mistake.",
            )
        case -10 | -20 | -22 | -27 | -30:
            return LoadError(
                "This page is not open to you",
                "PeerSky refused to load it here.",
                "If you meant to open it, type its address into the address bar yourself.",
            )
        case -300 | -301 | -302:
            return LoadError(
                "This address cannot be opened", "It is not written as an address should be.", "Check it for a mistake."
            )
        case _ if -299 <= code <= -200 or code in (-107, -113, -126, -141, -148):
            sentence = _CERTIFICATE.get(code, "A secure connection to {host} could not be made.").format(host=host)
            return LoadError(
                "The connection is not secure",
                sentence,
                "PeerSky did not open the page. Nothing was sent to it; try again later or tell the site's owner.",
            )
        case _:
            return LoadError("The page could not be loaded", f"Loading {host} failed.", "Try again.")


# All that is left of an address whose host has a part of more than 63 characters.
_NO_ADDRESS: Final = LoadError(
    "This address cannot be opened",
    "The key or name in it is longer than an address can hold.",
    "Check that it was copied whole, then paste it into the address bar.",
)

CRASHED: Final = LoadError(
    "This page stopped working",
    "The process that showed it ended, perhaps for lack of memory.",
    "Load the page again; what you typed into it may be lost. Other tabs are not affected.",
)


def no_handler(scheme: str) -> LoadError:
    """Nothing serves this scheme here."""
    return LoadError(
        "This address cannot be opened here",
        f"This PeerSky has nothing that loads {scheme}: addresses.",
        "Check the address for a mistake, or look in the settings whether peer-to-peer networks are available.",
    )
