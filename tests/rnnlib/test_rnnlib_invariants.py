"""Laws that hold whatever the numbers are, on examples that Hypothesis draws (the same ones on every run)."""

from functools import partial

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from rnnlib_checks import PHIS, Case, Sizes, assert_all_close, assert_close, make_case

from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.losses import cross_entropy, softmax
from rnnlib.memory import leaky_average_step, threshold_step
from rnnlib.output import output_layer, output_layer_backward
from rnnlib.scan import scan, scan_chunks
from rnnlib.sequence import initial_state, initial_state_backward, rnn_forward
from rnnlib.types import Array, Cache, State

SAME = 0.0  # the same numbers in the same order give the same bits
ROUNDING = 1e-12

sizes = st.builds(Sizes, *(st.integers(1, 6) for _ in range(5)))
long_sizes = st.builds(Sizes, st.integers(2, 8), *(st.integers(1, 5) for _ in range(4)))
cases = st.builds(make_case, sizes, st.integers(0, 2**32 - 1))
long_cases = st.builds(make_case, long_sizes, st.integers(0, 2**32 - 1))
phis = st.sampled_from(PHIS)
# Up to 1e4 either way, and also scaled down: at 1e4 nearly every row is one 1 among zeros, which hides errors.
scores = st.builds(
    np.multiply,
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
        elements=st.floats(-1e4, 1e4, allow_nan=False, allow_subnormal=False),
    ),
    st.sampled_from([1.0, 1e-2, 1e-4]),
)


def forward(case: Case, phi: str = "tanh") -> tuple[Array, State, list[Cache]]:
    return rnn_forward(partial(elman_step, phi=phi), case.params, case.xs, case.state)


def backward(case: Case, dhs: Array, dstate: State, caches: list[Cache], phi: str = "tanh") -> dict[str, Array]:
    back = partial(elman_step_backward, phi=phi)
    dxs, (d_start,), grads = backward_through_time(back, case.params, dhs, dstate, caches)
    return {"dxs": dxs, "d_start": d_start, **grads}


# --- scan


@given(st.lists(st.integers()), st.lists(st.integers()))
def test_scan_in_two_parts_is_scan_in_one(first: list[int], second: list[int]) -> None:
    """Stopping anywhere and going on from the state gives the same outputs; the step depends on order."""

    def step(state: tuple[int, ...], x: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        return (*state, x), (len(state), x)

    middle, ys = scan(step, (), first)
    end, more = scan(step, middle, second)
    assert (end, ys + more) == scan(step, (), first + second)
    assert end == tuple(first + second)


@given(st.lists(st.integers()))
def test_scan_gives_one_output_per_input_and_takes_any_iterable(xs: list[int]) -> None:
    """A generator gives what a list gives, one output for each input, in order."""
    state, ys = scan(lambda count, x: (count + 1, (count, x)), 0, (x for x in xs))
    assert state == len(xs)
    assert ys == list(enumerate(xs))


def test_scan_of_nothing_hands_back_the_same_state() -> None:
    """With no inputs the step is never called and the state is the very object that went in."""
    state: list[int] = []
    end, ys = scan(lambda *_: 1 / 0, state, [])
    assert end is state
    assert ys == []


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=6))
def test_scan_in_chunks_is_scan_of_all_of_them_joined(chunks: list[list[int]]) -> None:
    """Any chunks, empty ones too, from any iterables: the same state and outputs as one pass over their inputs."""

    def step(state: tuple[int, ...], x: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        return (*state, x), (len(state), x)

    joined = [x for chunk in chunks for x in chunk]
    assert scan_chunks(step, (), (iter(chunk) for chunk in chunks)) == scan(step, (), joined)


# --- the first memories

shares = st.floats(0, 1)
numbers = hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(-100, 100))


@given(numbers, st.floats(-100, 100), shares)
def test_leaky_average_is_the_weighted_sum_of_its_past(xs: Array, start: float, keep: float) -> None:
    """An input n steps ago weighs (1 - keep) keep^n, the start what is left; the weights sum to one."""
    T = len(xs)
    weights = (1 - keep) * keep ** np.arange(T)[::-1]
    average, averages = scan(partial(leaky_average_step, keep=keep), start, xs)
    assert_close("average", average, weights @ xs + keep**T * start, 1e-11)
    assert averages[-1] == average
    assert_close("sum of weights", weights.sum() + keep**T, 1.0, ROUNDING)


@given(numbers, st.floats(-100, 100), shares)
def test_leaky_average_never_leaves_the_range_of_what_it_read(xs: Array, start: float, keep: float) -> None:
    """It lies between the smallest and the largest of start and inputs."""
    average, _ = scan(partial(leaky_average_step, keep=keep), start, xs)
    assert min(start, *xs) - 1e-9 <= average <= max(start, *xs) + 1e-9


@given(st.lists(st.integers(0, 4), max_size=30))
def test_the_net_of_chapter_1_says_which_letter_came_first(letters: list[int]) -> None:
    """Two units that hold each other down: on is the one whose letter, 0 or 1, came first, for any string."""
    net = {
        "W_xh": np.eye(5)[:, :2],
        "W_hh": np.array([[2.0, -2], [-2, 2]]),
        "b_h": np.full(2, -0.5),
        "W_hy": np.array([[1.0], [0]]),
        "b_y": np.zeros(1),
    }
    state, ys = scan(partial(threshold_step, net), np.zeros(2), np.eye(5)[letters])
    first = next((letter for letter in letters if letter < 2), None)
    assert state.tolist() == [float(first == 0), float(first == 1)]
    assert not ys or ys[-1].tolist() == [float(first == 0)]


def test_a_sum_of_exactly_zero_leaves_a_threshold_unit_off() -> None:
    """On means above zero: at zero the unit is off, and so is the output; just above, both are on."""
    net = {"W_xh": np.eye(1), "W_hh": np.zeros((1, 1)), "b_h": -np.ones(1), "W_hy": np.eye(1), "b_y": np.zeros(1)}
    state, y = threshold_step(net, np.zeros(1), np.array([1.0]))
    assert (state.tolist(), y.tolist()) == ([0.0], [0.0])
    state, y = threshold_step(net, np.zeros(1), np.array([1.0 + 1e-12]))
    assert (state.tolist(), y.tolist()) == ([1.0], [1.0])


@given(cases)
def test_threshold_units_are_on_or_off_and_see_only_their_own_sequence(case: Case) -> None:
    """States and outputs are zeros and ones, and a batch gives what its sequences give alone, to the bit."""
    net, start = case.params | case.out, np.zeros_like(case.state[0])
    state, ys = scan(partial(threshold_step, net), start, case.xs)
    assert set(np.unique(state)) | set(np.unique(ys)) <= {0.0, 1.0}
    alone = [scan(partial(threshold_step, net), start[b], case.xs[:, b])[0] for b in range(len(start))]
    assert_close("state", np.stack(alone), state, SAME)


# --- softmax


@given(scores)
def test_softmax_rows_are_probabilities(z: Array) -> None:
    """No entry is negative and every row sums to one, for scores up to 1e4 either way, with no overflow."""
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        p = softmax(z)
    assert p.shape == z.shape
    assert (p >= 0).all(), f"negative probability {p.min()}"
    assert_close("row sums", p.sum(axis=-1), np.ones(z.shape[:-1]), ROUNDING)


@given(scores, st.floats(-1e4, 1e4))
def test_softmax_does_not_see_a_shift(z: Array, shift: float) -> None:
    """The same number added to every score of a row leaves its probabilities."""
    assert_close("p", softmax(z + shift), softmax(z), 1e-10)


@given(scores, st.randoms(use_true_random=False))
def test_softmax_follows_the_order_of_the_classes(z: Array, random: object) -> None:
    """Scores in another order give the same probabilities in that order; larger scores never get less."""
    order = list(range(z.shape[-1]))
    random.shuffle(order)
    assert_close("p", softmax(z[..., order]), softmax(z)[..., order], ROUNDING)
    by_score = np.take_along_axis(softmax(z), np.argsort(z, axis=-1), axis=-1)
    assert (np.diff(by_score, axis=-1) >= 0).all()


# --- cross-entropy


@given(scores, st.integers(0, 2**32 - 1))
def test_cross_entropy_is_minus_the_mean_log_probability(z: Array, seed: int) -> None:
    """Where softmax does not underflow, the loss is -mean log softmax(z)[target], and never negative."""
    z = np.clip(z, -200, 200)
    targets = np.random.default_rng(seed).integers(z.shape[-1], size=z.shape[:-1])
    p = np.take_along_axis(softmax(z), targets[..., None], axis=-1)
    loss, _ = cross_entropy(z, targets)
    assert loss >= 0
    assert_close("loss", loss, -np.log(p).mean(), 1e-10)


@given(scores, st.integers(0, 2**32 - 1), st.floats(-1e4, 1e4))
def test_cross_entropy_is_finite_and_does_not_see_a_shift(z: Array, seed: int, shift: float) -> None:
    """Scores of 1e4 either way give no overflow, no log of zero, and the same loss when all are shifted."""
    targets = np.random.default_rng(seed).integers(z.shape[-1], size=z.shape[:-1])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        loss, d_logits = cross_entropy(z, targets)
        shifted, d_shifted = cross_entropy(z + shift, targets)
    assert np.isfinite(loss)
    assert_all_close({"loss": shifted, "d_logits": d_shifted}, {"loss": loss, "d_logits": d_logits}, 1e-10)


@given(scores, st.integers(0, 2**32 - 1))
def test_cross_entropy_gradient_rows_sum_to_zero(z: Array, seed: int) -> None:
    """What the target's score gains, the others lose: each row of the gradient sums to zero, signs as they must be."""
    targets = np.random.default_rng(seed).integers(z.shape[-1], size=z.shape[:-1])
    _, d_logits = cross_entropy(z, targets)
    at_target = np.take_along_axis(d_logits, targets[..., None], axis=-1)
    assert_close("row sums", d_logits.sum(axis=-1), np.zeros(z.shape[:-1]), ROUNDING)
    assert (at_target <= 0).all()
    assert ((d_logits >= 0).sum(axis=-1) >= z.shape[-1] - 1).all()


@given(cases, st.floats(-1e4, 1e4), st.integers(-1000, 1000))
def test_masked_positions_change_neither_loss_nor_gradient(case: Case, score: float, target: int) -> None:
    """Whatever stands at a masked position, also a target that is no class, the result is the same to the bit."""
    logits = case.logits
    loss, d_logits = cross_entropy(logits, case.targets, case.mask)
    spoiled = np.where(case.mask[..., None], logits, score * np.arange(logits.shape[-1]) / 7)
    junk = np.where(case.mask, case.targets, target)
    other, d_other = cross_entropy(spoiled, junk, case.mask)
    assert_all_close({"loss": other, "d_logits": d_other}, {"loss": loss, "d_logits": d_logits}, SAME)
    assert (d_logits[~case.mask] == 0).all(), "gradient at a masked position"


@given(cases, st.sampled_from([np.nan, np.inf, -np.inf]))
def test_not_even_nan_at_a_masked_position_changes_anything(case: Case, score: float) -> None:
    """Padding that holds NaN or infinity leaves loss and gradient as they are, and gives no warning."""
    logits = case.logits
    loss, d_logits = cross_entropy(logits, case.targets, case.mask)
    logits = np.where(case.mask[..., None], logits, score)
    with np.errstate(all="raise", under="ignore"):
        other, d_other = cross_entropy(logits, case.targets, case.mask)
    assert_all_close({"loss": other, "d_logits": d_other}, {"loss": loss, "d_logits": d_logits}, SAME)


@given(cases)
def test_a_mask_is_the_mean_over_the_positions_that_count(case: Case) -> None:
    """Masking gives what picking the positions out first gives; a mask of ones is no mask."""
    logits = case.logits
    picked, d_picked = cross_entropy(logits[case.mask], case.targets[case.mask])
    loss, d_logits = cross_entropy(logits, case.targets, case.mask)
    assert_all_close({"loss": loss, "d": d_logits[case.mask]}, {"loss": picked, "d": d_picked}, ROUNDING)
    everything, d_everything = cross_entropy(logits, case.targets, np.ones_like(case.mask))
    whole, d_whole = cross_entropy(logits, case.targets)
    assert_all_close({"loss": everything, "d": d_everything}, {"loss": whole, "d": d_whole}, SAME)


@given(cases)
def test_a_mask_may_be_booleans_integers_or_floats(case: Case) -> None:
    """Zeros and ones of any kind mask the same positions."""
    logits = case.logits
    loss, d_logits = cross_entropy(logits, case.targets, case.mask)
    for kind in (np.int64, np.uint8, np.float32):
        other, d_other = cross_entropy(logits, case.targets, case.mask.astype(kind))
        assert_all_close({"loss": other, "d": d_other}, {"loss": loss, "d": d_logits}, SAME)


@given(cases)
def test_doubling_the_batch_with_the_same_data_leaves_the_mean_loss(case: Case) -> None:
    """The loss is a mean: every sequence twice gives the same loss and half the gradient at each position."""
    logits = case.logits
    loss, d_logits = cross_entropy(logits, case.targets, case.mask)
    twice = (np.concatenate([a, a], axis=1) for a in (logits, case.targets, case.mask))
    doubled, d_doubled = cross_entropy(*twice)
    expected = np.concatenate([d_logits, d_logits], axis=1) / 2
    assert_all_close({"loss": doubled, "d": d_doubled}, {"loss": loss, "d": expected}, ROUNDING)


@given(cases)
def test_doubling_the_batch_leaves_the_gradient_of_the_weights(case: Case) -> None:
    """Through output layer and cell, every sequence twice asks the same of the weights as every one once."""

    def gradients(copies: int) -> dict[str, Array]:
        def repeat(a: Array, axis: int) -> Array:
            return np.concatenate([a] * copies, axis=axis)

        state = (repeat(case.state[0], 0),)
        hs, last, caches = rnn_forward(elman_step, case.params, repeat(case.xs, 1), state)
        logits, cache = output_layer(case.out, hs)
        loss, d_logits = cross_entropy(logits, repeat(case.targets, 1), repeat(case.mask, 1))
        dhs, out_grads = output_layer_backward(case.out, d_logits, cache)
        grads = backward(case, dhs, (np.zeros_like(last[0]),), caches)
        return {"loss": np.asarray(loss), **out_grads, **{name: grads[name] for name in case.params}}

    assert_all_close(gradients(2), gradients(1), ROUNDING)


# --- cell and sequence


@given(cases, phis, st.integers(0, 2**32 - 1))
def test_sequences_in_another_order_give_the_same_results_in_that_order(case: Case, phi: str, seed: int) -> None:
    """States and input gradients are permuted with the batch; gradients of the weights do not change."""
    order = np.random.default_rng(seed).permutation(case.xs.shape[1])
    hs, (last,), caches = forward(case, phi)
    grads = backward(case, case.dhs, case.dstate, caches, phi)
    moved = make_moved(case, order)
    moved_hs, (moved_last,), moved_caches = forward(moved, phi)
    moved_grads = backward(moved, moved.dhs, moved.dstate, moved_caches, phi)
    expected = grads | {"dxs": grads["dxs"][:, order], "d_start": grads["d_start"][order]}
    assert_all_close({"hs": moved_hs, "last": moved_last}, {"hs": hs[:, order], "last": last[order]}, ROUNDING)
    assert_all_close(moved_grads, expected, 1e-11)


def make_moved(case: Case, order: Array) -> Case:
    return Case(
        case.params,
        case.out,
        case.xs[:, order],
        case.start,
        (case.state[0][order],),
        case.dhs[:, order],
        (case.dstate[0][order],),
        case.logits[:, order],
        case.targets[:, order],
        case.mask[:, order],
    )


@given(cases, phis)
def test_each_sequence_of_a_batch_is_computed_on_its_own(case: Case, phi: str) -> None:
    """A batch gives what its sequences give one at a time, forward and back."""
    hs, _, caches = forward(case, phi)
    grads = backward(case, case.dhs, case.dstate, caches, phi)
    for b in range(case.xs.shape[1]):
        alone = make_moved(case, np.array([b]))
        alone_hs, _, alone_caches = forward(alone, phi)
        alone_grads = backward(alone, alone.dhs, alone.dstate, alone_caches, phi)
        assert_close(f"hs of sequence {b}", alone_hs[:, 0], hs[:, b], ROUNDING)
        assert_close(f"dxs of sequence {b}", alone_grads["dxs"][:, 0], grads["dxs"][:, b], 1e-11)


@given(long_cases, phis, st.data())
def test_a_sequence_cut_anywhere_gives_the_same_states(case: Case, phi: str, data: st.DataObject) -> None:
    """Running the first part, then the rest from the state it left, gives the states of one run, to the bit."""
    cut = data.draw(st.integers(1, len(case.xs) - 1), label="cut")
    step = partial(elman_step, phi=phi)
    hs, last, caches = forward(case, phi)
    first, middle, first_caches = rnn_forward(step, case.params, case.xs[:cut], case.state)
    rest, end, rest_caches = rnn_forward(step, case.params, case.xs[cut:], middle)
    assert_all_close({"hs": np.concatenate([first, rest]), "last": end[0]}, {"hs": hs, "last": last[0]}, SAME)
    assert len(first_caches) + len(rest_caches) == len(caches) == len(case.xs)


@given(long_cases, phis, st.data())
def test_gradients_cut_anywhere_and_handed_on_are_the_whole_gradients(
    case: Case, phi: str, data: st.DataObject
) -> None:
    """BPTT over the end, then over the beginning with the state's gradient it left, adds up to one BPTT."""
    cut = data.draw(st.integers(1, len(case.xs) - 1), label="cut")
    caches = forward(case, phi)[2]
    whole = backward(case, case.dhs, case.dstate, caches, phi)
    late = backward(case, case.dhs[cut:], case.dstate, caches[cut:], phi)
    early = backward(case, case.dhs[:cut], (late["d_start"],), caches[:cut], phi)
    parts = {name: early[name] + late[name] for name in case.params}
    parts |= {"dxs": np.concatenate([early["dxs"], late["dxs"]]), "d_start": early["d_start"]}
    assert_all_close(parts, whole, 1e-11)


@given(cases, phis)
def test_a_sequence_of_one_step_is_the_step(case: Case, phi: str) -> None:
    """For T = 1 the states, the cache and all gradients are those of the cell, to the bit."""
    x, dh = case.xs[0], case.dhs[0]
    hs, last, caches = rnn_forward(partial(elman_step, phi=phi), case.params, case.xs[:1], case.state)
    (h,), cache = elman_step(case.params, x, case.state, phi)
    assert_all_close({"hs": hs, "last": last[0]}, {"hs": h[None], "last": h}, SAME)
    for i, (got, expected) in enumerate(zip(caches[0], cache, strict=True)):
        assert_close(f"cache[{i}]", got, expected, SAME)
    got = backward(case, dh[None], case.dstate, caches, phi)
    dx, (dh_prev,), grads = elman_step_backward(case.params, (dh + case.dstate[0],), cache, phi)
    assert_all_close(got, {"dxs": dx[None], "d_start": dh_prev, **grads}, SAME)


@given(long_cases, phis, st.data())
def test_a_state_does_not_see_later_inputs(case: Case, phi: str, data: st.DataObject) -> None:
    """Changing the input at t leaves every state before t as it is, and changes the one at t (for tanh)."""
    t = data.draw(st.integers(0, len(case.xs) - 1), label="t")
    hs, _, _ = forward(case, phi)
    case.xs[t] += 0.5
    changed, _, _ = forward(case, phi)
    assert_close("states before the change", changed[:t], hs[:t], SAME)
    assume(phi == "tanh")
    assert (changed[t] != hs[t]).any(), f"the state at step {t} does not see its input"


@given(long_cases, phis, st.data())
def test_gradient_does_not_flow_forward_in_time(case: Case, phi: str, data: st.DataObject) -> None:
    """A gradient that enters at step t alone reaches no input after t."""
    t = data.draw(st.integers(0, len(case.xs) - 1), label="t")
    caches = forward(case, phi)[2]
    only = np.zeros_like(case.dhs)
    only[t] = case.dhs[t]
    grads = backward(case, only, (np.zeros_like(case.dstate[0]),), caches, phi)
    assert_close("input gradients after t", grads["dxs"][t + 1 :], np.zeros_like(case.xs[t + 1 :]), SAME)


@given(cases, phis, st.floats(-3, 3))
def test_backward_is_linear_in_the_gradients_that_enter(case: Case, phi: str, factor: float) -> None:
    """The gradients of a sum are the sum of the gradients: the two places gradient enters do not mix otherwise."""
    caches = forward(case, phi)[2]
    silent, no_state = np.zeros_like(case.dhs), (np.zeros_like(case.dstate[0]),)
    through_outputs = backward(case, case.dhs, no_state, caches, phi)
    through_state = backward(case, silent, case.dstate, caches, phi)
    both = backward(case, factor * case.dhs, case.dstate, caches, phi)
    assert_all_close(both, {k: factor * through_outputs[k] + through_state[k] for k in both}, 1e-11)


@given(cases)
def test_tanh_states_stay_inside_one_and_relu_states_above_zero(case: Case) -> None:
    """The squash bounds the state, also for inputs of 1e4."""
    case.xs *= 1e4
    assert (np.abs(forward(case, "tanh")[0]) <= 1).all()
    assert (forward(case, "relu")[0] >= 0).all()


@given(cases)
def test_output_layer_treats_every_position_alike(case: Case) -> None:
    """A whole sequence at once gives the scores and summed gradients of its steps one at a time."""
    logits, cache = output_layer(case.out, case.dhs)
    dh, grads = output_layer_backward(case.out, logits, cache)
    steps = [output_layer(case.out, h) for h in case.dhs]
    backs = [output_layer_backward(case.out, z, one) for z, one in steps]
    one_at_a_time = {"logits": np.stack([z for z, _ in steps]), "dh": np.stack([d for d, _ in backs])}
    one_at_a_time |= {name: sum(g[name] for _, g in backs) for name in case.out}
    assert_all_close({"logits": logits, "dh": dh, **grads}, one_at_a_time, 1e-11)


# --- the start


@given(cases, st.integers(1, 6))
def test_every_sequence_starts_from_the_same_vector(case: Case, batch_size: int) -> None:
    """Each row of the initial state is the start, for every array of the state."""
    start = (case.start[0], case.xs[0, 0])
    state = initial_state(start, batch_size)
    for i, (rows, vector) in enumerate(zip(state, start, strict=True)):
        assert_close(f"state[{i}]", rows, np.stack([vector] * batch_size), SAME)


@given(cases)
def test_initial_state_backward_is_the_adjoint_of_initial_state(case: Case) -> None:
    """<state, d> with the start repeated equals <start, summed d>."""
    (state,) = initial_state(case.start, len(case.dstate[0]))
    (d_start,) = initial_state_backward(case.dstate)
    assert_close("<start, d>", (case.start[0] * d_start).sum(), (state * case.dstate[0]).sum(), 1e-11)


@given(cases, st.data())
def test_initial_state_rows_are_independent_copies(case: Case, data: st.DataObject) -> None:
    """Writing into one row changes neither the other rows nor the learned start."""
    batch_size = data.draw(st.integers(1, 5), label="batch_size")
    row = data.draw(st.integers(0, batch_size - 1), label="row")
    before = case.start[0].copy()
    (state,) = initial_state(case.start, batch_size)
    state[row] = 99.0
    assert_close("start", case.start[0], before, SAME)
    others = np.delete(state, row, axis=0)
    assert_close("other rows", others, np.tile(before, (batch_size - 1, 1)), SAME)
