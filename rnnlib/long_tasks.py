"""Two tasks that only a memory can do, as long as you like: add two marked numbers, copy what was read.

Chapter: 11-gradients
"""

import numpy as np
from numpy.typing import DTypeLike

from rnnlib.types import Array

__all__ = ["adding_problem", "copy_task"]


def adding_problem(
    rng: np.random.Generator, length: int, batch_size: int, dtype: DTypeLike = np.float32
) -> tuple[Array, Array]:
    """Sequences of random numbers of which two are marked; the answer, after the last step, is their sum.

    Parameters
    ----------
    rng         the only source of randomness.
    length      T, at least 2; one mark stands at a random step of the first T // 2, one at a random later step.
    batch_size  B, at least 1.
    dtype       of the arrays returned.

    Returns
    -------
    (xs (T, B, 2): a number from U(0, 1), and a mark, 1 or 0; targets (B,): the sum of the two marked numbers).
    Who always answers 1 has a mean squared error of 1/6.

    Raises
    ------
    ValueError  length below 2, or batch_size below 1.

    Chapter: 11-gradients. Equation: adding-problem. Source: Hochreiter & Schmidhuber (1997), Arjovsky et al. (2016).
    """
    if length < 2 or batch_size < 1:
        raise ValueError(
            f"adding_problem: length is {length} and batch_size {batch_size}, expected at least 2 and at least 1"
        )
    sequences = np.arange(batch_size)
    xs = np.zeros((length, batch_size, 2), dtype)
    xs[:, :, 0] = rng.random((length, batch_size))
    first = rng.integers(0, length // 2, batch_size)
    second = rng.integers(length // 2, length, batch_size)
    xs[first, sequences, 1] = xs[second, sequences, 1] = 1
    return xs, xs[first, sequences, 0] + xs[second, sequences, 0]


def copy_task(
    rng: np.random.Generator,
    delay: int,
    batch_size: int,
    items: int = 10,
    symbols: int = 8,
    dtype: DTypeLike = np.float32,
) -> tuple[Array, Array]:
    """Random symbols, a wait, a signal: then the symbols have to be put out again, in order.

    Parameters
    ----------
    rng         the only source of randomness.
    delay       steps from the last item to the signal, the signal's own included; at least 1.
    batch_size  B, at least 1.
    items       how many symbols are to be copied, at least 1.
    symbols     K, how many different ones there are, at least 1; K stands for the blank, K + 1 for the signal.
    dtype       of the inputs returned.

    Returns
    -------
    (xs (T, B, K + 2), one-hot: the items, delay - 1 blanks, the signal, as many blanks as items;
    targets (T, B), integers: blanks, and at the last steps the items), T = delay + 2 items.

    Raises
    ------
    ValueError  a size below 1.

    Chapter: 11-gradients. Equation: copy-task. Source: Arjovsky et al. (2016).
    """
    if min(delay, batch_size, items, symbols) < 1:
        raise ValueError(
            f"copy_task: sizes must be at least 1, got delay {delay}, batch_size {batch_size}, items {items} "
            f"and symbols {symbols}"
        )
    read = np.full((delay + 2 * items, batch_size), symbols)
    targets = read.copy()
    read[:items] = targets[-items:] = rng.integers(0, symbols, (items, batch_size))
    read[items + delay - 1] = symbols + 1
    return np.eye(symbols + 2, dtype=dtype)[read], targets
