"""The bundled web libraries: the copying, and what is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools import bundle_assets

CHAT = "apps/ai-chat/vendor"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A `node_modules` folder with the files that are copied."""
    folder = tmp_path / "node_modules"
    for source in bundle_assets.FILES.values():
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).write_text(source)
    return folder


def test_a_bundle_equals_its_packages(packages: Path, tmp_path: Path) -> None:
    bundle_assets.bundle(packages, tmp_path)
    assert bundle_assets.differences(packages, tmp_path) == []


def test_every_difference_is_named(packages: Path, tmp_path: Path) -> None:
    bundle_assets.bundle(packages, tmp_path)
    vendor = tmp_path / CHAT
    (vendor / "marked.esm.js").write_text("changed by hand")
    (vendor / "dompurify.esm.js").unlink()
    (vendor / "left-over.js").write_text("")
    assert bundle_assets.differences(packages, tmp_path) == [
        f"{CHAT}/left-over.js is not in tools/bundle_assets.py",
        f"{CHAT}/marked.esm.js differs from the pinned package",
        f"{CHAT}/dompurify.esm.js is missing",
    ]


def test_nothing_of_an_older_bundle_stays(packages: Path, tmp_path: Path) -> None:
    vendor = tmp_path / CHAT
    vendor.mkdir(parents=True)
    (vendor / "left-over.js").write_text("")
    bundle_assets.bundle(packages, tmp_path)
    assert {path.name for path in vendor.iterdir()} == set(bundle_assets.FOLDERS[CHAT])


def test_what_is_committed_is_complete() -> None:
    for folder, names in bundle_assets.FOLDERS.items():
        assert {path.name for path in (bundle_assets.ASSETS / folder).iterdir()} == set(names)


@pytest.mark.parametrize("package", ["marked", "dompurify"])
def test_what_is_committed_has_the_version_of_the_lock(package: str) -> None:
    """`make check` compares every byte; this needs no Node, and catches a lock file changed alone."""
    lock = json.loads((bundle_assets.ROOT / "package-lock.json").read_text("utf-8"))
    version = lock["packages"][f"node_modules/{package}"]["version"]
    head = (bundle_assets.ASSETS / CHAT / f"{package}.esm.js").read_text("utf-8")[:200]
    assert re.search(rf"\bv?{re.escape(version)}\b", head), head


def test_the_lock_names_no_download_address() -> None:
    lock = (bundle_assets.ROOT / "package-lock.json").read_text("utf-8")
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
