"""Inputs for 12-training/variational_dropout_backward, and PyTorch's gradient of the product."""

import numpy as np
import torch

RETURNS = "dxs"


def inputs(rng):
    """All sizes different, twice; one step; nothing silenced; as many steps as sequences."""
    for T, B, D, drop in ((5, 3, 4, 0.5), (4, 2, 7, 0.2), (1, 4, 3, 0.75), (6, 2, 3, 0.0), (3, 3, 3, 0.4)):
        mask = (rng.random((B, D)) >= drop) / (1 - drop)
        yield rng.standard_normal((T, B, D)), mask


def oracle(dys, mask):
    xs = torch.zeros(dys.shape, dtype=torch.float64, requires_grad=True)
    ys = torch.stack([x * torch.from_numpy(np.array(mask)) for x in xs])
    ys.backward(torch.from_numpy(dys))
    return xs.grad.numpy()
