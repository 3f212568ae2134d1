"""Inputs for 13-classification/classifier_backward with a toy run, and PyTorch's gradients."""

import numpy as np
import torch

from course.checks.toys import pool_sum_back, run_leaky_back

RETURNS = ("dxs", "grads")


def inputs(rng):
    """Vectors and symbols that come up again, also the one in the padding; as many steps as sequences."""
    for T, lengths, symbols in (
        (5, [5, 2, 3], False),
        (4, [4, 1], True),
        (3, [2, 3, 1], True),
        (3, [3, 1, 2], False),
        (6, [4, 6, 2, 1], True),
        (1, [1], False),
    ):
        B, D, H, K, V = len(lengths), 2, 4, 3, 4
        cell = {"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))}
        net = {"cell": cell, "out": {"W_hy": rng.standard_normal((H, K)), "b_y": rng.standard_normal(K)}}
        given = rng.standard_normal((T, B, D))
        if symbols:
            net["embedding"] = {"E": rng.standard_normal((V, D))}
            given = rng.integers(V, size=(T, B))
        given[np.arange(T)[:, None] >= np.array(lengths)] = 0
        xs = net["embedding"]["E"][given] if symbols else given
        h, hs, caches = rng.standard_normal((B, H)), [], []
        for x in xs:
            caches.append((x, h))
            h = cell["keep"] * h + x @ cell["W"]
            hs.append(h)
        pooled = np.array([np.sum([hs[t][b] for t in range(n)], axis=0) for b, n in enumerate(lengths)])
        cache = given, (h,), caches, (np.array([T]), np.array(lengths)), (pooled,)
        yield run_leaky_back, pool_sum_back, net, rng.standard_normal((B, K)), cache


def oracle(run_back, pool_back, net, dlogits, cache):
    given, _, caches, (_, lengths), _ = cache
    tensors = {part: {n: torch.tensor(a, requires_grad=True) for n, a in own.items()} for part, own in net.items()}
    xs = tensors["embedding"]["E"][torch.from_numpy(given)] if "embedding" in net else torch.tensor(given)
    xs = xs.requires_grad_() if xs.is_leaf else xs
    xs.retain_grad()
    h, hs = torch.from_numpy(caches[0][1]), []
    for x in xs:
        h = tensors["cell"]["keep"] * h + x @ tensors["cell"]["W"]
        hs.append(h)
    pooled = torch.stack([torch.stack(hs)[: int(n), b].sum(dim=0) for b, n in enumerate(lengths)])
    logits = pooled @ tensors["out"]["W_hy"] + tensors["out"]["b_y"]
    logits.backward(torch.from_numpy(dlogits))
    return xs.grad.numpy(), {part: {n: a.grad.numpy() for n, a in own.items()} for part, own in tensors.items()}
