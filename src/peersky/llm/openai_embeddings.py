"""Replies to OpenAI's ``POST /embeddings``, as servers really send them. Pure."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from peersky.core.errors import BackendFailed


def read_vectors(body: Any, count: int, server: str) -> list[list[float]]:
    """The vectors in the order of the texts. Some servers send base64 (little-endian 32-bit floats) unasked.

    Raises:
        BackendFailed: ``backend_error``: they are not ``count`` vectors.
    """
    rows = body.get("data") if isinstance(body, Mapping) else None
    try:
        if not isinstance(rows, list) or len(rows) != count:
            raise ValueError("another number of rows")
        if all(isinstance(row.get("index"), int) for row in rows):
            rows = sorted(rows, key=lambda row: int(row["index"]))
        return [_vector(row["embedding"]) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise BackendFailed(f"{server} sent embeddings that do not fit the texts.", reason="backend_error") from error


def _vector(value: Any) -> list[float]:
    if isinstance(value, str):
        data = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    return [float(number) for number in value]
