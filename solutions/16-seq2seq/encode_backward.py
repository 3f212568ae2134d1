"""Inputs for 16-seq2seq/encode_backward, and PyTorch's gradients, sequence by sequence."""

import numpy as np
import torch

RETURNS = "grads"


def inputs(rng):
    """Gradient at all states and at the last; at the last alone; at the others alone; a symbol that comes up often."""
    for S, lengths, D, H, V, at_all, at_last in (
        (5, [2, 5, 4], 3, 4, 5, 1, 1),
        (4, [4, 1], 2, 3, 3, 0, 1),
        (3, [1, 3, 2], 4, 2, 6, 1, 0),
        (3, [3, 3, 3], 2, 5, 2, 1, 1),
        (1, [1, 1], 3, 2, 4, 0, 1),
    ):
        B, lengths = len(lengths), np.array(lengths)
        cell = {
            "W_xh": rng.standard_normal((D, 3 * H)) / np.sqrt(D),
            "W_hh": rng.standard_normal((H, 3 * H)) / np.sqrt(H),
            "b_h": rng.standard_normal(3 * H),
        }
        params = {"embedding": {"E": rng.standard_normal((V, D))}, "cell": cell}
        mask = np.arange(S)[:, None] < lengths
        tokens = np.where(mask, rng.integers(V, size=(S, B)), 0)
        dhs = at_all * rng.standard_normal((S, B, H)) * mask[..., None]
        dc = at_last * rng.standard_normal((B, H))
        yield params, dhs, (dc,), (tokens, mask, *_run(params, tokens))


def _run(params, tokens):
    """What the forward pass keeps: inputs and a 1, states from the first on, five slopes for each step."""
    cell, xs = params["cell"], params["embedding"]["E"][tokens]
    states, slopes = [np.zeros((tokens.shape[1], len(cell["W_hh"])))], []
    W_z, W_r, W_n = np.split(cell["W_hh"], 3, axis=1)
    for x in xs:
        h = states[-1]
        a_z, a_r, a_n = np.split(x @ cell["W_xh"] + cell["b_h"], 3, axis=1)
        z, r = 1 / (1 + np.exp(-a_z - h @ W_z)), 1 / (1 + np.exp(-a_r - h @ W_r))
        n = np.tanh(a_n + (r * h) @ W_n)
        states.append((1 - z) * h + z * n)
        slopes.append([1 - z, z * (1 - n * n), (n - h) * z * (1 - z), h * r * (1 - r), r])
    return np.concatenate([xs, np.ones((*tokens.shape, 1))], axis=-1), np.array(states), np.array(slopes)


def oracle(params, dhs, dstate, cache):
    tokens, mask = cache[:2]
    E = torch.tensor(params["embedding"]["E"], requires_grad=True)
    cell = {name: torch.tensor(value, requires_grad=True) for name, value in params["cell"].items()}
    W_z, W_r, W_n = cell["W_hh"].chunk(3, dim=1)
    worth = 0
    for b, length in enumerate(mask.sum(axis=0)):
        h = torch.zeros(len(cell["W_hh"]), dtype=torch.float64)
        for s in range(length):
            a_z, a_r, a_n = (E[tokens[s, b]] @ cell["W_xh"] + cell["b_h"]).chunk(3)
            z, r = torch.sigmoid(a_z + h @ W_z), torch.sigmoid(a_r + h @ W_r)
            h = (1 - z) * h + z * torch.tanh(a_n + (r * h) @ W_n)
            worth = worth + (torch.from_numpy(dhs[s, b]) * h).sum()
        worth = worth + (torch.from_numpy(dstate[0][b]) * h).sum()
    worth.backward()
    return {"embedding": {"E": E.grad.numpy()}, "cell": {name: value.grad.numpy() for name, value in cell.items()}}
