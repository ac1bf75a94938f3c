"""Sentences for pages that did not load."""

from __future__ import annotations

import pytest

from peersky.core.load_errors import CRASHED, LoadError, explain, no_handler

CODES = [-2, -6, -7, -10, -20, -21, -27, -30, -100, -101, -102, -104, -105, -106, -107, -109, -118, -137, -200, -201]
CODES += [-202, -207, -299, -300, -302, -310, -312, -324, -999]


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_sentence_and_advice(code: int) -> None:
    error = explain("https://example.org:8443/x", code, "net::ERR_X")
    check(error)
    assert error.code == "ERR_X"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 500, 503])
def test_every_status_too(status: int) -> None:
    error = explain("https://example.org/x", status, http_status=True)
    check(error)
    assert error.code == f"HTTP {status}"


def check(error: LoadError) -> None:
    assert error.title
    assert not error.title.endswith(".")
    assert error.sentence.endswith(".")
    assert error.advice.endswith(".")
    assert "{" not in error.sentence


def test_the_rest() -> None:
    check(CRASHED)
    check(no_handler("ipns"))
    assert "ipns:" in no_handler("ipns").sentence


def test_the_site_is_named_without_user_name() -> None:
    assert "example.org:81 refused" in explain("http://me:secret@example.org:81/", -102).sentence
    check(explain("http://[bad", -102))


def test_http_is_offered_only_where_https_was_guessed() -> None:
    assert "http://" in explain("https://example.org/", -102, guessed_https=True).advice
    assert "http://" not in explain("https://example.org/", -102).advice
    assert "http://" not in explain("https://example.org/", -201, guessed_https=True).advice


def test_a_bad_certificate_never_offers_a_way_past_it() -> None:
    error = explain("https://example.org/", -201)
    assert error.title == "The connection is not secure"
    assert "did not open" in error.advice
