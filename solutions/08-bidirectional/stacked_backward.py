"""Inputs for 08-bidirectional/stacked_backward, and PyTorch's gradients of the same stack."""

import itertools

import numpy as np
import torch

from course.checks.toys import run_leaky, run_leaky_back

RETURNS = ("dxs", "d(first states)", "grads")


def inputs(rng):
    """Two layers and three, of different widths; one alone; sizes that are all equal."""
    for T, B, widths in ((4, 3, (2, 4, 3)), (3, 2, (3, 2, 5, 4)), (3, 2, (2, 3)), (3, 3, (3, 3, 3))):
        layers, caches, dstates, hs = [], [], [], rng.standard_normal((T, B, widths[0]))
        for D, H in itertools.pairwise(widths):
            layers.append({"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))})
            hs, _, kept = run_leaky(layers[-1], hs, (rng.standard_normal((B, H)),))
            caches.append(kept)
            dstates.append((rng.standard_normal((B, H)),))
        yield run_leaky_back, layers, rng.standard_normal(hs.shape), dstates, caches


def oracle(run_back, layers, dhs, dstates, caches):
    xs = torch.tensor(np.stack([x for x, _ in caches[0]]), requires_grad=True)
    starts = [torch.tensor(kept[0][1], requires_grad=True) for kept in caches]
    weights = [{name: torch.tensor(value, requires_grad=True) for name, value in own.items()} for own in layers]
    states, loss = list(starts), 0
    for t, x in enumerate(xs):
        below = x
        for i, own in enumerate(weights):
            states[i] = own["keep"] * states[i] + below @ own["W"]
            below = states[i]
        loss = loss + (torch.from_numpy(dhs[t]) * below).sum()
    for last, (dlast,) in zip(states, dstates, strict=True):
        loss = loss + (torch.from_numpy(dlast) * last).sum()
    loss.backward()
    grads = [{name: w.grad.numpy() for name, w in own.items()} for own in weights]
    return xs.grad.numpy(), [(start.grad.numpy(),) for start in starts], grads
