"""``peersky settings``: read and change settings, in the browser that runs or in the profile's file."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from typing import Any

from peersky.cli.session import Session
from peersky.cli.terminal import say
from peersky.core.errors import SettingInvalid
from peersky.core.settings_schema import setting
from peersky.system.paths import open_profile


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command with its three verbs."""
    parser = commands.add_parser("settings", help="read and change settings")
    verbs = parser.add_subparsers(metavar="get|set|unset", required=True)
    read = verbs.add_parser("get", parents=[common], help="print one setting, or all of them")
    read.add_argument("key", metavar="KEY", nargs="?")
    read.set_defaults(run=run_get)
    change = verbs.add_parser("set", parents=[common], help="set one")
    change.add_argument("key", metavar="KEY")
    change.add_argument(
        "value", metavar="VALUE", nargs="?", help="left out: read from standard input, as secrets always are"
    )
    change.set_defaults(run=run_set)
    reset = verbs.add_parser("unset", parents=[common], help="go back to the default, or forget a secret")
    reset.add_argument("key", metavar="KEY")
    reset.set_defaults(run=run_unset)


def run_get(options: argparse.Namespace) -> int:
    """Print one value, or every setting with its value."""
    if options.key is not None:
        setting(options.key)
    with Session(open_profile(options.profile)) as session:
        reply = session.call(lambda client: client.settings())
    listed: dict[str, dict[str, Any]] = reply["settings"]
    if options.key is not None:
        print(_shown(listed[options.key]))
        return 0
    width = max(map(len, listed))
    for key, entry in listed.items():
        is_default = not (entry["set"] if entry["secret"] else entry["stored"])
        print(f"{key:<{width}}  {_shown(entry)}{'' if not is_default or entry['secret'] else '  (default)'}")
    if any(entry["secret"] and entry["set"] for entry in listed.values()):
        where = "the system's keyring" if reply["secretsIn"] == "keyring" else "a file that only you may read"
        say(f"Secrets are kept in {where}.")
    return 0


def run_set(options: argparse.Namespace) -> int:
    """Set one setting. A secret is never taken from the command line, which other users can read."""
    declared = setting(options.key)
    if declared.secret and options.value is not None:
        raise SettingInvalid(
            f"{options.key} is a secret, which does not belong on a command line: leave the value out and type it, "
            "or pipe it to standard input.",
            param=options.key,
        )
    text = _from_input(declared.secret) if options.value is None else options.value
    if declared.secret and not text:
        raise SettingInvalid(
            f"No value came on standard input; `peersky settings unset {options.key}` forgets the secret.",
            param=options.key,
        )
    value = declared.parse(text)
    with Session(open_profile(options.profile)) as session:
        session.call(lambda client: client.change({options.key: value}))
    return 0


def run_unset(options: argparse.Namespace) -> int:
    """Go back to the default."""
    setting(options.key)
    with Session(open_profile(options.profile)) as session:
        session.call(lambda client: client.change({options.key: None}))
    return 0


def _from_input(secret: bool) -> str:
    if sys.stdin.isatty():
        return (getpass.getpass("Value (not shown): ") if secret else input("Value: ")).strip()
    return sys.stdin.read().strip()


def _shown(entry: dict[str, Any]) -> str:
    if entry["secret"]:
        return "set" if entry["set"] else "not set"
    match entry["value"]:
        case bool() as value:
            return "true" if value else "false"
        case list() as value:
            return " ".join(value)
        case str() as value:
            return value
        case value:
            return json.dumps(value)
