"""The same nets in PyTorch, with rnnlib's weights put in and gradients taken out under rnnlib's names."""

from typing import Any

import numpy as np
import torch

from rnnlib.types import Array, Params

IGNORE = -100  # F.cross_entropy's default ignore_index


def tensor(array: Array, grad: bool = True) -> torch.Tensor:
    return torch.tensor(array, requires_grad=grad)


def load_rnn(params: Params, phi: str, one_step: bool = False) -> Any:
    """`torch.nn.RNN`, or `torch.nn.RNNCell` for one step; torch's second bias stays zero."""
    D, H = params["W_xh"].shape
    dtype = torch.from_numpy(params["W_xh"]).dtype
    net = (torch.nn.RNNCell if one_step else torch.nn.RNN)(D, H, nonlinearity=phi, dtype=dtype)
    end = "" if one_step else "_l0"
    with torch.no_grad():
        getattr(net, f"weight_ih{end}").copy_(torch.from_numpy(params["W_xh"].T.copy()))
        getattr(net, f"weight_hh{end}").copy_(torch.from_numpy(params["W_hh"].T.copy()))
        getattr(net, f"bias_ih{end}").copy_(torch.from_numpy(params["b_h"]))
        getattr(net, f"bias_hh{end}").zero_()
    return net


def rnn_grads(net: Any) -> Params:
    end = "" if isinstance(net, torch.nn.RNNCell) else "_l0"
    return {
        "W_xh": getattr(net, f"weight_ih{end}").grad.numpy().T,
        "W_hh": getattr(net, f"weight_hh{end}").grad.numpy().T,
        "b_h": getattr(net, f"bias_ih{end}").grad.numpy(),
    }


def load_linear(params: Params) -> torch.nn.Linear:
    H, K = params["W_hy"].shape
    net = torch.nn.Linear(H, K, dtype=torch.from_numpy(params["W_hy"]).dtype)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(params["W_hy"].T.copy()))
        net.bias.copy_(torch.from_numpy(params["b_y"]))
    return net


def linear_grads(net: torch.nn.Linear) -> Params:
    assert net.weight.grad is not None
    assert net.bias.grad is not None
    return {"W_hy": net.weight.grad.numpy().T, "b_y": net.bias.grad.numpy()}


def torch_cross_entropy(logits: torch.Tensor, targets: Array, mask: Array | None = None) -> torch.Tensor:
    """F.cross_entropy over all positions of any shape; where the mask is False the target is ignored."""
    wanted = targets if mask is None else np.where(mask, targets, IGNORE)
    flat = torch.as_tensor(wanted).reshape(-1)
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), flat, ignore_index=IGNORE)
