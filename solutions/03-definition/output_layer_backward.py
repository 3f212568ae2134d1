"""Inputs for 03-definition/output_layer_backward, and PyTorch's automatic differentiation."""

import torch

RETURNS = ("dh", "grads")


def inputs(rng):
    """A whole sequence, one step, and as many scores as units, where a transposed weight keeps its shape."""
    for lead, K in (((5, 4), 2), ((4,), 2), ((2, 4), 3)):
        params = {"W_hy": rng.standard_normal((3, K)), "b_y": rng.standard_normal(K)}
        yield params, rng.standard_normal((*lead, K)), (rng.uniform(-1, 1, (*lead, 3)),)


def oracle(params, d_logits, cache):
    W_hy, b_y = (torch.from_numpy(params[name]).requires_grad_() for name in ("W_hy", "b_y"))
    h = torch.from_numpy(cache[0]).requires_grad_()
    (h @ W_hy + b_y).backward(torch.from_numpy(d_logits))
    return h.grad.numpy(), {"W_hy": W_hy.grad.numpy(), "b_y": b_y.grad.numpy()}
