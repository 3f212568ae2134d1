"""Read a batch of sequences in both directions, each sequence from its own end.

Chapter: 08-bidirectional
"""

from typing import Any

import numpy as np

from rnnlib.contracts import match_lengths, match_shapes
from rnnlib.types import Array, Run, RunBack

__all__ = ["bidirectional", "bidirectional_backward", "reverse_sequences"]

Pair = tuple[Any, Any]  # one for the direction that reads forward, one for the one that reads backward


def reverse_sequences(xs: Array, lengths: Array | None = None) -> Array:
    """Turn each sequence of a batch around; what pads it stays behind its end.

    Parameters
    ----------
    xs       (T, B, ...), time first.
    lengths  (B,) integers from 0 to T, how many steps of each sequence count; None: all T.

    Returns
    -------
    a new array like xs: step t of sequence b is its step lengths[b] - 1 - t, and the padding as it was.
    Applied twice, it gives back xs.

    Raises
    ------
    ValueError  lengths are not B integers from 0 to T.

    Chapter: 08-bidirectional. Equation: reverse-sequences.
    """
    if lengths is None:
        return xs[::-1].copy()
    _check_lengths("reverse_sequences", xs, lengths)
    t = np.arange(len(xs))[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)
    return xs[source, np.arange(xs.shape[1])]


def bidirectional(
    run: Run, params: Pair, xs: Array, states: Pair, lengths: Array | None = None
) -> tuple[Array, Pair, Pair]:
    """Run a cell forward and another one backward, and put what they put out side by side.

        hs_t = [ forward state after x_1 .. x_t ; backward state after x_T .. x_t ]

    Parameters
    ----------
    run      runs a cell over a sequence, such as `partial(rnn_forward, lstm_step)`.
    params   (those of the cell that reads forward, those of the one that reads backward).
    xs       inputs, (T, B, D).
    states   the state of each before its first step.
    lengths  (B,) integers from 1 to T, where the sequences end; None: all have T steps.

    Returns
    -------
    (hs (T, B, 2H), zero behind the end of a sequence; the state of each after T steps, padding
    included: read where a shorter sequence ended from hs; the caches of each)

    Raises
    ------
    ValueError  a shape does not fit, or lengths are not B integers from 1 to T.

    Chapter: 08-bidirectional. Equation: bidirectional. Source: Schuster & Paliwal (1997).
    """
    match_shapes("bidirectional", "xs: T B D", xs)
    if lengths is not None:
        _check_lengths("bidirectional", xs, lengths, least=1)
    ahead, last_ahead, caches_ahead = run(params[0], xs, states[0])
    back, last_back, caches_back = run(params[1], reverse_sequences(xs, lengths), states[1])
    hs = np.concatenate([ahead, reverse_sequences(back, lengths)], axis=-1)
    return _cut(hs, lengths), (last_ahead, last_back), (caches_ahead, caches_back)


def bidirectional_backward(
    run_back: RunBack, params: Pair, dhs: Array, dstates: Pair, caches: Pair, lengths: Array | None = None
) -> tuple[Array, Pair, Pair]:
    """Gradients of `bidirectional`: each half goes back along the way that its own direction came.

    Parameters
    ----------
    run_back  the way back of `run`: takes (params, dhs, dlast, caches), returns (dxs, dstart, grads).
    params    as in the forward pass.
    dhs       dL/dhs, (T, B, 2H); what stands behind the end of a sequence is ignored.
    dstates   gradient of each direction's last state that does not come through dhs; zeros if unused.
    caches    of `bidirectional`.
    lengths   as in the forward pass.

    Returns
    -------
    (dxs (T, B, D); gradients of the two first states; gradients of the two cells' parameters)

    Raises
    ------
    ValueError  a shape does not fit.

    Chapter: 08-bidirectional. Equation: bidirectional-backward. Source: Schuster & Paliwal (1997).
    """
    sizes = match_shapes("bidirectional_backward", "dhs: T B W", dhs)
    if sizes["W"] % 2:
        raise ValueError(f"bidirectional_backward: dhs has shape {dhs.shape}, expected (T, B, 2H)")
    d_ahead, d_back = np.split(_cut(dhs, lengths), 2, axis=-1)
    dxs, start, grads = run_back(params[0], d_ahead, dstates[0], caches[0])
    dxs_back, start_back, grads_back = run_back(params[1], reverse_sequences(d_back, lengths), dstates[1], caches[1])
    return dxs + reverse_sequences(dxs_back, lengths), (start, start_back), (grads, grads_back)


def _cut(hs: Array, lengths: Array | None) -> Array:
    """Zeros behind the end of each sequence."""
    if lengths is None:
        return hs
    return np.where((np.arange(len(hs))[:, None] < lengths)[..., None], hs, np.zeros((), hs.dtype))


def _check_lengths(where: str, xs: Array, lengths: Array, least: int = 0) -> None:
    match_lengths(where, lengths, len(xs), xs.shape[1], least)
