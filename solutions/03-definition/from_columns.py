"""Inputs for 03-definition/from_columns, and the same turn done by PyTorch."""

import numpy as np
import torch

RETURNS = ("cell", "readout")


def inputs(rng):
    """All sizes different; then a square net, where a forgotten turn keeps every shape; then the two-word net."""
    for n, m, k in ((3, 5, 2), (4, 4, 4)):
        yield tuple(rng.standard_normal(size) for size in ((m, n), (m, m), (m,), (k, m), (k,)))
    yield (
        np.array([[1.0, -1.0, 0.0], [0.0, 0.0, -0.5]]),
        np.array([[2.0, 0.0], [0.0, 2.0]]),
        np.array([0.0, -1.0]),
        np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 4.0], [0.0, -4.0]]),
        np.zeros(4),
    )


def oracle(W_xh, W_hh, b_h, W_hy, b_y):
    turned = [torch.from_numpy(W).transpose(0, 1).numpy() for W in (W_xh, W_hh, W_hy)]
    return {"W_xh": turned[0], "W_hh": turned[1], "b_h": b_h}, {"W_hy": turned[2], "b_y": b_y}
