"""A cell's parameters in PyTorch's layout and back, so that weights can move; no PyTorch is needed for it.

PyTorch keeps (outputs, inputs) where `rnnlib` keeps (inputs, outputs), has two biases that it adds up, orders an
LSTM's gates i, f, g, o and a GRU's r, z, n, and its update gate says how much of the old state stays.
The names are those of `torch.nn.RNNCell`, `LSTMCell` and `GRUCell`; a layer of `torch.nn.LSTM` appends `_l0`.

Chapter: 06-lstm
"""

from collections.abc import Sequence

import numpy as np

from rnnlib.contracts import match_shapes, take
from rnnlib.types import Array, Params

__all__ = ["elman_from_torch", "elman_to_torch", "gru_from_torch", "gru_to_torch", "lstm_from_torch", "lstm_to_torch"]

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def elman_to_torch(params: Params) -> Params:
    """An Elman cell's parameters, W_xh (D, H), W_hh (H, H), b_h (H,), under torch's names and in its layout.

    Returns
    -------
    weight_ih (H, D), weight_hh (H, H), bias_ih (H,), bias_hh (H,) of zeros; copies.

    Chapter: 06-lstm.
    """
    return _to_torch("elman_to_torch", params, [0])


def elman_from_torch(weights: Params) -> Params:
    """The way back from `elman_to_torch`, for any weights of that shape: the two biases are added up.

    Chapter: 06-lstm.
    """
    return _from_torch("elman_from_torch", weights, [0])


def lstm_to_torch(params: Params) -> Params:
    """An LSTM's parameters, blocks i, f, o, g, in torch's layout, blocks i, f, g, o.

    Parameters
    ----------
    params  W_xh (D, 4H), W_hh (H, 4H), b_h (4H,).

    Returns
    -------
    weight_ih (4H, D), weight_hh (4H, H), bias_ih (4H,), bias_hh (4H,) of zeros; copies.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-torch.
    """
    return _to_torch("lstm_to_torch", params, [0, 1, 3, 2])


def lstm_from_torch(weights: Params) -> Params:
    """The way back from `lstm_to_torch`, for any weights of that shape: the two biases are added up.

    Parameters
    ----------
    weights  weight_ih (4H, D), weight_hh (4H, H), bias_ih (4H,), bias_hh (4H,), blocks i, f, g, o.

    Returns
    -------
    W_xh (D, 4H), W_hh (H, 4H), b_h (4H,), blocks i, f, o, g; copies.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 06-lstm. Equation: lstm-torch.
    """
    return _from_torch("lstm_from_torch", weights, [0, 1, 3, 2])


def gru_to_torch(params: Params) -> Params:
    """The parameters of a GRU of the form "after", blocks z, r, h, in torch's layout, blocks r, z, n.

    Torch's z is one minus ours, and 1 - sigma(a) = sigma(-a): the block changes its sign.

    Parameters
    ----------
    params  W_xh (D, 3H), W_hh (H, 3H), b_h (3H,), b_hh (H,).

    Returns
    -------
    weight_ih (3H, D), weight_hh (3H, H), bias_ih (3H,), bias_hh (3H,); copies.

    Raises
    ------
    KeyError    b_hh is missing: the form "before" has no place in torch.
    ValueError  a shape does not fit.

    Chapter: 07-gru. Equation: gru-torch.
    """
    (b_hh,) = take("gru_to_torch", params, "b_hh")
    weights = _to_torch("gru_to_torch", params, [1, 0, 2], negated=0)
    match_shapes("gru_to_torch", "W_hh: H N, b_hh: H", params["W_hh"], b_hh)
    weights["bias_hh"][-len(b_hh) :] = b_hh
    return weights


def gru_from_torch(weights: Params) -> Params:
    """The way back from `gru_to_torch`, for any weights of that shape.

    Parameters
    ----------
    weights  weight_ih (3H, D), weight_hh (3H, H), bias_ih (3H,), bias_hh (3H,), blocks r, z, n.

    Returns
    -------
    W_xh (D, 3H), W_hh (H, 3H), b_h (3H,), blocks z, r, h, and b_hh (H,), of the form "after"; copies.

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 07-gru. Equation: gru-torch.
    """
    (bias_hh,) = take("gru_from_torch", weights, "bias_hh")
    b_hh = bias_hh[len(bias_hh) // 3 * 2 :]
    gates_only = np.concatenate([bias_hh[: len(bias_hh) - len(b_hh)], np.zeros_like(b_hh)])
    params = _from_torch("gru_from_torch", weights | {"bias_hh": gates_only}, [1, 0, 2], negated=1)
    return params | {"b_hh": b_hh.copy()}


def _to_torch(where: str, params: Params, order: Sequence[int], negated: int | None = None) -> Params:
    """Transposed, the blocks in another order, one of them negated."""
    W_xh, W_hh, b_h = take(where, params, "W_xh", "W_hh", "b_h")
    blocks = f"{len(order)}H"
    match_shapes(where, f"W_hh: H {blocks}, W_xh: D {blocks}, b_h: {blocks}", W_hh, W_xh, b_h)
    moved = [_moved(array, order, negated) for array in (W_xh.T, W_hh.T, b_h)]
    return dict(zip(_NAMES, [*moved, np.zeros_like(b_h)], strict=True))


def _from_torch(where: str, weights: Params, order: Sequence[int], negated: int | None = None) -> Params:
    W_ih, W_hh, b_ih, b_hh = take(where, weights, *_NAMES)
    spec = f"weight_hh: N H, weight_ih: N D, bias_ih: N, bias_hh: N, bias_ih: {len(order)}H"
    match_shapes(where, spec, W_hh, W_ih, b_ih, b_hh, b_ih)
    moved = [_moved(array, order, negated) for array in (W_ih, W_hh, b_ih + b_hh)]
    ours = [np.ascontiguousarray(array.T) for array in moved]
    return dict(zip(("W_xh", "W_hh", "b_h"), ours, strict=True))


def _moved(array: Array, order: Sequence[int], negated: int | None) -> Array:
    """The blocks of the first axis in the order given; `negated` counts as they come in."""
    blocks = np.split(array, len(order))
    return np.concatenate([-blocks[i] if i == negated else blocks[i] for i in order])
