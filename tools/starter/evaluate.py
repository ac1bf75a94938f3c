# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the shipped engine the held-out questions at temperature 0 and score the answers by their keywords.

    python tools/starter/evaluate.py [--model FILE] [--json] [--questions FILE] [--failures] [--tokens]

The engine is the browser's own engine process (``peersky/llm/engine_child.py``, llama.cpp's server) on a loopback port
with a random key; questions go to it over HTTP as ``window.llm`` would send them. An answer passes when it contains,
case ignored, one text of every group in ``need``, contains none of ``forbid``, and ended by itself. Before the first
question the check runs that no question stands in the training text, or could be drawn from it.

Exit status: 0 at 70 % or more, 1 below, 2 if a question leaked into the training text.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, from any folder

from tools.starter import data

SOURCE = data.HERE.parents[1] / "src" / "peersky"
MODEL = SOURCE / "assets" / "models" / "starter.gguf"
# Its protocol: one line of JSON in, one line of JSON out when the model is loaded; it ends with its standard input.
ENGINE_CHILD = SOURCE / "llm" / "engine_child.py"
PASS_SHARE = 0.70
CONTEXT = 2048
MAX_TOKENS = 300

# The question that the issue names. It is in the training text, so it is asked and shown, but not counted.
NAMED = data.Question(
    id="named",
    kind="named",
    question="What is PeerSky?",
    need=(("browser",), ("peer-to-peer",), ("local model",)),
    forbid=(),
)


@contextmanager
def engine(model: Path) -> Iterator[httpx.Client]:
    """A running engine, as an HTTP client that points at it.

    Raises:
        RuntimeError: the engine did not start; the message carries the end of its log.
    """
    key = secrets.token_urlsafe(24)
    child = subprocess.Popen(
        [sys.executable, str(ENGINE_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    config = {
        "model": str(model),
        "key": key,
        "parent_pid": os.getpid(),
        "address_space_bytes": 8 * 1024**3,
        "n_ctx": CONTEXT,
        "n_parallel": 1,
        "n_batch": 256,
        "answer_threads": 1,
        "prompt_threads": 1,
        "cache_ram_mib": 0,
        "embedding": False,
        "ping_s": 10,
    }
    try:
        child.stdin.write(json.dumps(config).encode() + b"\n")
        child.stdin.flush()
        ready = json.loads(child.stdout.readline() or "{}")
        if not ready.get("ready"):
            raise RuntimeError(f"the engine did not start with {model}: {ready.get('error', 'it ended')}")
        address = f"http://127.0.0.1:{ready['port']}"
        # The engine closes connections that it announced as kept open, so none is used twice.
        limits = httpx.Limits(max_keepalive_connections=0)
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=address, headers=headers, limits=limits, trust_env=False, timeout=120) as client:
            yield client
    finally:
        child.stdin.close()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def ask(
    client: httpx.Client, messages: list[dict[str, Any]], temperature: float = 0.0, seed: int = 1
) -> tuple[str, str]:
    """One answer and the reason why it ended (``stop`` when the model ended it).

    Raises:
        httpx.HTTPStatusError: the engine refused.
    """
    reply = client.post(
        "/v1/chat/completions",
        json={"messages": messages, "temperature": temperature, "max_tokens": MAX_TOKENS, "seed": seed},
    )
    reply.raise_for_status()
    choice = reply.json()["choices"][0]
    return str(choice["message"]["content"] or ""), str(choice["finish_reason"])


def compare_tokens(client: httpx.Client, tokenizer_file: Path, texts: list[str]) -> list[str]:
    """Texts that the engine splits into other tokens than the training did; empty when the two agree."""
    from tools.starter import tokenizer

    words = tokenizer.load(tokenizer_file)
    encoder = tokenizer.Encoder(words, 0.0)
    different = []
    for text in texts:
        reply = client.post("/tokenize", json={"content": text, "add_special": False, "parse_special": False})
        if reply.json()["tokens"] != encoder.plain(text):
            different.append(text)
        message = [data.Message("system", "Be brief."), data.Message("user", text)]
        prompt = client.post(
            "/apply-template", json={"messages": [{"role": m.role, "content": m.content} for m in message]}
        ).json()["prompt"]
        through_template = client.post("/tokenize", json={"content": prompt, "parse_special": True}).json()["tokens"]
        expected = encoder.conversation(message)[0] + encoder.conversation([data.Message("assistant", "")])[0][:-2]
        if through_template != expected:
            different.append(f"through the template: {text}")
    return different


def main() -> int:
    """Parse the command line, ask, score and print. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--questions", type=Path, default=data.HELD_OUT)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--failures", action="store_true", help="print only the questions that failed")
    parser.add_argument("--system", default="", help="a system message to put before every question")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--tokens", type=Path, help="tokenizer.json of the training, to compare with the engine's")
    args = parser.parse_args()

    asked = data.questions(args.questions)
    corpus = data.load()
    found = data.leaks(corpus, asked)
    if found:
        print("Questions of the evaluation are in the training text:", *found, sep="\n  ", file=sys.stderr)
        return 2

    results: list[dict[str, Any]] = []
    with engine(args.model) as client:
        if args.tokens:
            source = data.Conversations(corpus, 99, frozenset())
            texts = [q.question for q in asked] + [m.content for _ in range(200) for m in source.conversation()]
            texts += [
                "",
                "  two  spaces ",
                "tab\tand\r\nlines\n\n\n",
                "naïve café — 東京 🚀 don't I'LL 3.14",
                "a\n \n b",
            ]
            different = compare_tokens(client, args.tokens, [t for t in texts if t])
            print(
                f"{len(texts)} texts, {len(different)} with other tokens in the engine",
                *different,
                sep="\n  ",
            )
            return 1 if different else 0
        started = time.perf_counter()
        for question in [NAMED, *asked]:
            messages = [{"role": "user", "content": question.question}]
            if args.system:
                messages.insert(0, {"role": "system", "content": args.system})
            answer, reason = ask(client, messages, args.temperature)
            passed = data.passes(question, answer) and reason == "stop"
            results.append({"id": question.id, "kind": question.kind, "question": question.question, "answer": answer})
            results[-1] |= {"finish_reason": reason, "passed": passed}
        took_s = time.perf_counter() - started

    named, counted = results[0], results[1:]
    right = sum(bool(result["passed"]) for result in counted)
    share = right / len(counted)
    if args.json:
        summary = {"questions": len(counted), "passed": right, "share": share, "seconds": took_s}
        print(json.dumps({**summary, "named": named, "results": counted}, indent=2, ensure_ascii=False))
        return 0 if share >= PASS_SHARE and named["passed"] else 1

    kinds: dict[str, list[bool]] = defaultdict(list)
    for result in counted:
        kinds[str(result["kind"])].append(bool(result["passed"]))
        if not args.failures or not result["passed"]:
            mark = "pass" if result["passed"] else "FAIL"
            answer = str(result["answer"]).replace("\n", " ⏎ ")
            print(f"{mark}  {result['id']:14s} {result['question']}\n      → {answer}")
    print()
    for kind, marks in kinds.items():
        print(f"{kind:12s} {sum(marks):3d} of {len(marks):3d}")
    print(f"\n{named['question']}  {'pass' if named['passed'] else 'FAIL'}\n  {named['answer']}")
    print(f"\n{right} of {len(counted)} held-out questions: {share:.1%} ({took_s:.0f} s)")
    return 0 if share >= PASS_SHARE and named["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
