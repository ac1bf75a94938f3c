"""Names for downloads that sites made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peersky.core.download_names import MAX_BYTES, file_name


def free(_name: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("suggested", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("Ärger über 日本.txt", "Ärger über 日本.txt"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("../settings.json", "settings.json"),
        ("..\\..\\settings.json", "settings.json"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        (".bashrc", "bashrc"),
        ("...", "download"),
        ("", "download"),
        ("a/", "download"),
        ("page.html. . .", "page.html"),
        ("a\0b\nc.txt", "abc.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ('a<b>:"|?*.txt', "a_b______.txt"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("console.txt", "console.txt"),
    ],
)
def test_it_is_a_file_name_and_no_more(suggested: str, name: str) -> None:
    assert file_name(suggested, free) == name


def test_nothing_that_is_there_is_replaced() -> None:
    there = {"a.txt", "a (1).txt"}
    assert file_name("a.txt", there.__contains__) == "a (2).txt"
    assert file_name("../a.txt", there.__contains__) == "a (2).txt"


@given(st.text(max_size=400))
def test_no_text_makes_it_a_path(suggested: str) -> None:
    name = file_name(suggested, free)
    assert name
    assert not set(name) & {"/", "\\", "\0"}
    assert not name.startswith(".")
    assert len(name.encode()) <= MAX_BYTES + 1
