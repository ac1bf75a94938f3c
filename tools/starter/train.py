# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the starter model from ``corpus/`` on a CPU; ``export_gguf.py`` turns the result into a GGUF file.

    python tools/starter/train.py --out build/starter

The check that no question of the evaluation stands in the training text runs first and stops the training if one does.
The optimiser is Muon for the matrices and AdamW for the rest; the rate rises for 100 steps and then falls in a straight
line to nothing.

Runs in the training tool only; needs ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, from any folder

from tools.starter import data, model, tokenizer

# A step allocates and frees hundreds of megabytes. With glibc's defaults each buffer is mapped anew and its pages are
# faulted in one by one, which took a third of the time here.
_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "1000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

# The weights that are kept are a running average over about this many steps: 1 / (1 - AVERAGE_DECAY).
AVERAGE_DECAY = 0.98

# How much a token of a copying drill counts, against 1 for one of an answer.
DRILL_WEIGHT = 0.3

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class Packer:
    """Fills rows of equal length with conversations, one after the other, and cuts the last one of a row.

    Args:
        source: where conversations come from.
        encoder: turns them into tokens.
        filler: token for the unused end of a row.
        vocab: number of tokens, for the drills.
        drill_share: share of rows that are a drill.
        seed: of the drills.
    """

    def __init__(
        self,
        source: data.Conversations,
        encoder: tokenizer.Encoder,
        filler: int,
        vocab: int,
        drill_share: float,
        seed: int,
    ) -> None:
        self._vocab = vocab
        self._drill_share = drill_share
        self._rng = np.random.default_rng(seed)
        self._source = source
        self._encoder = encoder
        self._filler = filler
        self._waiting: list[tuple[list[int], list[float]]] = []

    def _take(self, room: int, first: bool) -> tuple[list[int], list[float]] | None:
        """The first waiting conversation that fits, of at most 16 looked at; a long one only at the start of a row."""
        while len(self._waiting) < 16:
            self._waiting.append(self._encoder.example(self._source.conversation()))
        for i, (tokens, _) in enumerate(self._waiting):
            if len(tokens) <= room or first:
                return self._waiting.pop(i)
        return None

    def batch(self, rows: int, length: int) -> Batch:
        """Tokens, document numbers and loss weights, each (rows, length + 1)."""
        shape = (rows, length + 1)
        tokens = np.full(shape, self._filler, np.int32)
        document = np.zeros(shape, np.int32)
        weight = np.zeros(shape, np.float32)
        drills = round(rows * self._drill_share) if length <= 256 else 0
        for row in range(drills):
            # A drill in copying: random tokens, then the same again. Nothing but attention to the earlier place can
            # predict them, so this teaches within some hundred steps what the rewriting and formatting tasks need and
            # would teach very slowly.
            half = (length + 1) // 2
            tokens[row, :half] = tokens[row, half : 2 * half] = self._rng.integers(3, self._vocab, half)
            weight[row, half + 1 : 2 * half] = DRILL_WEIGHT
        for row in range(drills, rows):
            at = 0
            number = 1
            while at < length + 1:
                taken = self._take(length + 1 - at, first=at == 0)
                if taken is None:
                    break
                ids, weights = (part[: length + 1 - at] for part in taken)
                tokens[row, at : at + len(ids)] = ids
                document[row, at : at + len(ids)] = number
                weight[row, at : at + len(ids)] = weights
                at += len(ids)
                number += 1
        return tokens, document, weight


def optimiser(rate: float, steps: int, decay: float) -> optax.GradientTransformation:
    """Muon for the matrices inside the blocks, AdamW for the embedding and the norms, one schedule for both."""
    schedule = optax.join_schedules(
        [optax.linear_schedule(0.0, rate, 100), optax.linear_schedule(rate, 0.0, max(steps - 100, 1))], [100]
    )
    muon = optax.contrib.muon(schedule, weight_decay=decay, consistent_rms=0.2, ns_steps=5)
    adam = optax.adamw(schedule, b1=0.9, b2=0.98, weight_decay=0.0)
    chosen = optax.partition(
        {"muon": muon, "adam": adam},
        lambda params: {
            name: "muon" if value.ndim == 2 and name.startswith("blk.") else "adam" for name, value in params.items()
        },
    )
    return optax.chain(optax.clip_by_global_norm(1.0), chosen)


def save(path: Path, params: model.Params, config: model.Config, notes: dict[str, object]) -> None:
    """Write weights and sizes to one ``.npz`` file."""
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in params.items()}
    np.savez(path, **arrays, __config__=json.dumps(config.as_dict()), __notes__=json.dumps(notes))


def restore(path: Path) -> tuple[model.Params, model.Config, dict[str, object]]:
    """Read what :func:`save` wrote: weights, sizes and notes."""
    arrays = np.load(path)
    config = model.Config(**json.loads(str(arrays["__config__"])))
    params = {name: jnp.asarray(arrays[name]) for name in arrays.files if not name.startswith("__")}
    return params, config, json.loads(str(arrays["__notes__"]))


def main() -> int:
    """Parse the command line and train. Returns the exit status: 1 if a held-out question leaked into the corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for tokenizer.json and model.npz")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of one step")
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--prompt-weight", type=float, default=0.05, help="of the user's tokens in the loss")
    parser.add_argument("--vocab", type=int, default=2560, help="number of tokens that the model knows")
    parser.add_argument("--cut-share", type=float, default=0.75, help="share of fixed answers shown only in part")
    parser.add_argument("--drill-share", type=float, default=0.125, help="share of rows that are copying drills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="folder of an earlier run: go on from its weights and tokenizer")
    args = parser.parse_args()

    corpus = data.load()
    held_out = data.questions(data.HELD_OUT)
    found = data.leaks(corpus, held_out)
    if found:
        print("Questions of the evaluation are in the training text:", *found, sep="\n  ", file=sys.stderr)
        return 1
    forbidden = data.forbidden_questions()
    print(f"{len(held_out)} held-out questions, none in the training text", flush=True)

    args.out.mkdir(parents=True, exist_ok=True)
    if args.start:
        words = tokenizer.load(args.start / "tokenizer.json")
        params, config, earlier = restore(args.start / "model.npz")
    else:
        sample = islice(data.Conversations(corpus, args.seed, forbidden), 30_000)
        words = tokenizer.train((m.content for messages in sample for m in messages), args.vocab)
        config = model.Config(vocab=args.vocab)
        params, earlier = model.init(config, args.seed), None
    words.save(str(args.out / "tokenizer.json"))
    update = optimiser(args.rate, args.steps, args.decay)
    state = update.init(params)
    average = params
    print(f"{model.count(params):,} weights, {words.get_vocab_size()} tokens", flush=True)

    @jax.jit
    def step(
        params: model.Params,
        average: model.Params,
        state: optax.OptState,
        tokens: jax.Array,
        document: jax.Array,
        weight: jax.Array,
    ) -> tuple[model.Params, model.Params, optax.OptState, jax.Array]:
        value, gradient = jax.value_and_grad(model.loss)(params, config, tokens, document, weight)
        change, state = update.update(gradient, state, params)
        params = optax.apply_updates(params, change)
        average = jax.tree.map(lambda old, new: old + (1.0 - AVERAGE_DECAY) * (new - old), average, params)
        return params, average, state, value

    source = data.Conversations(corpus, args.seed + 1, forbidden)
    encoder = tokenizer.Encoder(words, args.prompt_weight, args.cut_share, seed=args.seed)
    filler = words.token_to_id(tokenizer.END_OF_TEXT)
    packer = Packer(source, encoder, filler, words.get_vocab_size(), args.drill_share, args.seed)
    started = time.perf_counter()
    seen = 0
    total = 0.0
    for number in range(1, args.steps + 1):
        # Short rows make attention cheap. Some steps have long ones, so that a long chat is not a surprise.
        length = 1024 if number % 40 == 0 else 512 if number % 10 == 0 else 128
        tokens, document, weight = packer.batch(max(args.tokens // length, 1), length)
        params, average, state, value = step(
            params, average, state, jnp.asarray(tokens), jnp.asarray(document), jnp.asarray(weight)
        )
        seen += tokens.size
        total += float(value)
        if number % 50 == 0:
            took_s = time.perf_counter() - started
            print(
                f"step {number:5d}  loss {total / 50:.4f}  {seen / took_s:,.0f} tokens/s  {took_s:,.0f} s",
                flush=True,
            )
            total = 0.0
        if number % 100 == 0 or number == args.steps:
            notes: dict[str, object] = {
                "steps": number,
                "tokens": seen,
                "seconds": time.perf_counter() - started,
            }
            notes["arguments"] = {k: v for k, v in vars(args).items() if k not in ("out", "start")}
            notes["after"] = earlier
            save(args.out / "model.npz", average, config, notes)
    print(f"refused {source.refused} drawn questions because they stand in the evaluation")
    return 0


if __name__ == "__main__":
    if sys.platform == "linux" and "MALLOC_MMAP_MAX_" not in os.environ:
        # The allocator reads its settings when a process starts, so this one starts again.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _ALLOCATOR)  # noqa: S606
    sys.exit(main())
