"""Finds the shared libraries that Qt and the engine need and the system lacks, and installs or names them.

What is missing is read from the installed files with `ldd`, not from a list, so it stays right when Qt
changes. Only the way from a library's name to a package's name is a table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# What links to them, below .venv/lib/python3.x/site-packages: the built-in engine, the browser, its windows.
ENGINE = ["xllamacpp/*.so"]
BROWSER = [
    "PyQt6/Qt6/lib/libQt6WebEngineCore.so.6",
    "PyQt6/Qt6/libexec/QtWebEngineProcess",
    "PyQt6/Qt6/plugins/platforms/libqoffscreen.so",
]
WINDOWS = {
    "DISPLAY": ["PyQt6/Qt6/plugins/platforms/libqxcb.so", "PyQt6/Qt6/plugins/xcbglintegrations/*.so"],
    "WAYLAND_DISPLAY": ["PyQt6/Qt6/plugins/platforms/libqwayland.so"],
}

# Library -> Debian and Ubuntu package.
PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libXcomposite.so.1": "libxcomposite1",
    "libXdamage.so.1": "libxdamage1",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXrandr.so.2": "libxrandr2",
    "libXrender.so.1": "libxrender1",
    "libXtst.so.6": "libxtst6",
    "libasound.so.2": "libasound2",
    "libbrotlidec.so.1": "libbrotli1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libdrm.so.2": "libdrm2",
    "libexpat.so.1": "libexpat1",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgbm.so.1": "libgbm1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libnspr4.so": "libnspr4",
    "libplc4.so": "libnspr4",
    "libplds4.so": "libnspr4",
    "libnss3.so": "libnss3",
    "libnssutil3.so": "libnss3",
    "libsmime3.so": "libnss3",
    "libpng16.so.16": "libpng16-16",
    "libudev.so.1": "libudev1",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libwayland-server.so.0": "libwayland-server0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-dri3.so.0": "libxcb-dri3-0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbfile.so.1": "libxkbfile1",
}
# Renamed with a suffix in Debian 13 and Ubuntu 24.04, when time stamps became 64 bits wide.
RENAMED_T64 = {"libasound2", "libglib2.0-0", "libpng16-16"}

# Loaded while running, so `ldd` does not see them: Mesa's drivers, without which pictures of pages are
# blank, and one family of fonts, without which pages have no letters.
MESA_DRIVERS = [
    "/usr/lib*/dri/*_dri.so",
    "/usr/lib/*/dri/*_dri.so",
    "/usr/lib*/libgallium*",
    "/usr/lib/*/libgallium*",
]
FONTS = ["/usr/share/fonts/**/*.[to]tf", "/usr/local/share/fonts/**/*.[to]tf"]


def missing(venv: Path, displays: list[str], *, for_tests: bool) -> tuple[list[str], list[str]]:
    """What this system lacks for the given displays, and for the tests.

    Args:
        venv: the environment whose files are looked at.
        displays: keys of `WINDOWS`. With none, only the terminal can be used, so the browser is left out.
        for_tests: they run the browser without a display, and open one window on a virtual X server.

    Returns:
        Debian's names of the packages, and the libraries that the table does not know.
    """
    if for_tests:
        displays = [*displays, "DISPLAY"]
    patterns = [*ENGINE, *(BROWSER if displays else []), *(path for name in displays for path in WINDOWS[name])]
    absent: set[str] = set()
    for site_packages in venv.glob("lib/python*/site-packages"):
        for path in sorted({path for pattern in patterns for path in site_packages.glob(pattern)}):
            absent |= not_found(ldd(path))
    packages = {PACKAGES[library] for library in absent if library in PACKAGES}
    if displays and not exists(MESA_DRIVERS):
        packages.add("libgl1-mesa-dri")
    if displays and not exists(FONTS):
        packages.add("fonts-dejavu-core")
    if for_tests and not shutil.which("Xvfb"):
        packages.add("xvfb")
    return sorted(packages), sorted(absent - PACKAGES.keys())


def exists(patterns: list[str]) -> bool:
    """Whether any file matches one of these absolute patterns."""
    return any(next(Path("/").glob(pattern.lstrip("/")), None) for pattern in patterns)


def ldd(path: Path) -> str:
    """What `ldd` says of `path`; nothing where there is no `ldd` or no such file (another Qt, musl)."""
    try:
        return subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def not_found(ldd_output: str) -> set[str]:
    """The libraries that `ldd` did not find."""
    return set(re.findall(r"^\s*(\S+) => not found", ldd_output, re.MULTILINE))


def debian_names(packages: list[str]) -> list[str]:
    """The names of `packages` in the release of Debian, or of its derivative, that this is."""
    return [f"{name}t64" if name in RENAMED_T64 and apt_knows(f"{name}t64") else name for name in packages]


def apt_knows(package: str) -> bool:
    """Whether apt's lists hold a package of this name."""
    command = ["apt-cache", "pkgnames", package]
    return package in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def provide(packages: list[str], error: type[Exception]) -> bool:
    """Install Debian `packages` when this process may, or say how.

    Returns whether they are there now: False, after a line on stderr, on systems without apt. There the
    names are a hint, and whether the program runs all the same is for the program to find out.

    Raises:
        error: with the line that installs the packages, for users who are not root; or with what failed.
    """
    if not shutil.which("apt-get"):
        print(f"Missing system libraries. Debian's names of their packages: {' '.join(packages)}", file=sys.stderr)
        return False
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    if os.geteuid() != 0:
        line = " ".join(["sudo", *install, *debian_names(packages)])
        raise error(f"system packages are missing. This installs them:\n\n    {line}\n")
    print(f"Installing system packages: {' '.join(packages)}", flush=True)
    run_apt(["apt-get", "update", "-q"], error)
    run_apt([*install, "-q", *debian_names(packages)], error)
    return True


def run_apt(command: list[str], error: type[Exception]) -> None:
    """Run apt-get, which must not ask anything."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL).returncode:
        raise error(f"`{' '.join(command)}` failed; its reason is above.")
