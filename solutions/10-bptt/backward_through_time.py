"""Inputs for 10-bptt/backward_through_time, and PyTorch's gradients of the whole unrolled net."""

import numpy as np
import torch

from course.checks.toys import fast_and_slow_step_backward
from rnnlib.elman import elman_step_backward

RETURNS = ("dxs", "dstart", "grads")


def inputs(rng):
    """A state of two arrays and of one; gradients at every step, into the last state alone, not into it; one step."""
    for kind, T, B, D, H, each, last in (
        ("toy", 5, 3, 2, 4, 1, 1),
        ("elman", 4, 2, 3, 5, 1, 1),
        ("elman", 6, 1, 2, 3, 1, 0),
        ("toy", 4, 2, 3, 3, 0, 1),
        ("elman", 1, 3, 4, 2, 1, 1),
    ):
        xs, h = rng.standard_normal((T, B, D)), rng.uniform(-1, 1, (B, H))
        dhs, parts = each * rng.standard_normal((T, B, H)), 2 if kind == "toy" else 1
        dstate = tuple(last * rng.standard_normal((B, H)) for _ in range(parts))
        if kind == "toy":
            params, caches = {"W": rng.standard_normal((D, H))}, [(x,) for x in xs]
            yield fast_and_slow_step_backward, params, dhs, dstate, caches
            continue
        shapes = {"W_xh": (D, H), "W_hh": (H, H), "b_h": (H,)}
        params, caches = {name: rng.standard_normal(shape) for name, shape in shapes.items()}, []
        for x in xs:
            new = np.tanh(np.einsum("bd,dh->bh", x, params["W_xh"]) + h @ params["W_hh"] + params["b_h"])
            caches.append((x, h, new))
            h = new
        yield elman_step_backward, params, dhs, dstate, caches


def oracle(step_backward, params, dhs, dstate, caches):
    p = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    xs = torch.tensor(np.stack([cache[0] for cache in caches]), requires_grad=True)
    one = len(dstate) == 1
    first = [caches[0][1]] if one else [np.zeros_like(part) for part in dstate]  # the toy is linear: any start will do
    start = [torch.tensor(part, requires_grad=True) for part in first]
    state, loss = start, 0
    for x, dh in zip(xs, torch.from_numpy(dhs), strict=True):
        if one:
            state = [torch.tanh(x @ p["W_xh"] + state[0] @ p["W_hh"] + p["b_h"])]
        else:
            slow = 0.9 * state[1] + x @ p["W"]
            state = [0.5 * state[0] + slow, slow]
        loss = loss + (dh * state[0]).sum()
    for part, d in zip(state, dstate, strict=True):
        loss = loss + (torch.from_numpy(d) * part).sum()
    loss.backward()
    return xs.grad.numpy(), tuple(s.grad.numpy() for s in start), {name: w.grad.numpy() for name, w in p.items()}
