"""Copies the web libraries that built-in apps use from `node_modules/` into the `vendor/` folder of each app.

    make vendor            # copy
    ... --check            # only compare, as `make check` does

Each app is a folder that also works where it is published, so it brings its libraries along. The copies are
committed, so that running PeerSky needs neither Node nor npm. They are the files that the packages publish, byte
for byte: no bundler, nothing minified here, and a reader can compare them with the packages that
package-lock.json pins. ES modules, which every app can import from its own folder.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "src" / "peersky" / "assets"

# Name below a vendor/ folder -> file of a package.
FILES = {
    "marked.esm.js": "marked/lib/marked.esm.js",
    "marked.LICENSE.txt": "marked/LICENSE",
    "dompurify.esm.js": "dompurify/dist/purify.es.mjs",
    "dompurify.LICENSE.txt": "dompurify/LICENSE",
}

# Folder below assets/ -> what it gets.
FOLDERS = {
    "apps/ai-chat/vendor": list(FILES),
}


def main(arguments: list[str]) -> int:
    """Copy, or with `--check` compare; returns the exit code."""
    packages = ROOT / "node_modules"
    if arguments == ["--check"]:
        problems = differences(packages, ASSETS)
        for problem in problems:
            print(f"src/peersky/assets/{problem}. Run `make vendor`.", file=sys.stderr)
        return 1 if problems else 0
    bundle(packages, ASSETS)
    return 0


def bundle(packages: Path, assets: Path) -> None:
    """Replace the contents of the folders below `assets`."""
    for folder, names in FOLDERS.items():
        vendor = assets / folder
        shutil.rmtree(vendor, ignore_errors=True)
        vendor.mkdir(parents=True)
        for name in names:
            shutil.copyfile(packages / FILES[name], vendor / name)


def differences(packages: Path, assets: Path) -> list[str]:
    """How the folders below `assets` differ from what `bundle` would write, one sentence each."""
    problems: list[str] = []
    for folder, names in FOLDERS.items():
        vendor = assets / folder
        found = {path.name for path in vendor.iterdir()} if vendor.is_dir() else set()
        problems += [f"{folder}/{name} is not in tools/bundle_assets.py" for name in sorted(found - set(names))]
        for name in names:
            if name not in found:
                problems.append(f"{folder}/{name} is missing")
            elif (vendor / name).read_bytes() != (packages / FILES[name]).read_bytes():
                problems.append(f"{folder}/{name} differs from the pinned package")
    return problems


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
