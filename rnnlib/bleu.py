"""BLEU: how much of what was said stands in the reference, counted in runs of one to four words.

Chapter: 16-seq2seq
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

__all__ = ["bleu"]

Tokens = Sequence[Hashable]


def bleu(hypotheses: Sequence[Tokens], references: Sequence[Tokens], smooth: str = "none", order: int = 4) -> float:
    """BLEU of a whole corpus, 0 to 100, with one reference for each hypothesis.

        100 * min(1, exp(1 - r/c)) * (p_1 p_2 .. p_N)^(1/N)        p_n = m_n / t_n

    Parameters
    ----------
    hypotheses  what was said, a list of lists of tokens. c counts all its tokens, t_n all its runs of n tokens.
    references  what should have been said, as many lists. r counts all its tokens; m_n counts the runs of the
                hypotheses that stand in their own reference, each at most as often as it does there.
    smooth      "none", or "exp": the first p_n without a match is 1 / (2 t_n), the next 1 / (4 t_n), and so on.
    order       N, the longest runs that count.

    Returns
    -------
    a float; 0 if nothing matches at all, if there is no run of some n, or if some m_n is 0 and smooth is "none".

    Raises
    ------
    ValueError  another number of references than of hypotheses, or another smooth.

    Chapter: 16-seq2seq. Equation: bleu. Source: Papineni et al. (2002), Post (2018).
    """
    if len(hypotheses) != len(references) or smooth not in ("none", "exp"):
        raise ValueError(
            f"bleu: {len(hypotheses)} hypotheses, {len(references)} references, smooth {smooth!r}: expected as many "
            "of the one as of the other, and smooth 'none' or 'exp'"
        )
    said, wanted = sum(map(len, hypotheses)), sum(map(len, references))
    logs, halves = [], 1.0
    for n in range(1, order + 1):
        pairs = [(_runs(h, n), _runs(r, n)) for h, r in zip(hypotheses, references, strict=True)]
        total = sum(found.total() for found, _ in pairs)
        matches: float = sum((found & known).total() for found, known in pairs)
        if matches == 0 and smooth == "exp" and n > 1:
            halves /= 2
            matches = halves
        if matches == 0 or total == 0:
            return 0.0
        logs.append(np.log(matches / total))
    return float(100 * np.exp(min(0.0, 1 - wanted / said) + np.mean(logs)))


def _runs(tokens: Tokens, n: int) -> Counter[Tokens]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
