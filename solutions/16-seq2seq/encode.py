"""Inputs for 16-seq2seq/encode, and PyTorch's states of each sequence."""

import numpy as np
import torch

RETURNS = ("hs", ("c",), "cache")


def inputs(rng):
    """All kinds of symbols behind the ends, some that do not exist; no padding; as many steps as sequences; one."""
    for S, lengths, D, H, V, junk in (
        (6, [2, 6, 4], 3, 4, 5, 4),
        (4, [4, 1], 2, 3, 6, -1),
        (3, [3, 3, 3, 3], 4, 2, 3, 0),
        (3, [1, 3, 2], 2, 5, 4, 99),
        (1, [1], 3, 2, 4, 0),
    ):
        tokens = rng.integers(V, size=(S, len(lengths)))
        tokens[np.arange(S)[:, None] >= np.array(lengths)] = junk
        cell = {
            "W_xh": rng.standard_normal((D, 3 * H)) / np.sqrt(D),
            "W_hh": rng.standard_normal((H, 3 * H)) / np.sqrt(H),
            "b_h": rng.standard_normal(3 * H),
        }
        yield {"embedding": {"E": rng.standard_normal((V, D))}, "cell": cell}, tokens, np.array(lengths)


def oracle(params, tokens, lengths):
    E, cell = torch.from_numpy(params["embedding"]["E"]), {k: torch.from_numpy(v) for k, v in params["cell"].items()}
    S, B = tokens.shape
    H = len(cell["W_hh"])
    mask = np.arange(S)[:, None] < lengths
    tokens = np.where(mask, tokens, 0)
    xs = E[torch.from_numpy(tokens)]
    states, slopes = [torch.zeros(B, H, dtype=torch.float64)], []
    W_z, W_r, W_n = cell["W_hh"].chunk(3, dim=1)
    for x in xs:
        h = states[-1]
        a_z, a_r, a_n = (x @ cell["W_xh"] + cell["b_h"]).chunk(3, dim=1)
        z, r = torch.sigmoid(a_z + h @ W_z), torch.sigmoid(a_r + h @ W_r)
        n = torch.tanh(a_n + (r * h) @ W_n)
        states.append((1 - z) * h + z * n)
        slopes.append(torch.stack([1 - z, z * (1 - n * n), (n - h) * z * (1 - z), h * r * (1 - r), r]))
    hs = torch.stack(states).numpy()
    with_one = np.concatenate([xs.numpy(), np.ones((S, B, 1))], axis=-1)
    c = np.stack([hs[n, b] for b, n in enumerate(lengths)])
    return hs[1:], (c,), (tokens, mask, with_one, hs, torch.stack(slopes).numpy())
