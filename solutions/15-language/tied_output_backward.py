"""Inputs for 15-language/tied_output_backward, and PyTorch's gradients of a linear layer with the table as weights."""

import torch

RETURNS = ("dh", "grads")


def inputs(rng):
    """One step, whole sequences, a batch of one; more symbols than units and fewer."""
    for lead, D, V in (((4, 3), 2, 5), ((3,), 4, 7), ((5, 1), 6, 3), ((1, 2), 1, 4)):
        params = {"E": rng.standard_normal((V, D)), "b_y": rng.standard_normal(V)}
        yield params, rng.standard_normal((*lead, V)), (rng.standard_normal((*lead, D)),)


def oracle(params, d_logits, cache):
    E, b_y = (torch.tensor(params[name], requires_grad=True) for name in ("E", "b_y"))
    h = torch.tensor(cache[0], requires_grad=True)
    torch.nn.functional.linear(h, E, b_y).backward(torch.from_numpy(d_logits))
    return h.grad.numpy(), {"E": E.grad.numpy(), "b_y": b_y.grad.numpy()}
