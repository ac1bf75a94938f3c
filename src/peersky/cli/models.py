"""``peersky models``: the model library of the built-in engine; the downloads are those of the browser, if it runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from peersky.cli.progress import ProgressBar
from peersky.cli.session import Session
from peersky.cli.terminal import say
from peersky.core.errors import BackendFailed, PeerSkyError
from peersky.core.sizes import size_text
from peersky.llm.download import DOWNLOADED
from peersky.system.paths import open_profile

PROVIDER: Final = "builtin"
SETTLED: Final = frozenset({"done", "failed", "paused", "removed"})


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare the command with its verbs."""
    parser = commands.add_parser("models", help="list, download and remove models of the built-in engine")
    verbs = parser.add_subparsers(metavar="list|pull|rm|show|import", required=True)
    verbs.add_parser("list", parents=[common], help="the models that are here").set_defaults(run=run_list)
    pull = verbs.add_parser(
        "pull",
        parents=[common],
        help="download one",
        description="Downloads a model from Ollama's registry (qwen2.5-coder:3b) or from Hugging Face "
        "(hf.co/USER/REPOSITORY:Q4_K_M). After an interruption, the same command goes on where it stopped; for a "
        "model that is here, it looks for a newer version.",
    )
    pull.add_argument("name", metavar="NAME")
    pull.set_defaults(run=run_pull)
    remove = verbs.add_parser("rm", parents=[common], help="delete one")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=run_remove)
    show = verbs.add_parser("show", parents=[common], help="what is known of one")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=run_show)
    bring = verbs.add_parser("import", parents=[common], help="make a GGUF file a model of the library")
    bring.add_argument("file", metavar="FILE", type=Path, help="stays where it is; linked, or copied to another disk")
    bring.add_argument("--name", metavar="NAME", help="else made of the file's name")
    bring.set_defaults(run=run_import)


def run_list(options: argparse.Namespace) -> int:
    """Print a table of the models."""
    with Session(open_profile(options.profile)) as session:
        reply = session.call(lambda client: client.models())
    models: list[dict[str, Any]] = reply["models"]
    width = max(len(model["id"]) for model in models)
    for model in models:
        size = size_text(model["sizeBytes"]) if model["sizeBytes"] else "-"
        print(f"{model['id']:<{width}}  {size:>9}  {', '.join(model['capabilities']) or 'unusable'}  {model['note']}")
    say(f"The library takes {size_text(reply['diskBytes'])} on the disk.")
    return 0


def run_pull(options: argparse.Namespace) -> int:
    """Download a model and show how far it is."""
    with Session(open_profile(options.profile)) as session:
        download, joined = session.call(lambda client: client.start_download(PROVIDER, options.name))
        if joined:
            say("This download runs already.")
        bar = ProgressBar()
        try:
            download = _follow(session, download, bar)
        except KeyboardInterrupt:
            bar.end()
            if joined:
                say("The download goes on without this command.")
            else:
                session.call(lambda client: client.steer_download(download["id"], "pause"))
                say("Paused. The same command goes on.")
            raise
        finally:
            bar.end()
        if download["state"] == "done":
            if download["status"] != DOWNLOADED:
                say(f"{download['status']}.")
            model = session.call(lambda client: client.show_model(download["model"]))
            print(f"{download['model']} is here: {size_text(model['sizeBytes'])}. {_memory(model)}".rstrip())
            return 0
    if download["state"] == "failed":
        raise PeerSkyError(download["message"])
    what = "paused" if download["state"] == "paused" else "cancelled"
    raise PeerSkyError(f"The download was {what} elsewhere; the same command goes on.")


def _follow(session: Session, download: dict[str, Any], bar: ProgressBar) -> dict[str, Any]:
    """Show the download until it settles; its last state."""

    def follow_with(client: Any) -> dict[str, Any]:
        with client.follow_download(download["id"]) as states:
            for state in states:
                bar.show(state)
                if state["state"] in SETTLED:
                    return dict(state)
        raise BackendFailed("The download was interrupted. The same command goes on.", reason="interrupted")

    try:
        return session.call(follow_with)
    except BackendFailed as error:
        raise BackendFailed("The download was interrupted. The same command goes on.", reason="interrupted") from error


def run_remove(options: argparse.Namespace) -> int:
    """Delete a model."""
    with Session(open_profile(options.profile)) as session:
        freed = session.call(lambda client: client.remove_model(options.name))
    print(f"{options.name} is removed; {size_text(freed)} are free again.")
    return 0


def run_show(options: argparse.Namespace) -> int:
    """Print what is known of a model, one fact per line."""
    with Session(open_profile(options.profile)) as session:
        model = session.call(lambda client: client.show_model(options.name))
    facts = {
        "name": model["id"],
        "note": model["note"],
        "architecture": model["architecture"],
        "can do": ", ".join(model["capabilities"]),
        "size": size_text(model["sizeBytes"]),
        "memory": _memory(model),
        "context": f"{model['contextLength']} of {model['trainedContextLength']} tokens",
        "template": {"own": "of the file", "library": "for its family", "none": "none"}[model["chatTemplate"]],
        "system": model["system"],
        "stop": "  ".join(map(repr, model["stop"])),
        "parameters": ", ".join(f"{name} {value}" for name, value in model["parameters"].items()),
        "file": model["file"],
    }
    for name, value in facts.items():
        if value:
            print(f"{name:<13}{' '.join(str(value).split())}")
    for layer in model["layers"]:
        print(f"- {layer['kind']:<11}{size_text(layer['size']):>9}  {layer['digest']}")
    return 0


def run_import(options: argparse.Namespace) -> int:
    """Make a file a model of the library."""
    # The services may run elsewhere: a file is named from where the user is.
    file = str(options.file.expanduser().absolute())
    with Session(open_profile(options.profile)) as session:
        name = session.call(lambda client: client.import_model(file, options.name))
    print(f"{name} is here.")
    return 0


def _memory(model: dict[str, Any]) -> str:
    """Memory need against what is free, in one sentence."""
    need, free = model["memoryBytes"], model["freeMemoryBytes"]
    if not need:
        return ""
    sentence = f"It needs about {size_text(need)} of memory"
    return f"{sentence}." if free is None else f"{sentence}; {size_text(free)} are free now."
