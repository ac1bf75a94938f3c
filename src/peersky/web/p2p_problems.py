"""Why a P2P page is not there, in words: what is missing (the path, the peer, the network), and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_NETWORK: Final = "Network"
_PEER: Final = "Somebody who has it"
_PATH: Final = "The page itself"
_LOWERED_CID = re.compile(r"qm[1-9a-z]{44}\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """What the error page says beside the sentence.

    Attributes:
        title: what happened, in a few words.
        advice: what to do, one or two sentences.
        chain: what a page needs, in turn: name, ``there``, ``missing`` or ``unknown``, and that in words.
        again: trying again may help.
        start: the site itself is there, so its first page may be.
    """

    title: str
    advice: str
    chain: tuple[tuple[str, str, str], ...] = ()
    again: bool = True
    start: bool = False


def _chain(network: str, peer: str, path: str) -> tuple[tuple[str, str, str], ...]:
    words = {"there": "found", "missing": "missing", "unknown": "not reached"}
    return tuple((name, state, words[state]) for name, state in ((_NETWORK, network), (_PEER, peer), (_PATH, path)))


_PROBLEMS: Final = {
    "offline": Problem(
        "No connection to the network",
        "Check the cable or the wireless network, and whether a firewall keeps PeerSky from it. What you opened or "
        "published before is still there without a network.",
        _chain("missing", "unknown", "unknown"),
    ),
    "no_peers": Problem(
        "Nobody who has this was found",
        "A page is there as long as somebody who has it is online: try again later, or ask who gave you the link to "
        "keep PeerSky open. A single wrong letter in the link leads here, too.",
        _chain("there", "missing", "unknown"),
    ),
    "no_such_path": Problem(
        "There is no such page here",
        "The site is there, but has nothing at this path. Check the part after the first slash, or begin at the start.",
        _chain("there", "there", "missing"),
        again=False,
        start=True,
    ),
    "no_such_key": Problem(
        "There is no drive or name like this",
        "Nothing of this name was made from here. Check the spelling, or publish something under it first.",
        again=False,
    ),
    "malformed": Problem(
        "This address is not complete",
        "It holds no key or name that can be looked up. Copy the whole link again and paste it into the address bar.",
        again=False,
    ),
    "no_such_file": Problem(
        "There is no such page in this app",
        "Begin at the app's start. If the app was changed where it came from, update it in peersky://apps/.",
        again=False,
        start=True,
    ),
    "no_such_app": Problem(
        "There is no such app here",
        "It may have been deleted; peersky://apps/ lists those that are there.",
        again=False,
    ),
    "closed_app": Problem(
        "This app is closed", "Open it from peersky://apps/ or type its address into the address bar.", again=False
    ),
    "wrong_block": Problem(
        "What came was not what was asked for",
        "Somebody sent other data than the address stands for; it was thrown away. Try again: others may have the true "
        "data.",
        _chain("there", "there", "missing"),
    ),
    "disk_full": Problem("The disk is full", "Free some space on this computer, then try again."),
    "backend_unreachable": Problem(
        "The IPFS daemon is not there",
        "The settings name a Kubo daemon that does not answer. Start it, or choose the built-in node at "
        "peersky://settings/p2p.",
    ),
    "not_installed": Problem(
        "The peer-to-peer node is not installed",
        "PeerSky installs it at the first peer-to-peer page, which needs a network connection once.",
    ),
    "crash_loop": Problem(
        "The peer-to-peer node keeps stopping",
        "Start it again at peersky://settings/p2p; peersky://logs says what it stopped of.",
    ),
    "not_writable": Problem("This is not yours to change", "Only who made it can change it.", again=False),
    "method_not_allowed": Problem("This cannot be done here", "The address does not take this request.", again=False),
    "too_large": Problem("This is too large", "Publish it in smaller parts.", again=False),
}
_TRUST: Final = Problem(
    "This is closed to the page that asked", "Open it yourself: paste its address into the address bar.", again=False
)
_OTHER: Final = Problem("This page could not be loaded", "Try again; peersky://logs says more.")
_LOST_CASE: Final = Problem(
    "This link lost its capital letters",
    "A link that begins with ipfs://Qm was opened in a way that turns capital letters into small ones. Copy the link "
    "and paste it into the address bar.",
    again=False,
)


def problem_of(reason: str, status: int, url: str) -> Problem:
    """What to say about a failure.

    Args:
        reason: the node's reason; an unknown one is judged by the status.
        status: HTTP status.
        url: the address that failed.
    """
    if reason == "malformed" and _LOWERED_CID.match(urlsplit(url).netloc):
        return _LOST_CASE
    if reason in _PROBLEMS:
        return _PROBLEMS[reason]
    return _TRUST if status == 403 else _OTHER
