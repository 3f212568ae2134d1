"""One vector for a whole sequence: its last state, the mean of its states, or each unit's largest value.

All three are sums over the steps with weights, p_b = sum_t a_{t,b} h_{t,b}, so the way back is dh_{t,b} = a_{t,b} dp_b.
What stands behind the end of a sequence has weight zero and is never read.

Chapter: 13-classification
"""

import numpy as np

from rnnlib.batching import mask_from_lengths
from rnnlib.contracts import match_lengths, match_shapes
from rnnlib.types import Array, Cache

__all__ = ["pool_last", "pool_last_backward", "pool_max", "pool_max_backward", "pool_mean", "pool_mean_backward"]


def pool_last(hs: Array, lengths: Array) -> tuple[Array, Cache]:
    """The state after the last step of each sequence.

        p_b = h_{n_b, b}

    Parameters
    ----------
    hs       (T, B, H), time first; behind the end of a sequence may stand anything, NaN too.
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (pooled (B, H), a new array; cache (mask (T, B),), True where a step counts)

    Raises
    ------
    ValueError  hs has not three axes, or lengths are not B integers from 1 to T: no step, no last state.

    Chapter: 13-classification. Equation: pool-last.
    """
    _check("pool_last", hs, lengths)
    return hs[lengths - 1, np.arange(len(lengths))], (mask_from_lengths(lengths, len(hs)),)


def pool_last_backward(dpooled: Array, cache: Cache) -> Array:
    """Gradient of `pool_last`: all of it goes to the last step of each sequence.

    Parameters
    ----------
    dpooled  dL/dp, (B, H).
    cache    (mask (T, B),) of `pool_last`.

    Returns
    -------
    dhs (T, B, H), zero everywhere else

    Raises
    ------
    ValueError  the two do not have the same B.

    Chapter: 13-classification. Equation: pool-last.
    """
    (mask,) = cache
    match_shapes("pool_last_backward", "mask: T B, dpooled: B H", mask, dpooled)
    dhs = np.zeros((*mask.shape, dpooled.shape[-1]), dpooled.dtype)
    dhs[mask.sum(axis=0) - 1, np.arange(len(dpooled))] = dpooled
    return dhs


def pool_mean(hs: Array, lengths: Array) -> tuple[Array, Cache]:
    """The mean of the states of each sequence, over its own length.

        p_b = (1/n_b) sum_{t <= n_b} h_{t,b}

    Parameters
    ----------
    hs       (T, B, H), time first; behind the end of a sequence may stand anything, NaN too.
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (pooled (B, H) in the dtype of hs; cache (mask (T, B),), True where a step counts)

    Raises
    ------
    ValueError  hs has not three axes, or lengths are not B integers from 1 to T: no step, no mean.

    Chapter: 13-classification. Equation: pool-mean.
    """
    _check("pool_mean", hs, lengths)
    mask = mask_from_lengths(lengths, len(hs))
    total = np.where(mask[..., None], hs, 0).sum(axis=0)
    return total / lengths[:, None].astype(hs.dtype), (mask,)


def pool_mean_backward(dpooled: Array, cache: Cache) -> Array:
    """Gradient of `pool_mean`: each step of a sequence gets an equal share.

    Parameters
    ----------
    dpooled  dL/dp, (B, H).
    cache    (mask (T, B),) of `pool_mean`.

    Returns
    -------
    dhs (T, B, H) in the dtype of dpooled, zero behind the ends

    Raises
    ------
    ValueError  the two do not have the same B.

    Chapter: 13-classification. Equation: pool-mean.
    """
    (mask,) = cache
    match_shapes("pool_mean_backward", "mask: T B, dpooled: B H", mask, dpooled)
    share = dpooled / mask.sum(axis=0)[:, None].astype(dpooled.dtype)
    return np.where(mask[..., None], share, 0)


def pool_max(hs: Array, lengths: Array) -> tuple[Array, Cache]:
    """The largest value of each unit over the steps of each sequence, and where it stood.

        p_{b,k} = max_{t <= n_b} h_{t,b,k}

    Parameters
    ----------
    hs       (T, B, H), floats, time first; behind the end of a sequence may stand anything, NaN too.
    lengths  n, (B,) integers from 1 to T.

    Returns
    -------
    (pooled (B, H); cache (mask (T, B), steps (B, H)), steps counted from 0: the first one that holds the maximum)

    Raises
    ------
    ValueError  hs has not three axes, or lengths are not B integers from 1 to T: no step, no maximum.

    Chapter: 13-classification. Equation: pool-max. Source: Collobert et al. (2011).
    """
    _check("pool_max", hs, lengths)
    mask = mask_from_lengths(lengths, len(hs))
    counted = np.where(mask[..., None], hs, -np.inf)
    return counted.max(axis=0), (mask, counted.argmax(axis=0))


def pool_max_backward(dpooled: Array, cache: Cache) -> Array:
    """Gradient of `pool_max`: each unit's goes to the step that held its maximum, the first of them if several did.

    Parameters
    ----------
    dpooled  dL/dp, (B, H).
    cache    (mask (T, B), steps (B, H)) of `pool_max`.

    Returns
    -------
    dhs (T, B, H), zero everywhere else

    Raises
    ------
    ValueError  shapes do not fit.

    Chapter: 13-classification. Equation: pool-max-backward.
    """
    mask, steps = cache
    match_shapes("pool_max_backward", "mask: T B, dpooled: B H, steps: B H", mask, dpooled, steps)
    dhs = np.zeros((*mask.shape, dpooled.shape[-1]), dpooled.dtype)
    np.put_along_axis(dhs, steps[None], dpooled[None], axis=0)
    return dhs


def _check(where: str, hs: Array, lengths: Array) -> None:
    sizes = match_shapes(where, "hs: T B H", hs)
    match_lengths(where, lengths, sizes["T"], sizes["B"], least=1)
