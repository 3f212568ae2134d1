"""The Reber grammar: what it writes, what it refuses, and the arrays made of it."""

from itertools import product

import numpy as np
import pytest

from rnnlib.elman import elman_init, elman_step
from rnnlib.output import output_init
from rnnlib.reber import (
    REBER_SYMBOLS,
    is_reber,
    legal_next,
    one_hot,
    predict_next,
    reber_automaton,
    reber_batch,
    reber_encode,
    reber_states,
    reber_string,
)

GRAMMARS = pytest.mark.parametrize("embedded", [False, True], ids=["plain", "embedded"])


def strings_by_enumeration(embedded: bool, longest: int) -> set[str]:
    """Every string of the grammar up to a length, found by trying all arcs, breadth first."""
    automaton = reber_automaton(embedded)
    complete, open_walks = set(), [("", 0)]
    for _ in range(longest):
        open_walks = [(text + symbol, to) for text, state in open_walks for symbol, to in automaton[state].items()]
        complete |= {text for text, state in open_walks if not automaton[state]}
    return complete


@GRAMMARS
@pytest.mark.parametrize("seed", range(5))
def test_every_string_written_is_accepted(seed: int, embedded: bool) -> None:
    """What the generator writes, the acceptor takes, and it is over only at its end."""
    rng = np.random.default_rng(seed)
    for _ in range(200):
        string = reber_string(rng, embedded)
        assert is_reber(string, embedded), string
        assert not any(is_reber(string[:end], embedded) for end in range(len(string))), string


def test_plain_grammar_is_the_one_of_the_literature() -> None:
    """The strings of 5 and 6 symbols, written down by hand from the drawing of Reber (1967)."""
    by_hand = {"BTXSE", "BPVVE", "BTSXSE", "BPTVVE", "BPVPSE"}
    assert strings_by_enumeration(False, 6) == by_hand


def test_acceptor_agrees_with_brute_force_on_all_short_strings() -> None:
    """Of all 7^6 strings of six symbols, exactly the enumerated ones are accepted."""
    accepted = {"".join(s) for s in product(REBER_SYMBOLS, repeat=6) if is_reber("".join(s))}
    assert accepted == {s for s in strings_by_enumeration(False, 6) if len(s) == 6}


@GRAMMARS
def test_legal_sets_agree_with_all_continuations(embedded: bool) -> None:
    """A symbol is legal after a prefix exactly if some complete string goes on with it."""
    longest = 16 if embedded else 12
    complete = strings_by_enumeration(embedded, longest)
    follows: dict[str, set[str]] = {}
    for string in complete:
        for end in range(len(string)):
            follows.setdefault(string[:end], set()).add(string[end])
    # The longest detour from a prefix back to the end is short, so cut strings do not hide a symbol here.
    for prefix in (p for p in follows if len(p) <= longest - 9):
        assert legal_next(prefix, embedded) == follows[prefix], prefix
    assert all(legal_next(string, embedded) == frozenset() for string in complete)


def test_embedded_string_ends_as_it_began() -> None:
    """The second symbol comes back as the last but one, and a plain string stands between."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        string = reber_string(rng, embedded=True)
        assert string[1] == string[-2]
        assert is_reber(string[2:-2], embedded=False)


def test_embedded_string_with_the_other_symbol_at_the_end_is_refused() -> None:
    """Only memory of the second symbol tells the right last choice from the wrong one."""
    rng = np.random.default_rng(4)
    for _ in range(100):
        string = reber_string(rng, embedded=True)
        wrong = string[:-2] + {"T": "P", "P": "T"}[string[-2]] + "E"
        assert not is_reber(wrong, embedded=True)


@GRAMMARS
def test_corrupted_string_is_refused_and_the_message_says_where(embedded: bool) -> None:
    """An illegal symbol at any position is refused, and reber_states names position and legal symbols."""
    string = reber_string(np.random.default_rng(5), embedded)
    for position in range(len(string)):
        legal = legal_next(string[:position], embedded)
        for symbol in set(REBER_SYMBOLS) - legal:
            corrupted = string[:position] + symbol + string[position + 1 :]
            assert not is_reber(corrupted, embedded)
            with pytest.raises(ValueError, match=f"at position {position}.*leaves the .* grammar"):
                reber_states(corrupted, embedded)


def test_same_seed_same_strings_other_seed_other_strings() -> None:
    """All randomness comes from the generator handed in."""

    def draw(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [reber_string(rng, embedded=True) for _ in range(20)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@GRAMMARS
def test_strings_of_a_wanted_length_have_their_natural_frequencies(embedded: bool) -> None:
    """Drawing with a length is drawing freely and keeping those of that length."""
    length, draws = (11 if embedded else 7), 4000
    rng = np.random.default_rng(6)
    wanted = [reber_string(rng, embedded, length) for _ in range(draws)]
    free = [reber_string(rng, embedded) for _ in range(20 * draws)]
    kept = [s for s in free if len(s) == length]
    kinds = sorted(set(kept))
    assert set(wanted) == {s for s in strings_by_enumeration(embedded, length) if len(s) == length} == set(kinds)
    for kind in kinds:
        share, expected = wanted.count(kind) / draws, kept.count(kind) / len(kept)
        # Four standard errors of a share of about 0.1 to 0.5 over these counts.
        assert share == pytest.approx(expected, abs=0.06), kind


@GRAMMARS
def test_length_that_no_string_has_is_an_error(embedded: bool) -> None:
    """The message says what the shortest length is."""
    shortest = min(map(len, strings_by_enumeration(embedded, 10)))
    with pytest.raises(ValueError, match=f"the shortest has {shortest}"):
        reber_string(np.random.default_rng(0), embedded, shortest - 1)


@GRAMMARS
def test_batch_holds_the_strings_and_nothing_else(embedded: bool) -> None:
    """Inputs, targets, legal sets and states read back to the strings; padding is zero, False or -1."""
    rng = np.random.default_rng(7)
    strings = [reber_string(rng, embedded) for _ in range(12)]
    batch = reber_batch(strings, embedded, np.float32)
    steps = max(map(len, strings)) - 1
    assert batch.xs.shape == (steps, 12, 7)
    assert batch.xs.dtype == np.float32
    for b, string in enumerate(strings):
        length = len(string) - 1
        assert "".join(REBER_SYMBOLS[i] for i in batch.xs[:length, b].argmax(axis=-1)) == string[:-1]
        assert "".join(REBER_SYMBOLS[i] for i in batch.targets[:length, b]) == string[1:]
        assert batch.mask[:, b].tolist() == [True] * length + [False] * (steps - length)
        assert batch.states[:length, b].tolist() == reber_states(string[:-1], embedded)[1:]
        for t in range(length):
            legal = {REBER_SYMBOLS[i] for i in np.flatnonzero(batch.legal[t, b])}
            assert legal == legal_next(string[: t + 1], embedded)
    pad = ~batch.mask
    assert not batch.xs[pad].any()
    assert not batch.legal[pad].any()
    assert (batch.states[pad] == -1).all()


@GRAMMARS
def test_batch_refuses_a_string_that_is_not_of_the_grammar(embedded: bool) -> None:
    """A corrupted or unfinished string, or none at all, is an error at once."""
    with pytest.raises(ValueError, match="'BTX' is no string of the grammar"):
        reber_batch(["BTX"], embedded)
    with pytest.raises(ValueError, match="there is no string"):
        reber_batch([], embedded)


def test_encode_and_one_hot_say_what_does_not_fit() -> None:
    """A foreign letter, an index out of range, a float index: each has its own message."""
    assert reber_encode("BE").tolist() == [0, 6]
    with pytest.raises(ValueError, match="holds A, expected only B"):
        reber_encode("BAE")
    with pytest.raises(ValueError, match="from 0 to 7, expected 0 to 6"):
        one_hot(np.array([0, 7]), 7)
    with pytest.raises(ValueError, match="expected integers"):
        one_hot(np.array([0.0]), 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_those_of_one_step_after_the_other(dtype: type) -> None:
    """predict_next is the largest score after each step, for any cell and start."""
    rng = np.random.default_rng(8)
    params = elman_init(rng, 7, 5, dtype) | output_init(rng, 5, 7, dtype)
    batch = reber_batch([reber_string(rng) for _ in range(6)], dtype=dtype)
    state = (rng.uniform(-1, 1, (6, 5)).astype(dtype),)
    symbols = predict_next(elman_step, params, batch.xs, state)
    assert symbols.shape == batch.targets.shape
    for x, row in zip(batch.xs, symbols, strict=True):
        state, _ = elman_step(params, x, state)
        scores = state[0] @ params["W_hy"] + params["b_y"]
        assert [int(np.argmax(s)) for s in scores] == row.tolist()
