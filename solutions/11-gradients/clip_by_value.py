"""Inputs for 11-gradients/clip_by_value, and PyTorch's clamp."""

import torch

RETURNS = "grads"


def inputs(rng):
    """Some entries beyond the limit; none; nearly all."""
    for limit, size in ((1.0, 1.0), (5.0, 0.5), (0.05, 2.0)):
        yield {"W_hh": size * rng.standard_normal((4, 4)), "b_h": size * rng.standard_normal(4)}, limit


def oracle(grads, limit):
    return {name: torch.clamp(torch.from_numpy(grad), -limit, limit).numpy() for name, grad in grads.items()}
