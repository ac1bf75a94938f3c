"""Who may import whom. Dependencies point downward only, and each foreign library has its place."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import peersky

ROOT = Path(peersky.__file__).parent
LAYERS = ("core", "system", "llm", "p2p", "web", "qt", "cli")
STRANGERS = {"llm", "p2p"}
"""Layers side by side, which do not know each other."""
SOURCES = sorted(ROOT.rglob("*.py"))
TASK_STARTERS = {"create_task", "ensure_future"}


def layer_of(file: Path) -> str:
    """The layer of a source file; ``cli`` for what stands beside the layers (``__main__``)."""
    part = file.relative_to(ROOT).parts[0]
    return part if part in LAYERS else "cli"


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_there_is_something_to_look_at() -> None:
    assert {layer_of(file) for file in SOURCES} == set(LAYERS)


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_imports_point_downward(file: Path) -> None:
    own = layer_of(file)
    for module in imports(file):
        parts = module.split(".")
        if parts[0] == "peersky" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS.index(parts[1]) <= LAYERS.index(own), f"{name(file)} imports {module}"
            assert parts[1] == own or {parts[1], own} != STRANGERS, f"{name(file)} imports {module}"


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_foreign_libraries_have_their_place(file: Path) -> None:
    for module in imports(file):
        package = module.split(".")[0]
        if package.startswith("PyQt6"):
            assert layer_of(file) == "qt", f"{name(file)} imports {module}"
        if package == "xllamacpp":
            assert name(file) == "llm/engine_child.py", f"{name(file)} imports {module}"
        if layer_of(file) == "core":
            assert package == "peersky" or package in sys.stdlib_module_names, f"{name(file)} imports {module}"


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_tasks_have_an_owner(file: Path) -> None:
    """Bare tasks get lost. A TaskGroup, which waits for its own, may start some."""
    if name(file) == "system/tasks.py":
        return
    groups = set()
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith):
            for item in node.items:
                if "TaskGroup" in ast.unparse(item.context_expr) and item.optional_vars is not None:
                    groups.add(ast.unparse(item.optional_vars))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            owner, _, method = called.rpartition(".")
            assert method not in TASK_STARTERS or owner in groups, f"{name(file)}:{node.lineno} calls {called}"
