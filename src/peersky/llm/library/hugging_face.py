"""GGUF files on Hugging Face, by its public API: which files a repository has, and which of them a name means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from peersky.core.errors import BackendFailed, NotSupported
from peersky.core.manifest import MAX_LAYER_BYTES, Layer, make_manifest, parse_manifest
from peersky.core.model_names import DEFAULT_TAG, ModelName
from peersky.llm.library.registry import Fetcher, Refused, Source, refusal_error

ENDPOINT: Final = "https://huggingface.co"
DEFAULT_TAGS: Final = ("Q4_K_M", "Q8_0")
PROJECTOR_FORMS: Final = ("Q8_0", "F16", "BF16")
MAX_REPLY_BYTES: Final = 16 * 1024 * 1024
MAX_PAGES: Final = 20
MAX_LISTED: Final = 12

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_OID: Final = re.compile(r"[0-9a-f]{64}")
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_NO_MODEL: Final = re.compile(r"mmproj|imatrix|(^|/)(mtp|eagle3|dflash|dspark)-", re.IGNORECASE)
_QUANTISATION: Final = re.compile(r"[.-]((?:UD-)?(?:I?Q\d\w*|BF16|F16|F32|MXFP4\w*|TQ\d\w*))(?=[.-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A GGUF in a repository."""

    path: str
    size: int
    digest: str

    @property
    def label(self) -> str:
        """How people name it: the quantisation, else the file."""
        found = _QUANTISATION.search(self.path)
        return found[1] if found else self.path


async def find_on_hub(fetcher: Fetcher, name: ModelName, endpoint: str = ENDPOINT) -> Source:
    """Ask Hugging Face for the GGUF that a name means.

    Args:
        endpoint: scheme and host of the site.

    Raises:
        NotSupported: the repository does not exist, is private, or has no such file (``model_missing``); or the file
            is one of several parts.
        BackendFailed: Hugging Face cannot be reached, or answers nonsense.
    """
    repository = f"{name.namespace}/{name.model}"
    try:
        commit = _commit(await _json(fetcher, f"{endpoint}/api/models/{repository}/refs"))
        files = await _files(fetcher, f"{endpoint}/api/models/{repository}/tree/{commit}?recursive=true")
    except Refused as error:
        raise refusal_error(error, name) from error
    wanted = {"model": choose(files, name), "projector": projector_of(files)}
    chosen = {kind: file for kind, file in wanted.items() if file is not None}
    layers = [Layer(kind, file.digest, file.size) for kind, file in chosen.items()]
    urls = {file.digest: f"{endpoint}/{repository}/resolve/{commit}/{quote(file.path)}" for file in chosen.values()}
    return Source(parse_manifest(make_manifest(None, layers), name.host), lambda layer: urls[layer.digest])


def choose(files: list[HubFile], name: ModelName) -> HubFile:
    """The file that a name's tag means: a quantisation, or the name of the file. No case counts.

    Without a tag: Q4_K_M, else Q8_0, else the first.

    Raises:
        NotSupported: there is none; with those that there are.
    """
    models = [file for file in files if not _NO_MODEL.search(file.path)]
    whole = [file for file in models if not _SHARD.search(file.path)]
    if not models:
        raise NotSupported(
            f"{name} has no GGUF file. Search Hugging Face for a repository of the same model with GGUF in its name.",
            reason="model_missing",
        )
    tags = DEFAULT_TAGS if name.tag == DEFAULT_TAG else (name.tag,)
    for tag in tags:
        wanted = re.compile(rf"(^|[/.-]){re.escape(tag)}([.-]|$)", re.IGNORECASE)
        if found := next((file for file in whole if wanted.search(file.path)), None):
            return found
        if any(wanted.search(file.path) for file in models):
            raise NotSupported(
                f"{name.namespace}/{name.model} has {tag} only in several files, and the built-in engine reads models "
                f"of one file. {_offer(whole)}"
            )
    if name.tag == DEFAULT_TAG and whole:
        return whole[0]
    what = "no GGUF of one file" if name.tag == DEFAULT_TAG else f"no {name.tag}"
    raise NotSupported(f"{name.namespace}/{name.model} has {what}. {_offer(whole)}", reason="model_missing")


def projector_of(files: list[HubFile]) -> HubFile | None:
    """The part for images: the smallest of the usual forms, None where the repository has none."""
    parts = [file for file in files if "mmproj" in file.path.lower() and not _SHARD.search(file.path)]
    for form in PROJECTOR_FORMS:
        if found := next((file for file in parts if form in file.path.upper()), None):
            return found
    return parts[0] if parts else None


def _offer(files: list[HubFile]) -> str:
    labels = list(dict.fromkeys(file.label for file in files))
    if not labels:
        return "Choose another repository."
    more = " and more" if len(labels) > MAX_LISTED else ""
    return f"It offers {', '.join(labels[:MAX_LISTED])}{more}: write one of them after a colon."


def _commit(refs: Any) -> str:
    branches = refs.get("branches") if isinstance(refs, dict) else None
    for branch in branches if isinstance(branches, list) else []:
        if isinstance(branch, dict) and branch.get("name") == "main":
            commit = branch.get("targetCommit")
            if isinstance(commit, str) and _COMMIT.fullmatch(commit):
                return commit
    raise _nonsense()


async def _files(fetcher: Fetcher, url: str) -> list[HubFile]:
    files: list[HubFile] = []
    for _ in range(MAX_PAGES):
        body, headers = await fetcher.read(url, {}, MAX_REPLY_BYTES)
        listed = _decoded(body)
        if not isinstance(listed, list):
            raise _nonsense()
        files += (file for file in map(_file, listed) if file is not None)
        following = re.search(r'<([^>]+)>\s*;\s*rel="next"', headers.get("link", ""))
        if not following:
            break
        next_url = urljoin(url, following[1])
        if urlsplit(next_url)[:2] != urlsplit(url)[:2]:
            raise _nonsense()
        url = next_url
    return files


def _file(entry: Any) -> HubFile | None:
    """The GGUF that an entry of the tree describes; None for everything else."""
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return None
    path, size, lfs = entry.get("path"), entry.get("size"), entry.get("lfs")
    oid = lfs.get("oid") if isinstance(lfs, dict) else None
    if not isinstance(path, str) or not path.lower().endswith(".gguf") or len(path) > 500:
        return None
    if not isinstance(oid, str) or not _OID.fullmatch(oid):
        return None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_LAYER_BYTES:
        return None
    return HubFile(path, size, f"sha256:{oid}")


async def _json(fetcher: Fetcher, url: str) -> Any:
    body, _ = await fetcher.read(url, {}, MAX_REPLY_BYTES)
    return _decoded(body)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _nonsense() from None


def _nonsense() -> BackendFailed:
    return BackendFailed("Hugging Face sent an answer that makes no sense; try again later.", reason="backend_error")
