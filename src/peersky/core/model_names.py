"""Names of models that can be downloaded: ``[scheme://][host[:port]/][namespace/]model[:tag]``. Pure.

Rules: Ollama's ``types/model/name.go``: a name is read from its end; a host needs a namespace beside it; parts start
with a letter, digit or underscore, so that no name leads out of a directory. ``hf.co`` and ``huggingface.co`` mean
GGUF files on Hugging Face, where the tag names the quantisation or the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from peersky.core.errors import InvalidRequest

DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
DEFAULT_TAG: Final = "latest"
HUGGING_FACE: Final = "hf.co"
HUGGING_FACE_HOSTS: Final = frozenset({HUGGING_FACE, "huggingface.co", "www.huggingface.co"})
MAX_NAME_CHARS: Final = 700

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_HF_NAMESPACE: Final = re.compile(_PART)  # Hugging Face allows dots in the names of users.
_MODEL: Final = re.compile(_PART)
_HF_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
_TAG: Final = _MODEL
_HF_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,249}")  # may be the name of a file
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*)(?::([0-9]{{1,5}}))?")
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.\d{1,3}){3}")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A complete name.

    Attributes:
        scheme: ``https``; ``http`` for this machine only.
        host: lower case, with its port where one is named.
        namespace, model, tag: as written.
    """

    scheme: str
    host: str
    namespace: str
    model: str
    tag: str

    @property
    def is_hugging_face(self) -> bool:
        """It names a GGUF on Hugging Face."""
        return self.host == HUGGING_FACE

    @property
    def path_parts(self) -> tuple[str, str, str, str]:
        """Where the manifest lies below ``manifests``. A colon becomes ``+``: Windows has no files with it."""
        return self.host.replace(":", "+"), self.namespace, self.model, self.tag

    @property
    def manifest_url(self) -> str:
        return f"{self._base_url}/manifests/{self.tag}"

    def blob_url(self, digest: str) -> str:
        """Where the blob with this digest (``sha256:…``) is."""
        return f"{self._base_url}/blobs/{digest}"

    @property
    def _base_url(self) -> str:
        return f"{self.scheme}://{self.host}/v2/{self.namespace}/{self.model}"

    def is_same(self, other: ModelName) -> bool:
        """Whether both mean one model: letter case does not count, nor how it is fetched."""
        return [part.lower() for part in self.path_parts] == [part.lower() for part in other.path_parts]

    def __str__(self) -> str:
        """The shortest form that means the same."""
        text = self.model
        if self.host != DEFAULT_HOST:
            text = f"{self.host}/{self.namespace}/{text}"
        elif self.namespace != DEFAULT_NAMESPACE:
            text = f"{self.namespace}/{text}"
        if self.scheme != _usual_scheme(self.host):
            text = f"{self.scheme}://{text}"
        if self.is_hugging_face and self.tag == DEFAULT_TAG:
            return text
        return f"{text}:{self.tag}"


def parse_model_name(text: str) -> ModelName:
    """Read a name as a person writes it.

    A registry on this machine (``localhost``, ``127.…``) is asked with plain http where no scheme is named, every
    other one with https.

    Raises:
        InvalidRequest: it is no name of a model, or wants plain http over the network.
    """
    text = text.strip()
    if not text or len(text) > MAX_NAME_CHARS:
        raise _no_name(text)
    scheme, rest = "", text
    if "://" in text:
        scheme, _, rest = text.partition("://")
        scheme = scheme.lower()
        if scheme not in ("http", "https"):
            raise _no_name(text)
    tag = ""
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
        if not tag:
            raise _no_name(text)
    parts = rest.split("/")
    if len(parts) > 3 or (scheme and len(parts) < 3):
        raise _no_name(text)
    model = parts[-1]
    namespace = parts[-2] if len(parts) > 1 else DEFAULT_NAMESPACE
    host = parts[0].lower() if len(parts) == 3 else DEFAULT_HOST
    if len(parts) == 2 and namespace.lower() in HUGGING_FACE_HOSTS:
        raise InvalidRequest(f"{_short(text)} lacks the user: write hf.co/USER/REPOSITORY.", param="model")
    if host in HUGGING_FACE_HOSTS:
        host = HUGGING_FACE
    hugging_face = host == HUGGING_FACE
    patterns = (
        ((_HF_NAMESPACE, namespace), (_HF_MODEL, model), (_HF_TAG, tag or DEFAULT_TAG))
        if hugging_face
        else ((_NAMESPACE, namespace), (_MODEL, model), (_TAG, tag or DEFAULT_TAG))
    )
    if not _is_host(host) or not all(pattern.fullmatch(part) for pattern, part in patterns):
        raise _no_name(text)
    if scheme == "http" and not is_loopback(host):
        raise InvalidRequest(
            f"{_short(text)} would be fetched without encryption; plain http is for this machine only. Use https.",
            param="model",
        )
    return ModelName(scheme or _usual_scheme(host), host, namespace, model, tag or DEFAULT_TAG)


def name_from_path(parts: tuple[str, ...]) -> ModelName | None:
    """The name whose manifest lies at these four parts of a path; None where no manifest belongs."""
    if len(parts) != 4:
        return None
    host = parts[0].replace("+", ":")
    try:
        name = parse_model_name(f"{host}/{parts[1]}/{parts[2]}:{parts[3]}")
    except InvalidRequest:
        return None
    return name if name.path_parts == parts else None


def is_loopback(host: str) -> bool:
    """Whether a host (with or without port) is this machine by its very name."""
    return _LOOPBACK.fullmatch(host.partition(":")[0].lower()) is not None


def _usual_scheme(host: str) -> str:
    return "http" if is_loopback(host) else "https"


def _is_host(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and len(host) <= 350 and (found[1] is None or 0 < int(found[1]) < 65536)


def _no_name(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"{_short(text)} is no name of a model. Names look like qwen2.5-coder:3b or hf.co/USER/REPOSITORY:Q4_K_M.",
        param="model",
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
