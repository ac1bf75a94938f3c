"""``docs/llm.md`` says of every setting what the program says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from peersky.core.settings_schema import SETTINGS, Setting

GUIDE = Path(__file__).parents[2] / "docs" / "llm.md"
BEGIN, END = "tests/unit/test_llm_guide.py -->\n", "<!-- end -->"
SETTINGS_BEGIN = f"<!-- settings: checked against the program by {BEGIN}"


def row(setting: Setting) -> str:
    """The row of a setting."""
    default = "no key" if setting.secret else f"`{json.dumps(setting.default)}`"
    allowed = ""
    if setting.minimum is not None and setting.maximum is not None:
        allowed = f"{setting.minimum:,g} to {setting.maximum:,.0f} {setting.unit}".strip()
    elif setting.choices:
        allowed = ", ".join(f"`{choice}`" if choice else "empty" for choice in setting.choices)
    return f"| `{setting.key}` | {default} | {allowed} | {setting.description} |"


def table(*blocks: str) -> str:
    """The field reference of some blocks."""
    rows = [row(setting) for key, setting in SETTINGS.items() if key.split(".")[0] in blocks]
    return "\n".join(["| Setting | Default | Allowed | |", "|---|---|---|---|", *rows]) + "\n"


def test_the_field_reference_is_that_of_the_program() -> None:
    written = GUIDE.read_text("utf-8").partition(SETTINGS_BEGIN)[2].partition(END)[0]
    right = table("llm", "logs", "trust")
    assert written == right, f"The table in docs/llm.md must be:\n{right}"


def test_the_limits_are_those_of_the_program() -> None:
    written = GUIDE.read_text("utf-8").partition(f"<!-- limits: checked against the program by {BEGIN}")[2]
    right = table("limits")
    assert written.partition("<!-- end of limits -->")[0] == right, f"The limits in docs/llm.md must be:\n{right}"


def test_the_pictures_it_shows_are_there_light_and_dark() -> None:
    shown = set(re.findall(r"images/([\w-]+)-(light|dark)-(\d+)\.png", GUIDE.read_text("utf-8")))
    names = {(name, width) for name, _scheme, width in shown}
    assert len(names) > 5
    for name, width in names:
        for scheme in ("light", "dark"):
            assert (name, scheme, width) in shown
            assert (GUIDE.parent / "images" / f"{name}-{scheme}-{width}.png").is_file(), name


def test_the_source_files_it_names_are_there() -> None:
    source = GUIDE.parents[1] / "src" / "peersky"
    places = GUIDE.read_text("utf-8").partition("## Where things are")[2]
    named = [name for line in places.splitlines() for name in line.split("|")[1:2] for name in name.split("`")[1::2]]
    assert named
    for name in named:
        assert (source / name).exists(), name
