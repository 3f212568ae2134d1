"""Nets that read both ways, for the experiments of chapter 08: an Elman run, its way back, and a training loop."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["descend", "elman_run", "elman_run_back", "gaps", "new_layers", "short_strings", "tree_map"]

BLANK = 7  # the eighth symbol stands for a gap


def elman_run(params: dict[str, np.ndarray], xs: np.ndarray, state: Any) -> tuple[np.ndarray, Any, list[Any]]:
    """The Elman cell over a whole batch, as `bidirectional` and `stacked` take it."""
    from rnnlib.elman import elman_step
    from rnnlib.sequence import rnn_forward

    return rnn_forward(elman_step, params, xs, state)


def elman_run_back(params: dict[str, np.ndarray], dhs: np.ndarray, dlast: Any, caches: list[Any]) -> tuple[Any, ...]:
    """The way back of `elman_run`, from the last step to the first."""
    from rnnlib.elman import elman_step_backward

    (message,), dxs = dlast, np.zeros((*dhs.shape[:2], params["W_xh"].shape[0]), dhs.dtype)
    asked = {name: np.zeros_like(value) for name, value in params.items()}
    for t in range(len(caches) - 1, -1, -1):
        dxs[t], (message,), here = elman_step_backward(params, (dhs[t] + message,), caches[t])
        asked = {name: asked[name] + here[name] for name in asked}
    return dxs, (message,), asked


def new_layers(rng: np.random.Generator, inputs: int, hidden: int, layers: int = 1, both: bool = True) -> list[Any]:
    """First weights of so many layers, lowest first: pairs of cells where they read both ways."""
    from rnnlib.elman import elman_init

    net: list[Any] = []
    for i in range(layers):
        size = inputs if i == 0 else hidden * (1 + both)
        pair = tuple(elman_init(rng, size, hidden, np.float32) for _ in range(1 + both))
        net.append(pair if both else pair[0])
    return net


def tree_map(change: Callable[..., Any], *trees: Any) -> Any:
    """A tree of dicts, lists and tuples with `change` applied to the arrays that stand in the same place."""
    first = trees[0]
    if isinstance(first, dict):
        return {name: tree_map(change, *(tree[name] for tree in trees)) for name in first}
    if isinstance(first, tuple | list):
        return type(first)(tree_map(change, *parts) for parts in zip(*trees, strict=True))
    return change(*trees)


def descend(
    net: Any,
    loss_and_grads: Callable[[Any], tuple[float, Any]],
    batches: int,
    rate: float = 0.02,
    report: Callable[[int, float], None] = lambda batch, loss: None,
) -> tuple[Any, np.ndarray]:
    """Train with Adam and a falling rate; gradients longer than 1 are cut to length 1. Returns net and losses."""
    mean, square, losses = tree_map(np.zeros_like, net), tree_map(np.zeros_like, net), []
    for i in range(1, batches + 1):
        loss, grads = loss_and_grads(net)
        lengths: list[float] = []
        tree_map(lambda g, lengths=lengths: lengths.append(float(np.vdot(g, g))), grads)
        cut = 1 / max(1.0, float(np.sqrt(sum(lengths))))
        mean = tree_map(lambda m, g, cut=cut: 0.9 * m + 0.1 * cut * g, mean, grads)
        square = tree_map(lambda s, g, cut=cut: 0.99 * s + 0.01 * (cut * g) ** 2, square, grads)
        step, fade, warm = rate * (1 - i / batches), 1 - 0.9**i, 1 - 0.99**i
        net = tree_map(
            lambda p, m, s, step=step, fade=fade, warm=warm: (
                p - (step * m / fade / (np.sqrt(s / warm) + 1e-8)).astype(p.dtype)
            ),
            net,
            mean,
            square,
        )
        losses.append(loss)
        report(i, loss)
    return net, np.array(losses)


def short_strings(rng: np.random.Generator, count: int, longest: int = 20) -> list[str]:
    """Embedded Reber strings of at most so many symbols."""
    from rnnlib.reber import reber_string

    found: list[str] = []
    while len(found) < count:
        string = reber_string(rng, embedded=True)
        found += [string] * (len(string) <= longest)
    return found


def gaps(rng: np.random.Generator, strings: list[str]) -> tuple[np.ndarray, ...]:
    """Embedded Reber strings with one symbol blanked: the second, the last but one, or one between, equally often.

    Returns one-hot inputs (T, B, 8), the lengths, the place of each gap, and the symbols that stood there.
    """
    from rnnlib.reber import reber_encode

    lengths, B = np.array([len(string) for string in strings]), len(strings)
    inside = 2 + (rng.random(B) * (lengths - 4)).astype(int)
    places = np.choose(rng.integers(3, size=B), [np.ones(B, int), inside, lengths - 2])
    xs, missing = np.zeros((lengths.max(), B, 8), np.float32), np.zeros(B, int)
    for b, string in enumerate(strings):
        symbols = reber_encode(string)
        missing[b] = symbols[places[b]]
        symbols[places[b]] = BLANK
        xs[np.arange(len(string)), b, symbols] = 1
    return xs, lengths, places, missing
