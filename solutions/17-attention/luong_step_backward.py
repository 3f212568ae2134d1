"""Inputs for 17-attention/luong_step_backward, and PyTorch's gradients of the same step."""

import numpy as np
import torch

RETURNS = ("dx", ("dh_prev", "do_prev"), "dkeys", "grads")


def inputs(rng):
    """All sizes different, with a matrix and with a dot product; one of one; all equal; h alone counts, o alone."""
    for S, lengths, D, H, K, A, dot, h_counts, o_counts in (
        (5, [5, 2, 3], 2, 4, 6, 7, False, 1, 1),
        (4, [1, 4], 5, 3, 3, 2, True, 1, 1),
        (1, [1], 3, 2, 4, 5, False, 1, 1),
        (3, [3, 2, 3], 3, 3, 3, 3, False, 1, 1),
        (4, [4, 2], 2, 3, 5, 4, False, 1, 0),
        (4, [3, 4], 3, 2, 2, 4, True, 0, 1),
    ):
        B = len(lengths)
        cell = {
            "W_xh": rng.standard_normal((D + A, 3 * H)),
            "W_hh": rng.standard_normal((H, 3 * H)),
            "b_h": rng.standard_normal(3 * H),
        }
        params = {"cell": cell, "combine": {"W_c": rng.standard_normal((K + H, A)) / 2}}
        if not dot:
            params["score"] = {"W": rng.standard_normal((H, K))}
        state = np.tanh(rng.standard_normal((B, H))), np.tanh(rng.standard_normal((B, A)))
        mask = np.arange(S)[:, None] < np.array(lengths)
        x, keys = rng.standard_normal((B, D)), rng.standard_normal((S, B, K))
        dstate = h_counts * rng.standard_normal((B, H)), o_counts * rng.standard_normal((B, A))
        yield params, dstate, _left_behind(params, x, state, keys, mask)


def _left_behind(params, x, state, keys, mask):
    """What the forward step keeps, in NumPy."""
    h_prev, o_prev = state
    x_in = np.concatenate([x, o_prev], axis=1)
    (x_z, x_r, x_n), (W_z, W_r, W_n) = (
        np.split(a, 3, axis=1) for a in (x_in @ params["cell"]["W_xh"] + params["cell"]["b_h"], params["cell"]["W_hh"])
    )
    z, r = (1 / (1 + np.exp(-a)) for a in (x_z + h_prev @ W_z, x_r + h_prev @ W_r))
    n = np.tanh(x_n + (r * h_prev) @ W_n)
    h = (1 - z) * h_prev + z * n
    scores = np.einsum("bk,sbk->sb", h @ params["score"]["W"] if "score" in params else h, keys)
    exps = np.where(mask, np.exp(scores - scores.max(axis=0)), 0)
    weights = exps / exps.sum(axis=0)
    joined = np.concatenate([np.einsum("sb,sbk->bk", weights, keys), h], axis=1)
    return (x_in, h_prev, z, r, n), (h, keys), weights, keys, joined, np.tanh(joined @ params["combine"]["W_c"])


def oracle(params, dstate, cache):
    (x_in, h_start, *_), _, weights, kept, _, o_new = cache
    leaves = {part: {k: torch.tensor(v, requires_grad=True) for k, v in params[part].items()} for part in params}
    A, H = o_new.shape[1], h_start.shape[1]
    x, o_prev, h_prev, keys = (
        torch.tensor(array, requires_grad=True) for array in (x_in[:, :-A], x_in[:, -A:], h_start, kept)
    )
    cell = leaves["cell"]
    a, W = torch.cat([x, o_prev], dim=1) @ cell["W_xh"] + cell["b_h"], cell["W_hh"]
    z, r = torch.sigmoid(a[:, : 2 * H] + h_prev @ W[:, : 2 * H]).split(H, dim=1)
    h = h_prev + z * (torch.tanh(a[:, 2 * H :] + (r * h_prev) @ W[:, 2 * H :]) - h_prev)
    query = h @ leaves["score"]["W"] if "score" in leaves else h
    scores = (keys * query).sum(dim=-1).masked_fill(torch.from_numpy(weights == 0), -torch.inf)
    context = (torch.softmax(scores, dim=0)[..., None] * keys).sum(dim=0)
    o = torch.tanh(torch.cat([context, h], dim=1) @ leaves["combine"]["W_c"])
    torch.autograd.backward([h, o], [torch.from_numpy(d) for d in dstate])
    grads = {part: {k: _grad(v) for k, v in names.items()} for part, names in leaves.items()}
    return x.grad.numpy(), (h_prev.grad.numpy(), o_prev.grad.numpy()), _grad(keys), grads


def _grad(leaf):
    return leaf.grad.numpy() if leaf.grad is not None else np.zeros(tuple(leaf.shape))
