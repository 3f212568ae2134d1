"""Inputs for 13-classification/input_influence with a toy run, and PyTorch's gradient of each score, one by one."""

import numpy as np
import torch

from course.checks.toys import pool_sum, pool_sum_back, run_leaky, run_leaky_back

RETURNS = "s"


def inputs(rng):
    """Vectors and symbols, NaN or symbols that do not exist behind the ends; a class asked about twice."""
    for T, lengths, symbols, junk in (
        (5, [5, 2, 3], False, np.nan),
        (4, [4, 1], True, 0),
        (3, [2, 3, 1], True, -1),
        (4, [2, 4, 3, 1], False, 100.0),
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
        toys = run_leaky, run_leaky_back, pool_sum, pool_sum_back
        state = (rng.standard_normal((B, H)),)
        yield *toys, net, given, np.array(lengths), state, rng.integers(K, size=B)


def oracle(run, run_back, pool, pool_back, net, inputs, lengths, state, classes):
    tensors = {part: {name: torch.from_numpy(a) for name, a in own.items()} for part, own in net.items()}
    found = np.zeros(inputs.shape[:2])
    for b, n in enumerate(lengths):
        given = torch.tensor(inputs[:n, b])
        xs = (tensors["embedding"]["E"][given] if "embedding" in net else given).requires_grad_()
        h, total = torch.from_numpy(state[0][b]), 0
        for x in xs:
            h = tensors["cell"]["keep"] * h + x @ tensors["cell"]["W"]
            total = total + h
        score = (total @ tensors["out"]["W_hy"] + tensors["out"]["b_y"])[classes[b]]
        (slope,) = torch.autograd.grad(score, xs)
        found[:n, b] = (slope * xs).sum(dim=-1).detach().numpy()
    return found
