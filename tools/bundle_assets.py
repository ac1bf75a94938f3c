"""Copies the web libraries that pages use from `node_modules/` to `src/peersky/assets/vendor/`.

    make vendor            # copy
    ... --check            # only compare, as `make check` does

The copies are committed, so that running PeerSky needs neither Node nor npm. They are the files that the
packages publish, byte for byte: no bundler, nothing minified here, and a reader can compare them with the
packages that package-lock.json pins.

Each library comes twice: as an ES module for pages that can import one, and as a classic script, the only
form that a page can load from another host of our schemes.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Name below vendor/ -> file of a package.
FILES = {
    "marked.esm.js": "marked/lib/marked.esm.js",
    "marked.umd.js": "marked/lib/marked.umd.js",
    "marked.LICENSE.txt": "marked/LICENSE",
    "dompurify.esm.js": "dompurify/dist/purify.es.mjs",
    "dompurify.umd.js": "dompurify/dist/purify.min.js",
    "dompurify.LICENSE.txt": "dompurify/LICENSE",
}


def main(arguments: list[str]) -> int:
    """Copy, or with `--check` compare; returns the exit code."""
    packages = ROOT / "node_modules"
    vendor = ROOT / "src" / "peersky" / "assets" / "vendor"
    if arguments == ["--check"]:
        problems = differences(packages, vendor)
        for problem in problems:
            print(f"src/peersky/assets/vendor/{problem}. Run `make vendor`.", file=sys.stderr)
        return 1 if problems else 0
    bundle(packages, vendor)
    return 0


def bundle(packages: Path, vendor: Path) -> None:
    """Replace the contents of `vendor`."""
    shutil.rmtree(vendor, ignore_errors=True)
    vendor.mkdir(parents=True)
    for name, source in FILES.items():
        shutil.copyfile(packages / source, vendor / name)


def differences(packages: Path, vendor: Path) -> list[str]:
    """How `vendor` differs from what `bundle` would write, one sentence each."""
    found = {path.name for path in vendor.iterdir()} if vendor.is_dir() else set()
    problems = [f"{name} is not in tools/bundle_assets.py" for name in sorted(found - FILES.keys())]
    for name, source in FILES.items():
        if name not in found:
            problems.append(f"{name} is missing")
        elif (vendor / name).read_bytes() != (packages / source).read_bytes():
            problems.append(f"{name} differs from the pinned package")
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
