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
    W_xh, W_hh, b_h = _ours("elman_to_torch", params, blocks=1)
    return _named(W_xh.T.copy(), W_hh.T.copy(), b_h.copy(), np.zeros_like(b_h))


def elman_from_torch(weights: Params) -> Params:
    """The way back from `elman_to_torch`, for any weights of that shape: the two biases are added up.

    Chapter: 06-lstm.
    """
    W_ih, W_hh, b_ih, b_hh = _theirs("elman_from_torch", weights, blocks=1)
    return {"W_xh": W_ih.T.copy(), "W_hh": W_hh.T.copy(), "b_h": b_ih + b_hh}


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
    W_xh, W_hh, b_h = _ours("lstm_to_torch", params, blocks=4)
    W_ih, W_hh, b_ih = (_reordered(array, [0, 1, 3, 2]) for array in (W_xh.T, W_hh.T, b_h))
    return {"weight_ih": W_ih, "weight_hh": W_hh, "bias_ih": b_ih, "bias_hh": np.zeros_like(b_h)}


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
    W_ih, W_hh, b_ih, b_hh = _theirs("lstm_from_torch", weights, blocks=4)
    W_ih, W_hh, b_h = (_reordered(array, [0, 1, 3, 2]) for array in (W_ih, W_hh, b_ih + b_hh))
    return {"W_xh": W_ih.T.copy(), "W_hh": W_hh.T.copy(), "b_h": b_h}


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
    W_xh, W_hh, b_h = _ours("gru_to_torch", params, blocks=3)
    match_shapes("gru_to_torch", "W_hh: H N, b_hh: H", W_hh, b_hh)
    moved = [_reordered(array, [1, 0, 2], negated=0) for array in (W_xh.T, W_hh.T, b_h)]
    return _named(*moved, np.concatenate([np.zeros_like(b_h)[len(b_hh) :], b_hh]))


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
    W_ih, W_hh, bias_ih, bias_hh = _theirs("gru_from_torch", weights, blocks=3)
    H = len(bias_hh) // 3
    gates_only = np.concatenate([bias_hh[: 2 * H], np.zeros_like(bias_hh[2 * H :])])
    moved = [_reordered(array, [1, 0, 2], negated=1) for array in (W_ih, W_hh, bias_ih + gates_only)]
    W_xh, W_hh, b_h = (array.T.copy() for array in moved)
    return {"W_xh": W_xh, "W_hh": W_hh, "b_h": b_h, "b_hh": bias_hh[2 * H :].copy()}


def _ours(where: str, params: Params, blocks: int) -> tuple[Array, ...]:
    """W_xh, W_hh and b_h, if they fit together and have so many blocks."""
    W_xh, W_hh, b_h = weights = take(where, params, "W_xh", "W_hh", "b_h")
    match_shapes(where, f"W_hh: H {blocks}H, W_xh: D {blocks}H, b_h: {blocks}H", W_hh, W_xh, b_h)
    return weights


def _theirs(where: str, weights: Params, blocks: int) -> tuple[Array, ...]:
    """weight_ih, weight_hh, bias_ih and bias_hh, if they fit together and have so many blocks."""
    W_ih, W_hh, b_ih, b_hh = found = take(where, weights, *_NAMES)
    spec = f"weight_hh: N H, weight_ih: N D, bias_ih: N, bias_hh: N, bias_ih: {blocks}H"
    match_shapes(where, spec, W_hh, W_ih, b_ih, b_hh, b_ih)
    return found


def _named(*arrays: Array) -> Params:
    return dict(zip(_NAMES, arrays, strict=True))


def _reordered(array: Array, order: Sequence[int], negated: int | None = None) -> Array:
    """A copy with the blocks of the first axis in the order given; `negated` counts them as they come in."""
    blocks = np.split(array, len(order))
    return np.concatenate([-blocks[i] if i == negated else blocks[i] for i in order])
