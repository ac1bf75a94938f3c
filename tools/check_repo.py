"""Looks through the committed files for what must not be committed, which no linter knows about.

Errors: the address of a package registry or its files (people may use a mirror, and a lock file must not say
otherwise), and absolute paths of somebody's machine. A warning: source files that are too long to read at
one sitting.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 650
SOURCES = {".py", ".js", ".css", ".html"}

# Spelled so that this file does not match itself.
_HOSTS = [r"py" + r"pi\.org", r"python" + r"hosted\.org", r"npm" + r"js\.(?:org|com)", r"yarn" + r"pkg\.com"]
FORBIDDEN = {
    "names a package registry": re.compile("|".join(_HOSTS)),
    "records where a package was downloaded": re.compile(r'"resol' + r'ved": *"http'),
    # /home/api/ is in docs/openapi/peersky.yaml: what the page peersky://home/ calls.
    "names a path of one machine": re.compile(r"(?<![\w.~:/*-])/(?:work|root|Users|home/(?!api/)\w+)" + r"/\w"),
    "holds a merge conflict": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
}


def main() -> int:
    """Check every file that git knows; returns the exit code."""
    # CI often checks out as another user than the one who runs this, which git refuses to read unless told.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    if listing.returncode:
        print(f"git could not list the committed files: {listing.stderr.strip()}", file=sys.stderr)
        return 1
    errors = 0
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or "/vendor/" in name:
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for line, problem in problems(text):
            print(f"{name}:{line}: {problem}")
            errors += 1
        lines = text.count("\n")
        if path.suffix in SOURCES and lines > MOST_LINES:
            print(f"{name}: warning: {lines} lines; over {MOST_LINES}, consider splitting it by noun")
    return 1 if errors else 0


def problems(text: str) -> list[tuple[int, str]]:
    """The line and the problem of everything in `text` that must not be committed."""
    return sorted(
        (text.count("\n", 0, match.start()) + 1, f"{problem}: {match.group()}")
        for problem, pattern in FORBIDDEN.items()
        for match in pattern.finditer(text)
    )


if __name__ == "__main__":
    sys.exit(main())
