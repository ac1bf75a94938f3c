"""``docs/p2p.md``: every test that it names is there, and statuses, settings and pictures are those of the program."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from peersky.core.settings_schema import SETTINGS
from tests.unit.test_llm_guide import row

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "p2p.md").read_text("utf-8")
SIDECAR = ROOT / "sidecar"
BEGIN, END = "tests/unit/test_p2p_guide.py -->\n", "<!-- end -->"

_NAMED = re.compile(r"`([\w-]+)`\s+(“[^”]+”(?:,\s+“[^”]+”)*)")
_OF_A_FILE = re.compile(r'^\s*test\("((?:[^"\\]|\\.)*)"', re.MULTILINE)
_FAILURE = re.compile(r"new P2PError\(\s*(\d+),\s*\"(\w+)\"")
METHODS = (
    *("Hyper: POST and GET `hyper://localhost", "Hyper: GET and HEAD", "Hyper: PUT", "Hyper: DELETE"),
    *("Hyper: `/$/version/", "Hyper: `/$/extensions/", "IPFS: PUT", "IPFS: GET and HEAD", "IPFS: DELETE"),
    *("IPNS: POST, GET and DELETE `ipns://localhost", "IPNS: POST", "IPNS: GET and HEAD", "IPNS: PUT and DELETE"),
)
TABLES = ("hyper-table.test.js", "ipfs-table.js")


def named() -> list[tuple[str, str]]:
    """The tests that the guide names: file and name."""
    pairs = [(file, names) for file, names in _NAMED.findall(GUIDE)]
    return [(file, " ".join(name.split())) for file, names in pairs for name in re.findall("“([^”]+)”", names)]


def listed_in(file: str) -> set[str]:
    """The tests in a file of that name, the P2P node's or ours."""
    for path in (SIDECAR / "test" / f"{file}.test.js", SIDECAR / "test" / f"{file}.js"):
        if path.exists():
            return set(_OF_A_FILE.findall(path.read_text("utf-8")))
    found = list((ROOT / "tests").rglob(f"{file}.py"))
    assert found, f"there is no file {file}"
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name
        for path in found
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, functions)
    }


@pytest.mark.parametrize("file", sorted({file for file, _ in named()}))
def test_every_test_that_it_names_is_there(file: str) -> None:
    assert {name for of, name in named() if of == file} <= listed_in(file)


@pytest.mark.parametrize("file", TABLES)
def test_no_test_of_the_tables_is_missing(file: str) -> None:
    key = file.partition(".")[0]
    assert listed_in(key) == {name for of, name in named() if of == key}


def test_every_method_has_a_section_and_every_line_a_test() -> None:
    specification = GUIDE.partition("# The schemes, method by method")[2]
    sections = re.findall(r"^### (.*)$", specification, re.MULTILINE)
    for method in METHODS:
        assert [section for section in sections if section.startswith(method)], method
    tables = re.findall(r"\| What \| Test \|\n\|---\|---\|\n((?:\|.*\n)+)", specification)
    rows = [line for table in tables for line in table.splitlines()]
    assert len(rows) > 60
    assert [line for line in rows if not _NAMED.search(line)] == []


def test_the_statuses_are_those_of_the_node() -> None:
    source = "".join(path.read_text("utf-8") for path in SIDECAR.glob("*.js"))
    table = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", GUIDE, re.MULTILINE))
    assert table == set(_FAILURE.findall(source)) - {("401", "not_writable")}


def test_the_settings_are_those_of_the_program() -> None:
    rows = [row(setting) for key, setting in SETTINGS.items() if key.startswith("p2p.")]
    table = "\n".join(["| Setting | Default | Allowed | |", "|---|---|---|---|", *rows]) + "\n"
    assert GUIDE.partition(BEGIN)[2].partition(END)[0] == table, f"The table in docs/p2p.md must be:\n{table}"


def test_the_pictures_it_shows_are_there_light_and_dark() -> None:
    shown = set(re.findall(r"images/([\w-]+)-(light|dark)-(\d+)\.png", GUIDE))
    names = {(name, width) for name, _scheme, width in shown}
    assert len(names) == 5
    for name, width in names:
        for scheme in ("light", "dark"):
            assert (name, scheme, width) in shown
            assert (ROOT / "docs" / "images" / f"{name}-{scheme}-{width}.png").is_file(), name
