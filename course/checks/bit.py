"""Remember one bit: the task, and training on it; nothing but NumPy and `rnnlib` in here (`course.checks.driver`)."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["bit_run", "bits", "overflows", "right_answers", "train_on_bits"]

GAP, HIDDEN, BATCH = 100, 32, 32
INPUT_BIAS = -2.0  # the input gates start nearly shut, so that distractors do not fill the memory
KINDS = {"elman": (0.0, 0.01), "lstm": (5.0, 0.02)}  # first forget bias, rate of learning


def bits(rng: np.random.Generator, count: int, gap: int = GAP, again: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of -1 and 1, (1 + gap, count, 2) in float32, and the bits to be told at the end.

    The first column holds the values, the second a 1 where a value counts: at the first step, and with the chance
    `again` at each later one. The newest value that counts is the one to be told.
    """
    values = rng.choice([-1, 1], size=(1 + gap, count))
    marks = rng.random((1 + gap, count)) < again
    marks[0] = True
    newest = gap - marks[::-1].argmax(axis=0)
    xs = np.stack([values, marks], axis=-1).astype(np.float32)
    return xs, (values[newest, np.arange(count)] > 0).astype(np.int64)


def cell(kind: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The step and the backward step of a kind of cell."""
    from rnnlib import elman, lstm

    steps = {
        "elman": (elman.elman_step, elman.elman_step_backward),
        "lstm": (lstm.lstm_step, lstm.lstm_step_backward),
    }
    return steps[kind]


def first_net(rng: np.random.Generator, kind: str) -> dict[str, np.ndarray]:
    """First weights of a cell and of its output layer."""
    from rnnlib.elman import elman_init
    from rnnlib.lstm import lstm_init
    from rnnlib.output import output_init

    own = elman_init(rng, 2, HIDDEN) if kind == "elman" else lstm_init(rng, 2, HIDDEN, KINDS[kind][0])
    if kind == "lstm":
        own = own | {"b_h": own["b_h"] + np.repeat([INPUT_BIAS, 0.0, 0.0, 0.0], HIDDEN)}
    params = own | output_init(rng, HIDDEN, 2)
    return {name: np.asarray(value, np.float32) for name, value in params.items()}


def start_of(kind: str, count: int) -> tuple[np.ndarray, ...]:
    """A state of zeros: one array for an Elman cell, two for an LSTM."""
    return tuple(np.zeros((count, HIDDEN), np.float32) for _ in range(1 + (kind == "lstm")))


def train_on_bits(
    loss_at_the_end: Callable[..., Any],
    kind: str = "lstm",
    seed: int = 0,
    batches: int = 200,
    gap: int = GAP,
    again: float = 0.0,
    change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict,
    report: Callable[[int, float], None] = lambda batch, loss: None,
) -> dict[str, np.ndarray]:
    """Train a net to say at the end which bit came; `change` may change its first weights.

    The optimizer is Adam with a rate that falls to zero; gradients longer than 1 are cut to length 1.
    """
    rng = np.random.default_rng(seed)
    params = change(first_net(rng, kind))
    first, second = ({name: np.zeros_like(value) for name, value in params.items()} for _ in range(2))
    for i in range(1, batches + 1):
        xs, targets = bits(rng, BATCH, gap, again)
        loss, grads = loss_at_the_end(*cell(kind), params, xs, start_of(kind, BATCH), targets)
        length = np.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
        for name, grad in grads.items():
            grad = grad / max(1.0, length)
            first[name] = 0.9 * first[name] + 0.1 * grad
            second[name] = 0.99 * second[name] + 0.01 * grad * grad
            scale = np.sqrt(second[name] / (1 - 0.99**i)) + 1e-8
            move = KINDS[kind][1] * (1 - i / batches) / (1 - 0.9**i)
            params[name] = (params[name] - move * first[name] / scale).astype(np.float32)
        report(i, loss)
    return params


def right_answers(
    params: dict[str, np.ndarray], kind: str, gap: int = GAP, again: float = 0.0, seed: int = 1, count: int = 1000
) -> float:
    """The share of fresh sequences for which the net's last answer is the right bit."""
    from rnnlib.output import output_layer
    from rnnlib.sequence import rnn_forward

    xs, targets = bits(np.random.default_rng(seed), count, gap, again)
    hs, _, _ = rnn_forward(cell(kind)[0], params, xs, start_of(kind, count))
    return float((output_layer(params, hs[-1])[0].argmax(axis=-1) == targets).mean())


def bit_run(loss_at_the_end: Callable[..., Any], kind: str) -> tuple[dict[str, np.ndarray], list[float]]:
    """Parameters after training, and the loss of each batch."""
    losses: list[float] = []
    params = train_on_bits(loss_at_the_end, kind, report=lambda batch, loss: losses.append(float(loss)))
    return params, losses


def overflows(sigmoid: Callable[..., Any]) -> bool:
    """Whether large numbers overflow in it, or come out as nan; asked here, where NumPy's warnings are seen."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        try:
            out = sigmoid(np.array([-1000.0, -300.0, 0.0, 300.0, 1000.0]))
        except FloatingPointError:
            return True
    return bool(np.isnan(out).any())
