"""The bundled web libraries: the copying, and what is committed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools import bundle_assets
from tools.bundle_assets import Bundle

CHAT = "apps/ai-chat/vendor"
LISTED = json.loads((bundle_assets.ASSETS / bundle_assets.LICENCES).read_text("utf-8"))


def bundler(packages: Path, names: Iterable[str]) -> dict[str, Bundle]:
    """Instead of esbuild, which the tests do without: a bundle of the package and one that it needs."""
    return {
        name: Bundle(f"bundle of {name}".encode(), frozenset({bundle_assets.LIBRARIES[name].package, "helper"}))
        for name in names
    }


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A `node_modules` folder with the files that are copied."""
    folder = tmp_path / "node_modules"
    for name in {"helper", *(library.package for library in bundle_assets.LIBRARIES.values())}:
        (folder / name).mkdir(parents=True)
        about = {"name": name, "version": "1.0.0", "license": "MIT"}
        (folder / name / "package.json").write_text(json.dumps(about))
        (folder / name / "LICENSE").write_text(f"licence of {name}")
    for library in bundle_assets.LIBRARIES.values():
        for source in library.files.values():
            file = folder / source.replace("*", "one")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
    return folder


@pytest.fixture
def wanted(packages: Path) -> dict[str, bytes]:
    return bundle_assets.contents(packages, bundler)


def test_what_is_written_is_what_is_wanted(wanted: dict[str, bytes], tmp_path: Path) -> None:
    bundle_assets.write(wanted, tmp_path)
    assert bundle_assets.differences(wanted, tmp_path) == []
    assert (tmp_path / CHAT / "marked.esm.js").read_text() == "marked/lib/marked.esm.js"
    assert (tmp_path / CHAT / "highlight.esm.js").read_text() == "bundle of highlight"
    assert (tmp_path / CHAT / "fonts" / "one.woff2").exists()


def test_every_difference_is_named(wanted: dict[str, bytes], tmp_path: Path) -> None:
    bundle_assets.write(wanted, tmp_path)
    vendor = tmp_path / CHAT
    (vendor / "marked.esm.js").write_text("changed by hand")
    (vendor / "fonts" / "one.woff2").unlink()
    (vendor / "left-over.js").write_text("")
    assert sorted(bundle_assets.differences(wanted, tmp_path)) == [
        f"{CHAT}/fonts/one.woff2 is missing",
        f"{CHAT}/left-over.js is not in tools/bundle_assets.py",
        f"{CHAT}/marked.esm.js differs from the pinned package",
    ]


def test_nothing_of_an_older_bundle_stays(wanted: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / CHAT).mkdir(parents=True)
    (tmp_path / CHAT / "left-over.js").write_text("")
    bundle_assets.write(wanted, tmp_path)
    assert not (tmp_path / CHAT / "left-over.js").exists()


def test_licences_stand_beside_the_code_and_in_one_list(wanted: dict[str, bytes]) -> None:
    assert b"licence of highlight.js" in wanted[f"{CHAT}/highlight.LICENSE.txt"]
    assert b"licence of helper" in wanted[f"{CHAT}/highlight.LICENSE.txt"]
    listed = json.loads(wanted[bundle_assets.LICENCES])
    helper = next(entry for entry in listed if entry["name"] == "helper")
    assert helper["version"] == "1.0.0"
    assert helper["text"].startswith("licence of helper")
    bundled = {name for name, library in bundle_assets.LIBRARIES.items() if library.bundled}
    assert helper["apps"] == sorted(
        folder.split("/")[1] for folder, names in bundle_assets.FOLDERS.items() if bundled & set(names)
    )


def test_a_package_without_a_licence_is_not_bundled(packages: Path) -> None:
    (packages / "marked" / "LICENSE").unlink()
    with pytest.raises(RuntimeError, match="marked has no file"):
        bundle_assets.contents(packages, bundler)


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("node_modules/katex/dist/katex.mjs", "katex"),
        ("../node_modules/@lezer/lr/dist/index.js", "@lezer/lr"),
        ("node_modules/a/node_modules/@b/c/d.js", "@b/c"),
    ],
)
def test_packages_are_known_by_their_files(path: str, package: str) -> None:
    assert bundle_assets.package_of(path) == package


def test_what_is_committed_is_complete() -> None:
    for folder, names in bundle_assets.FOLDERS.items():
        files = {path.name for path in (bundle_assets.ASSETS / folder).iterdir()}
        for name in names:
            library = bundle_assets.LIBRARIES[name]
            assert {target.rstrip("/") for target in library.files} <= files
            assert f"{name}.LICENSE.txt" in files
            assert not library.bundled or f"{name}.esm.js" in files


def test_what_only_tests_use_is_copied_beside_them_and_not_listed(packages: Path, tmp_path: Path) -> None:
    wanted = bundle_assets.contents_for_tests(packages)
    bundle_assets.write(wanted, tmp_path, bundle_assets.TEST_FOLDERS)
    assert bundle_assets.differences(wanted, tmp_path, bundle_assets.TEST_FOLDERS) == []
    assert wanted.keys() == {"vendor/axe.min.js", "vendor/axe.LICENSE.txt"}
    assert "axe-core" not in {entry["name"] for entry in LISTED}
    lock = json.loads((bundle_assets.ROOT / "package-lock.json").read_text("utf-8"))
    version = lock["packages"]["node_modules/axe-core"]["version"]
    assert f"axe v{version}" in (bundle_assets.TESTS / "vendor" / "axe.min.js").read_text("utf-8")[:50]


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["name"])
def test_what_is_committed_has_the_version_of_the_lock(entry: dict[str, str]) -> None:
    """`make check` compares every byte; this needs no Node, and catches a lock file changed alone."""
    lock = json.loads((bundle_assets.ROOT / "package-lock.json").read_text("utf-8"))
    assert lock["packages"][f"node_modules/{entry['name']}"]["version"] == entry["version"]


@pytest.mark.parametrize("package", ["marked", "dompurify"])
def test_copies_tell_the_version_that_is_listed(package: str) -> None:
    version = next(entry["version"] for entry in LISTED if entry["name"] == package)
    head = (bundle_assets.ASSETS / CHAT / f"{package}.esm.js").read_text("utf-8")[:200]
    assert re.search(rf"\bv?{re.escape(version)}\b", head), head


def test_the_lock_names_no_download_address() -> None:
    lock = (bundle_assets.ROOT / "package-lock.json").read_text("utf-8")
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
