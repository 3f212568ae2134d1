"""One label for a whole sequence: poolings, classifiers and metrics against PyTorch, scikit-learn and counting."""

import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import SIZES, Sizes, assert_all_close, assert_close, make_case, make_cell_case
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score
from test_rnnlib_batches import lengths_of
from test_rnnlib_directions import KINDS, grads_of, load
from test_rnnlib_directions import flat as grads_by_name
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_side import linear_grads, load_linear, tensor

from rnnlib.batching import mask_from_lengths
from rnnlib.bidirectional import bidirectional, bidirectional_backward
from rnnlib.bptt import backward_through_time
from rnnlib.classifier import classifier_backward, classifier_forward, classifier_loss, input_influence
from rnnlib.gru import gru_step
from rnnlib.metrics import confusion_matrix, macro_f1
from rnnlib.packing import pack, packed_forward
from rnnlib.parameters import count_parameters, flat, nested
from rnnlib.pooling import pool_last, pool_last_backward, pool_max, pool_max_backward, pool_mean, pool_mean_backward
from rnnlib.sequence import rnn_forward
from rnnlib.types import Array

POOLS = {
    "last": (pool_last, pool_last_backward),
    "mean": (pool_mean, pool_mean_backward),
    "max": (pool_max, pool_max_backward),
}
every_pool = pytest.mark.parametrize("kind", POOLS)
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)


def torch_pool(kind: str, hs: torch.Tensor, lengths: Array) -> torch.Tensor:
    """The same pooling, sequence by sequence, each cut at its own end."""
    alone = [hs[: int(n), b] for b, n in enumerate(lengths)]
    return torch.stack(
        [
            {"last": lambda h: h[-1], "mean": lambda h: h.mean(dim=0), "max": lambda h: h.max(dim=0).values}[kind](h)
            for h in alone
        ]
    )


@every_pool
@every_size
@pytest.mark.parametrize("junk", [0.0, 1e6, np.nan])
def test_pooling_and_its_gradient_are_torch_s(kind: str, sizes: Sizes, junk: float) -> None:
    """Values and gradients of every sequence cut at its end, whatever stands behind it."""
    case, lengths = make_cell_case("gru-before", sizes), lengths_of(sizes)
    hs, dpooled = case.dhs.copy(), case.state[0]
    hs[~mask_from_lengths(lengths, sizes.T)] = junk
    theirs = tensor(hs)
    pooled = torch_pool(kind, theirs, lengths)
    pooled.backward(torch.from_numpy(dpooled))
    forth, back = POOLS[kind]
    ours, cache = forth(hs, lengths)
    assert_all_close({"pooled": ours, "dhs": back(dpooled, cache)}, {"pooled": pooled.detach(), "dhs": theirs.grad})


def test_the_first_of_several_maxima_gets_the_whole_gradient() -> None:
    """Of equal largest values, the step that came first; zeros behind the end do not count against negative ones."""
    hs = np.array([[[-1.0, 2.0]], [[-1.0, 0.0]], [[-3.0, 2.0]], [[0.0, 9.0]]])
    pooled, cache = pool_max(hs, np.array([3]))
    assert pooled.tolist() == [[-1.0, 2.0]]
    dhs = pool_max_backward(np.array([[5.0, 7.0]]), cache)
    assert dhs[:, 0].tolist() == [[5.0, 7.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_pool_last_is_the_last_state_of_a_packed_run() -> None:
    """A padded run read at each end, and a packed run's own last states, are the same."""
    sizes, lengths = Sizes(6, 4, 3, 5, 2), np.array([2, 6, 1, 4])
    case = make_cell_case("gru-before", sizes)
    hs, _, _ = rnn_forward(gru_step, case.params, case.xs, case.state)
    _, (last,), _ = packed_forward(gru_step, case.params, pack(case.xs, lengths), case.state)
    assert_close("last", pool_last(hs, lengths)[0], last)


def _lengths(*numbers: float) -> Array:
    return np.array(numbers)


WRONG = {
    "an empty sequence": (lambda pool: pool(np.zeros((3, 2, 4)), _lengths(3, 0)), "2 integers from 1 to 3"),
    "a length too long": (lambda pool: pool(np.zeros((3, 2, 4)), _lengths(3, 4)), "2 integers from 1 to 3"),
    "a length too few": (lambda pool: pool(np.zeros((3, 2, 4)), _lengths(3)), "2 integers from 1 to 3"),
    "lengths of floats": (lambda pool: pool(np.zeros((3, 2, 4)), _lengths(3.0, 1.0)), "integers"),
    "states without a batch": (lambda pool: pool(np.zeros((3, 2)), _lengths(3, 1)), "(T, B, H)"),
}


@every_pool
@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_pooled_is_an_error(kind: str, wrong: str) -> None:
    """A sequence without a step has no last state, no mean and no maximum; the message names function and lengths."""
    call, says = WRONG[wrong]
    with pytest.raises(ValueError, match=f"pool_{kind}") as caught:
        call(POOLS[kind][0])
    assert says in str(caught.value)


@every_pool
def test_a_gradient_of_another_batch_is_an_error(kind: str) -> None:
    """The backward functions hold the gradient against the cache."""
    forth, back = POOLS[kind]
    _, cache = forth(np.zeros((3, 2, 4)), np.array([3, 1]))
    with pytest.raises(ValueError, match=f"pool_{kind}_backward"):
        back(np.zeros((5, 4)), cache)


# --- the classifier


def net_of(name: str, both: bool, symbols: bool, sizes: Sizes, vocabulary: int = 5) -> tuple[Any, ...]:
    """A net, its start, what reads for it (a pair for given lengths), and a batch to read."""
    _, step, step_back, *_ = KINDS[name]
    cases = [make_cell_case(KINDS[name][0], sizes, seed=s) for s in range(1 + both)]
    rng = np.random.default_rng(4)
    out = {"W_hy": rng.normal(size=(sizes.H * (1 + both), sizes.K)), "b_y": rng.normal(size=sizes.K)}
    params, states = tuple(c.params for c in cases), tuple(c.state for c in cases)
    net: dict[str, Any] = {"cell": params if both else params[0], "out": out}
    inputs = cases[0].xs
    if symbols:
        net["embedding"] = {"E": rng.normal(size=(vocabulary, sizes.D))}
        inputs = rng.integers(vocabulary, size=(sizes.T, sizes.B))

    def runs(lengths: Array) -> tuple[Any, Any]:
        run, back = partial(rnn_forward, step), partial(backward_through_time, step_back)
        if not both:
            return run, back
        return partial(bidirectional, run, lengths=lengths), partial(bidirectional_backward, back, lengths=lengths)

    return net, states if both else states[0], runs, inputs


@every_size
@every_pool
@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
@pytest.mark.parametrize(("name", "both"), [("elman", False), ("lstm", False), ("gru", True)])
def test_the_classifier_and_its_gradients_are_torch_s(
    name: str, both: bool, symbols: bool, kind: str, sizes: Sizes
) -> None:
    """Loss, every gradient, and the scores' gradients at the inputs: torch's net on packed sequences, pooled alone."""
    net, state, runs, inputs = net_of(name, both, symbols, sizes)
    lengths, labels = lengths_of(sizes), make_case(sizes).targets[0]
    params, states = (net["cell"], state) if both else ((net["cell"],), (state,))
    theirs, linear = load(name, sizes, [list(params)]), load_linear(net["out"])
    table = tensor(net["embedding"]["E"]) if symbols else None
    xs = tensor(inputs) if table is None else table[torch.from_numpy(inputs)]
    xs.retain_grad()
    starts = [torch.from_numpy(np.stack(parts)) for parts in zip(*states, strict=True)]
    given = pack_padded_sequence(xs, torch.from_numpy(lengths), enforce_sorted=False)
    packed, _ = theirs(given, tuple(starts) if name == "lstm" else starts[0])
    hs = pad_packed_sequence(packed, total_length=sizes.T)[0]
    logits = linear(torch_pool(kind, hs, lengths))
    asked = logits[torch.arange(sizes.B), torch.from_numpy(labels)].sum()
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    expected.backward(retain_graph=True)
    dxs_of_loss = xs.grad.clone()
    (influence,) = torch.autograd.grad(asked, xs)

    four = (*runs(lengths), *POOLS[kind])
    loss, grads = classifier_loss(*four, net, inputs, lengths, state, labels)
    cells = grads["cell"] if both else (grads["cell"],)
    got = {"loss": loss, **grads["out"], **grads_by_name("grad", cells)}
    ends = ("", "_reverse")
    want = {
        "loss": expected.detach(),
        **linear_grads(linear),
        **grads_by_name("grad", [grads_of(name, theirs, 0, ends[i]) for i in range(1 + both)]),
    }
    if table is not None:
        got["E"], want["E"] = grads["embedding"]["E"], table.grad
    ours, cache = classifier_forward(four[0], four[2], net, inputs, lengths, state)
    dlogits = torch.softmax(logits, dim=-1).detach().numpy()
    dlogits[np.arange(sizes.B), labels] -= 1
    dxs, _ = classifier_backward(four[1], four[3], net, dlogits / sizes.B, cache)
    got |= {"logits": ours, "dxs": dxs}
    want |= {"logits": logits.detach(), "dxs": dxs_of_loss}
    got["influence"] = input_influence(*four, net, inputs, lengths, state, labels)
    want["influence"] = (influence * xs).sum(dim=-1).detach()
    assert_all_close(got, want)


@every_pool
@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
def test_padding_changes_no_score_and_no_gradient(kind: str, symbols: bool) -> None:
    """More padding, with NaN or impossible symbols in it: to the last digits the same."""
    sizes, lengths, labels = Sizes(5, 4, 3, 2, 6), np.array([2, 5, 1, 3]), np.array([5, 0, 2, 2])
    net, state, runs, inputs = net_of("gru", True, symbols, sizes)
    four = (*runs(lengths), *POOLS[kind])
    want = classifier_loss(*four, net, inputs, lengths, state, labels)
    junk = -1 if symbols else np.nan
    longer = np.full((8, *inputs.shape[1:]), junk)
    mask = mask_from_lengths(lengths, 8)
    longer[mask] = inputs[mask[:5]]
    got = classifier_loss(*four, net, longer, lengths, state, labels)
    assert_close("loss", got[0], want[0], tol=1e-13)
    assert_all_close(flat(got[1]), flat(want[1]), tol=1e-13)
    where = input_influence(*four, net, longer, lengths, state, labels)
    assert not where[~mask].any()


def test_influence_is_what_a_linear_net_loses_without_a_step() -> None:
    """Where the scores are linear in the inputs, the influence of a step is exactly what it adds."""
    sizes, lengths = Sizes(4, 3, 3, 2, 5), np.array([4, 2, 3])
    rng, classes = np.random.default_rng(0), np.array([4, 0, 2])
    xs, out = rng.normal(size=(4, 3, 3)), {"W_hy": rng.normal(size=(3, 5)), "b_y": rng.normal(size=5)}

    def run(params: Any, xs: Array, state: Any) -> Any:
        return np.cumsum(xs, axis=0), state, ()

    def run_back(params: Any, dhs: Array, dlast: Any, caches: Any) -> Any:
        return np.cumsum(dhs[::-1], axis=0)[::-1], dlast, {}

    four, net = (run, run_back, pool_mean, pool_mean_backward), {"cell": {}, "out": out}
    got = input_influence(*four, net, xs, lengths, (np.zeros((3, 3)),), classes)
    score = lambda xs: classifier_forward(run, pool_mean, net, xs, lengths, ())[0][np.arange(3), classes]  # noqa: E731
    for t in range(sizes.T):
        without = xs.copy()
        without[t] = 0
        assert_close(f"step {t}", got[t], score(xs) - score(without))


# --- metrics


@pytest.mark.parametrize("seed", range(6))
def test_confusion_and_macro_f1_are_scikit_learn_s(seed: int) -> None:
    """Counts to the integer, the mean of F1 to rounding, with classes that are rare, never guessed, or not there."""
    rng = np.random.default_rng(seed)
    K = 2 + seed
    truth = np.minimum(rng.geometric(0.4, size=40) - 1, K - 1)
    guess = np.where(rng.random(40) < 0.6, truth, rng.integers(max(1, K - 1), size=40))
    confusion = confusion_matrix(truth, guess, K)
    assert_close("confusion", confusion, sklearn_confusion(truth, guess, labels=np.arange(K)), tol=0.0)
    assert confusion.dtype.kind == "i"
    assert_close("macro-F1", macro_f1(confusion), f1_score(truth, guess, average="macro"))


def test_macro_f1_gives_each_class_the_same_say() -> None:
    """Nine of ten right by always saying the common class: accuracy 0.9, macro-F1 half of 18/19."""
    confusion = np.array([[9, 0], [1, 0]])
    assert_close("macro-F1", macro_f1(confusion), 0.5 * 18 / 19)
    assert macro_f1(np.diag([5, 1, 0])) == 1.0  # a class that nobody saw and nobody guessed is left out


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: confusion_matrix(np.array([0, 3]), np.array([0, 1]), 3), "truth runs from 0 to 3, expected 0 to 2"),
        (lambda: confusion_matrix(np.array([0, 1]), np.array([-1, 1]), 3), "guess runs from -1 to 1"),
        (lambda: confusion_matrix(np.array([0, 1]), np.array([0.0, 1.0]), 3), "guess has dtype float64"),
        (lambda: confusion_matrix(np.array([0, 1]), np.array([0, 1, 1]), 3), "guess has shape (3,)"),
        (lambda: macro_f1(np.zeros((2, 3), int)), "(2, 3)"),
        (lambda: macro_f1(np.zeros((2, 2), int)), "no example"),
    ],
)
def test_what_cannot_be_counted_is_an_error(call: Any, says: str) -> None:
    """The message says what came."""
    with pytest.raises(ValueError, match=re.escape(says)):
        call()


# --- many dicts as one


def test_nested_undoes_flat() -> None:
    """A net of dicts and tuples comes back as it was, the arrays themselves, and is counted as one."""
    net, *_ = net_of("gru", True, True, Sizes(4, 3, 2, 5, 6))
    params = flat(net)
    assert {"cell/0/W_xh", "cell/1/W_hh", "embedding/E", "out/b_y"} < set(params)
    again = nested(params)
    assert again.keys() == net.keys()
    assert isinstance(again["cell"], tuple)
    assert again["cell"][1]["W_hh"] is net["cell"][1]["W_hh"]
    assert flat(again).keys() == params.keys()
    assert count_parameters(params) == sum(a.size for a in params.values())
