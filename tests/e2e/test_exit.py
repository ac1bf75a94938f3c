"""Ending while pages still read must be an ordinary end: Chromium crashes when requests outlive their profile."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
    const ask = async () => {
      const options = {messages: [{role: 'user', content: 'a'}], maxTokens: 4000};
      for await (const piece of window.llm.chat(options)) window.seen = piece;
    };
    ask().catch(() => 0);
    ask().catch(() => 0);
    while (!window.seen) await new Promise((done) => setTimeout(done, 5));
    return 1;
"""


def test_ending_in_mid_answer(tmp_path: Path, tiny: Path) -> None:
    settings = {"llm": {"enabled": True, "provider": "builtin", "model": str(tiny)}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "peersky", "eval", "--profile", str(tmp_path), "peersky://home/", SCRIPT]
    # A crash came in about one of four runs.
    outcomes = [subprocess.run(command, capture_output=True, timeout=60, check=False) for _ in range(6)]
    assert [(done.returncode, done.stdout) for done in outcomes] == [(0, b"1\n")] * 6
