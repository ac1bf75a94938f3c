"""`peersky doctor`: what lacks, as sentences or as JSON."""

from __future__ import annotations

import json

from tests.cli.conftest import Cli


def test_json_and_the_exit_code_agree(cli: Cli) -> None:
    outcome = cli.run("doctor", "--json")
    report = json.loads(outcome.out)
    states = {finding["name"]: finding["state"] for finding in report["findings"]}
    assert states.keys() >= {"python", "qt", "engine", "display", "processor", "memory", "profile", "disk", "secrets"}
    assert states["python"] == states["engine"] == states["profile"] == "ok"
    assert report["ok"] == ("missing" not in states.values())
    assert outcome.code == (0 if report["ok"] else 1)


def test_a_profile_that_cannot_be_used_is_a_finding(cli: Cli) -> None:
    cli.profile.write_text("a file")
    outcome = cli.run("doctor")
    assert outcome.code == 1
    assert "MISSING  PeerSky cannot use the profile directory" in outcome.out
    assert outcome.err == ""
