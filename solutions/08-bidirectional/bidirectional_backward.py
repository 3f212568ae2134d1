"""Inputs for 08-bidirectional/bidirectional_backward, and PyTorch's gradients, sequence by sequence."""

import numpy as np
import torch

from course.checks.toys import run_leaky, run_leaky_back

NAMES = "of the forward direction", "of the backward direction"
RETURNS = ("dxs", tuple((f"d(first state) {name}",) for name in NAMES), tuple(f"gradients {name}" for name in NAMES))


def inputs(rng):
    """A padded batch; one without lengths, with gradients of the last states; one step; all sizes equal."""
    for T, B, D, H, lengths in (
        (5, 3, 2, 4, [5, 2, 4]),
        (4, 2, 3, 2, None),
        (1, 2, 3, 2, None),
        (3, 3, 3, 3, [1, 3, 2]),
    ):
        params = tuple({"keep": rng.uniform(0.3, 0.9, H), "W": rng.standard_normal((D, H))} for _ in range(2))
        xs, dhs = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, 2 * H))
        caches = tuple(
            run_leaky(own, np.stack([xs[order, b] for b, order in enumerate(orders)], axis=1), (start,))[2]
            for own, start, orders in zip(params, rng.standard_normal((2, B, H)), _orders(T, B, lengths), strict=True)
        )
        dstates = tuple((d,) for d in (rng.standard_normal((2, B, H)) if lengths is None else np.zeros((2, B, H))))
        arguments = (run_leaky_back, params, dhs, dstates, caches)
        yield arguments if lengths is None else (*arguments, np.array(lengths))


def _orders(T, B, lengths):
    """In which order each direction reads each sequence."""
    ends = [T] * B if lengths is None else [int(n) for n in lengths]
    return [list(range(T))] * B, [[*range(n - 1, -1, -1), *range(n, T)] for n in ends]


def oracle(run_back, params, dhs, dstates, caches, lengths=None):
    T, B, width = dhs.shape
    H = width // 2
    ends = [T] * B if lengths is None else [int(n) for n in lengths]
    xs = torch.tensor(np.stack([x for x, _ in caches[0]]), requires_grad=True)
    loss, starts, weights = 0, [], []
    for half, orders in enumerate(_orders(T, B, lengths)):
        own = {name: torch.tensor(value, requires_grad=True) for name, value in params[half].items()}
        start = torch.tensor(caches[half][0][1], requires_grad=True)
        for b, order in enumerate(orders):
            h = start[b]
            for step, t in enumerate(order):
                h = own["keep"] * h + xs[t, b] @ own["W"]
                if step < ends[b]:
                    loss = loss + (torch.from_numpy(dhs[t, b, half * H : (half + 1) * H]) * h).sum()
            loss = loss + (torch.from_numpy(dstates[half][0][b]) * h).sum()
        starts.append(start)
        weights.append(own)
    loss.backward()
    grads = tuple({name: w.grad.numpy() for name, w in own.items()} for own in weights)
    return xs.grad.numpy(), tuple((start.grad.numpy(),) for start in starts), grads
