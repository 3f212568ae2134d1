"""Inputs for 01-intuition/leaky_average_step, and PyTorch's weighted mean of two tensors."""

import torch

RETURNS = ("average", "output")


def inputs(rng):
    """A vector, a batch, two numbers, and a call that leaves keep at its default."""
    yield rng.standard_normal(4), rng.standard_normal(4), 0.7
    yield rng.standard_normal((3, 2)), rng.standard_normal((3, 2)), 0.25
    yield float(rng.standard_normal()), float(rng.standard_normal()), 0.6
    yield rng.standard_normal(3), rng.standard_normal(3)


def oracle(state, x, keep=0.9):
    old, new = (torch.as_tensor(value, dtype=torch.float64) for value in (state, x))
    average = torch.lerp(new, old, keep).numpy()
    average = average if average.ndim else float(average)
    return average, average
