"""Each promise of SECURITY.md names tests that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tools.bootstrap import ROOT

POLICY = (ROOT / "SECURITY.md").read_text("utf-8")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_ROW = re.compile(r"^\| (?!Promise|---)(.+?) \| (.+) \|$", re.MULTILINE)


def functions(file: str) -> Iterator[str]:
    for node in ast.parse((ROOT / file).read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name


def test_each_promise_names_its_tests() -> None:
    rows = _ROW.findall(POLICY)
    assert len(rows) > 10
    for promise, tests in rows:
        assert _TEST.findall(tests), promise


def test_the_tests_that_are_named_are_there() -> None:
    named = _TEST.findall(POLICY)
    assert len(named) > 20
    for file, name in named:
        assert name in set(functions(file)), f"{file}::{name}"


def test_nothing_else_looks_like_a_test_and_is_none() -> None:
    """A name that is cut or misspelt must not be passed over."""
    assert len(re.findall(r"\btests/[\w/.]*", POLICY)) == len(_TEST.findall(POLICY))
