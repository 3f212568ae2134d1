"""Sequences of unequal length in one array: padding, masks, the loss that leaves padding out, batches of like lengths.

Chapter: 09-batches
"""

from collections.abc import Sequence

import numpy as np

from rnnlib.contracts import match_lengths, match_shapes
from rnnlib.types import Array

__all__ = ["bucket", "mask_from_lengths", "masked_mean_loss", "pad"]


def pad(sequences: Sequence[Array], value: float = 0) -> tuple[Array, Array]:
    """Put sequences of different lengths side by side in one array, filled up behind their ends.

        xs[t, b] = sequences[b][t]  for t < n_b,  value  behind that

    Parameters
    ----------
    sequences  B arrays (n_b, ...) whose axes after the first agree; a length n_b may be 0.
    value      what fills up.

    Returns
    -------
    (xs (T, B, ...), time first, T the longest length, in the dtype of the sequences; lengths (B,), integers)

    Raises
    ------
    TypeError   a sequence is not an array.
    ValueError  there is no sequence, or the axes after the first differ.

    Chapter: 09-batches. Equation: pad.
    """
    _check_sequences("pad", sequences)
    lengths = np.array([len(sequence) for sequence in sequences])
    shape = (lengths.max(), len(sequences), *sequences[0].shape[1:])
    xs = np.full(shape, value, np.result_type(*sequences))
    for b, sequence in enumerate(sequences):
        xs[: len(sequence), b] = sequence
    return xs, lengths


def mask_from_lengths(lengths: Array, T: int | None = None) -> Array:
    """Which places of a padded batch hold a step of a sequence.

        μ_{t,b} = 1 for t <= n_b, 0 behind that

    Parameters
    ----------
    lengths  (B,) integers from 0 to T.
    T        how many steps the batch has; None: the longest length.

    Returns
    -------
    booleans (T, B), time first.

    Raises
    ------
    ValueError  lengths are not integers from 0 to T.

    Chapter: 09-batches. Equation: mask.
    """
    T = int(np.max(lengths, initial=0)) if T is None else T
    match_lengths("mask_from_lengths", lengths, T)
    return np.arange(T)[:, None] < lengths


def masked_mean_loss(losses: Array, mask: Array) -> tuple[float, Array]:
    """Mean of the losses that count, and its gradient: each step of each sequence has the same weight.

        L = (1/N) sum_{t,b} μ_{t,b} l_{t,b},    N = sum_{t,b} μ_{t,b}

    Parameters
    ----------
    losses  l, (T, B), floats; what stands where the mask is False does not matter, not even NaN.
    mask    μ, (T, B), True where a loss counts.

    Returns
    -------
    (L, dL/dl (T, B) in the dtype of the losses; zero where the mask is False)

    Raises
    ------
    ValueError  shapes do not fit, or no loss counts.

    Chapter: 09-batches. Equations: masked-mean, masked-mean-gradient.
    """
    match_shapes("masked_mean_loss", "losses: T B, mask: T B", losses, mask)
    counts = mask.astype(bool)
    if not counts.any():
        raise ValueError("masked_mean_loss: no loss counts (the mask is False everywhere), so there is no mean")
    dlosses = counts.astype(losses.dtype) / losses.dtype.type(counts.sum())
    return float(losses[counts].mean()), dlosses


def bucket(lengths: Array, batch_size: int, rng: np.random.Generator) -> list[Array]:
    """Batches of sequences that are about equally long, in random order: little padding, still shuffled.

    All sequences are sorted by length, equal lengths in random order, and cut into batches; the last one may be
    short. The batches come in random order.

    Parameters
    ----------
    lengths     (N,) integers, 0 or more.
    batch_size  sequences in a batch, at least 1.
    rng         the only source of randomness.

    Returns
    -------
    a list of integer arrays, each with the numbers of a batch's sequences; each of 0 .. N-1 stands in one of them.

    Raises
    ------
    ValueError  batch_size is below 1, or lengths are not integers.

    Chapter: 09-batches. Equation: padding-waste. Source: Sutskever et al. (2014), section 3.4.
    """
    match_lengths("bucket", lengths, int(np.max(lengths, initial=0)))
    if batch_size < 1:
        raise ValueError(f"bucket: batch_size is {batch_size}, expected at least 1")
    shuffled = rng.permutation(len(lengths))
    by_length = shuffled[np.argsort(lengths[shuffled], kind="stable")]
    batches = [by_length[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _check_sequences(where: str, sequences: Sequence[Array]) -> None:
    if not len(sequences):
        raise ValueError(f"{where}: there is no sequence, expected at least one")
    for number, sequence in enumerate(sequences):
        if not isinstance(sequence, np.ndarray):
            raise TypeError(f"{where}: sequence {number} is a {type(sequence).__name__}, expected a NumPy array")
        if not sequence.ndim or sequence.shape[1:] != sequences[0].shape[1:]:
            wanted = ", ".join(["steps", *map(str, sequences[0].shape[1:])])
            raise ValueError(
                f"{where}: sequence {number} has shape {sequence.shape}, expected ({wanted}) as sequence 0"
            )
