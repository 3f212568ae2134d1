"""Whole sequences at once give what the cell's own steps give, one after the other."""

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
from rnnlib_checks import FUSED, SIZES, CellCase, Sizes, arrays_in, assert_all_close, make_cell_case

import rnnlib.fused
from rnnlib.bidirectional import bidirectional, bidirectional_backward
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.gru import gru_step, gru_step_backward
from rnnlib.lstm import lstm_step, lstm_step_backward
from rnnlib.sequence import rnn_forward
from rnnlib.stacked import stacked, stacked_backward
from rnnlib.types import Array

STEPS: dict[str, tuple[Any, Any]] = {
    "tanh": (elman_step, elman_step_backward),
    "relu": (partial(elman_step, phi="relu"), partial(elman_step_backward, phi="relu")),
    "lstm": (lstm_step, lstm_step_backward),
    "before": (gru_step, gru_step_backward),
    "after": (partial(gru_step, reset="after"), partial(gru_step_backward, reset="after")),
}
LARGER = Sizes(23, 6, 9, 20, 2)
every_variant = pytest.mark.parametrize("variant", FUSED)
every_size = pytest.mark.parametrize("sizes", [*SIZES, LARGER], ids=str)


def make(variant: str, sizes: Sizes, seed: int = 0, dtype: Any = np.float64) -> CellCase:
    return make_cell_case(FUSED[variant][0], sizes, seed, dtype)


def plain(variant: str) -> tuple[Any, Any]:
    step, back = STEPS[variant]
    return partial(rnn_forward, step), partial(backward_through_time, back)


def results(runs: tuple[Any, Any], case: CellCase) -> dict[str, Array]:
    """Everything that a run and its way back put out, by name; the caches are each path's own."""
    run, run_back = runs
    hs, last, caches = run(case.params, case.xs, case.state)
    dxs, dstart, grads = run_back(case.params, case.dhs, case.dstate, caches)
    return named(hs=hs, last=last, dxs=dxs, dstart=dstart, grads=grads)


def named(**trees: Any) -> dict[str, Array]:
    return {f"{name}{path}": array for name, tree in trees.items() for path, array in arrays_in(tree)}


@every_size
@every_variant
def test_whole_sequences_give_what_single_steps_give(variant: str, sizes: Sizes) -> None:
    """States, last state, and gradients of inputs, start and every parameter are those of the plain path."""
    case = make(variant, sizes)
    assert_all_close(results(FUSED[variant][1:], case), results(plain(variant), case))


@pytest.mark.parametrize("floats", [1, 700, 4000])
@every_variant
def test_the_length_of_a_stretch_changes_nothing(variant: str, floats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back in stretches of a single step, or of a few: the gradients of one stretch."""
    case = make(variant, LARGER)
    expected = results(FUSED[variant][1:], case)
    monkeypatch.setattr(rnnlib.fused, "STRETCH", floats)
    assert_all_close(results(FUSED[variant][1:], case), expected)


@every_variant
def test_inputs_in_any_memory_layout(variant: str) -> None:
    """Transposed, reversed and strided arrays give what contiguous ones give."""
    case = make(variant, LARGER)

    def scattered(array: Array) -> Array:
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan)
        wide[..., ::2] = array
        return wide[..., ::2]

    def turned(array: Array) -> Array:
        return np.asfortranarray(array[::-1])[::-1]

    expected = results(plain(variant), case)
    for odd in (scattered, turned):
        strange = CellCase(
            {name: odd(value) for name, value in case.params.items()},
            odd(case.xs),
            tuple(map(odd, case.state)),
            odd(case.dhs),
            tuple(map(odd, case.dstate)),
        )
        assert not strange.xs.flags.c_contiguous
        assert_all_close(results(FUSED[variant][1:], strange), expected)


@every_variant
def test_a_second_forward_pass_leaves_the_caches_of_the_first(variant: str) -> None:
    """Two batches forward, then both back: no pass writes where another one keeps what it needs."""
    _, run, run_back = FUSED[variant]
    cases = [make(variant, LARGER, seed) for seed in (0, 1)]
    runs = [run(case.params, case.xs, case.state) for case in cases]
    kept = copy.deepcopy(runs[0])
    got = [run_back(c.params, c.dhs, c.dstate, r[2]) for c, r in zip(cases, runs, strict=True)]
    again = run_back(cases[0].params, cases[0].dhs, cases[0].dstate, runs[0][2])
    for case, found in zip([*cases, cases[0]], [*got, again], strict=True):
        expected = results(plain(variant), case)
        assert_all_close(
            named(dxs=found[0], dstart=found[1], grads=found[2]),
            {name: a for name, a in expected.items() if not name.startswith(("hs", "last"))},
        )
    assert_all_close(named(run=runs[0]), named(run=kept), tol=0.0)


@every_variant
def test_results_share_no_memory_with_the_caches(variant: str) -> None:
    """Writing into hs or the last state does not change what the way back reads."""
    case = make(variant, LARGER)
    hs, last, caches = FUSED[variant][1](case.params, case.xs, case.state)
    for path, array in arrays_in((hs, last)):
        for where, kept in arrays_in(caches):
            assert not np.shares_memory(array, kept), f"result{path} shares memory with caches{where}"


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@every_variant
def test_as_directions_of_a_bidirectional_net(variant: str, padded: bool) -> None:
    """Handed to `bidirectional` in place of the plain path, with lengths or without."""
    pair = [make(variant, LARGER, seed) for seed in (0, 1)]
    params, states = tuple(c.params for c in pair), tuple(c.state for c in pair)
    dhs, dstates = np.concatenate([c.dhs for c in pair], axis=-1), tuple(c.dstate for c in pair)
    lengths = np.array([23, 1, 7, 22, 14, 3]) if padded else None
    found = []
    for run, run_back in (FUSED[variant][1:], plain(variant)):
        hs, last, caches = bidirectional(run, params, pair[0].xs, states, lengths)
        found.append(
            named(hs=hs, last=last, back=bidirectional_backward(run_back, params, dhs, dstates, caches, lengths))
        )
    assert_all_close(*found)


@every_variant
def test_as_layers_of_a_stack(variant: str) -> None:
    """Handed to `stacked` in place of the plain path."""
    lower, upper = make(variant, LARGER), make(variant, Sizes(23, 6, 20, 20, 2), seed=1)
    layers, states, dstates = [lower.params, upper.params], [lower.state, upper.state], [lower.dstate, upper.dstate]
    found = []
    for run, run_back in (FUSED[variant][1:], plain(variant)):
        hs, last, caches = stacked(run, layers, lower.xs, states)
        found.append(named(hs=hs, last=last, back=stacked_backward(run_back, layers, upper.dhs, dstates, caches)))
    assert_all_close(*found)


@every_variant
def test_inputs_in_single_for_weights_in_double(variant: str) -> None:
    """Inputs in float32 for weights in float64: the result is float64, and nothing is rounded on the way."""
    case = make(variant, LARGER)
    case.xs = case.xs.astype(np.float32)
    found = results(FUSED[variant][1:], case)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
    assert_all_close(found, results(plain(variant), case))


@every_variant
def test_other_parameters_in_the_dict_get_zeros(variant: str) -> None:
    """Where the cell's parameters and an output layer's share a dict, the latter get zeros, as in the plain path."""
    case = make(variant, LARGER)
    case.params["W_hy"] = np.ones((20, 2))
    found = results(FUSED[variant][1:], case)
    assert_all_close(found, results(plain(variant), case))
    assert not found["grads['W_hy']"].any()


def forward(variant: str, **change: Any) -> Any:
    case = make(variant, SIZES[3])
    return FUSED[variant][1](*(change.get(name, getattr(case, name)) for name in ("params", "xs", "state")))


def backward(variant: str, **change: Any) -> Any:
    case = make(variant, SIZES[3])
    caches = FUSED[variant][1](case.params, case.xs, case.state)[2]
    return FUSED[variant][2](*(change.get(name, getattr(case, name)) for name in ("params", "dhs", "dstate")), caches)


@every_variant
def test_what_does_not_fit_is_named(variant: str) -> None:
    """Wrong shapes, no step, missing parameters and unknown options raise errors that say where, what and why."""
    T, B, D, H = SIZES[3].T, SIZES[3].B, SIZES[3].D, SIZES[3].H
    case, name = make(variant, SIZES[3]), FUSED[variant][0].partition("-")[0]
    short = {key: value for key, value in case.params.items() if key != "W_hh"}
    wrong_bias = case.params | {"b_h": case.params["b_h"][1:]}
    extra = tuple(np.zeros((1, H)) for _ in case.state)
    for call, error, says in (
        (partial(forward, xs=case.xs[0]), ValueError, [f"{name}_forward: xs", "(T, B, D)"]),
        (partial(forward, xs=case.xs.tolist()), TypeError, [f"{name}_forward: xs", "list"]),
        (partial(forward, xs=case.xs[:0]), ValueError, [f"{name}_forward", "at least one step"]),
        (partial(forward, xs=case.xs[..., 1:]), ValueError, [f"{name}_forward: W_xh", f"D = {D - 1}", "from xs"]),
        (partial(forward, state=extra), ValueError, [f"{name}_forward: h ", f"B = {B}", "from xs"]),
        (partial(forward, params=wrong_bias), ValueError, [f"{name}_forward: b_h", "H"]),
        (partial(forward, params=short), KeyError, [f"{name}_forward", "lacks W_hh"]),
        (partial(backward, params=short), KeyError, [f"{name}_backward", "lacks W_hh"]),
        (partial(backward, dhs=case.dhs[1:]), ValueError, [f"{name}_backward: dhs", f"T = {T}"]),
        (partial(backward, dhs=case.dhs[:, :1]), ValueError, [f"{name}_backward: dhs", f"B = {B}"]),
        (partial(backward, dstate=extra), ValueError, [f"{name}_backward: dh ", f"B = {B}"]),
    ):
        with pytest.raises(error) as caught:
            call(variant)
        for part in says:
            assert part in str(caught.value), str(caught.value)


@pytest.mark.parametrize(("variant", "option"), [("tanh", "phi"), ("before", "reset")])
def test_an_unknown_option_is_named(variant: str, option: str) -> None:
    """phi and reset take what the cell's step takes, and nothing else, forward and back."""
    case = make(variant, SIZES[3])
    _, run, run_back = FUSED[variant]
    caches = run(case.params, case.xs, case.state)[2]
    with pytest.raises(ValueError, match=f"_forward: {option} is 'gelu', expected '{variant}'"):
        run(case.params, case.xs, case.state, "gelu")
    with pytest.raises(ValueError, match=f"_backward: {option} is 'gelu', expected '{variant}'"):
        run_back(case.params, case.dhs, case.dstate, caches, "gelu")


@every_variant
def test_the_caches_of_another_cell_are_refused(variant: str) -> None:
    """The plain path's caches, or those of another cell, are no caches of this one."""
    case, (kind, _, run_back) = make(variant, SIZES[3]), FUSED[variant]
    name = kind.partition("-")[0]
    foreign = [plain(variant)[0](case.params, case.xs, case.state)[2]]
    for other in [key for key, own in (("tanh", "elman"), ("before", "gru"), ("lstm", "lstm")) if own != name]:
        its = make(other, SIZES[3])
        foreign.append(FUSED[other][1](its.params, its.xs, its.state)[2])
    assert len(foreign) == 3
    for caches in foreign:
        with pytest.raises(TypeError, match=f"^{name}_backward: caches are a .*, expected those of {name}_forward"):
            run_back(case.params, case.dhs, case.dstate, caches)
