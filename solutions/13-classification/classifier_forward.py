"""Inputs for 13-classification/classifier_forward with a toy run, and PyTorch's scores of each sequence alone."""

import numpy as np
import torch

from course.checks.toys import pool_sum, run_leaky

RETURNS = (
    "logits",
    ("inputs", ("last state",), "caches of the run", "cache of the pooling", "cache of the output layer"),
)


def inputs(rng):
    """Vectors and symbols, with zeros, NaN or symbols that do not exist behind the ends; as many steps as sequences."""
    for T, lengths, symbols, junk in (
        (5, [5, 2, 3], False, 100.0),
        (4, [4, 1], True, 0),
        (3, [3, 1, 2], False, np.nan),
        (3, [2, 3, 1], True, -1),
        (6, [4, 6, 2, 1], True, 99),
        (1, [1], False, 0.0),
    ):
        B, D, H, K, V = len(lengths), 2, 4, 3, 5
        cell = {"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))}
        net = {"cell": cell, "out": {"W_hy": rng.standard_normal((H, K)), "b_y": rng.standard_normal(K)}}
        given = rng.standard_normal((T, B, D))
        if symbols:
            net["embedding"] = {"E": rng.standard_normal((V, D))}
            given = rng.integers(V, size=(T, B))
        given[np.arange(T)[:, None] >= np.array(lengths)] = junk
        yield run_leaky, pool_sum, net, given, np.array(lengths), (rng.standard_normal((B, H)),)


def oracle(run, pool, net, inputs, lengths, state):
    tensors = {part: {name: torch.from_numpy(a) for name, a in own.items()} for part, own in net.items()}
    T = len(inputs)
    clean, hs, caches = np.zeros_like(inputs), [], []
    for b, n in enumerate(lengths):
        clean[:n, b] = inputs[:n, b]
    xs = tensors["embedding"]["E"][torch.from_numpy(clean)] if "embedding" in net else torch.from_numpy(clean)
    h = torch.from_numpy(state[0])
    for x in xs:
        caches.append((x.numpy(), h.numpy()))
        h = tensors["cell"]["keep"] * h + x @ tensors["cell"]["W"]
        hs.append(h)
    pooled = torch.stack([torch.stack(hs)[:n, b].sum(dim=0) for b, n in enumerate(lengths)])
    logits = pooled @ tensors["out"]["W_hy"] + tensors["out"]["b_y"]
    pooling = (np.array([T]), lengths)
    return logits.numpy(), (clean, (h.numpy(),), caches, pooling, (pooled.numpy(),))
