"""Inputs for 04-elman/predict_next, and the predictions of PyTorch's cell with the same weights."""

import numpy as np
import torch

from rnnlib.elman import elman_step

RETURNS = "symbols"


def inputs(rng):
    """One-hot symbols, one string padded with zeros; a string alone; a symbol alone; all sizes equal."""
    for T, B, H, K in ((9, 4, 5, 7), (6, 1, 3, 5), (1, 3, 4, 6), (5, 5, 5, 5)):
        params = {
            "W_xh": rng.standard_normal((K, H)),
            "W_hh": rng.standard_normal((H, H)),
            "b_h": rng.standard_normal(H),
            "W_hy": rng.standard_normal((H, K)),
            "b_y": rng.standard_normal(K),
        }
        xs = np.eye(K)[rng.integers(K, size=(T, B))]
        xs[T // 2 + 1 :, 0] = 0
        yield elman_step, params, xs, (rng.uniform(-1, 1, (B, H)),)


def oracle(step, params, xs, state):
    D, H = params["W_xh"].shape
    cell = torch.nn.RNNCell(D, H, dtype=torch.float64)
    weights = (params["W_xh"].T, params["W_hh"].T, params["b_h"], np.zeros(H))
    with torch.no_grad():
        for own, value in zip(cell.parameters(), weights, strict=True):
            own.copy_(torch.from_numpy(value))
        h, symbols = torch.from_numpy(state[0]), []
        for x in torch.from_numpy(xs):
            h = cell(x, h)
            scores = h @ torch.from_numpy(params["W_hy"]) + torch.from_numpy(params["b_y"])
            symbols.append(scores.max(dim=-1).indices)
    return torch.stack(symbols).numpy()
