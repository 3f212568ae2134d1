"""Inputs for 06-lstm/peephole_lstm_step, and the answer gate by gate, each with matrices of its own, in PyTorch."""

import torch

RETURNS = (("h", "c"), ("x", "h_prev", "c_prev", "i", "f", "o", "g", "c"))


def inputs(rng):
    """All sizes different; a batch of one; all sizes equal; large memories."""
    for B, D, H, size in ((4, 3, 5, 1), (1, 2, 3, 1), (3, 3, 3, 1), (2, 4, 3, 3)):
        params = {
            "W_xh": rng.standard_normal((D, 4 * H)),
            "W_hh": rng.standard_normal((H, 4 * H)),
            "b_h": rng.standard_normal(4 * H),
        }
        params |= {name: rng.standard_normal(H) for name in ("p_i", "p_f", "p_o")}
        yield params, rng.standard_normal((B, D)), (rng.uniform(-1, 1, (B, H)), size * rng.standard_normal((B, H)))


def oracle(params, x, state):
    p = {name: torch.from_numpy(value) for name, value in params.items()}
    cell = {name: p[name].chunk(4, dim=-1) for name in ("W_xh", "W_hh", "b_h")}
    x, h, c = (torch.from_numpy(array) for array in (x, *state))
    sums = [x @ W + h @ U + b for W, U, b in zip(cell["W_xh"], cell["W_hh"], cell["b_h"], strict=True)]
    i, f, g = torch.sigmoid(sums[0] + p["p_i"] * c), torch.sigmoid(sums[1] + p["p_f"] * c), torch.tanh(sums[3])
    new = f * c + i * g
    o = torch.sigmoid(sums[2] + p["p_o"] * new)
    answer = (o * torch.tanh(new), new), (x, h, c, i, f, o, g, new)
    return tuple(tuple(array.numpy() for array in part) for part in answer)
