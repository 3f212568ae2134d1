"""Inputs for 01-intuition/count_parameters, and PyTorch's count of elements."""

import torch

RETURNS = "count"


def inputs(rng):
    """A recurrent net, a dict with a single number and an array of three axes, a lone bias, zeros among the weights."""
    yield ({"W_xh": rng.standard_normal((3, 5)), "W_hh": rng.standard_normal((5, 5)), "b_h": rng.standard_normal(5)},)
    yield ({"scale": rng.standard_normal(()), "stack": rng.standard_normal((2, 3, 4)), "b": rng.standard_normal(2)},)
    yield ({"b_y": rng.standard_normal(7)},)
    yield ({"W_hy": rng.standard_normal((6, 2)) * (rng.random((6, 2)) < 0.5), "b_y": rng.standard_normal(2) * 0},)


def oracle(params):
    return sum(torch.from_numpy(array).numel() for array in params.values())
