"""Inputs for 17-attention/luong_step, and the same step in PyTorch, with all that it leaves behind."""

import numpy as np
import torch

RETURNS = (("h", "o"), (("x_in", "h_prev", "z", "r", "n"), ("query", "keys"), "weights", "keys", "joined", "o"))


def inputs(rng):
    """Sizes that all differ, with a dot product and with a matrix; padding; one step of one sequence; all equal."""
    for S, lengths, D, H, K, A in (
        (5, [5, 2, 3], 2, 4, 6, 7),
        (4, [1, 4], 5, 3, 3, 2),
        (1, [1], 3, 2, 4, 5),
        (3, [3, 2, 3], 3, 3, 3, 3),
    ):
        B = len(lengths)
        cell = {
            "W_xh": rng.standard_normal((D + A, 3 * H)),
            "W_hh": rng.standard_normal((H, 3 * H)),
            "b_h": rng.standard_normal(3 * H),
        }
        params = {"cell": cell, "combine": {"W_c": rng.standard_normal((K + H, A))}}
        if (S, H) != (4, 3):  # there the score is the dot product, which has no weights
            params["score"] = {"W": rng.standard_normal((H, K))}
        state = np.tanh(rng.standard_normal((B, H))), np.tanh(rng.standard_normal((B, A)))
        mask = np.arange(S)[:, None] < np.array(lengths)
        yield params, rng.standard_normal((B, D)), state, rng.standard_normal((S, B, K)), mask


@torch.no_grad()
def oracle(params, x, state, keys, mask):
    h_prev, o_prev = map(torch.from_numpy, state)
    x_in = torch.cat([torch.from_numpy(x), o_prev], dim=1)
    cell = {name: torch.from_numpy(value) for name, value in params["cell"].items()}
    (x_z, x_r, x_n), (W_z, W_r, W_n) = (x_in @ cell["W_xh"] + cell["b_h"]).chunk(3, 1), cell["W_hh"].chunk(3, 1)
    z, r = torch.sigmoid(x_z + h_prev @ W_z), torch.sigmoid(x_r + h_prev @ W_r)
    n = torch.tanh(x_n + (r * h_prev) @ W_n)
    h = h_prev + z * (n - h_prev)
    query = h @ torch.from_numpy(params["score"]["W"]) if "score" in params else h
    k = torch.from_numpy(keys)
    scores = torch.einsum("bk,sbk->sb", query, k).masked_fill(~torch.from_numpy(mask), -torch.inf)
    weights = torch.softmax(scores, dim=0)
    joined = torch.cat([(weights[..., None] * k).sum(dim=0), h], dim=1)
    o = torch.tanh(joined @ torch.from_numpy(params["combine"]["W_c"]))
    moved = tuple(part.numpy() for part in (x_in, h_prev, z, r, n))
    left = moved, (h.numpy(), keys), weights.numpy(), keys, joined.numpy(), o.numpy()
    return (h.numpy(), o.numpy()), left
