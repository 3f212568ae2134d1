"""Which step of a source belongs to which step of a target: links, and how many of them are wrong.

Chapter: 17-attention
"""

from rnnlib.contracts import match_shapes
from rnnlib.types import Array

__all__ = ["alignment_error_rate"]


def alignment_error_rate(links: Array, sure: Array, possible: Array) -> float:
    """How far guessed links are from the truth, of which some links are sure and others are merely possible.

        AER = 1 - (|A and S| + |A and P|) / (|A| + |S|)

    Parameters
    ----------
    links     A, booleans of any shape (...), True where target and source are linked.
    sure      S, booleans (...): links that must be there.
    possible  P, booleans (...): links that may be there; a sure one counts as possible in any case.

    Returns
    -------
    0 if every sure link was found and every guessed one is possible, 1 if no guess is right.

    Raises
    ------
    ValueError  shapes differ, or there is neither a guessed nor a sure link.

    Chapter: 17-attention. Equation: alignment-error-rate. Source: Och & Ney (2003).
    """
    match_shapes("alignment_error_rate", "links: ..., sure: ..., possible: ...", links, sure, possible)
    A, S = links.astype(bool), sure.astype(bool)
    P = S | possible.astype(bool)
    total = int(A.sum() + S.sum())
    if total == 0:
        raise ValueError("alignment_error_rate: no link is guessed and none is sure, so there is no rate")
    return float(1 - ((A & S).sum() + (A & P).sum()) / total)
