"""Inputs for 16-seq2seq/greedy_decode with a toy that speaks from a table, and each sequence decoded alone."""

import numpy as np

from course.checks.toys import speak_from_table

RETURNS = ("words", "lengths")


def inputs(rng):
    """Sequences that end early, late, at once, never; symbols in other places; room for one word."""
    for B, V, start, end, longest, wish in (
        (5, 6, 1, 2, 8, 0.5),
        (4, 5, 0, 4, 4, 0.0),
        (3, 4, 3, 0, 6, 3.0),
        (1, 5, 1, 2, 5, -9.0),
        (2, 7, 1, 2, 1, 0.0),
    ):
        tables = rng.standard_normal((B, V, V))
        tables[:, :, end] += wish
        yield speak_from_table, (tables, np.zeros((B, V))), start, end, longest


def oracle(step, state, start, end, max_length):
    answers = []
    for b in range(len(state[0])):
        own, word, said = tuple(part[b : b + 1] for part in state), start, []
        while word != end and len(said) < max_length:
            scores, own = step(np.array([word]), own)
            word = max(range(scores.shape[1]), key=lambda k, row=scores[0]: row[k])
            said.append(word)
        answers.append(said)
    T = max(map(len, answers))
    words = np.array([said + [end] * (T - len(said)) for said in answers]).T
    return words, np.array([sum(word != end for word in said) for said in answers])
