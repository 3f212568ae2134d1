"""A net with attention learns to say a word backwards, for the checks of chapter 17; nothing but NumPy and `rnnlib`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

__all__ = ["END", "SYMBOLS", "learn_to_reverse", "net_for", "say_backwards", "words_to_reverse"]

START, END, SYMBOLS = 0, 1, 8  # the target's symbols: start, end, six letters; the source has the same numbers
SHORTEST, LONGEST = 3, 6
INPUTS, HIDDEN, BATCH, STEPS = 8, 24, 24, 300


def words_to_reverse(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    """Sources (S, B) with their lengths, and their targets (T, B): start, the word backwards, end; with lengths too."""
    lengths = rng.integers(SHORTEST, LONGEST + 1, size=count)
    sources = rng.integers(2, SYMBOLS, size=(LONGEST, count))
    targets = np.full((LONGEST + 2, count), END)
    targets[0] = START
    for b, n in enumerate(lengths):
        targets[1 : n + 1, b] = sources[:n, b][::-1]
    return sources, lengths, targets, lengths + 2


def net_for(seed: int, kind: str = "general") -> dict[str, Any]:
    """First weights, in float32."""
    from rnnlib.attention_decoder import attention_init

    return attention_init(np.random.default_rng(seed), SYMBOLS, SYMBOLS, INPUTS, HIDDEN, kind, np.float32)


def learn_to_reverse(
    luong_step_backward: Callable[..., Any], seed: int = 0, steps: int = STEPS, kind: str = "general"
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Train on fresh words with this way back; the net's weights as one dict, and the loss of each step.

    A run whose loss is not finite ends at once.
    """
    from rnnlib.attention_decoder import attention_seq2seq_loss, luong_step
    from rnnlib.optimizers import adam
    from rnnlib.parameters import flat, nested
    from rnnlib.runs import new_run
    from rnnlib.schedules import warmup_cosine
    from rnnlib.training import fit

    losses: list[float] = []

    def loss_and_grads(params: Any, rng: np.random.Generator) -> Any:
        if losses and not np.isfinite(losses[-1]):
            return float("nan"), {name: np.zeros_like(value) for name, value in params.items()}
        sources, lengths, targets, ends = words_to_reverse(rng, BATCH)
        way = luong_step, luong_step_backward
        loss, grads = attention_seq2seq_loss(nested(params), sources, lengths, targets, ends, *way)
        return loss, flat(grads)

    def keep(run: Any, numbers: Any) -> None:
        losses.append(float(numbers["loss"]))

    rates = partial(warmup_cosine, total=steps, peak=0.02, warmup=10)
    run = fit(
        new_run(flat(net_for(seed, kind)), np.random.default_rng(seed)),
        loss_and_grads,
        steps,
        rates,
        adam,
        1.0,
        report=keep,
    )
    return run["params"], losses


def say_backwards(params: dict[str, np.ndarray], sources: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """What a trained net says to each source, (T, B), greedily."""
    from rnnlib.attention_decoder import next_word
    from rnnlib.batching import mask_from_lengths
    from rnnlib.parameters import nested
    from rnnlib.seq2seq import encode, greedy_decode

    net = nested(params)
    keys, (h,), _ = encode(net["encoder"], sources, lengths)
    speak = partial(next_word, net["decoder"], keys, mask_from_lengths(lengths, len(sources)))
    return greedy_decode(speak, (h, np.zeros_like(h)), START, END, LONGEST + 1)[0]
