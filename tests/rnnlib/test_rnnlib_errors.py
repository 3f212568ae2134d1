"""Each documented error is raised, and its message names where it was, what came and what was expected."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from rnnlib_checks import Sizes, calls, make_case, make_cell_case

from rnnlib.batching import bucket, mask_from_lengths, masked_mean_loss, pad
from rnnlib.bidirectional import bidirectional, bidirectional_backward
from rnnlib.bptt import backward_through_time
from rnnlib.causal import can_see, stream_outputs
from rnnlib.dropout import variational_dropout, variational_dropout_backward
from rnnlib.elman import elman_init, elman_step, elman_step_backward
from rnnlib.gradcheck import gradient_check, numerical_gradient
from rnnlib.gru import gru_init, gru_step
from rnnlib.hopfield import hopfield_energy, hopfield_recall, hopfield_store
from rnnlib.jordan import jordan_as_elman, jordan_init, jordan_teacher_forced
from rnnlib.losses import cross_entropy
from rnnlib.lstm import clamp_gate, lstm_init, lstm_step, lstm_step_backward
from rnnlib.lstm_variants import coupled_lstm_init
from rnnlib.memory import leaky_average_step, threshold_step
from rnnlib.monitor import gate_saturation, update_ratio
from rnnlib.optimizers import adam, momentum, rmsprop, sgd
from rnnlib.output import output_init, output_layer, output_layer_backward
from rnnlib.packing import pack, packed_backward, packed_forward, unpack
from rnnlib.runs import load_run
from rnnlib.scheduled_sampling import choose_input
from rnnlib.schedules import teacher_chance, warmup_cosine
from rnnlib.sequence import initial_state, initial_state_backward, rnn_forward
from rnnlib.stacked import stacked, stacked_backward
from rnnlib.torch_layout import gru_to_torch, lstm_from_torch
from rnnlib.xor import error_by_phase, temporal_xor, xor_guess_step

SIZES = Sizes(4, 3, 2, 5, 6)
CASE = make_case(SIZES)
LOGITS = CASE.logits
X, (H_PREV,) = CASE.xs[0], CASE.state
CACHES = [(x, H_PREV, np.tanh(dh)) for x, dh in zip(CASE.xs, CASE.dhs, strict=True)]  # of the right shapes
RNG = np.random.default_rng(0)


@dataclass
class Bad:
    """A call that must fail: what is wrong with it, the call, the error, and what its message must hold."""

    wrong: str
    call: Callable[[], Any]
    error: type[Exception]
    says: tuple[str, ...]

    def __str__(self) -> str:
        return self.wrong.replace(" ", "-")


def without(params: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key != name}


def step(params: Any = CASE.params, x: Any = X, h_prev: Any = H_PREV, phi: str = "tanh") -> Any:
    return elman_step(params, x, (h_prev,), phi)


def back(params: Any = CASE.params, dh: Any = CASE.dstate[0], cache: Any = CACHES[0], phi: str = "tanh") -> Any:
    return elman_step_backward(params, (dh,), cache, phi)


def bptt(dhs: Any = CASE.dhs, dh: Any = CASE.dstate[0], caches: Any = CACHES) -> Any:
    return backward_through_time(elman_step_backward, CASE.params, dhs, (dh,), caches)


ELMAN = [
    Bad("elman init with no input", lambda: elman_init(RNG, 0, 4), ValueError, ("elman_init", "0", "at least 1")),
    Bad("output init with no score", lambda: output_init(RNG, 3, 0), ValueError, ("output_init", "0", "at least 1")),
    Bad("elman init with no unit", lambda: elman_init(RNG, 3, -1), ValueError, ("elman_init", "-1", "at least 1")),
    Bad(
        "x too wide", lambda: step(x=np.zeros((3, 9))), ValueError, ("elman_step", "W_xh", "(2, 5)", "D = 9", "from x")
    ),
    Bad("x a vector", lambda: step(x=np.zeros(2)), ValueError, ("elman_step", "x", "(2,)", "(B, D)")),
    Bad("x a list", lambda: step(x=[[0.0, 1.0]] * 3), TypeError, ("elman_step", "x", "list", "(B, D)")),
    Bad("batch of the state", lambda: step(h_prev=np.zeros((1, 5))), ValueError, ("h_prev", "(1, 5)", "B = 3", "x")),
    Bad(
        "state too wide",
        lambda: step(h_prev=np.zeros((3, 4))),
        ValueError,
        ("elman_step", "W_xh", "(2, 5)", "H = 4", "from h_prev"),
    ),
    Bad("state a vector", lambda: step(h_prev=np.zeros(5)), ValueError, ("h_prev", "(5,)", "(B, H)")),
    Bad(
        "W_xh transposed",
        lambda: step(params=CASE.params | {"W_xh": CASE.params["W_xh"].T}),
        ValueError,
        ("W_xh", "(5, 2)", "(D, H) = (2, 5)"),
    ),
    Bad(
        "W_hh not square", lambda: step(params=CASE.params | {"W_hh": np.zeros((5, 4))}), ValueError, ("W_hh", "(5, 4)")
    ),
    Bad(
        "b_h a row", lambda: step(params=CASE.params | {"b_h": np.zeros((1, 5))}), ValueError, ("b_h", "(1, 5)", "(H,)")
    ),
    Bad("no W_hh", lambda: step(params=without(CASE.params, "W_hh")), KeyError, ("lacks W_hh", "W_xh", "b_h")),
    Bad("unknown phi", lambda: step(phi="sigmoid"), ValueError, ("elman_step", "'sigmoid'", "'tanh' or 'relu'")),
    Bad("unknown phi backward", lambda: back(phi="gelu"), ValueError, ("elman_step_backward", "'gelu'", "'tanh'")),
    Bad(
        "dh too narrow",
        lambda: back(dh=np.zeros((3, 4))),
        ValueError,
        ("elman_step_backward", "dh", "(3, 4)", "(3, 5)"),
    ),
    Bad(
        "dh of one row", lambda: back(dh=np.zeros((1, 5))), ValueError, ("elman_step_backward", "dh", "(1, 5)", "B = 3")
    ),
    Bad("dh a vector", lambda: back(dh=np.zeros(5)), ValueError, ("elman_step_backward", "dh", "(5,)", "(B, H)")),
    Bad("no W_xh backward", lambda: back(params=without(CASE.params, "W_xh")), KeyError, ("backward", "lacks W_xh")),
]
OUTPUT = [
    Bad(
        "h too wide",
        lambda: output_layer(CASE.out, np.zeros((3, 4))),
        ValueError,
        ("W_hy", "(5, 6)", "H = 4", "from h"),
    ),
    Bad("no b_y", lambda: output_layer(without(CASE.out, "b_y"), CASE.dhs), KeyError, ("output_layer", "b_y", "W_hy")),
    Bad("b_y too short", lambda: output_layer(CASE.out | {"b_y": np.zeros(5)}, CASE.dhs), ValueError, ("b_y", "K = 6")),
    Bad(
        "d_logits of another batch",
        lambda: output_layer_backward(CASE.out, LOGITS[:, :2], (CASE.dhs,)),
        ValueError,
        ("output_layer_backward", "d_logits", "(4, 2, 6)", "(4, 3)", "as in h"),
    ),
    Bad(
        "d_logits too wide",
        lambda: output_layer_backward(CASE.out, np.zeros((4, 3, 7)), (CASE.dhs,)),
        ValueError,
        ("output_layer_backward", "W_hy", "(5, 6)", "K = 7", "from d_logits"),
    ),
]
LOSS = [
    Bad(
        "targets of another shape",
        lambda: cross_entropy(LOGITS, CASE.targets[:2]),
        ValueError,
        ("targets", "(2, 3)", "(4, 3)"),
    ),
    Bad(
        "targets one-hot", lambda: cross_entropy(LOGITS, np.zeros((4, 3, 6), int)), ValueError, ("targets", "(4, 3, 6)")
    ),
    Bad("targets a list", lambda: cross_entropy(LOGITS[0, 0], [1]), TypeError, ("cross_entropy", "targets", "list")),
    Bad(
        "target too large", lambda: cross_entropy(LOGITS, CASE.targets + 6), ValueError, ("targets", "expected 0 to 5")
    ),
    Bad("target negative", lambda: cross_entropy(LOGITS, CASE.targets - 6), ValueError, ("from -6", "expected 0 to 5")),
    Bad(
        "targets float",
        lambda: cross_entropy(LOGITS, CASE.targets * 1.0),
        ValueError,
        ("targets", "float64", "integers"),
    ),
    Bad(
        "mask that is a list",
        lambda: cross_entropy(LOGITS, CASE.targets, CASE.mask.tolist()),
        TypeError,
        ("cross_entropy", "mask is a list", "NumPy array"),
    ),
    Bad(
        "mask of another shape",
        lambda: cross_entropy(LOGITS, CASE.targets, CASE.mask[:, :1]),
        ValueError,
        ("cross_entropy", "mask", "(4, 1)", "(4, 3)", "as in targets"),
    ),
    Bad(
        "mask false",
        lambda: cross_entropy(LOGITS, CASE.targets, CASE.mask & False),
        ValueError,
        ("no position counts",),
    ),
    Bad("no positions", lambda: cross_entropy(LOGITS[:0], CASE.targets[:0]), ValueError, ("no position counts",)),
]
SEQUENCE = [
    Bad(
        "xs one step",
        lambda: rnn_forward(elman_step, CASE.params, X, CASE.state),
        ValueError,
        ("rnn_forward", "(3, 2)", "(T, B, D)"),
    ),
    Bad(
        "xs empty",
        lambda: rnn_forward(elman_step, CASE.params, CASE.xs[:0], CASE.state),
        ValueError,
        ("(0, 3, 2)", "T >= 1"),
    ),
    Bad(
        "xs a list",
        lambda: rnn_forward(elman_step, CASE.params, list(CASE.xs), CASE.state),
        TypeError,
        ("rnn_forward", "list"),
    ),
    Bad(
        "no sequence",
        lambda: initial_state(CASE.start, 0),
        ValueError,
        ("initial_state", "batch_size is 0", "at least 1"),
    ),
    Bad(
        "start a matrix",
        lambda: initial_state((np.zeros((1, 5)),), 3),
        ValueError,
        ("initial_state", "start", "(1, 5)", "(H,)"),
    ),
    Bad(
        "second start a number",
        lambda: initial_state((np.zeros(5), np.array(0.0)), 3),
        ValueError,
        ("start", "()", "(H,)"),
    ),
    Bad(
        "dstart a vector",
        lambda: initial_state_backward((np.zeros(5),)),
        ValueError,
        ("initial_state_backward", "(5,)", "(B, H)"),
    ),
]
BPTT = [
    Bad(
        "a gradient too few",
        lambda: bptt(dhs=CASE.dhs[:3]),
        ValueError,
        ("backward_through_time", "3 gradients", "4 steps"),
    ),
    Bad(
        "a cache too few",
        lambda: bptt(caches=CACHES[1:]),
        ValueError,
        ("backward_through_time", "4 gradients", "3 steps"),
    ),
    Bad(
        "no step",
        lambda: bptt(dhs=CASE.dhs[:0], caches=[]),
        ValueError,
        ("backward_through_time", "0 gradients", "0 steps"),
    ),
    Bad(
        "dhs that would broadcast",
        lambda: bptt(dhs=CASE.dhs[:, :1]),
        ValueError,
        ("backward_through_time", "dhs", "(4, 1, 5)", "B = 3", "from dstate"),
    ),
    Bad(
        "dhs without a batch", lambda: bptt(dhs=CASE.dhs[:, 0]), ValueError, ("dhs", "(4, 5)", "(T, B, H) = (T, 3, 5)")
    ),
    Bad(
        "dstate that would broadcast",
        lambda: bptt(dh=np.zeros((1, 5))),
        ValueError,
        ("backward_through_time", "(4, 3, 5)", "B = 1", "from dstate"),
    ),
    Bad(
        "dstate a vector",
        lambda: bptt(dh=np.zeros(5)),
        ValueError,
        ("backward_through_time", "dstate", "(5,)", "(B, H)"),
    ),
]
CHECK = [
    Bad(
        "float32",
        lambda: numerical_gradient(np.sum, np.zeros(2, np.float32)),
        TypeError,
        ("float32", "expected", "float64"),
    ),
    Bad("integers", lambda: numerical_gradient(np.sum, np.zeros(2, int)), TypeError, ("int64", "expected", "float64")),
    Bad("a list", lambda: numerical_gradient(np.sum, [1.0]), TypeError, ("a list", "float64")),
    Bad(
        "shapes differ",
        lambda: gradient_check(np.sum, np.zeros((2, 3)), np.ones((3, 2))),
        ValueError,
        ("gradient_check", "(3, 2)", "(2, 3)"),
    ),
    Bad(
        "x float32",
        lambda: gradient_check(np.sum, np.zeros(2, np.float32), np.ones(2)),
        TypeError,
        ("float32", "float64"),
    ),
]

JORDAN = make_cell_case("jordan", SIZES)
LSTM, BEFORE = make_cell_case("lstm", SIZES), make_cell_case("gru-before", SIZES)
RUN, RUN_BACK = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
PAIR, STARTS = (LSTM.params, LSTM.params), (LSTM.state, LSTM.state)


def both(lengths: Any) -> Any:
    return bidirectional(RUN, PAIR, LSTM.xs, STARTS, lengths)


CELLS = [
    Bad("lstm init with no unit", lambda: lstm_init(RNG, 3, 0), ValueError, ("lstm_init", "hidden 0", "at least 1")),
    Bad("gru init with no input", lambda: gru_init(RNG, 0, 3), ValueError, ("gru_init", "input 0", "at least 1")),
    Bad("gru init of no form", lambda: gru_init(RNG, 2, 3, "never"), ValueError, ("gru_init", "'never'", "'before'")),
    Bad(
        "jordan init with no output",
        lambda: jordan_init(RNG, 2, 3, 0),
        ValueError,
        ("jordan_init", "output 0", "at least 1"),
    ),
    Bad(
        "coupled init with no unit",
        lambda: coupled_lstm_init(RNG, 2, -3),
        ValueError,
        ("coupled_lstm_init", "hidden -3", "at least 1"),
    ),
    Bad(
        "a gate that is none",
        lambda: clamp_gate(LSTM.params, "g", True),
        ValueError,
        ("clamp_gate", "'g'", "'i', 'f' or 'o'"),
    ),
    Bad(
        "weights of three blocks for four",
        lambda: lstm_step(BEFORE.params, LSTM.xs[0], LSTM.state),
        ValueError,
        ("lstm_step", "W_xh", "(2, 15)", "(D, 4H) = (2, 20)", "4H = 20 comes from h_prev"),
    ),
    Bad(
        "memory of another batch",
        lambda: lstm_step(LSTM.params, LSTM.xs[0], (LSTM.state[0], LSTM.state[1][:1])),
        ValueError,
        ("lstm_step", "c_prev", "(1, 5)", "B = 3"),
    ),
    Bad(
        "gru after without its bias",
        lambda: gru_step(BEFORE.params, LSTM.xs[0], BEFORE.state, "after"),
        KeyError,
        ("gru_step", "lacks b_hh"),
    ),
    Bad(
        "gru of no form",
        lambda: gru_step(BEFORE.params, LSTM.xs[0], BEFORE.state, "both"),
        ValueError,
        ("gru_step", "'both'", "'before' or 'after'"),
    ),
    Bad(
        "gru before to torch",
        lambda: gru_to_torch(BEFORE.params),
        KeyError,
        ("gru_to_torch", "lacks b_hh"),
    ),
    Bad(
        "torch lstm of three blocks",
        lambda: lstm_from_torch(gru_to_torch(make_cell_case("gru-after", SIZES).params)),
        ValueError,
        ("lstm_from_torch", "bias_ih", "(15,)", "4H = 20"),
    ),
    Bad(
        "targets of another length",
        lambda: jordan_teacher_forced(JORDAN.params, JORDAN.xs, JORDAN.dhs[:3], JORDAN.state),
        ValueError,
        ("jordan_teacher_forced", "targets", "(3, 3, 6)", "T = 4"),
    ),
    Bad("jordan of no output", lambda: jordan_as_elman(CASE.params), KeyError, ("jordan_as_elman", "lacks W_yh")),
    Bad("lengths too few", lambda: both(np.array([4, 4])), ValueError, ("bidirectional", "3 integers from 1 to 4")),
    Bad("a length too long", lambda: both(np.array([4, 5, 1])), ValueError, ("bidirectional", "5", "from 1 to 4")),
    Bad("an empty sequence", lambda: both(np.array([4, 0, 1])), ValueError, ("bidirectional", "0", "from 1 to 4")),
    Bad("lengths that are floats", lambda: both(np.array([4.0, 1, 1])), ValueError, ("bidirectional", "integers")),
    Bad(
        "an odd number of halves",
        lambda: bidirectional_backward(RUN_BACK, PAIR, np.zeros((4, 3, 9)), STARTS, both(None)[2]),
        ValueError,
        ("bidirectional_backward", "(4, 3, 9)", "(T, B, 2H)"),
    ),
    Bad("no layer", lambda: stacked(RUN, [], LSTM.xs, []), ValueError, ("stacked", "0 layers", "at least one")),
    Bad(
        "a state too few",
        lambda: stacked(RUN, [LSTM.params] * 2, LSTM.xs, [LSTM.state]),
        ValueError,
        ("stacked", "2 layers and 1 states"),
    ),
    Bad(
        "a cache too many",
        lambda: stacked_backward(RUN_BACK, [LSTM.params], LSTM.dhs, [LSTM.dstate], [[], []]),
        ValueError,
        ("stacked_backward", "1 layers", "2 lists of caches"),
    ),
    Bad("outputs without a batch", lambda: can_see(lambda xs: xs[:, 0], LSTM.xs), ValueError, ("can_see", "outputs")),
    Bad(
        "an output too few", lambda: can_see(lambda xs: xs[1:], LSTM.xs), ValueError, ("can_see", "(3, 3, 2)", "T = 4")
    ),
    Bad(
        "nothing to stream",
        lambda: stream_outputs(lambda xs: xs, LSTM.xs[:0]),
        ValueError,
        ("stream_outputs", "T >= 1"),
    ),
    Bad("inputs without a batch", lambda: stream_outputs(lambda xs: xs, X), ValueError, ("stream_outputs", "T, B, D")),
]
LENGTHS = np.array([2, 4, 1])
PACKED = pack(CASE.xs, LENGTHS)


def packed(data: Any = PACKED[0], sizes: Any = PACKED[1], order: Any = PACKED[2]) -> Any:
    return data, sizes, order


def forward(batch: Any = PACKED, state: Any = CASE.state) -> Any:
    return packed_forward(elman_step, CASE.params, batch, state)


BATCHES = [
    Bad("nothing to pad", lambda: pad([]), ValueError, ("pad", "no sequence", "at least one")),
    Bad("a sequence a list", lambda: pad([X, [1.0]]), TypeError, ("pad", "sequence 1", "list", "NumPy array")),
    Bad("a sequence a number", lambda: pad([np.array(1.0)]), ValueError, ("pad", "sequence 0", "()")),
    Bad(
        "sequences of two widths",
        lambda: pad([X, np.zeros((4, 9))]),
        ValueError,
        ("pad", "sequence 1", "(4, 9)", "(steps, 2)", "as sequence 0"),
    ),
    Bad("a length too long", lambda: mask_from_lengths(LENGTHS, 3), ValueError, ("mask_from_lengths", "4", "0 to 3")),
    Bad("a length negative", lambda: mask_from_lengths(-LENGTHS), ValueError, ("mask_from_lengths", "-4", "integers")),
    Bad("lengths of floats", lambda: mask_from_lengths(np.ones(2)), ValueError, ("mask_from_lengths", "integers")),
    Bad("lengths a table", lambda: mask_from_lengths(np.ones((2, 2), int)), ValueError, ("integers from 0 to 1",)),
    Bad(
        "a mask batch first",
        lambda: masked_mean_loss(LOGITS[..., 0], CASE.mask.T),
        ValueError,
        ("masked_mean_loss", "mask", "(3, 4)", "(4, 3)"),
    ),
    Bad(
        "no loss counts",
        lambda: masked_mean_loss(LOGITS[..., 0], np.zeros((4, 3), bool)),
        ValueError,
        ("masked_mean_loss", "no loss counts"),
    ),
    Bad("batches of none", lambda: bucket(LENGTHS, 0, RNG), ValueError, ("bucket", "batch_size is 0", "at least 1")),
    Bad("buckets of floats", lambda: bucket(np.ones(3), 2, RNG), ValueError, ("bucket", "integers")),
    Bad("an empty sequence packed", lambda: pack(CASE.xs, LENGTHS - 1), ValueError, ("pack", "3 integers from 1 to 4")),
    Bad("lengths of another batch", lambda: pack(CASE.xs, LENGTHS[:2]), ValueError, ("pack", "3 integers")),
    Bad("a row too many", lambda: unpack(packed(data=CASE.dhs[0])), ValueError, ("unpack", "3 rows", "expected 7")),
    Bad(
        "sizes that rise",
        lambda: unpack(packed(sizes=np.array([3, 1, 2, 1]))),
        ValueError,
        ("unpack", "batch_sizes", "do not rise"),
    ),
    Bad(
        "sizes that end in 0",
        lambda: unpack(packed(sizes=np.array([3, 2, 1, 1, 0]))),
        ValueError,
        ("unpack", "above 0"),
    ),
    Bad("no step at all", lambda: unpack(packed(sizes=np.zeros(0, int))), ValueError, ("unpack", "begin with 3")),
    Bad(
        "a sequence twice",
        lambda: unpack(packed(order=np.array([1, 1, 0]))),
        ValueError,
        ("unpack", "order", "from 0 to 2 once"),
    ),
    Bad("sizes of another batch", lambda: forward(packed(order=np.arange(2))), ValueError, ("begin with 2",)),
    Bad(
        "packed run from another batch",
        lambda: forward(state=(H_PREV[:2],)),
        ValueError,
        ("packed_forward", "state", "(2, 5)", "(3, H)"),
    ),
    Bad(
        "a packed cache too few",
        lambda: packed_backward(
            elman_step_backward, CASE.params, pack(CASE.dhs, LENGTHS), CASE.dstate, forward()[2][:-1]
        ),
        ValueError,
        ("packed_backward", "3 caches", "4 steps"),
    ),
]
NET = CASE.params | CASE.out
MEMORY = [
    Bad(
        "keep negative",
        lambda: leaky_average_step(0.0, 1.0, -0.2),
        ValueError,
        ("leaky_average_step", "-0.2", "0 to 1"),
    ),
    Bad(
        "keep above one", lambda: leaky_average_step(0.0, 1.0, 1.5), ValueError, ("leaky_average_step", "1.5", "0 to 1")
    ),
    Bad("keep not a number", lambda: leaky_average_step(0.0, 1.0, np.nan), ValueError, ("keep", "nan")),
    Bad("no output bias", lambda: threshold_step(without(NET, "b_y"), H_PREV, X), KeyError, ("threshold_step", "b_y")),
    Bad(
        "state of another batch",
        lambda: threshold_step(NET, H_PREV[:1], X),
        ValueError,
        ("threshold_step", "state", "(1, 5)", "(3,)", "as in x"),
    ),
    Bad(
        "letter too wide",
        lambda: threshold_step(NET, H_PREV, np.zeros((3, 9))),
        ValueError,
        ("W_xh", "D = 9", "from x"),
    ),
    Bad(
        "W_hh for another net",
        lambda: threshold_step(NET | {"W_hh": np.zeros((4, 4))}, H_PREV, X),
        ValueError,
        ("W_hh", "(4, 4)", "H = 5"),
    ),
]


TIES, S = 1 - np.eye(3), np.array([1.0, -1.0, 1.0])
BELIEF = np.full(3, 1 / 3)
HISTORY = [
    Bad("one pattern bare", lambda: hopfield_store(S), ValueError, ("hopfield_store", "patterns", "(3,)", "(P, N)")),
    Bad("patterns of bits", lambda: hopfield_store(np.eye(3)), ValueError, ("hopfield_store", "0, 1", "1 and -1")),
    Bad(
        "energy of another size",
        lambda: hopfield_energy(TIES, S[:2]),
        ValueError,
        ("hopfield_energy", "weights", "(3, 3)", "N = 2", "from state"),
    ),
    Bad(
        "weights not square",
        lambda: hopfield_recall(TIES[:2], S, np.arange(3)),
        ValueError,
        ("hopfield_recall", "weights", "(2, 3)"),
    ),
    Bad(
        "a state of bits",
        lambda: hopfield_recall(TIES, np.array([0.0, 1.0, 1.0]), np.arange(3)),
        ValueError,
        ("hopfield_recall", "state", "0, 1", "1 and -1"),
    ),
    Bad("order a list", lambda: hopfield_recall(TIES, S, [0, 1]), TypeError, ("hopfield_recall", "order", "list")),
    Bad("order too far", lambda: hopfield_recall(TIES, S, np.array([0, 3])), ValueError, ("order", "[0 3]", "0 to 2")),
    Bad("order negative", lambda: hopfield_recall(TIES, S, np.array([-1])), ValueError, ("order", "[-1]", "0 to 2")),
    Bad("order of floats", lambda: hopfield_recall(TIES, S, np.ones(2)), ValueError, ("order", "float64", "integers")),
    Bad("triples for pairs", lambda: temporal_xor(np.zeros((4, 3), int)), ValueError, ("pairs", "(4, 3)", "(n, 2")),
    Bad("a flat stream", lambda: temporal_xor(np.zeros(4, int)), ValueError, ("temporal_xor", "(4,)", "(n, 2")),
    Bad("pairs a list", lambda: temporal_xor([[0, 1]]), ValueError, ("temporal_xor", "list", "(n, 2")),
    Bad("pairs of signs", lambda: temporal_xor(np.array([[-1, 1]])), ValueError, ("from -1 to 1", "0 and 1")),
    Bad("pairs of floats", lambda: temporal_xor(np.zeros((2, 2))), ValueError, ("float64", "0 and 1")),
    Bad("period 0", lambda: error_by_phase(np.ones(4), 0), ValueError, ("error_by_phase", "period is 0", "4")),
    Bad("period too long", lambda: error_by_phase(np.ones(4), 5), ValueError, ("period is 5", "steps, 4")),
    Bad("belief of two", lambda: xor_guess_step((BELIEF[:2], 0, 1), 1), ValueError, ("belief", "(2,)", "(3,)")),
    Bad(
        "impossible bit",
        lambda: xor_guess_step((np.array([0.0, 0.0, 1.0]), 1, 0), 0),
        ValueError,
        ("xor_guess_step", "bit 0 after 1, 0"),
    ),
]


W3, W4 = {"W": np.ones((2, 3))}, {"W": np.ones((2, 4))}
TRAINING = [
    *(
        Bad(f"{step.__name__} with a gradient of another {what}", partial(step, W3, grads, {}, 0.1), ValueError, says)
        for step in (sgd, momentum, rmsprop, adam)
        for what, grads, says in (
            ("shape", W4, (step.__name__, "W", "(2, 4)", "(2, 3)")),
            ("name", {"b": W3["W"]}, (step.__name__, "W", "b")),
        )
    ),
    Bad("step 0 of a schedule", lambda: warmup_cosine(0, 9, 0.1), ValueError, ("warmup_cosine", "step 0")),
    Bad("warm-up to the end", lambda: warmup_cosine(1, 9, 0.1, 9), ValueError, ("warmup 9", "total 9")),
    Bad("teacher before the start", lambda: teacher_chance(-1, 9.0), ValueError, ("teacher_chance", "-1")),
    Bad("teacher of no kind", lambda: teacher_chance(1, 9.0, "cubic"), ValueError, ("'cubic'", "'sigmoid'")),
    Bad(
        "truth and said of two shapes",
        lambda: choose_input(RNG, np.zeros(3), np.zeros(4), 0.5),
        ValueError,
        ("choose_input", "(3,)", "(4,)"),
    ),
    Bad("chance above 1", lambda: choose_input(RNG, np.zeros(3), np.zeros(3), 1.5), ValueError, ("1.5",)),
    Bad("all dropped", lambda: variational_dropout(RNG, CASE.dhs, 1.0), ValueError, ("variational_dropout", "1.0")),
    Bad("one step dropped", lambda: variational_dropout(RNG, CASE.dhs[0], 0.5), ValueError, ("xs", "(T, B, D)")),
    Bad(
        "mask of another width",
        lambda: variational_dropout_backward(CASE.dhs, np.ones((3, 4))),
        ValueError,
        ("variational_dropout_backward", "dys", "D = 4"),
    ),
    Bad(
        "no weight to compare with",
        lambda: update_ratio({"W": np.zeros(2)}, {"W": np.ones(2)}),
        ValueError,
        ("update_ratio", "zero"),
    ),
    Bad("no gate", lambda: gate_saturation(np.zeros((0, 3))), ValueError, ("gate_saturation", "(0, 3)")),
    Bad("no file", lambda: load_run("/nowhere/run.npz", RNG), FileNotFoundError, ("run.npz",)),
]


@pytest.mark.parametrize(
    "bad", [*MEMORY, *HISTORY, *ELMAN, *OUTPUT, *LOSS, *SEQUENCE, *BPTT, *CHECK, *CELLS, *BATCHES, *TRAINING], ids=str
)
def test_a_wrong_call_is_an_error_that_says_what_came_and_what_was_expected(bad: Bad) -> None:
    """The error has its documented type, and every part that must be in the message is."""
    with pytest.raises(bad.error) as caught:
        bad.call()
    assert caught.type is bad.error, f"{caught.type.__name__}, expected exactly {bad.error.__name__}"
    message = str(caught.value)
    missing = [part for part in bad.says if part not in message]
    assert not missing, f"message lacks {missing}: {message}"


def test_a_masked_target_may_be_out_of_range() -> None:
    """Only targets that count are held against the number of classes, so padding may hold any integer."""
    targets = np.where(CASE.mask, CASE.targets, -1)
    loss, _ = cross_entropy(LOGITS, targets, CASE.mask)
    assert np.isfinite(loss)


@pytest.mark.parametrize("name", [name for name in calls() if name != "scan.scan"])
def test_no_right_call_warns(name: str, recwarn: pytest.WarningsRecorder) -> None:
    """The calls that the other tests use pass without a warning of NumPy's."""
    function, args = calls()[name]()
    function(*args)
    assert not recwarn.list, [str(warning.message) for warning in recwarn.list]
