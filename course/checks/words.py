"""Made-up words in which two letters decide, and a small net that learns them, for the checks of chapter 13.

Nothing but NumPy and `rnnlib` in here (`course.checks.driver` says why).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

LETTERS, MARKS, HIDDEN, WIDTH, STEPS = 8, ((0, 1), (2, 3), (4, 5)), 16, 6, 150

__all__ = ["HIDDEN", "MARKS", "made_up_words", "run", "run_back", "told_right", "train_on_words"]


def made_up_words(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of 3 to 9 letters, each with one of three pairs of letters in it; symbols (9, count), lengths, classes."""
    classes, lengths = rng.integers(3, size=count), rng.integers(3, 10, size=count)
    symbols = np.full((9, count), -1)
    for b, (k, n) in enumerate(zip(classes, lengths, strict=True)):
        found: list[int] = []
        while found != [k]:  # as drawn, a word may hold another pair by chance
            word = rng.integers(LETTERS, size=n)
            at = rng.integers(n - 1)
            word[at : at + 2] = MARKS[k]
            pairs = list(zip(word[:-1].tolist(), word[1:].tolist(), strict=True))
            found = [i for i, mark in enumerate(MARKS) if mark in pairs]
        symbols[:n, b] = word
    return symbols, lengths, classes


def _first_net(rng: np.random.Generator) -> dict[str, Any]:
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)  # noqa: E731
    cell = {"W_xh": draw(WIDTH, HIDDEN), "W_hh": draw(HIDDEN, HIDDEN), "b_h": np.zeros(HIDDEN, np.float32)}
    out = {"W_hy": draw(HIDDEN, 3), "b_y": np.zeros(3, np.float32)}
    return {"embedding": {"E": np.sqrt(LETTERS).astype(np.float32) * draw(LETTERS, WIDTH)}, "cell": cell, "out": out}


def run(params: Any, xs: np.ndarray, state: Any) -> Any:
    """An Elman net over a whole batch."""
    (h,), hs = state, []
    for x in xs:
        h = np.tanh(x @ params["W_xh"] + h @ params["W_hh"] + params["b_h"])
        hs.append(h)
    return np.array(hs), (h,), (xs, state[0], np.array(hs))


def run_back(params: Any, dhs: np.ndarray, dlast: Any, caches: Any) -> Any:
    """The way back of `run`."""
    xs, first, hs = caches
    (dh,), das = dlast, np.empty_like(hs)
    for t in range(len(hs) - 1, -1, -1):
        das[t] = (dh + dhs[t]) * (1 - hs[t] * hs[t])
        dh = das[t] @ params["W_hh"].T
    rows, before = das.reshape(-1, das.shape[-1]), np.concatenate([first[None], hs[:-1]]).reshape(-1, das.shape[-1])
    grads = {"W_xh": xs.reshape(len(rows), -1).T @ rows, "W_hh": before.T @ rows, "b_h": rows.sum(axis=0)}
    return das @ params["W_xh"].T, (dh,), grads


def train_on_words(
    forward: Callable[..., Any], backward: Callable[..., Any], pool: Any, pool_back: Any, seed: int = 0
) -> tuple[dict[str, Any], list[float]]:
    """Train a net of 16 units on made-up words with Adam; its weights, and the loss of each batch."""
    from rnnlib.losses import cross_entropy

    rng = np.random.default_rng(seed)
    words, lengths, classes = made_up_words(rng, 600)
    net, losses = _first_net(rng), []
    mean, square = ({part: {n: 0 * w for n, w in own.items()} for part, own in net.items()} for _ in range(2))
    for i in range(1, STEPS + 1):
        batch = rng.integers(600, size=32)
        state = (np.zeros((32, HIDDEN), np.float32),)
        logits, cache = forward(run, pool, net, words[:, batch], lengths[batch], state)
        loss, dlogits = cross_entropy(logits, classes[batch])
        _, grads = backward(run_back, pool_back, net, dlogits, cache)
        losses.append(float(loss))
        for part, own in net.items():
            for name in own:
                g = grads[part][name]
                mean[part][name] = 0.9 * mean[part][name] + 0.1 * g
                square[part][name] = 0.99 * square[part][name] + 0.01 * g * g
                scale = np.sqrt(square[part][name] / (1 - 0.99**i)) + 1e-8
                own[name] = own[name] - 0.03 * (1 - i / STEPS) / (1 - 0.9**i) * mean[part][name] / scale
    return net, losses


def told_right(forward: Callable[..., Any], pool: Any, net: dict[str, Any]) -> float:
    """The share of 300 fresh words whose class the net tells."""
    words, lengths, classes = made_up_words(np.random.default_rng(1000), 300)
    logits, _ = forward(run, pool, net, words, lengths, (np.zeros((300, HIDDEN), np.float32),))
    return float((logits.argmax(axis=-1) == classes).mean())
