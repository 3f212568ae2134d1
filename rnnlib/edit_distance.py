"""How far one sequence is from another, counted in single changes.

Chapter: 16-seq2seq
"""

from collections.abc import Sequence
from typing import Any

__all__ = ["edit_distance"]


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions of one item that turn one sequence into the other.

        d_{i,0} = i,  d_{0,j} = j
        d_{i,j} = min(d_{i-1,j} + 1,  d_{i,j-1} + 1,  d_{i-1,j-1} + [a_i != b_j])

    Parameters
    ----------
    a  n items: a list, a string or a tuple of anything that can be compared; may be empty.
    b  m items, likewise.

    Returns
    -------
    d_{n,m} as a Python int: 0 if they are equal, at most the longer length.

    Examples
    --------
    >>> edit_distance("twenty", "plenty")
    2

    Chapter: 16-seq2seq. Equation: edit-distance. Source: Levenshtein (1966), Wagner & Fischer (1974).
    """
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
        above = row
    return int(above[-1])
