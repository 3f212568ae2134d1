"""Inputs for 11-gradients/identity, and PyTorch's eye."""

import torch

RETURNS = "W"


def inputs(rng):
    """One in float32; several sizes and scales; one of a single unit."""
    yield 2, 0.25, "float32"
    yield (3,)
    yield (4, 0.5)
    yield (1, -2.0)
    yield (5, 1.01)


def oracle(size, scale=1.0, dtype="float64"):
    return (scale * torch.eye(size, dtype=getattr(torch, dtype))).numpy()
