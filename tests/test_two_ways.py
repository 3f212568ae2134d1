"""The helpers of chapter 08's experiments, and what its text says of a language model that reads both ways."""

from functools import partial

import numpy as np
import pytest

from course.checks.two_ways import BLANK, descend, elman_run, elman_run_back, gaps, new_layers, short_strings, tree_map
from rnnlib.bidirectional import bidirectional, bidirectional_backward
from rnnlib.bptt import backward_through_time
from rnnlib.causal import stream_outputs
from rnnlib.elman import elman_step_backward
from rnnlib.losses import cross_entropy
from rnnlib.output import output_init, output_layer, output_layer_backward
from rnnlib.reber import REBER_SYMBOLS, reber_batch, reber_string


def test_the_way_back_is_the_library_s():
    """`elman_run_back` gives the gradients of `backward_through_time`, and leaves its arguments as they were."""
    rng = np.random.default_rng(0)
    (params,) = new_layers(rng, 3, 5, both=False)
    params = tree_map(lambda a: a.astype(np.float64), params)
    xs, start, dlast = rng.normal(size=(6, 2, 3)), (rng.normal(size=(2, 5)),), (rng.normal(size=(2, 5)),)
    hs, _, caches = elman_run(params, xs, start)
    dhs = rng.normal(size=hs.shape)
    before = dhs.copy()
    ours = elman_run_back(params, dhs, dlast, caches)
    theirs = backward_through_time(elman_step_backward, params, dhs, dlast, caches)
    tree_map(partial(np.testing.assert_allclose, atol=1e-12), ours, theirs)
    np.testing.assert_array_equal(dhs, before)


def test_a_gap_hides_one_symbol_and_says_which():
    """With the missing symbols put back, the strings are there again; each kind of place has its third."""
    rng = np.random.default_rng(1)
    strings = short_strings(rng, 900)
    assert max(map(len, strings)) <= 20
    xs, lengths, places, missing = gaps(rng, strings)
    assert [len(string) for string in strings] == list(lengths)
    for b, string in enumerate(strings):
        symbols = xs[: lengths[b], b].argmax(axis=-1)
        assert list(np.flatnonzero(symbols == BLANK)) == [places[b]]
        symbols[places[b]] = missing[b]
        assert "".join(REBER_SYMBOLS[s] for s in symbols) == string
        assert not xs[lengths[b] :, b].any()
    kinds = np.array([(places == 1).mean(), (places == lengths - 2).mean()])
    assert np.all(np.abs(kinds - 1 / 3) < 0.06), kinds
    assert places.min() == 1
    assert np.all(places <= lengths - 2)


def test_descend_finds_the_bottom_of_a_bowl():
    """Nested parameters arrive where the loss is lowest, and the start stays as it was."""
    goal = {"a": (np.array([1.0, -2.0]),), "b": [np.array([0.5])]}
    start = tree_map(np.zeros_like, goal)

    def loss_and_grads(net):
        gaps = tree_map(np.subtract, net, goal)
        return float(np.sum(gaps["a"][0] ** 2) + np.sum(gaps["b"][0] ** 2)), tree_map(lambda g: 2 * g, gaps)

    net, losses = descend(start, loss_and_grads, 400, rate=0.05)
    tree_map(partial(np.testing.assert_allclose, atol=0.02), net, goal)
    assert losses[-1] < 1e-3 < losses[0]
    assert not start["a"][0].any()


def _draw(rng, count):
    return reber_batch([reber_string(rng, embedded=True) for _ in range(count)], embedded=True, dtype=np.float32)


def _language_model(seed, both):
    """The loss at the end of training, and the share of strings whose last letter but one is right when streamed."""
    rng, hidden = np.random.default_rng(seed), 16 if both else 32
    (cell,) = new_layers(rng, 7, hidden, both=both)
    net = {"cell": cell, "out": output_init(rng, hidden * (1 + both), 7, np.float32)}

    def ways(lengths, batch):
        zero = (np.zeros((batch, hidden), np.float32),)
        if not both:
            return elman_run, elman_run_back, zero
        back = partial(bidirectional_backward, elman_run_back, lengths=lengths)
        return partial(bidirectional, elman_run, lengths=lengths), back, (zero, zero)

    def loss_and_grads(net):
        batch = _draw(rng, 32)
        run, run_back, start = ways(batch.mask.sum(axis=0), 32)
        hs, _, caches = run(net["cell"], batch.xs, start)
        scores, cache = output_layer(net["out"], hs)
        loss, d_scores = cross_entropy(scores, batch.targets, batch.mask)
        dhs, d_out = output_layer_backward(net["out"], d_scores, cache)
        return loss, {"cell": run_back(net["cell"], dhs, start, caches)[2], "out": d_out}

    net, losses = descend(net, loss_and_grads, 200 if both else 400)
    test = _draw(np.random.default_rng(99), 300)
    run, _, start = ways(None, 300)
    hs = stream_outputs(lambda xs: run(net["cell"], xs, start)[0], test.xs)
    place = test.mask.sum(axis=0) - 2, np.arange(300)
    right = output_layer(net["out"], hs[place])[0].argmax(axis=-1) == test.targets[place]
    return losses[-20:].mean(), right.mean()


@pytest.mark.parametrize("seed", range(5))
def test_a_language_model_that_reads_both_ways_has_learned_nothing_that_must_be_carried(seed):
    """Its loss is far below the price of the coin tosses; streamed, it guesses the remembered letter."""
    loss, right = _language_model(seed, both=True)
    assert loss < 0.01
    assert 0.4 < right < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_one_that_reads_forward_has(seed):
    """Its loss is what the coin tosses cost, and it knows the letter."""
    loss, right = _language_model(seed, both=False)
    assert 0.42 < loss < 0.47
    assert right > 0.99
