"""Inputs for 06-lstm/lstm_step, and the answer gate by gate, each with matrices of its own, in PyTorch."""

import torch

RETURNS = (("h", "c"), ("x", "h_prev", "c_prev", "i", "f", "o", "g", "tanh_c"))


def inputs(rng):
    """All sizes different; a batch of one; all sizes equal; large memories, so that tanh matters."""
    for B, D, H, size in ((4, 3, 5, 1), (1, 2, 3, 1), (3, 3, 3, 1), (2, 4, 3, 3)):
        params = {
            "W_xh": rng.standard_normal((D, 4 * H)),
            "W_hh": rng.standard_normal((H, 4 * H)),
            "b_h": rng.standard_normal(4 * H),
        }
        yield params, rng.standard_normal((B, D)), (rng.uniform(-1, 1, (B, H)), size * rng.standard_normal((B, H)))


def oracle(params, x, state):
    cell = {name: torch.from_numpy(value).chunk(4, dim=-1) for name, value in params.items()}
    x, h, c = (torch.from_numpy(array) for array in (x, *state))
    sums = [x @ W + h @ U + b for W, U, b in zip(cell["W_xh"], cell["W_hh"], cell["b_h"], strict=True)]
    i, f, o, g = *(torch.sigmoid(a) for a in sums[:3]), torch.tanh(sums[3])
    new = f * c + i * g
    answer = (o * torch.tanh(new), new), (x, h, c, i, f, o, g, torch.tanh(new))
    return tuple(tuple(array.numpy() for array in part) for part in answer)
