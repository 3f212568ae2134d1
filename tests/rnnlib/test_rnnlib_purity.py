"""Functions without side effects: inputs stay as they are, results are new, dtypes are kept, nothing is remembered."""

import copy
import random
from typing import Any

import numpy as np
import pytest
from rnnlib_checks import Sizes, arrays_in, assert_close, calls, make_case, public_functions

from rnnlib.elman import elman_init, elman_step
from rnnlib.output import output_init
from rnnlib.sequence import initial_state, rnn_forward

NAMES = list(calls())
every_call = pytest.mark.parametrize("name", NAMES)
# And every backward step.
NEW = (
    "batching.",
    "losses.",
    "metrics.",
    "pooling.",
    "packing.unpack",
    "padded.",
    "sequence.initial",
    "hopfield.",
    "xor.",
)
# These work in float64 only and refuse anything else, or hold no floating numbers.
NO_FLOAT32 = {
    "attention.local_window",
    "batching.bucket",
    "batching.mask_from_lengths",
    "bio.bio_allowed",
    "causal.can_see",
    "gradcheck.gradient_check",
    "gradcheck.numerical_gradient",
    "metrics.confusion_matrix",
    "ngrams.ngram_counts",
    "ngrams.ngram_log_probs",
    "ngrams.ngram_probabilities",
    "reber.reber_encode",
    "reber.predict_next",
    "runs.run_to_arrays",
    "sampling.sample",
    "seq2seq.greedy_decode",
    "seq2seq.scheduled_inputs",
    "vocabulary.to_ids",
    "xor.temporal_xor",
}


def test_every_public_function_is_held_to_these_rules() -> None:
    """The table of calls names every public function of rnnlib and nothing else."""
    covered = {name.partition("[")[0] for name in NAMES}
    exported = set(public_functions())
    assert covered == exported, (
        f"without a call in rnnlib_checks.calls: {sorted(exported - covered)}; gone: {sorted(covered - exported)}"
    )


@every_call
def test_inputs_are_never_modified(name: str) -> None:
    """Arrays, dictionaries, caches and gradients that go in are the same afterwards, to the bit."""
    function, args = calls()[name]()
    arguments = [arg for arg in args if not isinstance(arg, np.random.Generator)]
    before = copy.deepcopy(arguments)
    function(*args)
    assert keys_in(arguments) == keys_in(before), "a dictionary's names changed"
    for (path, now), (_, then) in zip(arrays_in(arguments), arrays_in(before), strict=True):
        assert_close(f"{name}: argument{path}", now, then, tol=0.0)


@every_call
def test_nothing_writes_into_its_inputs_even_for_a_moment(name: str) -> None:
    """With every input array locked, the call still works: no write that is undone later."""
    function, args = calls()[name]()
    for _, array in arrays_in(args):
        array.flags.writeable = False
    function(*args)


@every_call
def test_a_second_call_gives_the_same_result(name: str) -> None:
    """Nothing is remembered between calls: fresh equal arguments give equal results, to the bit."""
    results = []
    for _ in range(2):
        function, args = calls()[name]()
        results.append(function(*args))
    for (path, first), (_, second) in zip(arrays_in(results[0]), arrays_in(results[1]), strict=True):
        assert_close(f"{name}: result{path}", second, first, tol=0.0)
    assert keys_in(results[0]) == keys_in(results[1])


@pytest.mark.parametrize("name", [n for n in NAMES if "backward" in n or n.startswith(NEW)])
def test_results_are_new_arrays(name: str) -> None:
    """Gradients, probabilities and starts share no memory with what went in: writing into them harms nobody."""
    function, args = calls()[name]()
    for path, result in arrays_in(function(*args)):
        for source, array in arrays_in(args):
            assert not np.shares_memory(result, array), f"{name}: result{path} shares memory with argument{source}"


def test_states_of_a_sequence_share_no_memory_with_the_caches() -> None:
    """Writing into hs does not change what the backward pass reads."""
    case = make_case(Sizes(4, 3, 2, 5, 6))
    hs, _, caches = rnn_forward(elman_step, case.params, case.xs, case.state)
    for path, array in arrays_in(caches):
        assert not np.shares_memory(hs, array), f"hs shares memory with caches{path}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in NAMES if n not in NO_FLOAT32])
def test_dtype_of_the_input_is_kept(name: str, dtype: Any) -> None:
    """float32 in, float32 out, for every array of every result, caches too; float64 likewise."""
    function, args = calls(dtype)[name]()
    handed_on = {id(array) for _, array in arrays_in(args) if array.dtype.kind != "f"}  # symbols in a cache, say
    for path, array in arrays_in(function(*args)):
        if id(array) not in handed_on:
            assert array.dtype == dtype, f"{name}: result{path} is {array.dtype}, expected {np.dtype(dtype)}"


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("losses.", "elman.", "output.", "bptt."))])
def test_float32_results_are_the_float64_ones_rounded(name: str) -> None:
    """The same numbers in half the precision: equal to about six digits."""
    (function, single), (_, double) = calls(np.float32)[name](), calls(np.float64)[name]()
    for (path, got), (_, expected) in zip(arrays_in(function(*single)), arrays_in(function(*double)), strict=True):
        assert_close(f"{name}: result{path}", got, expected, tol=1e-5)


def test_loss_is_a_plain_number() -> None:
    """The loss is a Python float in both precisions, ready to print, store and compare."""
    for dtype in (np.float32, np.float64):
        function, args = calls(dtype)["losses.cross_entropy[mask]"]()
        assert type(function(*args)[0]) is float


@pytest.mark.parametrize(("init", "weight"), [(elman_init, "W_xh"), (output_init, "W_hy")])
def test_init_draws_only_from_the_generator_it_is_given(init: Any, weight: str) -> None:
    """One seed gives one set of weights, in either precision; another seed, or a second draw, another set."""
    double, single = init(np.random.default_rng(7), 3, 4), init(np.random.default_rng(7), 3, 4, np.float32)
    for name, value in double.items():
        assert_close(f"{name} in float32", single[name], value.astype(np.float32), tol=0.0)
    rng = np.random.default_rng(7)
    assert (init(rng, 3, 4)[weight] == double[weight]).all()
    assert (init(rng, 3, 4)[weight] != double[weight]).any()


@pytest.mark.parametrize(
    ("init", "scales"),
    [(elman_init, {"W_xh": 300, "W_hh": 200}), (output_init, {"W_hy": 300})],
    ids=["elman", "output"],
)
def test_init_scales_weights_by_their_fan_in_and_zeroes_biases(init: Any, scales: dict[str, int]) -> None:
    """The variance of a weight is 1 / (number of its inputs) within 3 percent, its mean is zero, a bias is zero."""
    params = init(np.random.default_rng(7), 300, 200)
    for name, value in params.items():
        if name in scales:
            assert value.shape[0] == scales[name]
            assert value.var() * scales[name] == _near(1.0, 0.03), f"variance of {name}"
            assert value.mean() * np.sqrt(scales[name]) == _near(0.0, 0.03), f"mean of {name}"
        else:
            assert not value.any(), f"{name} is not zero"


def _near(value: float, margin: float) -> Any:
    return pytest.approx(value, abs=margin)


def test_no_call_touches_global_random_state() -> None:
    """NumPy's legacy generator and Python's own are where they were after every public function has run."""
    np.random.seed(5)  # noqa: NPY002  the state that must not move
    random.seed(5)
    numpy_before, python_before = np.random.get_state(), random.getstate()  # noqa: NPY002
    for make in calls().values():
        function, args = make()
        function(*args)
    for then, now in zip(numpy_before, np.random.get_state(), strict=True):  # noqa: NPY002
        assert np.array_equal(then, now), "np.random's global state moved"
    assert random.getstate() == python_before, "random's global state moved"


def test_initial_state_takes_any_number_of_arrays() -> None:
    """A state of none, one or two vectors gives as many arrays, each with its own size."""
    vectors = (np.zeros(2), np.ones(3, np.float32))
    for n in range(3):
        state = initial_state(vectors[:n], 4)
        assert [s.shape for s in state] == [(4, 2), (4, 3)][:n]
        assert [s.dtype for s in state] == [np.float64, np.float32][:n]


def keys_in(tree: Any) -> list[list[str]]:
    """The names of every dictionary in a nest of tuples, lists and dictionaries."""
    if isinstance(tree, dict):
        return [list(tree), *(keys for value in tree.values() for keys in keys_in(value))]
    if isinstance(tree, list | tuple):
        return [keys for value in tree for keys in keys_in(value)]
    return []
