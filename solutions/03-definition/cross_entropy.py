"""Inputs for 03-definition/cross_entropy, and PyTorch's loss with its gradient by automatic differentiation."""

import numpy as np
import torch

RETURNS = ("loss", "dlogits")


def inputs(rng):
    """A sequence without and with a mask, padding that holds nonsense, and scores of the size of 1000."""
    T, B, K = 4, 3, 5
    mask = np.arange(T)[:, None] < np.array([4, 2, 3])
    yield rng.standard_normal((T, B, K)), rng.integers(0, K, (T, B))
    yield rng.standard_normal((T, B, K)), rng.integers(0, K, (T, B)), mask
    logits, targets = rng.standard_normal((T, B, K)), rng.integers(0, K, (T, B))
    logits[~mask], targets[~mask] = 50.0, -100
    yield logits, targets, mask
    yield 1000 * rng.standard_normal((6, K)), rng.integers(0, K, 6)


def oracle(logits, targets, mask=None):
    counts = torch.ones(targets.shape, dtype=torch.bool) if mask is None else torch.from_numpy(mask)
    z = torch.from_numpy(logits).requires_grad_()
    loss = torch.nn.functional.cross_entropy(z[counts], torch.from_numpy(targets)[counts].long())
    loss.backward()
    return loss.item(), z.grad.numpy()
