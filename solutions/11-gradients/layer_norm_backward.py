"""Inputs for 11-gradients/layer_norm_backward, and PyTorch's gradients of its own layer norm."""

import numpy as np
import torch

RETURNS = ("dx", "grads")
EPS = 1e-5


def inputs(rng):
    """A batch, a whole sequence, one row, as many rows as units."""
    for shape in ((4, 6), (3, 2, 5), (7,), (5, 5)):
        params = {"gain": rng.standard_normal(shape[-1]), "bias": rng.standard_normal(shape[-1])}
        x = 2 + 3 * rng.standard_normal(shape)
        scale = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + EPS)
        yield params, rng.standard_normal(shape), ((x - x.mean(axis=-1, keepdims=True)) * scale, scale)


def oracle(params, dy, cache):
    normed, scale = (torch.from_numpy(value) for value in cache)
    x = (normed / scale).requires_grad_()  # the input, up to its mean, which nothing depends on
    gain, bias = (torch.tensor(params[name], requires_grad=True) for name in ("gain", "bias"))
    y = torch.nn.functional.layer_norm(x, x.shape[-1:], gain, bias, EPS)
    y.backward(torch.from_numpy(dy))
    return x.grad.numpy(), {"gain": gain.grad.numpy(), "bias": bias.grad.numpy()}
