"""What must not be committed is found; what only looks like it is not."""

from __future__ import annotations

import pytest

from tools import check_repo


@pytest.mark.parametrize(
    "text",
    [
        "--index-url https://" + "py" + "pi.org/simple",
        "https://files.python" + "hosted.org/packages/x.whl",
        '"resol' + 'ved": "https://example.org/x.tgz"',
        "see /" + "work/main/x.py",
        "# via -r /" + "root/x.in",
        'open("/' + 'home/somebody/x")',
        "a\n<<<<" + "<<< HEAD\n",
    ],
)
def test_found(text: str) -> None:
    assert len(check_repo.problems(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "peersky://home/",
        "https://example.org/home/page",
        "src/peersky/assets/pages/home/index.html",
        '@app.route("/home")',
        "under the root/trunk",
        "=======\n",
    ],
)
def test_not_found(text: str) -> None:
    assert check_repo.problems(text) == []


def test_the_line_is_named() -> None:
    assert check_repo.problems("\n\nsee /" + "work/main\n") == [(3, "names a path of one machine: /" + "work/m")]
