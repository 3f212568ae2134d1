"""Encoder, decoder, their loss, what is decoded from them, and the scores of what was said."""

from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch
from rnnlib_checks import assert_all_close, assert_close

from rnnlib.beam_decode import beam_decode, length_penalty
from rnnlib.bleu import bleu
from rnnlib.edit_distance import edit_distance
from rnnlib.gru import gru_step
from rnnlib.parameters import flat, nested
from rnnlib.seq2seq import (
    add_grads,
    decode_step,
    decode_step_backward,
    encode,
    encode_backward,
    greedy_decode,
    scheduled_inputs,
    seq2seq_init,
    seq2seq_loss,
)
from rnnlib.types import Array

# S, T, B, D, H and the two vocabularies, all different; one step and one sequence, too.
SIZES = [(1, 2, 1, 3, 5, 4, 6), (6, 4, 3, 2, 5, 7, 8), (5, 7, 4, 6, 3, 9, 5), (9, 3, 2, 4, 8, 3, 7)]
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
START, END = 1, 2


class Case:
    """A net, a padded batch with anything behind the ends, and gradients to send back."""

    def __init__(self, sizes: tuple[int, ...], seed: int = 0) -> None:
        S, T, B, D, H, V, K = sizes
        rng = np.random.default_rng(seed)
        self.rng = rng
        self.net = nested({name: rng.normal(size=a.shape) * 0.6 for name, a in flat(_init(D, H, V, K)).items()})
        self.sources, self.targets = rng.integers(V, size=(S, B)), rng.integers(K, size=(T, B))
        self.n = np.clip(rng.integers(1, S + 1, size=B), 1, S)
        self.m = np.clip(rng.integers(2, T + 1, size=B), 2, T)
        self.n[0], self.m[-1] = S, T
        self.mask = np.arange(S)[:, None] < self.n
        self.dhs, self.dc = rng.normal(size=(S, B, H)) * self.mask[..., None], rng.normal(size=(B, H))
        self.ds, self.dlogits = rng.normal(size=(B, H)), rng.normal(size=(B, K))


def _init(D: int, H: int, V: int, K: int) -> dict[str, Any]:
    return seq2seq_init(np.random.default_rng(0), V, K, D, H)


# --- the same net in PyTorch, one sequence at a time


def torch_net(net: dict[str, Any]) -> tuple[Any, dict[str, torch.Tensor]]:
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in flat(net).items()}
    return nested(leaves), leaves


def torch_gru(cell: dict[str, torch.Tensor], x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    z_in, r_in, n_in = (x @ cell["W_xh"] + cell["b_h"]).chunk(3, dim=-1)
    W_z, W_r, W_n = cell["W_hh"].chunk(3, dim=-1)
    z, r = torch.sigmoid(z_in + h @ W_z), torch.sigmoid(r_in + h @ W_r)
    return (1 - z) * h + z * torch.tanh(n_in + (r * h) @ W_n)


def torch_encode(encoder: Any, tokens: Array) -> list[torch.Tensor]:
    h, states = torch.zeros(encoder["cell"]["W_hh"].shape[0], dtype=torch.float64), []
    for token in tokens:
        h = torch_gru(encoder["cell"], encoder["embedding"]["E"][token], h)
        states.append(h)
    return states


def torch_decode(decoder: Any, fed: Array, s: torch.Tensor) -> list[torch.Tensor]:
    logits = []
    for word in fed:
        s = torch_gru(decoder["cell"], decoder["embedding"]["E"][word], s)
        logits.append(s @ decoder["out"]["W_hy"] + decoder["out"]["b_y"])
    return logits


def torch_loss(net: Any, case: Case, inputs: Array) -> torch.Tensor:
    total, count = torch.zeros((), dtype=torch.float64), 0
    for b, (n, m) in enumerate(zip(case.n, case.m, strict=True)):
        c = torch_encode(net["encoder"], case.sources[:n, b])[-1]
        for t, scores in enumerate(torch_decode(net["decoder"], inputs[: m - 1, b], c), 1):
            total = total - torch.log_softmax(scores, dim=-1)[case.targets[t, b]]
            count += 1
    return total / count


def grads_of(leaves: dict[str, torch.Tensor], part: str = "") -> dict[str, Array]:
    found = {name: leaf.grad for name, leaf in leaves.items() if name.startswith(part)}
    return {
        name.removeprefix(part): np.zeros(leaves[name].shape) if grad is None else grad.numpy()
        for name, grad in found.items()
    }


# --- encoder and decoder


@every_size
def test_encode_is_torch_on_each_sequence_alone(sizes: tuple[int, ...]) -> None:
    """The states before the ends and the one handed over, whatever stands behind the ends."""
    case = Case(sizes)
    case.sources[~case.mask] = -7  # no symbol at all
    hs, (c,), _ = encode(case.net["encoder"], case.sources, case.n)
    net, _ = torch_net(case.net)
    for b, n in enumerate(case.n):
        states = torch.stack(torch_encode(net["encoder"], case.sources[:n, b])).detach().numpy()
        assert_all_close({"hs": hs[:n, b], "c": c[b]}, {"hs": states, "c": states[-1]})


@every_size
def test_encode_backward_is_autograd(sizes: tuple[int, ...]) -> None:
    """Gradient enters at every state before the ends and at the state handed over; both reach all weights."""
    case = Case(sizes)
    net, leaves = torch_net(case.net)
    worth = torch.zeros((), dtype=torch.float64)
    for b, n in enumerate(case.n):
        states = torch_encode(net["encoder"], case.sources[:n, b])
        worth = worth + (torch.stack(states) * torch.tensor(case.dhs[:n, b])).sum()
        worth = worth + (states[-1] * torch.tensor(case.dc[b])).sum()
    worth.backward()
    dhs, cache = case.dhs.copy(), encode(case.net["encoder"], case.sources, case.n)[2]
    grads = encode_backward(case.net["encoder"], dhs, (case.dc,), cache)
    assert_all_close(flat(grads), grads_of(leaves, "encoder/"))
    assert_close("dhs as it was", dhs, case.dhs, tol=0.0)


@every_size
def test_decode_step_and_its_way_back_are_autograd(sizes: tuple[int, ...]) -> None:
    """Scores, state, and the gradients when both get one."""
    case = Case(sizes)
    net, leaves = torch_net(case.net)
    words, start = case.targets[0], torch.tensor(case.dc, requires_grad=True)
    s = torch_gru(net["decoder"]["cell"], net["decoder"]["embedding"]["E"][words], start)
    scores = s @ net["decoder"]["out"]["W_hy"] + net["decoder"]["out"]["b_y"]
    torch.autograd.backward([scores, s], [torch.tensor(case.dlogits), torch.tensor(case.ds)])
    logits, state, cache = decode_step(case.net["decoder"], words, (case.dc,))
    assert_all_close({"logits": logits, "s": state[0]}, {"logits": scores.detach(), "s": s.detach()})
    (dprev,), grads = decode_step_backward(case.net["decoder"], case.dlogits, (case.ds,), cache)
    assert_close("ds_prev", dprev, start.grad)
    assert_all_close(flat(grads), grads_of(leaves, "decoder/"))


@every_size
@pytest.mark.parametrize("told", [True, False], ids=["teacher", "fed"])
def test_loss_and_gradients_are_autograd_s(sizes: tuple[int, ...], told: bool) -> None:
    """The mean over the words that count, told the truth or fed anything else; the padding changes nothing."""
    case = Case(sizes)
    inputs = case.targets[:-1] if told else case.rng.integers(sizes[-1], size=case.targets[:-1].shape)
    net, leaves = torch_net(case.net)
    expected = torch_loss(net, case, inputs)
    expected.backward()
    batch = case.sources, case.n, case.targets, case.m
    loss, grads = seq2seq_loss(case.net, *batch, None if told else inputs)
    assert_close("loss", loss, expected.detach())
    assert_all_close(flat(grads), grads_of(leaves))
    case.sources[~case.mask] = 10**6
    case.targets[np.arange(sizes[1])[:, None] >= case.m] = 0
    if told:
        again, moved = seq2seq_loss(case.net, *batch)
        assert_close("loss", again, loss)
        assert_all_close(flat(moved), flat(grads))


def test_loss_of_a_longer_batch_is_the_same() -> None:
    """Padding both sides further changes neither the loss nor a gradient."""
    case = Case(SIZES[1])
    S, T = case.sources.shape[0], case.targets.shape[0]
    longer = np.vstack([case.sources, case.sources]), case.n, np.vstack([case.targets, case.targets]), case.m
    loss, grads = seq2seq_loss(case.net, case.sources[:S], case.n, case.targets[:T], case.m)
    again, same = seq2seq_loss(case.net, *longer)
    assert_close("loss", again, loss)
    assert_all_close(flat(same), flat(grads))


def test_add_grads_adds_part_by_part() -> None:
    """Nested sums, and neither summand is changed."""
    case = Case(SIZES[1])
    total = add_grads(add_grads({}, case.net), case.net)
    assert_all_close(flat(total), {name: 2 * array for name, array in flat(case.net).items()}, tol=0.0)


# --- decoding


def alone(case: Case, b: int, max_length: int) -> list[int]:
    """The likeliest words of one sequence, one after another."""
    decoder, word, said = case.net["decoder"], START, []
    s = np.tanh(case.dc[b : b + 1])
    while len(said) < max_length:
        x = decoder["embedding"]["E"][[word]]
        ((s,), _) = gru_step(decoder["cell"], x, (s,))
        word = int((s @ decoder["out"]["W_hy"] + decoder["out"]["b_y"]).argmax())
        if word == END:
            return said
        said.append(word)
    return said


def speak(case: Case, words: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    return decode_step(case.net["decoder"], words, state)[:2]


@pytest.mark.parametrize("max_length", [1, 3, 12])
@pytest.mark.parametrize("seed", range(12))
def test_greedy_decoding_of_a_batch_is_that_of_each_sequence(seed: int, max_length: int) -> None:
    """Each sequence says what it would say alone, stops at its own end, and stops at max_length without one."""
    case = Case((3, 4, 5, 2, 6, 4, 5), seed)
    words, lengths = greedy_decode(partial(speak, case), (np.tanh(case.dc),), START, END, max_length)
    said = [alone(case, b, max_length) for b in range(5)]
    assert [words[:n, b].tolist() for b, n in enumerate(lengths)] == said
    assert all((words[n:, b] == END).all() for b, n in enumerate(lengths))
    assert len(words) == min(max_length, 1 + max(map(len, said)))


def test_some_of_these_sequences_end_and_some_do_not() -> None:
    """Otherwise the test before would prove little."""
    said = [len(alone(Case((3, 4, 5, 2, 6, 4, 5), seed), b, 12)) for seed in range(12) for b in range(5)]
    assert 12 in said
    assert len(set(said)) >= 4


@pytest.mark.parametrize("seed", range(6))
def test_scheduled_inputs_are_the_truth_or_what_was_said(seed: int) -> None:
    """With a chance of 1 the right words, with 0 the net's own; in between each word is one of the two."""
    case = Case((3, 6, 5, 2, 6, 4, 5), seed)
    case.targets[0] = START
    step, state, rng = partial(speak, case), (np.tanh(case.dc),), np.random.default_rng
    told = scheduled_inputs(step, state, case.targets, 1.0, rng(seed))
    assert_close("told", told, case.targets[:-1], tol=0.0)
    own = scheduled_inputs(step, state, case.targets, 0.0, rng(seed))
    assert (own[0] == START).all()
    for b in range(5):
        said = [*alone(case, b, 4), END][:4]
        assert own[1 : 1 + len(said), b].tolist() == said
    mixed, (s,), coins = scheduled_inputs(step, state, case.targets, 0.5, rng(seed)), state, rng(seed)
    for t, fed in enumerate(mixed[:-1]):
        logits, (s,) = speak(case, fed, (s,))
        expected = np.where(coins.random(5) < 0.5, case.targets[t + 1], logits.argmax(axis=-1))
        assert_close(f"fed at step {t + 1}", mixed[t + 1], expected, tol=0.0)


# --- scores of what was said


@pytest.mark.parametrize("seed", range(4))
def test_edit_distance_is_the_shortest_way_of_all(seed: int) -> None:
    """Against the recursion over all ways, for words and for lists; and a metric: symmetric, zero for equals alone."""

    @lru_cache(None)
    def shortest(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        ways = shortest(a[1:], b) + 1, shortest(a, b[1:]) + 1, shortest(a[1:], b[1:]) + (a[0] != b[0])
        return min(ways)

    rng = np.random.default_rng(seed)
    for _ in range(60):
        a, b = ("".join(rng.choice(list("abc"), size=rng.integers(0, 7))) for _ in range(2))
        assert edit_distance(a, b) == shortest(a, b)
        assert edit_distance(list(b), tuple(a)) == shortest(a, b)
        assert (edit_distance(a, b) == 0) == (a == b)


@pytest.mark.parametrize("smooth", ["none", "exp"])
def test_bleu_is_sacrebleu_s(smooth: str) -> None:
    """Corpora of all kinds: too short, too long, repeated words, no match of four, nothing at all."""
    rng, zeros = np.random.default_rng(0), 0
    for _ in range(250):
        vocabulary = [f"w{i}" for i in range(rng.integers(2, 8))]
        references = [rng.choice(vocabulary, size=rng.integers(1, 9)).tolist() for _ in range(rng.integers(1, 6))]
        hypotheses = [
            r[: rng.integers(0, len(r) + 1)] if rng.random() < 0.5 else rng.choice(vocabulary, size=8).tolist()
            for r in references
        ]
        texts = [[" ".join(tokens) for tokens in side] for side in (hypotheses, references)]
        score = sacrebleu.corpus_bleu(texts[0], [texts[1]], smooth_method=smooth, tokenize="none")
        assert_close("bleu", bleu(hypotheses, references, smooth), score.score)
        zeros += score.score == 0
    assert 0 < zeros < 225


def test_bleu_by_hand() -> None:
    """All six words, four of five pairs: the root of their product, and a penalty for one word too few."""
    said, wanted = "two hundred and two and ten", "two hundred and twenty two and ten"
    expected = 100 * np.exp(1 - 7 / 6) * np.sqrt(6 / 6 * 4 / 5)
    assert_close("bleu", bleu([said.split()], [wanted.split()], order=2), expected)


def test_bleu_refuses_what_does_not_fit() -> None:
    """Another number of references, another smoothing."""
    with pytest.raises(ValueError, match="1 hypotheses, 2 references"):
        bleu([["a"]], [["a"], ["b"]])
    with pytest.raises(ValueError, match="'floor'"):
        bleu([["a"]], [["a"]], "floor")


# --- the best few answers


def every_answer(case: Case, max_length: int, words: int) -> dict[tuple[int, ...], float]:
    """All sequences of at most so many tokens that end with END or are as long as may be, and their log-probability."""
    found, open_ones = {}, [((), 0.0, (np.tanh(case.dc[:1]),))]
    while open_ones:
        tokens, total, state = open_ones.pop()
        logits, state = speak(case, np.array([tokens[-1] if tokens else START]), state)
        log_p = torch.log_softmax(torch.from_numpy(logits[0]), dim=-1).numpy()
        for word in range(words):
            longer = (*tokens, word), total + float(log_p[word])
            if word == END or len(longer[0]) == max_length:
                found[longer[0]] = longer[1]
            else:
                open_ones.append((*longer, state))
    return found


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_that_is_wide_enough_finds_every_answer_in_order(seed: int, alpha: float) -> None:
    """All answers of up to four tokens, best first by log p over ((5 + n) / 6)^alpha; the probabilities add up to 1."""
    case = Case((3, 4, 1, 2, 6, 4, 4), seed)
    case.dc = case.rng.normal(size=(1, 6))
    answers = every_answer(case, 4, 4)
    assert_close("sum", sum(map(np.exp, answers.values())), 1.0)
    expected = sorted(((log_p / ((5 + len(y)) / 6) ** alpha, y) for y, log_p in answers.items()), reverse=True)
    found = beam_decode(partial(speak, case), (np.tanh(case.dc[:1]),), START, END, 10**4, 4, alpha)
    assert [tuple(tokens) for tokens, _ in found] == [y for _, y in expected]
    assert_close("scores", [score for _, score in found], [score for score, _ in expected])


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_of_one_is_greedy(seed: int) -> None:
    """It says what greedy decoding says, with the end where there is one."""
    case = Case((3, 4, 1, 2, 6, 4, 5), seed)
    step, state = partial(speak, case), (np.tanh(case.dc),)
    words, _ = greedy_decode(step, state, START, END, 7)
    ((tokens, _),) = beam_decode(step, state, START, END, 1, 7)
    assert tokens == words[:, 0].tolist()


def test_length_penalty_by_hand() -> None:
    """1 for one token, 2 for seven with alpha 1, its root with alpha one half; and an error below 0."""
    assert length_penalty(1, 0.3) == 1
    assert length_penalty(40, 0) == 1
    assert_close("lp", [length_penalty(7, 1.0), length_penalty(7, 0.5)], [2, np.sqrt(2)])
    with pytest.raises(ValueError, match="-1"):
        length_penalty(-1, 0.5)
