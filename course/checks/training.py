"""Training runs for gates and experiments; nothing but NumPy and `rnnlib` in here (`course.checks.driver` says why)."""

from collections.abc import Callable
from typing import Any

import numpy as np

HOPELESS, BY_BATCH = 0.75, 150  # nats: a right backward step has come below 0.6 by then

__all__ = ["hopeless", "reber_forward", "reber_run", "reber_strings", "train_on_reber"]


def reber_strings(rng: np.random.Generator, count: int) -> Any:
    """A batch of embedded Reber strings in float32."""
    from rnnlib.reber import reber_batch, reber_string

    return reber_batch([reber_string(rng, embedded=True) for _ in range(count)], embedded=True, dtype=np.float32)


def add_up(pieces: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The sum of the steps' gradients, entry by entry."""
    stacked = {name: np.stack([piece[name] for piece in pieces]) for name in pieces[0]}
    return {name: values.sum(axis=0) for name, values in stacked.items()}


def start_net(rng: np.random.Generator, inputs: int, hidden: int) -> dict[str, np.ndarray]:
    """First weights of a cell, so that the gate depends on one function alone; `elman_init` may stand in."""
    shapes = {"W_xh": (inputs, hidden), "W_hh": (hidden, hidden)}
    drawn = {name: rng.uniform(-1, 1, shape) * np.sqrt(3 / shape[0]) for name, shape in shapes.items()}
    return drawn | {"b_h": np.zeros(hidden)}


def train_on_reber(
    step_backward: Callable[..., Any],
    seed: int = 0,
    batches: int = 600,
    hidden: int = 32,
    init: Callable[..., dict[str, np.ndarray]] = start_net,
    add: Callable[[list[dict[str, np.ndarray]]], dict[str, np.ndarray]] = add_up,
    report: Callable[[int, float], None] = lambda batch, loss: None,
) -> dict[str, np.ndarray]:
    """Train a net to predict the next symbol of embedded Reber strings; returns its parameters.

    The optimizer is Adam with a rate that falls to zero; gradients longer than 1 are cut to length 1.
    """
    from rnnlib.output import output_init

    rng = np.random.default_rng(seed)
    params = init(rng, 7, hidden) | output_init(rng, hidden, 7)
    params = {name: np.asarray(value, np.float32) for name, value in params.items()}
    first, second = ({name: np.zeros_like(value) for name, value in params.items()} for _ in range(2))
    for i in range(1, batches + 1):
        loss, grads = _loss_and_gradients(params, reber_strings(rng, 32), step_backward, add)
        length = np.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
        for name, grad in grads.items():
            grad = grad / max(1.0, length)
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.99 * second[name] + 0.01 * grad * grad
            scale = np.sqrt(second[name] / (1 - 0.99**i)) + 1e-8
            params[name] = params[name] - 0.02 * (1 - i / batches) / (1 - 0.9**i) * first[name] / scale
        report(i, loss)
    return params


def _loss_and_gradients(
    params: dict[str, np.ndarray], batch: Any, step_backward: Callable[..., Any], add: Callable[..., Any]
) -> tuple[float, dict[str, np.ndarray]]:
    from rnnlib.losses import cross_entropy
    from rnnlib.output import output_layer_backward

    hs, caches, logits = reber_forward(params, batch.xs)
    loss, d_logits = cross_entropy(logits, batch.targets, batch.mask)
    dhs, grads = output_layer_backward(params, d_logits, (hs,))
    from_later, pieces = np.zeros_like(hs[0]), []
    for t in range(len(caches) - 1, -1, -1):
        _, (from_later,), piece = step_backward(params, (dhs[t] + from_later,), caches[t])
        pieces.append(piece)
    return loss, grads | add(pieces)


def reber_forward(params: dict[str, np.ndarray], xs: np.ndarray) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """States, caches and scores of a whole batch."""
    from rnnlib.elman import elman_step
    from rnnlib.output import output_layer
    from rnnlib.sequence import rnn_forward

    zeros = np.zeros((xs.shape[1], params["b_h"].size), xs.dtype)
    states, _, caches = rnn_forward(elman_step, params, xs, (zeros,))
    return states, caches, output_layer(params, states)[0]


class _Hopeless(Exception):
    """Further training would not help."""


def hopeless(losses: list[float]) -> bool:
    """Whether the losses of the batches so far show that something is wrong with a gradient."""
    return not np.isfinite(losses[-1]) or (len(losses) == BY_BATCH and float(np.mean(losses[-20:])) > HOPELESS)


def reber_run(step_backward: Callable[..., Any]) -> tuple[dict[str, np.ndarray] | None, list[float]]:
    """Parameters after training, or None if it was given up; the loss of each batch."""
    losses: list[float] = []

    def watch(batch: int, loss: float) -> None:
        losses.append(float(loss))
        if hopeless(losses):
            raise _Hopeless

    try:
        return train_on_reber(step_backward, report=watch), losses
    except _Hopeless:
        return None, losses
