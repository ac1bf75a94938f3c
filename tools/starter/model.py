# SPDX-License-Identifier: GPL-3.0-or-later
"""The llama architecture in JAX, small enough to train on a CPU.

RMS norm, rotary positions, grouped queries, SwiGLU. The rotary embedding turns *neighbouring* pairs of a head's
dimensions, which is what llama.cpp does for the architecture named ``llama``. So the query and key weights go into the
GGUF file as they are, without the permutation that converters of Hugging Face checkpoints need.

Runs in the training tool only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, jax.Array]


@dataclass(frozen=True)
class Config:
    """Sizes of the network. Every matrix's input width is a multiple of 32, the block size of Q8_0."""

    vocab: int = 2560
    width: int = 160
    layers: int = 4
    heads: int = 5
    kv_heads: int = 5
    hidden: int = 416
    context: int = 2048
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def head_width(self) -> int:
        """Dimensions of one attention head."""
        return self.width // self.heads

    def as_dict(self) -> dict[str, int | float]:
        """The sizes by name, for the checkpoint and the card."""
        return asdict(self)


def init(config: Config, seed: int) -> Params:
    """Draw the initial weights; keys are the tensor names of a GGUF file, matrices are (outputs, inputs)."""
    rng = np.random.default_rng(seed)
    kv_width = config.kv_heads * config.head_width
    depth_scale = 1.0 / np.sqrt(2 * config.layers)
    params: dict[str, np.ndarray] = {
        "token_embd.weight": rng.normal(0, 0.02, (config.vocab, config.width)),
        "output_norm.weight": np.ones(config.width),
    }
    for i in range(config.layers):
        shapes = {
            "attn_q": (config.width, config.width, 1.0),
            "attn_k": (kv_width, config.width, 1.0),
            "attn_v": (kv_width, config.width, 1.0),
            "attn_output": (config.width, config.width, depth_scale),
            "ffn_gate": (config.hidden, config.width, 1.0),
            "ffn_up": (config.hidden, config.width, 1.0),
            "ffn_down": (config.width, config.hidden, depth_scale),
        }
        params[f"blk.{i}.attn_norm.weight"] = np.ones(config.width)
        params[f"blk.{i}.ffn_norm.weight"] = np.ones(config.width)
        for name, (rows, columns, scale) in shapes.items():
            params[f"blk.{i}.{name}.weight"] = rng.normal(0, scale / np.sqrt(columns), (rows, columns))
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def count(params: Params) -> int:
    """Number of weights."""
    return sum(int(np.prod(value.shape)) for value in params.values())


def _norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def _rope(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def forward(params: Params, config: Config, tokens: jax.Array, document: jax.Array) -> jax.Array:
    """Hidden states after the last norm.

    Args:
        params: the weights of :func:`init`.
        config: the sizes they were made with.
        tokens: int32 (rows, length).
        document: int32 (rows, length); a token attends only to earlier tokens of the same document, so that several
            conversations can share a row.

    Returns:
        float32 (rows, length, width).
    """
    rows, length = tokens.shape
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * (
        config.rope_base ** (-jnp.arange(0, config.head_width, 2, dtype=jnp.float32) / config.head_width)
    )
    cos, sin = jnp.cos(angle)[None, :, None, :], jnp.sin(angle)[None, :, None, :]
    causal = jnp.tril(jnp.ones((length, length), bool))
    allowed = causal[None] & (document[:, :, None] == document[:, None, :])
    bias = jnp.where(allowed, 0.0, -1e9)[:, None].astype(jnp.float32)
    groups = config.heads // config.kv_heads

    # A product with a one-hot matrix, not an index, for the same reason as in loss().
    x = jax.nn.one_hot(tokens, config.vocab, dtype=jnp.float32) @ params["token_embd.weight"]
    for i in range(config.layers):
        block = f"blk.{i}."
        h = _norm(x, params[block + "attn_norm.weight"], config.norm_eps)
        q = (h @ params[block + "attn_q.weight"].T).reshape(rows, length, config.heads, config.head_width)
        k = (h @ params[block + "attn_k.weight"].T).reshape(rows, length, config.kv_heads, config.head_width)
        v = (h @ params[block + "attn_v.weight"].T).reshape(rows, length, config.kv_heads, config.head_width)
        # Heads before positions, so that each product below is a plain batch of matrices.
        q = jnp.transpose(_rope(q, cos, sin), (0, 2, 1, 3))
        k = jnp.repeat(jnp.transpose(_rope(k, cos, sin), (0, 2, 3, 1)), groups, axis=1)
        v = jnp.repeat(jnp.transpose(v, (0, 2, 1, 3)), groups, axis=1)
        attention = jax.nn.softmax(q @ k * (config.head_width**-0.5) + bias, axis=-1)
        mixed = jnp.transpose(attention @ v, (0, 2, 1, 3)).reshape(rows, length, config.width)
        x = x + mixed @ params[block + "attn_output.weight"].T
        h = _norm(x, params[block + "ffn_norm.weight"], config.norm_eps)
        gated = jax.nn.silu(h @ params[block + "ffn_gate.weight"].T) * (h @ params[block + "ffn_up.weight"].T)
        x = x + gated @ params[block + "ffn_down.weight"].T
    return _norm(x, params["output_norm.weight"], config.norm_eps)


def loss(params: Params, config: Config, tokens: jax.Array, document: jax.Array, weight: jax.Array) -> jax.Array:
    """Weighted cross entropy of the next token, in nats per unit of weight.

    Args:
        params: the weights.
        config: the sizes.
        tokens: int32 (rows, length + 1).
        document: int32 (rows, length + 1), see :func:`forward`.
        weight: float32 (rows, length + 1), how much predicting each token counts.
    """
    hidden = forward(params, config, tokens[:, :-1], document[:, :-1])
    logits = hidden @ params["token_embd.weight"].T
    target = tokens[:, 1:]
    # A comparison instead of an index: the gradient of indexing is a scatter, which XLA runs on one core of a CPU.
    is_target = target[..., None] == jnp.arange(config.vocab, dtype=jnp.int32)
    picked = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    nats = jax.nn.logsumexp(logits, axis=-1) - picked
    # The first token of a document has nothing before it that could predict it.
    w = weight[:, 1:] * (document[:, 1:] == document[:, :-1])
    return jnp.sum(nats * w) / jnp.maximum(jnp.sum(w), 1.0)
