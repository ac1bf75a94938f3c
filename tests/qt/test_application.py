"""Chromium's switches."""

from __future__ import annotations

import pytest

from peersky.qt.application import merged, remote_debugging_port


def test_features_that_the_user_adds_do_not_replace_the_browsers_own() -> None:
    assert merged(["--no-pings", "--enable-features=A,B", "--x=1", "--enable-features=C", "--disable-features=D"]) == (
        "--no-pings --x=1 --enable-features=A,B,C --disable-features=D"
    )


@pytest.mark.parametrize(
    ("variable", "value", "port"),
    [
        ("QTWEBENGINE_REMOTE_DEBUGGING", "9222", 9222),
        ("QTWEBENGINE_REMOTE_DEBUGGING", "127.0.0.1:9333", 9333),
        ("QTWEBENGINE_CHROMIUM_FLAGS", "--no-pings --remote-debugging-port=9444 --x", 9444),
        ("QTWEBENGINE_CHROMIUM_FLAGS", "--no-pings --other-port=9444", None),
        ("OTHER", "9222", None),
    ],
)
def test_developer_tools_are_served_only_where_asked_for(variable: str, value: str, port: int | None) -> None:
    assert remote_debugging_port({variable: value}) == port
