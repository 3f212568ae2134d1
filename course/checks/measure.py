"""What the chapters' checks measure with."""

from typing import Any

import numpy as np

from course.checks.run import expect

__all__ = ["closest_scale", "distance", "draw", "expect_normal"]


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
