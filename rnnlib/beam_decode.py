"""The best few answers to one input: chapter 15's beam, turned on a decoder, and a fair order of short and long ones.

Chapter: 16-seq2seq
"""

import numpy as np

from rnnlib.beam import beam_search
from rnnlib.seq2seq import Speak
from rnnlib.types import Array, State

__all__ = ["beam_decode", "length_penalty"]


def length_penalty(length: int, alpha: float) -> float:
    """What the log-probability of an answer is divided by, so that long answers are not ranked last for their length.

        lp(n) = ((5 + n) / 6)^alpha

    Parameters
    ----------
    length  n, how many tokens the answer has, the end included; 0 or more.
    alpha   0 for none; with 1 nearly the mean of the tokens' log-probabilities, once n is large.

    Returns
    -------
    a float, 1 for an answer of one token.

    Raises
    ------
    ValueError  a length below 0.

    Chapter: 16-seq2seq. Equation: length-penalty. Source: Wu et al. (2016), section 7.
    """
    if length < 0:
        raise ValueError(f"length_penalty: length is {length}, expected 0 or more")
    return float(((5 + length) / 6) ** alpha)


def beam_decode(
    step: Speak, state: State, start: int, end: int, width: int, max_length: int, alpha: float = 0.6
) -> list[tuple[list[int], float]]:
    """Answers to one input, looked for with a beam, ranked by their log-probability over `length_penalty`.

        s(y) = log p(y) / lp(n)

    Parameters
    ----------
    step        takes (words (1,), state), returns (logits (1, V), state), as for `greedy_decode`.
    state       before the first word, a tuple of arrays (1, ...).
    start       the symbol that is heard first.
    end         the symbol that ends an answer.
    width       hypotheses kept at each step, at least 1.
    max_length  tokens of an answer at most, the end included.
    alpha       of the length penalty.

    Returns
    -------
    up to `width` pairs (tokens, s), best first; the end is the last token of an answer that has one.

    Chapter: 16-seq2seq. Equation: beam-decode. Source: Sutskever et al. (2014), Wu et al. (2016).
    """

    def next_log_probs(state: State, word: int) -> tuple[Array, State]:
        logits, state = step(np.array([word]), state)
        shifted = logits[0] - logits[0].max()
        return shifted - np.log(np.exp(shifted).sum()), state

    found = beam_search(next_log_probs, state, start, end, width, max_length)
    scored = [(tokens, log_p / length_penalty(len(tokens), alpha)) for tokens, log_p in found]
    return sorted(scored, key=lambda answer: answer[1], reverse=True)
