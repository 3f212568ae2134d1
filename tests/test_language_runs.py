"""Chapter 15's gate is what it tells learners, and its long runs measure what they say they measure."""

import math

import numpy as np
import pytest

from course.checks import language as checks
from course.checks.language_runs import WORDS_READ, learn_words, made_up_text
from course.runs import language as runs
from rnnlib.fused import lstm_forward
from rnnlib.language import language_log_probs, train_stateful
from rnnlib.perplexity import perplexity


def test_a_right_function_is_below_the_3_gram_on_every_seed():
    """Between 1.36 and 1.38 on each of 12 seeds, the 3-gram between 2.37 and 2.39: so the learner is told."""
    told = "a right function ended between 1.36 and 1.38 on each of 12 seeds, where the 3-gram has 2.37 to 2.39"
    assert told == checks.MARGIN
    for seed in range(12):
        reached, _ = learn_words(train_stateful, seed)
        texts = made_up_text(1000 + seed, WORDS_READ), made_up_text(2000 + seed, 400)
        border = checks.three_gram(*(text.tolist() for text in texts))
        assert 1.355 < reached < 1.385, f"seed {seed}: {reached}"
        assert 2.36 < border < 2.40, f"seed {seed}: {border}"


def test_a_net_that_does_not_learn_is_not_below_the_3_gram():
    """A loop that loses the weights of each step stays near the five symbols' own frequencies."""

    def forgets(run, run_back, training, batches, state, schedule, max_norm):
        _, last, losses = train_stateful(run, run_back, training, batches[:5], state, schedule, max_norm)
        return training, last, losses

    for seed in range(3):
        assert learn_words(forgets, seed)[0] > 4


@pytest.fixture
def small(monkeypatch):
    """Made-up texts in the place of the plays, and batches that take no time."""
    learned, valid, held_out = (made_up_text(seed, 600) for seed in range(3))
    texts = runs.Texts(list("abcd "), learned, valid, held_out)
    monkeypatch.setattr(runs, "texts", lambda: texts)
    for name, value in {"BATCH": 4, "WINDOW": 16, "EVERY": 10}.items():
        monkeypatch.setattr(runs, name, value)
    return texts


@pytest.mark.parametrize("kind", runs.KINDS)
def test_a_run_learns_and_is_the_same_again(kind, small):
    """Every kind gets below the frequencies of single symbols, 4.7, and its numbers are those of its seed."""
    first, again = (runs.train_one(runs.Setting(kind, 3), steps=40) for _ in range(2))
    assert (first.perplexity, first.curve, first.read) == (again.perplexity, again.curve, again.read)
    assert first.perplexity < 4.7
    assert len(first.curve) == 4
    assert first.curve[-1] < first.curve[0]
    assert len(first.read) == runs.READ
    assert first.perplexity != runs.train_one(runs.Setting(kind, 4), steps=40).perplexity


def test_a_state_that_is_not_carried_makes_another_net(small):
    """The two kinds differ in nothing else, and their weights part."""
    carried, not_carried = (runs.train_one(runs.Setting(kind, 0), steps=40) for kind in ("LSTM", "LSTM, not carried"))
    assert carried.parameters == not_carried.parameters
    assert carried.perplexity != not_carried.perplexity


def test_perplexities_are_those_of_a_plain_reading(small):
    """On a stream: one row with its state carried. After a reset: each stretch alone, from zeros."""
    kind = runs.KINDS["LSTM"]
    params = runs.first_weights(kind, np.random.default_rng(0), 5)
    stream = small.valid[:200]
    empty = (np.zeros((1, runs.HIDDEN), np.float32),) * 2
    whole = language_log_probs(lstm_forward, params, stream[:-1, None], stream[1:, None], empty)[0]
    assert runs.on_stream(kind, params, stream, rows=1, window=7) == pytest.approx(perplexity(whole), rel=1e-5)
    told = []
    for start in range(0, 190, 10):
        part = stream[start : start + 11]
        told.append(language_log_probs(lstm_forward, params, part[:-1, None], part[1:, None], empty)[0][:, 0])
    want = np.exp(-np.mean(told, axis=0))
    assert np.allclose(runs.after_reset(kind, params, stream, 10), want, rtol=1e-5)


def test_the_log_says_what_the_chapter_says():
    """Twenty nets, all below the 3-gram of the page; the tied ones below all others."""
    found = {kind: [run.perplexity for run in runs.LOG.runs() if run.kind == kind] for kind in runs.KINDS}
    assert all(len(five) == runs.SEEDS and all(map(math.isfinite, five)) for five in found.values())
    assert max(map(max, found.values())) < 7.4
    assert max(found["LSTM, tied"]) < min(min(five) for kind, five in found.items() if kind != "LSTM, tied")
