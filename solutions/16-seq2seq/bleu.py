"""Inputs for 16-seq2seq/bleu, and every run of words looked for by hand, crossed out when it was found."""

import math
from fractions import Fraction

RETURNS = "bleu"


def inputs(rng):
    """Too short, too long, a word said seven times, runs that match nowhere, in one sentence only, another order."""
    cat = ["the", "cat", "is", "on", "the", "mat"]
    yield [["the"] * 7], [cat], "none", 1
    yield [["the", "cat", "sat", "on", "the", "mat"], ["two"]], [cat, ["two", "hundred", "and", "one"]], "none", 4
    yield (
        [cat, ["one", "hundred", "and", "two", "thousand", "and", "six"]],
        [cat[:4], ["one", "hundred", "and", "two"]],
        "none",
        4,
    )
    yield [list("abcd"), list("efgh")], [list("abce"), list("efgd")], "none", 4
    yield [list("abcd"), list("efgh")], [list("abce"), list("efgd")], "exp", 4
    yield [list("ab"), list("acb")], [list("ba"), list("bca")], "exp", 3
    yield [list("xy")], [list("ab")], "exp", 2
    yield [list("ab"), []], [list("ab"), list("c")], "exp", 4
    for smooth in ("none", "exp", "exp"):
        wanted = [rng.integers(4, size=n).tolist() for n in rng.integers(4, 9, size=4)]
        said = [ref[: len(ref) - 1 - i] + [int(rng.integers(4))] * i for i, ref in enumerate(wanted)]
        yield said, wanted, smooth, 4


def oracle(hypotheses, references, smooth="none", order=4):
    product, missing = Fraction(1), 0
    for n in range(1, order + 1):
        found = total = 0
        for said, wanted in zip(hypotheses, references, strict=True):
            left = [wanted[i : i + n] for i in range(len(wanted) - n + 1)]
            for i in range(len(said) - n + 1):
                total += 1
                if said[i : i + n] in left:
                    left.remove(said[i : i + n])
                    found += 1
        if total == 0 or (found == 0 and (smooth == "none" or n == 1)):
            return 0.0
        missing += found == 0
        product *= Fraction(found, total) if found else Fraction(1, 2**missing * total)
    c, r = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / c)) * float(product) ** (1 / order)
