"""The bundle of the P2P node belongs to its sources, and a change of either is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import bundle_sidecar


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Sources and a bundle that belong together."""
    sidecar, bundle = tmp_path / "sidecar", tmp_path / "bundle"
    for path in ("main.js", "package-lock.json", "libraries/a.js", "natives/package.json", "test/a.test.js"):
        (sidecar / path).parent.mkdir(parents=True, exist_ok=True)
        (sidecar / path).write_text(path)
    (bundle / "chunks").mkdir(parents=True)
    (bundle / "main.mjs").write_text("main")
    (bundle / "chunks/a.mjs").write_text("a")
    (bundle / "bundle.json").write_text(json.dumps(bundle_sidecar.manifest(sidecar, bundle)))
    return sidecar, bundle


def test_what_belongs_together_is_accepted(folders: tuple[Path, Path]) -> None:
    assert bundle_sidecar.differences(*folders) == []


@pytest.mark.parametrize("name", ["main.js", "package-lock.json", "libraries/a.js", "natives/package.json", "new.js"])
def test_a_changed_source_is_seen(folders: tuple[Path, Path], name: str) -> None:
    (folders[0] / name).write_text("changed")
    assert ["other sources" in problem for problem in bundle_sidecar.differences(*folders)] == [True]


def test_a_changed_test_needs_no_bundle(folders: tuple[Path, Path]) -> None:
    (folders[0] / "test/a.test.js").write_text("changed")
    assert bundle_sidecar.differences(*folders) == []


@pytest.mark.parametrize("name", ["main.mjs", "chunks/a.mjs", "chunks/left-over.mjs"])
def test_a_changed_file_of_the_bundle_is_seen(folders: tuple[Path, Path], name: str) -> None:
    (folders[1] / name).write_text("changed")
    assert ["was changed" in problem for problem in bundle_sidecar.differences(*folders)] == [True]


@pytest.mark.parametrize("text", [None, "{", ""])
def test_a_bundle_without_a_manifest_is_refused(folders: tuple[Path, Path], text: str | None) -> None:
    manifest = folders[1] / "bundle.json"
    manifest.unlink() if text is None else manifest.write_text(text)
    assert ["missing or damaged" in problem for problem in bundle_sidecar.differences(*folders)] == [True]


def test_licences_come_with_the_bundle() -> None:
    text = (bundle_sidecar.BUNDLE / "LICENSES.txt").read_text("utf-8")
    for name in ("hypercore", "hyperdrive", "helia", "libp2p", "busboy", "rocksdb-native", "sodium-native"):
        assert f"\n{name} " in text
