"""Inputs for 09-batches/padded_loss with a toy cell, and PyTorch's loss of the sequences, one at a time."""

import numpy as np
import torch

from course.checks.toys import run_leaky, run_leaky_back

RETURNS = ("loss", "dxs", "grads")


def inputs(rng):
    """Padding that is large, NaN, or overflows, impossible targets in it; no padding; as many steps as sequences."""
    for T, lengths, junk in (
        (5, [5, 2, 3], 1000.0),
        (6, [4, 1], np.nan),
        (3, [3, 3, 3, 3], 0.0),
        (3, [3, 1, 2], 0.0),
        (4, [2, 0, 3], 1e308),
        (1, [1], 0.0),
    ):
        B, D, H, K = len(lengths), 2, 4, 3
        cell = {"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))}
        net = {"cell": cell, "out": {"W_hy": rng.standard_normal((H, K)), "b_y": rng.standard_normal(K)}}
        xs, targets = rng.standard_normal((T, B, D)), rng.integers(K, size=(T, B))
        behind = np.arange(T)[:, None] >= np.array(lengths)
        xs[behind] = junk
        targets[behind] = -1 if junk else 0
        state = (rng.standard_normal((B, H)),)
        yield run_leaky, run_leaky_back, net, xs, targets, np.array(lengths), state


def oracle(run, run_back, net, xs, targets, lengths, state):
    cell, out = ({name: torch.tensor(a, requires_grad=True) for name, a in net[part].items()} for part in net)
    inputs_of = [torch.tensor(xs[:n, b], requires_grad=True) for b, n in enumerate(lengths)]
    total = 0
    for b, n in enumerate(lengths):
        h = torch.from_numpy(state[0][b])
        for t in range(n):
            h = cell["keep"] * h + inputs_of[b][t] @ cell["W"]
            total = total - torch.log_softmax(h @ out["W_hy"] + out["b_y"], dim=-1)[targets[t, b]]
    loss = total / int(lengths.sum())
    loss.backward()
    dxs = np.zeros_like(xs)
    for b, n in enumerate(lengths):
        if n:
            dxs[:n, b] = inputs_of[b].grad.numpy()
    grads = {"cell": cell, "out": out}
    return loss.item(), dxs, {k: {name: a.grad.numpy() for name, a in part.items()} for k, part in grads.items()}
