"""Inputs for 15-language/beam_search; wide beams against all texts, narrow ones against chances looked up in a list."""

import numpy as np

from course.checks.toys import table_language

RETURNS = "texts"


def inputs(rng):
    """Wide enough for all texts, and narrow; ranked by sum and by mean; symbols that cannot come; greedy; one step."""
    for V, width, longest, power, forbidden in (  # from 4 symbols on, texts can be equally likely: their order is open
        (3, 3, 3, 0.0, False),
        (3, 60, 3, 0.0, False),
        (3, 60, 3, 1.0, False),
        (6, 2, 3, 0.7, False),
        (4, 1, 5, 0.0, False),
        (3, 50, 3, 0.5, True),
        (4, 3, 1, 0.0, False),
        (7, 4, 3, 1.0, False),
    ):
        p = rng.dirichlet(np.ones(V), size=(V, V))
        if forbidden:
            p[rng.random(p.shape) < 0.25] = 0
            p[..., 0] += 0.05
            p /= p.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore"):
            yield table_language, (np.log(p), 1), 2, 0, width, longest, power


def oracle(next_log_probs, state, start, end, width, max_length, length_power=0.0):
    table, before = state

    def all_texts(before, last, tokens, total):
        """Every way to go on, each stop on it told: an end, or the longest length."""
        for w, log_p in enumerate(table[before, last].tolist()):
            if log_p == -np.inf:
                continue
            text = ([*tokens, w], total + log_p)
            yield text
            if w != end and len(text[0]) < max_length:
                yield from all_texts(last, w, *text)

    chances = {tuple(tokens): total for tokens, total in all_texts(before, start, [], 0.0)}
    kept, found = {()}, []
    for n in range(1, max_length + 1):
        longer = [text for text in chances if len(text) == n and text[:-1] in kept]
        longer = sorted(longer, key=chances.get, reverse=True)[:width]
        kept = {text for text in longer if text[-1] != end}
        found += [text for text in longer if text[-1] == end or n == max_length]
    found = sorted(found, key=lambda text: chances[text] / len(text) ** length_power, reverse=True)
    return [(list(text), chances[text]) for text in found[:width]]
