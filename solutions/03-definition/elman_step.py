"""Inputs for 03-definition/elman_step, and PyTorch's cell with the same weights."""

import numpy as np
import torch

RETURNS = (("h",), ("x", "h_prev", "h"))


def inputs(rng):
    """All sizes different; ReLU; a batch of one; as many inputs as units as sequences."""
    for B, D, H, phi in ((4, 3, 5, "tanh"), (4, 3, 5, "relu"), (1, 2, 3, "tanh"), (3, 3, 3, "tanh")):
        params = {
            "W_xh": rng.standard_normal((D, H)),
            "W_hh": rng.standard_normal((H, H)),
            "b_h": rng.standard_normal(H),
        }
        x, h_prev = rng.standard_normal((B, D)), rng.uniform(-1, 1, (B, H))
        yield (params, x, (h_prev,)) if phi == "tanh" else (params, x, (h_prev,), phi)


def oracle(params, x, state, phi="tanh"):
    D, H = params["W_xh"].shape
    cell = torch.nn.RNNCell(D, H, nonlinearity=phi, dtype=torch.float64)
    weights = (params["W_xh"].T, params["W_hh"].T, params["b_h"], np.zeros(H))
    with torch.no_grad():
        for own, value in zip(cell.parameters(), weights, strict=True):
            own.copy_(torch.from_numpy(value))
        h = cell(torch.from_numpy(x), torch.from_numpy(state[0])).numpy()
    return (h,), (x, state[0], h)
