"""One entry of a page's memory: what a page may give, how it is stored, and how it is shown. Pure.

The bounds are those of ``window.llmMemory.add`` (docs/window-llm.md). Lengths are in characters (code points).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from peersky.core.errors import InvalidRequest

MAX_ID: Final = 64
MAX_ROLE: Final = 16
MAX_CONTENT: Final = 100_000
MAX_MODEL: Final = 128
MAX_META: Final = 16_384
"""Of ``meta`` as JSON."""

MAX_META_DEPTH: Final = 32
MAX_TIME: Final = 40

OVERHEAD_BYTES: Final = 200
"""What an entry counts beside its content and meta, so that empty ones are not free."""


def entry_columns(entry: Any) -> dict[str, Any]:
    """The columns of an entry as a page gave it.

    Raises:
        InvalidRequest: ``invalid_entry``.
    """
    if not isinstance(entry, Mapping):
        raise _invalid("An entry must be an object.")
    content = _text(entry, "content", MAX_CONTENT)
    ts, at_ms = _time(entry.get("ts"))
    meta = _meta(entry.get("meta"))
    row = {
        "app_id": _text(entry, "appId", MAX_ID, needed=True),
        "session_id": _text(entry, "sessionId", MAX_ID, needed=True),
        "role": _text(entry, "role", MAX_ROLE, default="user"),
        "content": content,
        "model": _text(entry, "model", MAX_MODEL, default=""),
        "ts": ts,
        "at_ms": at_ms,
        "meta": meta,
    }
    return {**row, "bytes": len(content.encode()) + len(meta.encode()) + OVERHEAD_BYTES}


def _text(
    entry: Mapping[str, Any], name: str, longest: int, *, default: str | None = None, needed: bool = False
) -> str:
    value = entry.get(name)
    if default is not None and (value is None or value == ""):
        return default
    if not isinstance(value, str) or len(value) > longest or (needed and not value):
        raise _invalid(f"The option {name} must be a text of at most {longest} characters.", name)
    return clean_text(value)


def _time(value: Any) -> tuple[str, int]:
    """``ts`` as it is shown, and in milliseconds since 1970, by which entries are ordered.

    An ISO 8601 text is shown as the page wrote it; without a zone it is UTC. A number is what JavaScript's
    ``Date.now()`` gives.
    """
    try:
        if value is None or value == "":
            moment = datetime.now(UTC)
        elif isinstance(value, str) and len(value) <= MAX_TIME:
            moment = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000, UTC)
        else:
            raise TypeError
        at_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        raise _invalid("The option ts must be a time in ISO 8601.", "ts") from None
    return (value if isinstance(value, str) and value else iso_text(moment)), at_ms


def _meta(value: Any) -> str:
    if value is None:
        return "{}"
    sentence = f"The option meta must be an object of at most {MAX_META} characters as JSON."
    if not isinstance(value, dict) or not _is_shallow(value, MAX_META_DEPTH):
        raise _invalid(sentence, "meta")
    try:
        text = json_text(value)
    except ValueError:
        raise _invalid(sentence, "meta") from None
    if len(text) > MAX_META:
        raise _invalid(sentence, "meta")
    return clean_text(text)


def _is_shallow(value: Any, levels: int) -> bool:
    """Whether a value nests at most so deep: what is stored must be readable again, whatever the stack."""
    if not isinstance(value, dict | list):
        return True
    children = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(child, levels - 1) for child in children)


def entry_object(row: Sequence[Any]) -> dict[str, Any]:
    """An entry as a page gets it, from the columns app_id, session_id, role, content, model, ts and meta."""
    app_id, session_id, role, content, model, ts, meta = row
    return {
        "appId": app_id,
        "sessionId": session_id,
        "role": role,
        "content": content,
        "model": model,
        "ts": ts,
        "meta": json.loads(meta),
    }


def _invalid(sentence: str, param: str | None = None) -> InvalidRequest:
    return InvalidRequest(sentence, reason="invalid_entry", param=param)


def clean_text(text: str) -> str:
    """Half a surrogate pair, which JavaScript's strings may hold, has no UTF-8 form."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def iso_text(moment: datetime) -> str:
    """As JavaScript's ``toISOString()`` writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_text(value: Any) -> str:
    """Compact JSON.

    Raises:
        ValueError: a number that JSON does not have.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
