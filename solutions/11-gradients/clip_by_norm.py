"""Inputs for 11-gradients/clip_by_norm, and the same with all entries in one long vector of PyTorch's."""

import torch

RETURNS = ("grads", "norm")


def inputs(rng):
    """Too long, by a little and by a lot; short enough; one array; nothing but zeros."""
    for max_norm, size in ((1.0, 1.0), (0.5, 100.0), (5.0, 0.1)):
        yield {"W_xh": size * rng.standard_normal((3, 4)), "b_h": size * rng.standard_normal(4)}, max_norm
    yield {"W": rng.standard_normal((2, 3, 2))}, 0.25
    yield {"W": 0 * rng.standard_normal((2, 2)), "b": 0 * rng.standard_normal(2)}, 1.0


def oracle(grads, max_norm):
    flat = torch.cat([torch.from_numpy(grad).reshape(-1) for grad in grads.values()])
    norm = torch.linalg.vector_norm(flat)
    short = flat if norm <= max_norm else flat * (max_norm / norm)
    parts = short.split([grad.size for grad in grads.values()])
    named = zip(grads.items(), parts, strict=True)
    return {name: part.reshape(grad.shape).numpy() for (name, grad), part in named}, norm.item()
