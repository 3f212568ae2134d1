"""How much memory a function takes at most while it runs; nothing but NumPy in here (`course.checks.driver`)."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["peak_bytes", "stretch"]


def stretch(T: int, B: int = 4, H: int = 64) -> tuple[Any, ...]:
    """Parameters of `run_leaky` and an output layer, a long input with one number a step, targets and a start."""
    rng = np.random.default_rng(3)
    params = {"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((1, H))}
    params |= {"W_hy": rng.standard_normal((H, 2)), "b_y": rng.standard_normal(2)}
    return params, rng.standard_normal((T, B, 1)), rng.integers(2, size=(T, B)), (np.zeros((B, H)),)


def peak_bytes(function: Callable[..., Any], run: Any, run_back: Any, sizes: list[int]) -> list[int]:
    """The peak of what a call with a sequence of each size has allocated beyond what it was given, in bytes."""
    found = []
    for T in sizes:
        given = stretch(T)
        running = tracemalloc.is_tracing()
        if not running:
            tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            function(run, run_back, *given)
            found.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            if not running:
                tracemalloc.stop()
    return found
