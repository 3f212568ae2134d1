"""What a training gate tells learners about its margin is what happens."""

import numpy as np
import pytest

from course.checks import attention, classification, history, lstm, practical_training
from course.checks.bit import right_answers, train_on_bits
from course.checks.elman import GATE, PASSED_BY, share_legal
from course.checks.fitting import overfit, overfit_task
from course.checks.reversal import learn_to_reverse
from course.checks.run import CheckFailed
from course.checks.training import hopeless, reber_forward, reber_strings, train_on_reber
from course.checks.words import told_right, train_on_words
from rnnlib.attention_decoder import luong_step_backward
from rnnlib.classifier import classifier_backward, classifier_forward
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.last_step import loss_at_the_end
from rnnlib.output import output_layer
from rnnlib.pooling import pool_max, pool_max_backward
from rnnlib.sequence import rnn_forward
from rnnlib.training import fit
from rnnlib.xor import error_by_phase

SEEDS = range(20)


def _trained(seed, step_backward):
    """The share of fresh strings with every prediction legal, and the losses on the way."""
    losses = []
    params = train_on_reber(step_backward, seed=seed, report=lambda batch, loss: losses.append(float(loss)))
    batch = reber_strings(np.random.default_rng(1), 1000)
    return share_legal(reber_forward(params, batch.xs)[2].argmax(axis=-1), batch), losses


@pytest.mark.parametrize("seeds", [SEEDS[i::4] for i in range(4)], ids=lambda seeds: f"from-{seeds[0]}")
def test_a_right_backward_step_passes_the_reber_gate_on_every_seed(seeds):
    """1.000 on each of 20 seeds, and never given up on the way: so the learner is told, here it is run."""
    assert f"a right backward step reached 1.000 on each of {len(SEEDS)} seeds" == PASSED_BY
    for seed in seeds:
        share, losses = _trained(seed, elman_step_backward)
        assert f"{share:.3f}" == "1.000", f"seed {seed}: {share}"
        assert not any(hopeless(losses[: i + 1]) for i in range(len(losses))), f"seed {seed} is given up"


def test_a_backward_step_that_forgets_does_not_pass():
    """Without the message to the previous state the second letter is lost, whatever the seed."""

    def forgets(params, dstate, cache, phi="tanh"):
        dx, (dh_prev,), grads = elman_step_backward(params, dstate, cache, phi)
        return dx, (np.zeros_like(dh_prev),), grads

    for seed in range(3):
        share, _ = _trained(seed, forgets)
        assert share < GATE - 0.1, f"seed {seed}: {share}"


def test_the_error_falls_on_every_third_bit_on_every_seed():
    """Nets that predict temporal XOR are below 0.10 at third bits on each of 8 seeds, and near 0.25 at the others."""
    assert history.PASSED_BY == "with a right function it came out below 0.10 on each of 8 seeds"
    stream = history.xor_stream(np.random.default_rng(1), 2001, 1)
    for seed in range(8):
        guesses = history.net_guesses(history.train_by_nudging(seed), stream)
        first, third, second = error_by_phase((guesses[1:-1] - stream[2:]) ** 2, 3)[[1, 0, 2]]
        assert third < 0.10 < history.GATE, f"seed {seed}: {third}"
        assert min(first, second) > 0.2, f"seed {seed}: {first}, {second}"


def test_a_net_that_is_not_trained_does_not_pass():
    """Before training no place is better than a coin toss by much."""
    stream = history.xor_stream(np.random.default_rng(1), 2001, 1)
    for seed in range(8):
        guesses = history.net_guesses(history.train_by_nudging(seed, steps=1), stream)
        assert error_by_phase((guesses[:-1] - stream[1:]) ** 2, 3)[1] > history.GATE, f"seed {seed}"


@pytest.mark.parametrize("seeds", [SEEDS[i::4] for i in range(4)], ids=lambda seeds: f"from-{seeds[0]}")
def test_an_lstm_remembers_a_bit_for_100_steps_on_every_seed(seeds):
    """1.000 on each of 20 seeds: so the learner is told, here it is run."""
    assert f"a right function reached 1.000 on each of {len(SEEDS)} seeds" == lstm.PASSED_BY
    for seed in seeds:
        share = right_answers(train_on_bits(loss_at_the_end, "lstm", seed), "lstm")
        assert f"{share:.3f}" == "1.000", f"seed {seed}: {share}"


def test_a_plain_net_does_not_remember_a_bit_for_100_steps():
    """An Elman net trained in the same way guesses on each of 10 seeds; elsewhere rounding may let one through."""
    shares = [right_answers(train_on_bits(loss_at_the_end, "elman", seed), "elman") for seed in range(10)]
    assert np.median(shares) < 0.6, shares
    assert sum(share >= lstm.GATE for share in shares) <= 2, shares


def test_an_lstm_whose_message_loses_a_part_does_not_remember():
    """A walk that hands on dh alone does not learn it, with the seed that the check uses."""

    def halved(step, step_backward, *rest):
        def back(params, dstate, cache):
            dx, (dh, dc), grads = step_backward(params, dstate, cache)
            return dx, (dh, np.zeros_like(dc)), grads

        return loss_at_the_end(step, back, *rest)

    assert right_answers(train_on_bits(halved, "lstm"), "lstm") < lstm.GATE - 0.3


def test_twenty_sequences_are_learned_by_heart_on_every_seed():
    """Below 0.001 on each of 20 seeds, all labels right: so the learner is told, here it is run."""
    assert practical_training.PASSED_BY == "a right function ended below 0.001 on each of 20 seeds"
    for seed in SEEDS:
        params, losses = overfit(fit, seed)
        xs, labels = overfit_task(seed)
        hs, _, _ = rnn_forward(elman_step, params, xs, (np.zeros((20, 24), np.float32),))
        assert losses[-1] < 0.001 < practical_training.GATE, f"seed {seed}: {losses[-1]}"
        assert (output_layer(params, hs[-1])[0].argmax(axis=-1) == labels).all(), f"seed {seed}"


def test_a_loop_that_loses_the_weights_learns_nothing_by_heart():
    """A loop that starts each step from the first weights stays at a coin toss, whatever the seed."""

    def forgets(run, loss_and_grads, steps, schedule, optimizer, max_norm, report):
        for step in range(1, steps + 1):
            now = fit(run, loss_and_grads, 1, schedule, optimizer, max_norm)
            report(now, {"loss": loss_and_grads(run["params"], now["rng"])[0], "step": step})
        return now

    for seed in range(3):
        assert overfit(forgets, seed, steps=20)[1][-1] > 10 * practical_training.GATE


def test_made_up_words_are_told_apart_on_every_seed():
    """Above 0.98 on each of 20 seeds with the largest values: so the learner is told, here it is run."""
    assert classification.PASSED_BY == "a right function came above 0.98 on each of 20 seeds"
    for seed in SEEDS:
        net, _ = train_on_words(classifier_forward, classifier_backward, pool_max, pool_max_backward, seed)
        share = told_right(classifier_forward, pool_max, net)
        assert share > 0.98 > classification.GATE, f"seed {seed}: {share}"


def test_a_way_back_that_loses_the_letters_does_not_tell_words_apart():
    """With a gradient that is turned around in the cell, or never reaches it, the net stays below the gate."""

    def silent(run_back, pool_back, net, dlogits, cache):
        return classifier_backward(run_back, lambda dp, kept: 0 * pool_back(dp, kept), net, dlogits, cache)

    def uphill(run_back, pool_back, net, dlogits, cache):
        dxs, grads = classifier_backward(run_back, pool_back, net, dlogits, cache)
        return -dxs, {part: {name: -g for name, g in own.items()} for part, own in grads.items()}

    for seed in range(3):
        for wrong in (silent, uphill):
            net, _ = train_on_words(classifier_forward, wrong, pool_max, pool_max_backward, seed)
            assert told_right(classifier_forward, pool_max, net) < classification.GATE - 0.1, f"seed {seed}"


@pytest.mark.parametrize("seeds", [range(i, 12, 3) for i in range(3)], ids=lambda seeds: f"from-{seeds[0]}")
def test_a_right_step_says_words_backwards_on_every_seed(seeds):
    """97 % or more of 200 fresh words on each of 12 seeds, where 90 % are asked: so the learner is told."""
    assert attention.PASSED_BY == "a right function reached 97 % or more on each of 12 seeds"
    for seed in seeds:
        assert attention.share_said(learn_to_reverse(luong_step_backward, seed)[0]) >= 0.97, f"seed {seed}"


def test_a_net_that_has_hardly_been_trained_does_not_say_words_backwards():
    """A tenth of the steps is not enough: the gate is reached by learning."""
    params, losses = learn_to_reverse(luong_step_backward, 0, steps=25)
    assert attention.share_said(params) < 0.2
    with pytest.raises(CheckFailed, match="after 25 steps"):
        attention.judge_reversal(params, losses)
