"""A batch without its padding, the steps of the longest sequence first, and any cell run over it and back.

A packed batch is a tuple (data, batch_sizes, order). `data` (N, ...) holds, step after step, one row for each
sequence that still runs, longest first; `batch_sizes` (T,) says how many rows each step has; `order` (B,) says which
sequence of the batch is the longest, the second longest, and so on. These are the data, batch_sizes and
sorted_indices of PyTorch's `PackedSequence`.

Chapter: 09-batches
"""

import numpy as np

from rnnlib.batching import mask_from_lengths
from rnnlib.contracts import match_lengths
from rnnlib.types import Array, Cache, Params, State, Step, StepBackward

__all__ = ["Packed", "pack", "packed_backward", "packed_forward", "unpack"]

Packed = tuple[Array, Array, Array]


def pack(xs: Array, lengths: Array) -> Packed:
    """Leave the padding of a batch out: its steps one after another, the longest sequence first in each.

    Parameters
    ----------
    xs       (T, B, ...), time first, padded behind the ends.
    lengths  (B,) integers from 1 to T.

    Returns
    -------
    (data (N, ...), a new array, N the sum of the lengths; batch_sizes (longest length,), how many sequences have a
    step 1, 2, ...; order (B,), the numbers of the sequences from the longest to the shortest, equal ones as they came)

    Raises
    ------
    ValueError  lengths are not B integers from 1 to T.

    Chapter: 09-batches. Equation: pack.
    """
    match_lengths("pack", lengths, len(xs), xs.shape[1], least=1)
    order = np.argsort(np.max(lengths) - lengths, kind="stable")
    mask = mask_from_lengths(lengths[order])
    return xs[: len(mask), order][mask], mask.sum(axis=1), order


def unpack(packed: Packed, value: float = 0) -> tuple[Array, Array]:
    """The padded batch that was packed, its sequences where they were.

    Parameters
    ----------
    packed  (data (N, ...), batch_sizes, order) of `pack`; data may be anything that has a row for each of those rows.
    value   what fills up behind the ends.

    Returns
    -------
    (xs (T, B, ...), T the longest length, in the dtype of data; lengths (B,))

    Raises
    ------
    ValueError  the three do not belong together.

    Chapter: 09-batches. Equation: pack.
    """
    data, batch_sizes, order = packed
    _check_packed("unpack", packed)
    mask = np.arange(len(order)) < batch_sizes[:, None]
    xs = np.full((*mask.shape, *data.shape[1:]), value, data.dtype)
    xs[mask] = data
    back = np.argsort(order)
    return xs[:, back], mask.sum(axis=0)[back]


def packed_forward(step: Step, params: Params, packed: Packed, state: State) -> tuple[Array, State, list[Cache]]:
    """Apply a cell to a packed batch: each step computes the sequences that still run, and no others.

    Parameters
    ----------
    step    a cell's step function, such as `lstm_step`.
    params  its parameters.
    packed  (data (N, D), batch_sizes, order) of `pack`.
    state   the state before the first step, a tuple of (B, H) arrays, sequences in the batch's own order.

    Returns
    -------
    (hs (N, H), a row for each row of data; each sequence's state after its own last step, a tuple of (B, H) arrays in
    the batch's own order; a list of the caches, one for each step)

    Raises
    ------
    ValueError  the three parts of packed do not belong together, or the state has another batch.

    Chapter: 09-batches. Equation: packed-forward.
    """
    data, batch_sizes, order = packed
    _check_packed("packed_forward", packed, *state)
    last = tuple(part[order] for part in state)
    hs, caches = [], []
    for x in np.split(data, np.cumsum(batch_sizes)[:-1]):
        running, cache = step(params, x, tuple(part[: len(x)] for part in last))
        last = tuple(np.concatenate([new, old[len(x) :]]) for new, old in zip(running, last, strict=True))
        hs.append(running[0])
        caches.append(cache)
    back = np.argsort(order)
    return np.concatenate(hs), tuple(part[back] for part in last), caches


def packed_backward(
    step_backward: StepBackward, params: Params, packed: Packed, dstate: State, caches: list[Cache]
) -> tuple[Array, State, Params]:
    """Gradients of `packed_forward`: from the last step of the longest sequence back, the others join at their ends.

    Parameters
    ----------
    step_backward  the cell's backward step.
    params         as in the forward pass.
    packed         (dhs (N, H), batch_sizes, order): gradients of the states, packed as the states are.
    dstate         gradient of each sequence's last state that does not come through dhs, a tuple of (B, H) arrays in
                   the batch's own order; zeros if unused.
    caches         of `packed_forward`.

    Returns
    -------
    (ddata (N, D), packed as the inputs; gradient of the first state, in the batch's own order; grads)

    Raises
    ------
    ValueError  the three parts of packed, the gradients and the caches do not belong together.

    Chapter: 09-batches. Equation: packed-backward.
    """
    dhs, batch_sizes, order = packed
    _check_packed("packed_backward", packed, *dstate, caches=caches)
    waiting = tuple(part[order] for part in dstate)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dxs = []
    for dh, cache in zip(np.split(dhs, np.cumsum(batch_sizes)[:-1])[::-1], caches[::-1], strict=True):
        message = tuple(part[: len(dh)] for part in waiting)
        dx, sent, asked = step_backward(params, (message[0] + dh, *message[1:]), cache)
        waiting = tuple(np.concatenate([new, old[len(dh) :]]) for new, old in zip(sent, waiting, strict=True))
        dxs.append(dx)
        grads |= {name: grads[name] + grad for name, grad in asked.items()}
    back = np.argsort(order)
    return np.concatenate(dxs[::-1]), tuple(part[back] for part in waiting), grads


def _check_packed(where: str, packed: Packed, *state: Array, caches: list[Cache] | None = None) -> None:
    data, sizes, order = packed
    B = len(order)
    falls = len(sizes) > 0 and sizes[0] == B and not (np.diff(sizes, append=1) > 0).any()
    if not falls:
        expected = f"numbers that begin with {B}, the length of order, do not rise and stay above 0"
        raise ValueError(f"{where}: batch_sizes are {sizes!r}, expected {expected}")
    if len(data) != sizes.sum():
        raise ValueError(f"{where}: data has {len(data)} rows, expected {sizes.sum()}, the sum of batch_sizes")
    if sorted(order) != list(range(B)):
        raise ValueError(f"{where}: order is {order!r}, expected each number from 0 to {B - 1} once")
    for part in state:
        if part.ndim != 2 or len(part) != B:
            raise ValueError(f"{where}: the state has shape {part.shape}, expected ({B}, H)")
    if caches is not None and len(caches) != len(sizes):
        raise ValueError(f"{where}: {len(caches)} caches for {len(sizes)} steps, expected one each")
