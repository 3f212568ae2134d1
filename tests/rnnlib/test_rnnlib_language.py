"""Chapter 15: counts, surprise, chances and hypotheses against brute force; the language model against PyTorch."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import SIZES, Sizes, assert_all_close, assert_close, make_cell_case
from torch_side import tensor, torch_cross_entropy

from rnnlib import ngrams
from rnnlib.beam import beam_search
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_init, elman_step, elman_step_backward
from rnnlib.fused import elman_backward, elman_forward, lstm_backward, lstm_forward
from rnnlib.language import language_init, language_log_probs, language_loss, language_step, train_stateful
from rnnlib.lstm import lstm_init, lstm_step, lstm_step_backward
from rnnlib.ngrams import ngram_counts, ngram_log_probs, ngram_probabilities
from rnnlib.optimizers import sgd
from rnnlib.perplexity import bits_per_token, perplexity
from rnnlib.runs import new_run
from rnnlib.sampling import nucleus, sample, temper, top_k
from rnnlib.sequence import rnn_forward
from rnnlib.stateful import stateful_batches
from rnnlib.tied import tied_output, tied_output_backward
from rnnlib.torch_layout import lstm_from_torch, lstm_to_torch
from rnnlib.types import Array, Params
from rnnlib.vocabulary import make_vocabulary, to_ids, to_tokens

every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)
RNG = np.random.default_rng


# --- vocabulary


def test_a_vocabulary_holds_what_is_frequent_enough_the_most_frequent_first() -> None:
    """Counted by hand: specials in front, ties in alphabetical order, rare symbols left out, nothing twice."""
    text = ["the", "cat", "and", "the", "dog", "and", "the", "bird"]
    assert make_vocabulary(text) == ["the", "and", "bird", "cat", "dog"]
    assert make_vocabulary(text, 2, ["<u>", "the", "<u>"]) == ["<u>", "the", "and"]
    assert make_vocabulary("banana") == ["a", "n", "b"]
    assert make_vocabulary("") == []


def test_ids_and_tokens_undo_each_other() -> None:
    """Every symbol of the text comes back; one that is not in the vocabulary comes back as the stand-in."""
    text = "to be or not to be"
    vocabulary = make_vocabulary(text, specials=["?"])
    ids = to_ids(vocabulary, text)
    assert ids.dtype == np.int64
    assert "".join(to_tokens(vocabulary, ids)) == text
    assert to_tokens(vocabulary, to_ids(vocabulary, "to bez", "?")) == list("to be?")
    assert to_ids(vocabulary, "").shape == (0,)
    assert to_ids(["a", "b", "?"], "cab", "?").tolist() == [2, 0, 1]


# --- n-grams


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("V", [2, 4, 9])
def test_counts_are_those_of_a_loop(order: int, V: int) -> None:
    """Every stretch of n symbols is counted once, and each context that has a follower stands there once, sorted."""
    tokens = RNG(order).integers(V, size=60)
    contexts, counts = ngram_counts(tokens, order, V)
    want = Counter(tuple(tokens[i : i + order].tolist()) for i in range(60 - order + 1))
    found = {
        (*c, w): n for c, row in zip(contexts.tolist(), counts.tolist(), strict=True) for w, n in enumerate(row) if n
    }
    assert found == want
    assert contexts.shape == (len({gram[:-1] for gram in want}), order - 1)
    assert contexts.tolist() == sorted(contexts.tolist())
    assert counts.sum() == 60 - order + 1


def by_hand(text: list[int], orders: list[int], V: int, context: list[int], w: int, k: float) -> float:
    """The recursion of `ngram_probabilities` for one symbol, with counts taken from the text each time."""
    p = 1 / V
    for order in orders:
        last = context[len(context) - order + 1 :]
        seen = [text[i + order - 1] for i in range(len(text) - order + 1) if text[i : i + order - 1] == last]
        p = (seen.count(w) + k * V * p) / (len(seen) + k * V)
    return p


@pytest.mark.parametrize("k", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("orders", [[1], [3], [1, 2, 3], [1, 4]], ids=str)
def test_probabilities_are_those_of_a_loop(orders: list[int], k: float) -> None:
    """Add-k with one table and interpolation with several, after contexts that came up and others."""
    V, text = 4, RNG(0).integers(4, size=40)
    tables = [ngram_counts(text, order, V) for order in orders]
    contexts = np.concatenate([RNG(1).integers(V, size=(12, 5)), np.zeros((1, 5), np.int64)])
    p = ngram_probabilities(tables, contexts, k)
    want = [[by_hand(text.tolist(), orders, V, c, w, k) for w in range(V)] for c in contexts.tolist()]
    assert_close("p", p, np.array(want))
    assert_close("sums", p.sum(axis=1), np.ones(13))
    assert (p > 0).all()


def test_one_table_is_add_k() -> None:
    """(n(c, w) + k) / (n(c) + k V), and 1 / V after a context that never came up."""
    table = ngram_counts(np.array([0, 1, 0, 1, 0, 2]), 2, 4)
    p = ngram_probabilities([table], np.array([[0], [1], [3]]), 0.5)
    want = [[0.5 / 5, 2.5 / 5, 1.5 / 5, 0.5 / 5], [2.5 / 4, 0.5 / 4, 0.5 / 4, 0.5 / 4], [0.25] * 4]
    assert_close("p", p, np.array(want))


def test_an_unseen_context_says_what_the_shorter_one_says() -> None:
    """A table that has not seen a context leaves the chances of the table before it as they are."""
    text = np.array([0, 1, 2, 0, 1, 2, 0])
    tables = [ngram_counts(text, order, 3) for order in (1, 2, 3)]
    unseen = np.array([[2, 1]])
    assert_close("p", ngram_probabilities(tables, unseen, 0.1), ngram_probabilities(tables[:2], unseen, 0.1), tol=1e-15)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_log_probs_of_a_text_are_those_of_its_symbols(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, and whatever the number of rows that are looked up at a time; `skip` leaves a beginning out."""
    monkeypatch.setattr(ngrams, "ROWS", rows)
    V, text, told = 5, RNG(0).integers(5, size=50), RNG(1).integers(5, size=30)
    tables = [ngram_counts(text, order, V) for order in (1, 2, 3)]
    want = [by_hand(text.tolist(), [1, 2, 3], V, told[:i].tolist(), told[i], 0.3) for i in range(2, 30)]
    assert_close("log p", ngram_log_probs(tables, told, 0.3), np.log(want))
    assert_close("log p", ngram_log_probs(tables, told, 0.3, skip=6), np.log(want[4:]))
    single = [by_hand(text.tolist(), [1], V, [], w, 0.3) for w in told]
    assert_close("log p", ngram_log_probs(tables[:1], told, 0.3), np.log(single))
    assert ngram_log_probs(tables, told[:2], 0.3).shape == (0,)


# --- perplexity


def test_perplexity_is_the_exponential_of_torchs_cross_entropy() -> None:
    """For scores of any shape, with and without a mask; bits are its logarithm to base 2."""
    rng = RNG(0)
    for shape in ((7,), (4, 3), (2, 3, 5)):
        scores, targets, mask = rng.standard_normal((*shape, 6)), rng.integers(6, size=shape), rng.random(shape) < 0.6
        mask.flat[0] = True
        log_p = np.log(np.take_along_axis(temper(scores, 1.0), targets[..., None], axis=-1)[..., 0])
        for m in (None, mask):
            loss = torch_cross_entropy(torch.from_numpy(scores), targets, m).item()
            assert perplexity(log_p, m) == pytest.approx(math.exp(loss), abs=1e-10)
            assert bits_per_token(log_p, m) == pytest.approx(loss / math.log(2), abs=1e-10)


def test_a_uniform_guess_has_the_perplexity_of_its_vocabulary() -> None:
    """Whatever the number of symbols asked; no chance at all is infinite, certainty is 1."""
    for V in (2, 26, 5000):
        assert perplexity(np.full((3, 4), -np.log(V))) == pytest.approx(V)
    assert perplexity(np.array([0.0, -np.inf])) == math.inf
    assert perplexity(np.zeros(3)) == 1
    assert perplexity(np.array([-1.0, -np.inf]), np.array([True, False])) == pytest.approx(math.e)


# --- choosing


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 3.0])
def test_temper_is_torchs_softmax_of_divided_scores(temperature: float) -> None:
    """For scores of ordinary and of extreme size."""
    for scale in (1.0, 1e4):
        z = scale * RNG(0).standard_normal((3, 4, 6))
        want = torch.softmax(torch.from_numpy(z) / temperature, dim=-1).numpy()
        assert_close("p", temper(z, temperature), want)


def test_temperature_zero_is_the_limit() -> None:
    """A very low temperature and none at all agree, ties included; scores from 1e300 on do no harm."""
    z = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, -1.0, 5.0, 4.0]])
    want = np.array([[0, 0.5, 0.5, 0], [0, 0, 1, 0]])
    assert_close("p", temper(z, 0), want)
    assert_close("p", temper(z, 1e-4), want)
    assert_close("p", temper(1e300 * z, 0.1), want)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_top_k_is_torchs(k: int) -> None:
    """The values and places of torch.topk, scaled to sum to 1."""
    p = temper(RNG(0).standard_normal((3, 4, 7)), 1.0)
    values, places = torch.topk(torch.from_numpy(p), min(k, 7), dim=-1)
    want = torch.zeros(3, 4, 7, dtype=torch.float64).scatter(-1, places, values)
    assert_close("p", top_k(p, k), (want / want.sum(-1, keepdim=True)).numpy())


def test_of_equal_chances_exactly_k_stay() -> None:
    """The first ones, and never more than k."""
    p = np.array([[0.1, 0.3, 0.3, 0.3], [0.25, 0.25, 0.25, 0.25]])
    assert_close("p", top_k(p, 2), np.array([[0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0]]))
    assert_close("p", nucleus(p, 0.5), np.array([[0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0]]))


@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9, 0.999])
def test_a_nucleus_is_the_smallest_set_that_reaches_the_mass(mass: float) -> None:
    """Among all sets of symbols, by trying each: none that is smaller holds the mass."""
    for row in temper(2 * RNG(0).standard_normal((12, 6)), 1.0):
        kept = nucleus(row, mass)
        inside = np.flatnonzero(kept)
        assert row[inside].sum() >= mass
        for size in range(1, len(inside)):
            assert max(row[list(some)].sum() for some in itertools.combinations(range(6), size)) < mass
        assert_close("p", kept, np.where(kept > 0, row, 0) / row[inside].sum())
    assert_close("p", nucleus(row, 1.0), row)
    rows = temper(2 * RNG(1).standard_normal((3, 4, 6)), 1.0)
    apart = np.array([[nucleus(row, mass) for row in some] for some in rows])
    assert_close("p of many rows", nucleus(rows, mass), apart, tol=0.0)


def test_samples_come_as_often_as_their_chances_say() -> None:
    """40,000 draws; a symbol without a chance never comes; a row's draw depends on that row alone."""
    p = np.array([0.0, 0.5, 0.0, 0.2, 0.3, 0.0])
    drawn = sample(RNG(0), np.tile(p, (40_000, 1)))
    share = np.bincount(drawn, minlength=6) / 40_000
    assert_close("share", share, p, tol=0.01)
    assert (share[p == 0] == 0).all()
    single = sample(RNG(5), p)
    assert single.shape == ()
    assert sample(RNG(5), np.stack([p, p[::-1]]))[0] == single


def test_an_extreme_random_number_draws_a_symbol_that_has_a_chance() -> None:
    """The smallest and the largest that a generator gives stay inside the vocabulary, in float32 too."""

    class Fixed:
        def __init__(self, value: float) -> None:
            self.value = value

        def random(self, shape: tuple[int, ...]) -> Array:
            return np.full(shape, self.value)

    p = np.array([0.0, 0.1, 0.2, 0.3, 0.3999, 0.0])
    for dtype in (np.float32, np.float64):
        for value, want in ((0.0, 1), (np.nextafter(1.0, 0.0), 4)):
            got = sample(Fixed(value), p.astype(dtype))  # type: ignore[arg-type]
            assert got == want or dtype is np.float32
            assert 0 <= got < 6


# --- beam search


def next_by_table(state: tuple[Array, int], token: int) -> tuple[Array, Any]:
    """The next symbol depends on the last two."""
    table, before = state
    return table[before, token], (table, token)


def a_small_language(seed: int, V: int = 4, forbid: bool = False) -> tuple[Array, int]:
    scores = 1.5 * RNG(seed).standard_normal((V, V, V))
    if forbid:
        scores[RNG(seed + 1).random((V, V, V)) < 0.3] = -np.inf
        scores[..., 0] = np.maximum(scores[..., 0], -1.0)
    with np.errstate(divide="ignore"):
        return np.log(temper(scores, 1.0)), 1


def every_text(state: Any, start: int, end: int, longest: int) -> list[tuple[list[int], float]]:
    """All texts with their log-probabilities: those that end, and those cut off at the longest length."""
    log_probs, after = next_by_table(state, start)
    texts: list[tuple[list[int], float]] = []
    for w, log_p in enumerate(log_probs.tolist()):
        if log_p == -math.inf:
            continue
        if w == end or longest == 1:
            texts.append(([w], log_p))
        else:
            texts += [([w, *rest], log_p + more) for rest, more in every_text(after, w, end, longest - 1)]
    return texts


@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_beam_that_is_wide_enough_is_exhaustive_search(seed: int, power: float) -> None:
    """All texts of a small language, each with its log-probability, ranked; equal ranks may change places."""
    state = a_small_language(seed, forbid=seed % 2 == 1)
    texts = every_text(state, 2, 0, 4)
    got = beam_search(next_by_table, state, 2, 0, len(texts), 4, power)
    log_p, found = {tuple(tokens): log_p for tokens, log_p in texts}, [tuple(tokens) for tokens, _ in got]
    assert sorted(found) == sorted(log_p)
    assert_close("log p", [value for _, value in got], [log_p[tokens] for tokens in found])
    ranks = [value / len(tokens) ** power for tokens, value in got]
    assert_close("ranks", ranks, sorted((p / len(t) ** power for t, p in log_p.items()), reverse=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_narrow_beam_is_the_loop_written_out(seed: int, width: int) -> None:
    """At each length the best `width` continuations of what is unfinished; what is finished stays as it is."""
    state = a_small_language(seed)
    kept, found = [[]], []  # type: ignore[var-annotated]
    chance = {tuple(tokens): log_p for n in range(1, 6) for tokens, log_p in every_prefix(state, n)}
    for _ in range(5):
        longer = sorted(([*tokens, w] for tokens in kept for w in range(4)), key=lambda t: -chance[tuple(t)])[:width]
        found += [tokens for tokens in longer if tokens[-1] == 0]
        kept = [tokens for tokens in longer if tokens[-1] != 0]
    want = sorted(found + kept, key=lambda t: -chance[tuple(t)])[:width]
    got = beam_search(next_by_table, state, 2, 0, width, 5)
    assert [tokens for tokens, _ in got] == want
    assert_close("log p", [log_p for _, log_p in got], [chance[tuple(tokens)] for tokens in want])


def every_prefix(state: Any, n: int) -> list[tuple[list[int], float]]:
    """All stretches of n symbols without an end before their last."""
    return [text for text in every_text(state, 2, 0, n) if len(text[0]) == n]


def test_nothing_follows_an_end_and_nothing_impossible_is_there() -> None:
    """The end stands last or nowhere, and every log-probability is finite."""
    for seed in range(8):
        for tokens, log_p in beam_search(next_by_table, a_small_language(seed, forbid=True), 2, 0, 6, 6, 1.0):
            assert 0 not in tokens[:-1]
            assert math.isfinite(log_p)
            assert tokens[-1] == 0 or len(tokens) == 6


def test_length_power_changes_the_order_and_not_the_log_probabilities() -> None:
    """A sum prefers the short text, a mean the long one; both are told as sums."""
    table = np.log(np.array([[0.5, 0.5, 1e-12], [0.4, 0.6, 1e-12], [0.4, 0.6, 1e-12]]))
    state = np.broadcast_to(table, (3, 3, 3)), 2
    by_sum, by_mean = (beam_search(next_by_table, state, 2, 0, 50, 3, power) for power in (0.0, 1.0))
    assert by_sum[0] == ([0], pytest.approx(math.log(0.4)))
    assert by_mean[0] == ([1, 1, 1], pytest.approx(3 * math.log(0.6)))


# --- tied output


@every_size
def test_tied_output_is_torchs_linear_with_the_embedding(sizes: Sizes) -> None:
    """Scores, gradients of states and bias, and of one table that both layers use: the sum of its two uses."""
    rng, (T, B, D, V) = RNG(0), (sizes.T, sizes.B, sizes.D, sizes.K + 4)
    params = {"E": rng.standard_normal((V, D)), "b_y": rng.standard_normal(V)}
    h, dz = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, V))
    logits, cache = tied_output(params, h)
    dh, grads = tied_output_backward(params, dz, cache)
    E, b, states = tensor(params["E"]), tensor(params["b_y"]), tensor(h)
    want = torch.nn.functional.linear(states, E, b)
    want.backward(torch.from_numpy(dz))
    assert_all_close(
        {"logits": logits, "dh": dh, **grads},
        {"logits": want.detach(), "dh": states.grad, "E": E.grad, "b_y": b.grad},
    )


# --- the language model

CELLS = {
    "elman": (partial(rnn_forward, elman_step), partial(backward_through_time, elman_step_backward), 1),
    "lstm": (partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward), 2),
    "fused elman": (elman_forward, elman_backward, 1),
    "fused lstm": (lstm_forward, lstm_backward, 2),
}
every_cell = pytest.mark.parametrize("kind", CELLS)
both_outputs = pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])


def a_model(kind: str, sizes: Sizes, tied: bool) -> tuple[Params, Array, tuple[Array, ...], int]:
    """Random parameters, a stream, a state, V; no bias is zero."""
    rng, H, V = RNG(3), sizes.H, sizes.K + 3
    D = H if tied else sizes.D
    cell = make_cell_case(kind.split()[-1], Sizes(1, sizes.B, D, H, 2)).params
    params = cell | {"E": rng.standard_normal((V, D)), "b_y": rng.standard_normal(V)}
    if not tied:
        params["W_hy"] = rng.standard_normal((H, V))
    state = tuple(rng.standard_normal((sizes.B, H)) for _ in range(CELLS[kind][2]))
    return params, rng.integers(V, size=3 * sizes.T * sizes.B + 1), state, V


class TorchModel(torch.nn.Module):
    """nn.Embedding, nn.RNN or nn.LSTM, nn.Linear; where it is tied, the linear layer's weight is the embedding's."""

    def __init__(self, kind: str, params: Params) -> None:
        super().__init__()
        V, D = params["E"].shape
        H, lstm = len(params["W_hh"]), kind.endswith("lstm")
        self.lstm, self.tied = lstm, "W_hy" not in params
        self.table = torch.nn.Embedding(V, D, dtype=torch.float64)
        self.cell = (torch.nn.LSTM if lstm else torch.nn.RNN)(D, H, dtype=torch.float64)
        self.out = torch.nn.Linear(H, V, dtype=torch.float64)
        weights = (
            lstm_to_torch({name: params[name] for name in ("W_xh", "W_hh", "b_h")})
            if lstm
            else {
                "weight_ih": params["W_xh"].T,
                "weight_hh": params["W_hh"].T,
                "bias_ih": params["b_h"],
                "bias_hh": 0 * params["b_h"],
            }
        )
        with torch.no_grad():
            self.table.weight.copy_(torch.from_numpy(params["E"]))
            for name, value in weights.items():
                getattr(self.cell, f"{name}_l0").copy_(torch.from_numpy(value.copy()))
            self.out.bias.copy_(torch.from_numpy(params["b_y"]))
            if not self.tied:
                self.out.weight.copy_(torch.from_numpy(params["W_hy"].T.copy()))
        self.cell.bias_hh_l0.requires_grad_(False)  # rnnlib has one bias
        if self.tied:
            self.out.weight = self.table.weight

    def forward(self, tokens: Array, state: Any) -> Any:
        told = tuple(part[None] for part in state) if self.lstm else state[0][None]
        hs, last = self.cell(self.table(torch.from_numpy(tokens)), told)
        return self.out(hs), tuple(part[0] for part in (last if self.lstm else (last,)))

    def named(self, take: Callable[[Any], Any]) -> Params:
        """Weights or gradients under rnnlib's names."""
        weights = {
            name: take(getattr(self.cell, f"{name}_l0")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        if self.lstm:
            cell = lstm_from_torch(weights)
        else:
            cell = {"W_xh": weights["weight_ih"].T, "W_hh": weights["weight_hh"].T, "b_h": weights["bias_ih"]}
        out = {"b_y": take(self.out.bias)} | ({} if self.tied else {"W_hy": take(self.out.weight).T})
        return cell | out | {"E": take(self.table.weight)}


def values(weight: Any) -> Array:
    return weight.detach().numpy().copy()


def gradients(weight: Any) -> Array:
    return np.zeros(weight.shape) if weight.grad is None else weight.grad.numpy().copy()


@every_size
@every_cell
@both_outputs
def test_language_loss_is_torchs(sizes: Sizes, kind: str, tied: bool) -> None:
    """Loss, last state and every gradient; a tied table gets what it is asked in both places."""
    run, run_back, _ = CELLS[kind]
    params, stream, state, _ = a_model(kind, sizes, tied)
    tokens, targets = stateful_batches(stream, sizes.B, sizes.T)[0]
    loss, last, grads = language_loss(run, run_back, params, tokens, targets, state)
    model = TorchModel(kind, params)
    scores, ended = model(tokens, tuple(map(torch.from_numpy, state)))
    want = torch_cross_entropy(scores, targets)
    want.backward()
    assert_all_close(
        {"loss": loss, **dict(enumerate(last))}, {"loss": want.item(), **dict(enumerate(map(values, ended)))}
    )
    assert_all_close(grads, model.named(gradients))


@pytest.mark.parametrize("kind", ["elman", "fused lstm"])
@both_outputs
@pytest.mark.parametrize("max_norm", [0.05, math.inf])
def test_stateful_training_is_torchs_with_a_detached_state(kind: str, tied: bool, max_norm: float) -> None:
    """Three windows and then three more: weights, state and losses agree with Adam, clipping and detach."""
    sizes = Sizes(5, 3, 2, 4, 6)
    run, run_back, _ = CELLS[kind]
    params, stream, state, _ = a_model(kind, sizes, tied)
    batches = stateful_batches(stream, 3, 5)

    def schedule(step: int) -> float:
        return 0.01 * step

    training, last, losses = new_run(params, RNG(0)), state, []
    for part in (batches[:2], batches[2:]):  # the second call goes on where the first one stopped
        training, last, told = train_stateful(run, run_back, training, part, last, schedule, max_norm)
        losses += told
    model = TorchModel(kind, params)
    adam = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.01)
    ended, wanted = tuple(map(torch.from_numpy, state)), []
    for step, (tokens, targets) in enumerate(batches, 1):
        adam.zero_grad()
        adam.param_groups[0]["lr"] = schedule(step)
        scores, ended = model(tokens, tuple(part.detach() for part in ended))
        loss = torch_cross_entropy(scores, targets)
        loss.backward()
        weights = [weight for weight in model.parameters() if weight.grad is not None]
        norm = torch.sqrt(sum((weight.grad**2).sum() for weight in weights))  # type: ignore[arg-type]
        for weight in weights:
            weight.grad *= min(1.0, max_norm / norm.item())
        adam.step()
        wanted.append(loss.item())
    assert training["step"] == len(batches)
    assert_close("losses", losses, wanted)
    assert_all_close(dict(enumerate(last)), dict(enumerate(map(values, ended))))
    assert_all_close(training["params"], model.named(values))


def test_training_leaves_the_run_it_started_from_as_it_was_and_takes_any_optimizer() -> None:
    """The old run has its old weights and step; with `sgd` and rate 0 nothing moves but the state."""
    params, stream, state, _ = a_model("elman", Sizes(4, 2, 3, 5, 4), False)
    start, batches = new_run(params, RNG(0)), stateful_batches(stream, 2, 4)
    run, run_back, _ = CELLS["elman"]
    kept = {name: value.copy() for name, value in params.items()}
    train_stateful(run, run_back, start, batches, state, lambda step: 0.1)
    assert start["step"] == 0
    assert start["optimizer"] == {}
    assert_all_close(start["params"], kept, tol=0.0)
    still, last, losses = train_stateful(run, run_back, start, batches, state, lambda step: 0.0, optimizer=sgd)
    assert_all_close(still["params"], kept, tol=0.0)
    whole = language_log_probs(run, params, *(np.concatenate(part) for part in zip(*batches, strict=True)), state)
    assert_close("state", last[0], whole[1][0], tol=1e-12)
    assert np.mean(losses) == pytest.approx(-whole[0].mean(), abs=1e-12)


@every_cell
@both_outputs
def test_log_probs_and_steps_are_those_of_the_loss(kind: str, tied: bool) -> None:
    """The mean log-probability is the loss with its sign turned; step by step the scores say the same."""
    sizes = Sizes(6, 3, 2, 5, 4)
    run, run_back, _ = CELLS[kind]
    step = lstm_step if kind.endswith("lstm") else elman_step
    params, stream, state, _ = a_model(kind, sizes, tied)
    tokens, targets = stateful_batches(stream, 3, 6)[0]
    log_p, last = language_log_probs(run, params, tokens, targets, state)
    assert -log_p.mean() == pytest.approx(language_loss(run, run_back, params, tokens, targets, state)[0], abs=1e-12)
    now = state
    for t in range(6):
        logits, now = language_step(step, params, tokens[t], now)
        p = torch.log_softmax(torch.from_numpy(logits), dim=-1).numpy()
        assert_close(f"log p at step {t}", np.take_along_axis(p, targets[t, :, None], axis=1)[:, 0], log_p[t])
    assert_all_close(dict(enumerate(now)), dict(enumerate(last)))


def test_first_weights_are_those_of_the_parts() -> None:
    """Names and shapes; a tied table is smaller than an input's and larger than an output's; the dtype is kept."""
    cell = lstm_init(RNG(0), 40, 40, dtype=np.float32)
    free, tied = (language_init(RNG(1), 500, cell, which, np.float32) for which in (False, True))
    assert {name: value.shape for name, value in free.items()} == {
        "E": (500, 40),
        "W_hy": (40, 500),
        "b_y": (500,),
        **{name: value.shape for name, value in cell.items()},
    }
    assert "W_hy" not in tied
    assert free["E"].std() == pytest.approx(1, abs=0.02)
    assert tied["E"].std() == pytest.approx(40**-0.25, rel=0.02)
    assert {value.dtype for value in (*free.values(), *tied.values())} == {np.dtype(np.float32)}


# --- errors

TABLE = ngram_counts(np.array([0, 1, 2, 0]), 2, 3)
BAD: dict[str, tuple[Callable[[], Any], type[Exception], tuple[str, ...]]] = {
    "no stand-in": (lambda: to_ids(["a"], "ab"), ValueError, ("to_ids", "'b'")),
    "a stand-in that is not there": (lambda: to_ids(["a"], "aa", "?"), ValueError, ("to_ids", "'?'")),
    "no such number": (lambda: to_tokens(["a"], [0, 1]), ValueError, ("to_tokens", "1")),
    "a number below zero": (lambda: to_tokens(["a"], [-1]), ValueError, ("to_tokens", "-1")),
    "order 0": (lambda: ngram_counts(np.arange(4), 0, 4), ValueError, ("ngram_counts", "order 0")),
    "fewer tokens than the order": (lambda: ngram_counts(np.arange(2), 3, 4), ValueError, ("2 tokens", "3")),
    "token out of range": (lambda: ngram_counts(np.arange(5), 2, 4), ValueError, ("0 to 4", "0 to 3")),
    "tokens that are no integers": (lambda: ngram_counts(np.ones(5), 2, 4), ValueError, ("float64", "integers")),
    "too many contexts": (lambda: ngram_counts(np.arange(50), 40, 50), ValueError, ("order 40", "2^63")),
    "nothing added": (lambda: ngram_probabilities([TABLE], np.zeros((1, 1), int), 0.0), ValueError, ("k is 0.0",)),
    "no table": (lambda: ngram_probabilities([], np.zeros((1, 1), int), 1.0), ValueError, ("no table",)),
    "context too short": (lambda: ngram_probabilities([TABLE], np.zeros((2, 0), int), 1.0), ValueError, ("0", "1")),
    "tables of two vocabularies": (
        lambda: ngram_probabilities([TABLE, ngram_counts(np.arange(4), 2, 4)], np.zeros((1, 1), int), 1.0),
        ValueError,
        ("[3, 4]",),
    ),
    "skip below the context": (lambda: ngram_log_probs([TABLE], np.arange(3), 1.0, 0), ValueError, ("skip is 0", "1")),
    "chances for logarithms": (lambda: perplexity(np.array([0.5])), ValueError, ("perplexity", "0.5")),
    "no symbol": (lambda: perplexity(np.zeros(0)), ValueError, ("perplexity", "no symbol")),
    "no symbol counts": (lambda: bits_per_token(np.zeros(2), np.zeros(2, bool)), ValueError, ("bits_per_token",)),
    "mask of another shape": (lambda: perplexity(np.zeros(2), np.ones(3, bool)), ValueError, ("mask", "(3,)")),
    "temperature below zero": (lambda: temper(np.zeros(2), -0.5), ValueError, ("temper", "-0.5")),
    "top none": (lambda: top_k(np.ones(2) / 2, 0), ValueError, ("top_k", "0")),
    "no mass": (lambda: nucleus(np.ones(2) / 2, 0.0), ValueError, ("nucleus", "0.0")),
    "too much mass": (lambda: nucleus(np.ones(2) / 2, 1.01), ValueError, ("nucleus", "1.01")),
    "no beam": (lambda: beam_search(next_by_table, a_small_language(0), 2, 0, 0, 3), ValueError, ("width is 0",)),
    "no length": (
        lambda: beam_search(next_by_table, a_small_language(0), 2, 0, 1, 0),
        ValueError,
        ("max_length is 0",),
    ),
    "tied with other sizes": (
        lambda: language_init(RNG(0), 5, elman_init(RNG(0), 3, 4), True),
        ValueError,
        ("language_init", "3", "4"),
    ),
    "state too wide for the table": (
        lambda: tied_output({"E": np.ones((5, 3)), "b_y": np.ones(5)}, np.ones((2, 4))),
        ValueError,
        ("tied_output", "E", "(5, 3)"),
    ),
    "gradient of another vocabulary": (
        lambda: tied_output_backward({"E": np.ones((5, 3))}, np.ones((2, 4)), (np.ones((2, 3)),)),
        ValueError,
        ("tied_output_backward", "E"),
    ),
    "no table of vectors": (lambda: tied_output({"b_y": np.ones(5)}, np.ones((2, 4))), KeyError, ("lacks E",)),
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_wrong_call_says_what_came(wrong: str) -> None:
    """The documented error, with what came in its message."""
    call, error, says = BAD[wrong]
    with pytest.raises(error) as caught:
        call()
    missing = [part for part in says if part not in str(caught.value)]
    assert not missing, f"message lacks {missing}: {caught.value}"
