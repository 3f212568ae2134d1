"""Inputs for 15-language/ngram_counts, and the counts of a loop over the text."""

from collections import Counter

import numpy as np

RETURNS = ("contexts", "counts")


def inputs(rng):
    """Orders 1 to 4; symbols that never come up; a text as long as the order; one symbol alone."""
    for order, V, N in ((3, 4, 40), (1, 5, 20), (2, 6, 30), (4, 3, 50), (3, 9, 12), (2, 10, 2), (1, 1, 4)):
        tokens = rng.integers(max(1, V - 2), size=N) if V > 4 else rng.integers(V, size=N)
        yield tokens, order, V


def oracle(tokens, order, vocabulary_size):
    grams = Counter(tuple(tokens[i : i + order].tolist()) for i in range(len(tokens) - order + 1))
    contexts = sorted({gram[:-1] for gram in grams})
    counts = [[grams[(*context, w)] for w in range(vocabulary_size)] for context in contexts]
    return np.array(contexts, dtype=np.int64).reshape(len(contexts), order - 1), np.array(counts, dtype=np.int64)
