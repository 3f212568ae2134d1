"""What the chapters' checks measure with."""

from collections.abc import Callable
from typing import Any

import numpy as np

from course.checks.run import expect

__all__ = ["closest_scale", "distance", "draw", "expect_normal", "expect_sum_of_sequences", "slopes"]


def draw(*shape: int, seed: int = 3) -> np.ndarray:
    """Normal random numbers, the same at each call."""
    return np.random.default_rng(seed).standard_normal(shape)


def distance(a: Any, b: Any) -> float:
    """The largest difference; infinite where the shapes differ."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else np.inf


def closest_scale(spread: float, scales: dict[str, float]) -> str:
    """Which of the usual standard deviations, by the words for them, a measured one is closest to."""
    name = min(scales, key=lambda key: abs(np.log(max(spread, 1e-12) / scales[key])))
    near = abs(np.log(max(spread, 1e-12) / scales[name])) < 0.1
    return f"it is close to {name}." if near else "it is close to none of the usual scales."


def expect_normal(weights: dict[str, np.ndarray]) -> None:
    """Fail unless about as much of each array lies far out as of a normal distribution does."""
    for name, values in weights.items():
        beyond = float((np.abs(values) > 2 * np.std(values)).mean())
        expect(
            0.035 < beyond < 0.056,
            f"{beyond:.1%} of {name} lies beyond two standard deviations; of a normal distribution 4.6 % does, of a "
            "uniform one nothing",
        )


def slopes(loss: Callable[[np.ndarray], float], value: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences of a loss in each entry of an array."""
    found = np.zeros_like(value)
    for at in np.ndindex(value.shape):
        bump = np.zeros_like(value)
        bump[at] = step
        found[at] = (loss(value + bump) - loss(value - bump)) / (2 * step)
    return found


def expect_sum_of_sequences(
    step_backward: Callable[..., Any], dstate: tuple[np.ndarray, ...], cache: tuple[np.ndarray, ...], *parts: str
) -> None:
    """Fail unless the gradients of a batch are those of its sequences, taken one by one.

    `step_backward` takes dstate and cache; `parts` are the names of the gradients that each sequence has of its own.
    """
    dx, dstate_prev, grads = step_backward(dstate, cache)
    rows = [slice(b, b + 1) for b in range(len(dx))]
    apart = [step_backward(tuple(d[row] for d in dstate), tuple(a[row] for a in cache)) for row in rows]
    for name, whole in grads.items():
        gap = distance(sum(single[2][name] for single in apart), whole)
        told = f"the gradients of {name} of {len(rows)} sequences, taken one by one, do not add up: {gap:.3g} off"
        expect(gap < 1e-10, told)
    own = [(dx, [single[0] for single in apart])]
    own += [(whole, [single[1][n] for single in apart]) for n, whole in enumerate(dstate_prev)]
    gap = max(distance(np.concatenate(pieces), whole) for whole, pieces in own)
    names = f"{', '.join(parts[:-1])} and {parts[-1]}"
    expect(gap < 1e-10, f"a sequence's own {names} depend on the other sequences of the batch: {gap:.3g} off")
