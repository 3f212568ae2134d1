"""One long stream, cut so that each batch goes on where the one before it stopped.

Chapter: 10-bptt
"""

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["stateful_batches"]


def stateful_batches(stream: Array, batch_size: int, window: int) -> list[tuple[Array, Array]]:
    """Cut a stream into rows that are read side by side, and the rows into windows, with the next symbols as targets.

        row b reads stream[b n], ..., stream[(b + 1) n - 1],    n = floor((N - 1) / batch_size)

    Column b of a batch is row b's next window: it goes on where column b of the batch before stopped.

    Parameters
    ----------
    stream      (N,), symbols or numbers, in order; not changed.
    batch_size  B rows, at least 1 and fewer than N.
    window      steps in a batch, at least 1; the last batch may have fewer.

    Returns
    -------
    a list of pairs (xs (T, B), targets (T, B)) in order of time, new arrays in the dtype of the stream; the target
    of a symbol is the one after it in the stream. Up to B - 1 symbols at the stream's end are left out.

    Raises
    ------
    ValueError  batch_size or window below 1, or a stream too short for one step of each row.

    Chapter: 10-bptt. Equation: stateful-batches.
    """
    N = match_shapes("stateful_batches", "stream: N", stream)["N"]
    _check_sizes(N, batch_size, window)
    n = (N - 1) // batch_size
    used = n * batch_size
    xs = stream[:used].reshape(batch_size, n).T
    targets = stream[1 : used + 1].reshape(batch_size, n).T
    starts = range(0, n, window)
    return [(xs[t : t + window].copy(), targets[t : t + window].copy()) for t in starts]


def _check_sizes(N: int, batch_size: int, window: int) -> None:
    if batch_size < 1 or window < 1:
        raise ValueError(
            f"stateful_batches: batch_size is {batch_size} and window is {window}, expected at least 1 each"
        )
    if batch_size > N - 1:
        raise ValueError(
            f"stateful_batches: a stream of {N} is too short for {batch_size} rows, expected at least {batch_size + 1}"
        )
