"""Inputs for 15-language/ngram_probabilities, and the formula written out for one symbol after the other."""

from collections import Counter

import numpy as np

RETURNS = "p"


def inputs(rng):
    """One table and several; contexts that came up, others, longer ones than are looked at; small and large k."""
    for orders, V, N, M, length, k in (
        ((1, 2, 3), 4, 40, 9, 2, 0.5),
        ((2,), 5, 25, 8, 1, 1.0),
        ((1, 2), 3, 12, 6, 4, 0.01),
        ((3,), 4, 30, 10, 3, 0.2),
        ((1, 3), 6, 30, 7, 2, 2.0),
        ((1,), 5, 10, 3, 0, 0.3),
        ((1, 2, 3, 4), 3, 60, 12, 3, 0.1),
    ):
        text = rng.integers(V, size=N).tolist()
        tables = []
        for order in orders:
            grams = Counter(tuple(text[i : i + order]) for i in range(N - order + 1))
            contexts = sorted({gram[:-1] for gram in grams})
            counts = [[grams[(*context, w)] for w in range(V)] for context in contexts]
            tables.append((np.array(contexts, dtype=np.int64).reshape(len(contexts), order - 1), np.array(counts)))
        yield tables, rng.integers(V, size=(M, length)), k


def oracle(tables, contexts, k):
    V = tables[0][1].shape[1]
    chances = np.zeros((len(contexts), V))
    for m, context in enumerate(contexts.tolist()):
        for w in range(V):
            p = 1 / V
            for found, counts in tables:
                last = context[len(context) - found.shape[1] :]
                seen = [row for c, row in zip(found.tolist(), counts.tolist(), strict=True) if c == last]
                n_cw, n_c = (seen[0][w], sum(seen[0])) if seen else (0, 0)
                p = (n_cw + k * V * p) / (n_c + k * V)
            chances[m, w] = p
    return chances
