"""Inputs for 16-seq2seq/edit_distance, and the shortest of all ways."""

from functools import cache

RETURNS = "distance"


def inputs(rng):
    """Texts and lists; equal, empty, one inside the other, turned over; random ones of unequal length."""
    yield "twenty", "plenty"
    yield "", ""
    yield "", "four"
    yield [3, 1, 4], []
    yield ["one", "hundred", "and", "two"], ["one", "hundred", "two"]
    yield "nine", "nine"
    yield "abcd", "dcba"
    yield "ab", "ba"
    yield [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]
    for n, m in ((7, 5), (4, 8), (6, 6)):
        yield rng.integers(3, size=n).tolist(), rng.integers(3, size=m).tolist()


def oracle(a, b):
    @cache
    def shortest(i, j):
        """The distance of a[i:] and b[j:]."""
        if i == len(a) or j == len(b):
            return len(a) - i + len(b) - j
        return min(shortest(i + 1, j) + 1, shortest(i, j + 1) + 1, shortest(i + 1, j + 1) + int(a[i] != b[j]))

    return shortest(0, 0)
