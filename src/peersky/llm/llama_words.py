"""What llama.cpp says of a model that it does not load."""

from __future__ import annotations

import re


def llama_reason(stderr: tuple[str, ...]) -> str:
    """The sentence in llama.cpp's error output that says why a model was not loaded; empty if there is none."""
    first = ""
    for line in stderr:
        found = re.match(r"[\d.]*\s*E\s+(.*)", line)
        if not found:
            continue
        text = re.sub(r"^(srv|cmn|slot|que)\s+", "", found[1])
        text = re.sub(r"^\w+:\s+", "", text).strip()
        if text.startswith("error loading model: ") and "failed to load model from" not in text:
            return text.removeprefix("error loading model: ")
        first = first or text
    return first
