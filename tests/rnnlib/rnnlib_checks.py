"""What the library's tests share: comparisons that say what differs and where, cases, one call of every function."""

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import rnnlib
from rnnlib.activations import sigmoid
from rnnlib.alignment import alignment_error_rate
from rnnlib.attention import (
    additive_score,
    additive_score_backward,
    attend,
    attend_backward,
    concat_score,
    concat_score_backward,
    dot_score,
    dot_score_backward,
    focus,
    focus_backward,
    general_score,
    general_score_backward,
    local_center,
    local_center_backward,
    local_window,
    masked_softmax,
    masked_softmax_backward,
    score,
    score_backward,
)
from rnnlib.attention_decoder import (
    attention_init,
    attention_seq2seq_loss,
    attention_weights,
    bahdanau_step,
    bahdanau_step_backward,
    luong_step,
    luong_step_backward,
    next_word,
)
from rnnlib.batching import bucket, mask_from_lengths, masked_mean_loss, pad
from rnnlib.beam import beam_search
from rnnlib.beam_decode import beam_decode, length_penalty
from rnnlib.bidirectional import bidirectional, bidirectional_backward, reverse_sequences
from rnnlib.bio import bio_allowed, forbid, span_f1, spans
from rnnlib.bleu import bleu
from rnnlib.bptt import backward_through_time, truncated_bptt
from rnnlib.causal import can_see, stream_outputs
from rnnlib.checkpointing import checkpointed_bptt
from rnnlib.classifier import classifier_backward, classifier_forward, classifier_loss, input_influence
from rnnlib.clipping import clip_by_norm, clip_by_value, clipped_step
from rnnlib.contracts import match_lengths, match_shapes, take
from rnnlib.crf import (
    crf_init,
    crf_log_partition,
    crf_loss,
    crf_score,
    log_sum_exp,
    marginals,
    messages_ahead,
    messages_back,
    viterbi,
)
from rnnlib.diagnostics import elman_jacobian, gradient_norm_profile, product_norms, state_jacobian
from rnnlib.dropout import variational_dropout, variational_dropout_backward
from rnnlib.edit_distance import edit_distance
from rnnlib.elman import elman_init, elman_step, elman_step_backward
from rnnlib.embedding import embed, embed_backward, embedding_init
from rnnlib.fused import elman_backward, elman_forward, gru_backward, gru_forward, lstm_backward, lstm_forward
from rnnlib.gradcheck import gradient_check, numerical_gradient
from rnnlib.gru import gru_init, gru_step, gru_step_backward
from rnnlib.hopfield import hopfield_energy, hopfield_recall, hopfield_store
from rnnlib.initialization import identity, orthogonal, xavier_uniform
from rnnlib.jordan import jordan_as_elman, jordan_init, jordan_step, jordan_step_backward, jordan_teacher_forced
from rnnlib.language import language_init, language_log_probs, language_loss, language_step, train_stateful
from rnnlib.last_step import loss_at_the_end
from rnnlib.layer_norm import layer_norm, layer_norm_backward
from rnnlib.long_tasks import adding_problem, copy_task
from rnnlib.losses import cross_entropy, softmax
from rnnlib.lstm import clamp_gate, lstm_init, lstm_step, lstm_step_backward
from rnnlib.lstm_variants import (
    coupled_lstm_init,
    coupled_lstm_step,
    coupled_lstm_step_backward,
    peephole_lstm_init,
    peephole_lstm_step,
    peephole_lstm_step_backward,
)
from rnnlib.memory import leaky_average_step, threshold_step
from rnnlib.metrics import confusion_matrix, macro_f1
from rnnlib.monitor import gate_saturation, update_ratio
from rnnlib.ngrams import ngram_counts, ngram_log_probs, ngram_probabilities
from rnnlib.optimizers import adam, momentum, rmsprop, sgd
from rnnlib.output import output_init, output_layer, output_layer_backward
from rnnlib.packing import pack, packed_backward, packed_forward, unpack
from rnnlib.padded import padded_loss
from rnnlib.parameters import count_parameters, flat, nested, recurrent_size, window_mlp_size
from rnnlib.perplexity import bits_per_token, perplexity
from rnnlib.pooling import pool_last, pool_last_backward, pool_max, pool_max_backward, pool_mean, pool_mean_backward
from rnnlib.reber import (
    is_reber,
    legal_next,
    one_hot,
    predict_next,
    reber_automaton,
    reber_batch,
    reber_encode,
    reber_states,
    reber_string,
)
from rnnlib.runs import arrays_to_run, keep_best, load_run, new_run, run_to_arrays, save_run
from rnnlib.sampling import nucleus, sample, temper, top_k
from rnnlib.scan import scan, scan_chunks
from rnnlib.scheduled_sampling import choose_input
from rnnlib.schedules import teacher_chance, warmup_cosine
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
from rnnlib.sequence import initial_state, initial_state_backward, rnn_forward
from rnnlib.stacked import stacked, stacked_backward
from rnnlib.stateful import stateful_batches
from rnnlib.tagger import crf_tagger_loss
from rnnlib.tied import tied_output, tied_output_backward
from rnnlib.torch_layout import (
    elman_from_torch,
    elman_to_torch,
    gru_from_torch,
    gru_to_torch,
    lstm_from_torch,
    lstm_to_torch,
)
from rnnlib.training import fit
from rnnlib.types import Array, Cache, Params, State
from rnnlib.vocabulary import make_vocabulary, to_ids, to_tokens
from rnnlib.xor import error_by_phase, temporal_xor, xor_guess_step

PACKAGE = Path(rnnlib.__file__).parent
EXACT = 1e-10  # float64 against another float64 program: rounding only
PHIS = ("tanh", "relu")


# --- comparing


def assert_close(name: str, got: Any, expected: Any, tol: float = EXACT) -> None:
    """Fail with the entry that differs most; errors are relative above 1 and absolute below."""
    problem = difference(name, got, expected, tol)
    assert problem is None, problem


def assert_all_close(got: dict[str, Any], expected: dict[str, Any], tol: float = EXACT) -> None:
    """Compare arrays by name and list every one that differs, not only the first."""
    assert got.keys() == expected.keys(), f"names differ: {sorted(got)} and {sorted(expected)}"
    problems = [difference(name, got[name], expected[name], tol) for name in expected]
    assert not any(problems), "\n".join(problem or "" for problem in problems if problem)


def difference(name: str, got: Any, expected: Any, tol: float) -> str | None:
    got, expected = (np.asarray(value) for value in (got, expected))
    if got.shape != expected.shape:
        return f"{name}: shape {got.shape}, expected {expected.shape}"
    if got.dtype == bool and expected.dtype == bool:
        got, expected = got.astype(int), expected.astype(int)
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    error = np.where(np.isnan(error), np.where(np.isinf(got) & (got == expected), 0.0, np.inf), error)  # inf - inf
    if error.max(initial=0.0) <= tol:
        return None
    where = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
    wrong = int((error > tol).sum())
    return (
        f"{name}{list(where)} is {got[where]:.12g}, expected {expected[where]:.12g}; "
        f"error {error[where]:.1e} > {tol:.0e}, {wrong} of {error.size} entries differ"
    )


def arrays_in(tree: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """Every array in nested tuples, lists and dictionaries, with the path that leads to it."""
    if isinstance(tree, np.ndarray):
        yield path or "value", tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from arrays_in(value, f"{path}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from arrays_in(value, f"{path}[{i}]")


# --- cases


@dataclass(frozen=True)
class Sizes:
    T: int
    B: int
    D: int
    H: int
    K: int

    def __str__(self) -> str:
        return f"T{self.T}-B{self.B}-D{self.D}-H{self.H}-K{self.K}"


# D, H and K differ everywhere, so that a transposed weight does not fit; T = 1 and B = 1 come alone and together.
SIZES = [Sizes(1, 1, 3, 5, 2), Sizes(1, 4, 5, 3, 7), Sizes(6, 1, 2, 7, 3), Sizes(9, 4, 6, 3, 5), Sizes(12, 3, 1, 8, 4)]


@dataclass
class Case:
    """An Elman net with an output layer, a batch of sequences, and gradients to send back."""

    params: Params
    out: Params
    xs: Array
    start: State
    state: State
    dhs: Array
    dstate: State
    logits: Array
    targets: Array
    mask: Array


def make_case(sizes: Sizes, seed: int = 0, dtype: Any = np.float64) -> Case:
    """Random numbers for every array, none from rnnlib; biases are not zero, and at least one position counts."""
    rng = np.random.default_rng(seed)
    T, B, D, H, K = sizes.T, sizes.B, sizes.D, sizes.H, sizes.K

    def draw(*shape: int, scale: float = 1.0) -> Array:
        return (scale * rng.normal(size=shape)).astype(dtype)

    mask = rng.random((T, B)) < 0.6
    mask[T - 1, B - 1] = True
    return Case(
        params={"W_xh": draw(D, H, scale=D**-0.5), "W_hh": draw(H, H, scale=H**-0.5), "b_h": draw(H)},
        out={"W_hy": draw(H, K, scale=H**-0.5), "b_y": draw(K)},
        xs=draw(T, B, D),
        start=(draw(H),),
        state=(draw(B, H),),
        dhs=draw(T, B, H),
        dstate=(draw(B, H),),
        logits=draw(T, B, K),
        targets=rng.integers(K, size=(T, B)),
        mask=mask,
    )


@dataclass
class CellCase:
    """Any cell, a batch of sequences, and gradients to send back through what it puts out."""

    params: Params
    xs: Array
    state: State
    dhs: Array
    dstate: State


BLOCKS = {"elman": 1, "lstm": 4, "peephole": 4, "coupled": 3, "gru-before": 3, "gru-after": 3}
VECTORS = {"peephole": ("p_i", "p_f", "p_o"), "gru-after": ("b_hh",)}  # more parameters of H numbers


def make_cell_case(kind: str, sizes: Sizes, seed: int = 0, dtype: Any = np.float64) -> CellCase:
    """Random numbers for every array of a cell of this kind, none from rnnlib; no bias is zero."""
    rng = np.random.default_rng(seed)
    T, B, D, H, K = sizes.T, sizes.B, sizes.D, sizes.H, sizes.K

    def draw(*shape: int, scale: float = 1.0) -> Array:
        return (scale * rng.normal(size=shape)).astype(dtype)

    if kind == "jordan":
        params = {"W_xh": draw(D, H), "W_yh": draw(K, H), "b_h": draw(H), "W_hy": draw(H, K), "b_y": draw(K)}
    else:
        width = BLOCKS[kind] * H
        params = {"W_xh": draw(D, width, scale=D**-0.5), "W_hh": draw(H, width, scale=H**-0.5), "b_h": draw(width)}
        params |= {name: draw(H) for name in VECTORS.get(kind, ())}
    out = K if kind == "jordan" else H
    parts = 2 if kind in ("lstm", "peephole", "coupled") else 1
    return CellCase(
        params=params,
        xs=draw(T, B, D),
        state=tuple(draw(B, out) for _ in range(parts)),
        dhs=draw(T, B, out),
        dstate=tuple(draw(B, out) for _ in range(parts)),
    )


# --- every public function, and one call of each

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def modules() -> list[ModuleType]:
    return [importlib.import_module(f"rnnlib.{info.name}") for info in pkgutil.iter_modules([str(PACKAGE)])]


def public_functions() -> dict[str, Callable[..., Any]]:
    """The functions that rnnlib's modules define and export, by `module.name`."""
    return {
        f"{module.__name__.removeprefix('rnnlib.')}.{name}": value
        for module in modules()
        for name, value in vars(module).items()
        if name in module.__all__ and inspect.isfunction(value) and value.__module__ == module.__name__
    }


def calls(dtype: Any = np.float64) -> dict[str, Callable[[], Call]]:
    """A way to make a function and fresh arguments for it, by `module.name` and a variant in brackets.

    A new public function needs an entry here: then it is held to purity, dtype and repeatability.
    Nothing of rnnlib runs before an entry is called, so a broken function fails its own tests, not their collection.
    """
    case = make_case(Sizes(4, 3, 2, 5, 6), dtype=dtype)
    params, out, x, state = case.params, case.out, case.xs[0], case.state
    patterns = np.where(case.dhs > 0, 1, -1).astype(dtype)  # (4, 3, 5)
    agreements = patterns[0].T @ patterns[0] - 3 * np.eye(5, dtype=dtype)
    table: dict[str, Callable[[], Call]] = {
        "scan.scan": lambda: (scan, (_running_sum, np.zeros((3, 2), dtype), case.xs)),
        "scan.scan_chunks": lambda: (
            scan_chunks,
            (_running_sum, np.zeros((3, 2), dtype), [case.xs[:1], case.xs[1:1], case.xs[1:]]),
        ),
        "memory.leaky_average_step": lambda: (leaky_average_step, (x, case.xs[1], 0.7)),
        "memory.threshold_step": lambda: (threshold_step, (params | out, state[0], x)),
        "parameters.count_parameters": lambda: (count_parameters, (params | out,)),
        "parameters.window_mlp_size": lambda: (window_mlp_size, (4, 2, 5, 6)),
        "parameters.recurrent_size": lambda: (recurrent_size, (2, 5, 6)),
        "hopfield.hopfield_store": lambda: (hopfield_store, (patterns[0],)),
        "hopfield.hopfield_energy": lambda: (hopfield_energy, (agreements, patterns)),
        "hopfield.hopfield_recall": lambda: (hopfield_recall, (agreements, patterns, np.array([4, 0, 2, 1, 3]))),
        "hopfield.hopfield_recall[drawn]": lambda: (
            hopfield_recall,
            (agreements, patterns[0, 0], np.random.default_rng(3)),
        ),
        "xor.temporal_xor": lambda: (temporal_xor, (case.targets[:, :2, None] % 2,)),
        "xor.error_by_phase": lambda: (error_by_phase, (case.logits, 3)),
        "xor.xor_guess_step": lambda: (xor_guess_step, ((np.full(3, 1 / 3, dtype), 1, 0), 1)),
        "contracts.match_lengths": lambda: (match_lengths, ("here", np.array([4, 1, 3]), 4)),
        "contracts.match_shapes": lambda: (match_shapes, ("here", "x: B D", x)),
        "contracts.take": lambda: (take, ("here", params, "W_xh", "b_h")),
        "losses.softmax": lambda: (softmax, (case.logits,)),
        "losses.cross_entropy": lambda: (cross_entropy, (case.logits, case.targets)),
        "losses.cross_entropy[mask]": lambda: (cross_entropy, (case.logits, case.targets, case.mask)),
        "output.output_init": lambda: (output_init, (np.random.default_rng(3), 5, 6, dtype)),
        "output.output_layer": lambda: (output_layer, (out, case.dhs)),
        "output.output_layer_backward": lambda: (output_layer_backward, (out, case.logits, (case.dhs,))),
        "elman.elman_init": lambda: (elman_init, (np.random.default_rng(3), 2, 5, dtype)),
        "sequence.initial_state": lambda: (initial_state, (case.start, 3)),
        "sequence.initial_state_backward": lambda: (initial_state_backward, (case.dstate,)),
        "last_step.loss_at_the_end": lambda: (
            loss_at_the_end,
            (elman_step, elman_step_backward, params | out, case.xs, state, case.targets[-1]),
        ),
        "gradcheck.numerical_gradient": lambda: (numerical_gradient, (_sum_of_squares, np.arange(3.0))),
        "gradcheck.gradient_check": lambda: (gradient_check, (_sum_of_squares, np.arange(3.0), 2 * np.arange(3.0))),
        "reber.is_reber": lambda: (is_reber, ("BTXSE",)),
        "reber.legal_next": lambda: (legal_next, ("BT",)),
        "reber.one_hot": lambda: (one_hot, (case.targets, 6, dtype)),
        "reber.predict_next": lambda: (predict_next, (elman_step, params | out, case.xs, state)),
        "reber.reber_automaton": lambda: (reber_automaton, ()),
        "reber.reber_batch": lambda: (_inputs_of_reber_batch, (["BTXSE", "BPVVE"], False, dtype)),
        "reber.reber_encode": lambda: (reber_encode, ("BTXSE",)),
        "reber.reber_states": lambda: (reber_states, ("BTX",)),
        "reber.reber_string": lambda: (reber_string, (np.random.default_rng(3), True)),
    }
    table |= _cell_calls(dtype) | _stream_calls(dtype) | _training_calls(dtype)
    table |= _labeling_calls(dtype)
    table |= _language_calls(dtype)
    table |= _pair_calls(dtype)
    table |= _attention_calls(dtype)
    for phi in PHIS:
        step, back = partial(elman_step, phi=phi), partial(elman_step_backward, phi=phi)
        table |= {
            f"elman.elman_step[{phi}]": lambda f=step: (f, (params, x, state)),
            f"elman.elman_step_backward[{phi}]": lambda f=back, s=step: (
                f,
                (params, case.dstate, s(params, x, state)[1]),
            ),
            f"sequence.rnn_forward[{phi}]": lambda f=step: (rnn_forward, (f, params, case.xs, state)),
            f"bptt.backward_through_time[{phi}]": lambda f=back, s=step: (
                backward_through_time,
                (f, params, case.dhs, case.dstate, rnn_forward(s, params, case.xs, state)[2]),
            ),
        }
    return table


def _stream_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of what reads long streams: windows, segments, batches that go on, and a table of vectors."""
    sizes = Sizes(7, 3, 2, 5, 6)
    case, other = make_cell_case("lstm", sizes, dtype=dtype), make_case(sizes, dtype=dtype)
    run, run_back = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
    given = (run, run_back, case.params | other.out, case.xs, other.targets, case.state)
    table, tokens = {"E": other.out["W_hy"]}, np.minimum(other.targets, 4)
    return {
        "bptt.truncated_bptt": lambda: (truncated_bptt, (*given, 3)),
        "checkpointing.checkpointed_bptt": lambda: (checkpointed_bptt, (*given, 3)),
        "checkpointing.checkpointed_bptt[root]": lambda: (checkpointed_bptt, given),
        "stateful.stateful_batches": lambda: (stateful_batches, (case.xs[:, 0, 0], 2, 2)),
        "embedding.embedding_init": lambda: (embedding_init, (np.random.default_rng(3), 4, 2, dtype)),
        "embedding.embed": lambda: (embed, (table, tokens)),
        "embedding.embed_backward": lambda: (embed_backward, (table, other.logits, (tokens,))),
    }


CELL_FUNCTIONS: dict[str, tuple[str, str, Any, Any]] = {  # kind: module, name, step, backward step
    "jordan": ("jordan", "jordan", jordan_step, jordan_step_backward),
    "lstm": ("lstm", "lstm", lstm_step, lstm_step_backward),
    "peephole": ("lstm_variants", "peephole_lstm", peephole_lstm_step, peephole_lstm_step_backward),
    "coupled": ("lstm_variants", "coupled_lstm", coupled_lstm_step, coupled_lstm_step_backward),
    "gru-before": ("gru", "gru", gru_step, gru_step_backward),
    "gru-after": ("gru", "gru", partial(gru_step, reset="after"), partial(gru_step_backward, reset="after")),
}


FUSED: dict[str, tuple[str, Any, Any]] = {  # variant: kind of cell, forward, backward
    "tanh": ("elman", elman_forward, elman_backward),
    "relu": ("elman", partial(elman_forward, phi="relu"), partial(elman_backward, phi="relu")),
    "lstm": ("lstm", lstm_forward, lstm_backward),
    "before": ("gru-before", gru_forward, gru_backward),
    "after": ("gru-after", partial(gru_forward, reset="after"), partial(gru_backward, reset="after")),
}


def _cell_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of the gated cells and Jordan's, of what converts them, and of what runs them in layers and both ways."""
    sizes = Sizes(4, 3, 2, 5, 6)
    rng, forced = np.random.default_rng, make_cell_case("jordan", sizes, dtype=dtype)
    table: dict[str, Callable[[], Call]] = {
        "activations.sigmoid": lambda: (sigmoid, (make_cell_case("lstm", sizes, dtype=dtype).xs,)),
        "jordan.jordan_init": lambda: (jordan_init, (rng(3), 2, 5, 6, dtype)),
        "jordan.jordan_as_elman": lambda: (jordan_as_elman, (forced.params,)),
        "jordan.jordan_teacher_forced": lambda: (
            jordan_teacher_forced,
            (forced.params, forced.xs, forced.dhs, forced.state),
        ),
        "lstm.clamp_gate": lambda: (clamp_gate, (make_cell_case("lstm", sizes, dtype=dtype).params, "f", True)),
        "lstm.lstm_init": lambda: (lstm_init, (rng(3), 2, 5, 1.0, dtype)),
        "lstm_variants.peephole_lstm_init": lambda: (peephole_lstm_init, (rng(3), 2, 5, 1.0, dtype)),
        "lstm_variants.coupled_lstm_init": lambda: (coupled_lstm_init, (rng(3), 2, 5, 1.0, dtype)),
        "gru.gru_init[before]": lambda: (gru_init, (rng(3), 2, 5, "before", dtype)),
        "gru.gru_init[after]": lambda: (gru_init, (rng(3), 2, 5, "after", dtype)),
    }
    for kind, (module, name, step, back) in CELL_FUNCTIONS.items():
        case = make_cell_case(kind, sizes, dtype=dtype)
        table[f"{module}.{name}_step[{kind}]"] = lambda c=case, f=step: (f, (c.params, c.xs[0], c.state))
        table[f"{module}.{name}_step_backward[{kind}]"] = lambda c=case, f=back, s=step: (
            f,
            (c.params, c.dstate, s(c.params, c.xs[0], c.state)[1]),
        )
    for kind, to_torch, from_torch in (
        ("elman", elman_to_torch, elman_from_torch),
        ("lstm", lstm_to_torch, lstm_from_torch),
        ("gru-after", gru_to_torch, gru_from_torch),
    ):
        params = make_cell_case(kind, sizes, dtype=dtype).params
        table[f"torch_layout.{to_torch.__name__}"] = lambda f=to_torch, p=params: (f, (p,))
        table[f"torch_layout.{from_torch.__name__}"] = lambda f=from_torch, g=to_torch, p=params: (f, (g(p),))
    for variant, (kind, run, run_back) in FUSED.items():
        case = make_cell_case(kind, sizes, dtype=dtype)
        name = kind.partition("-")[0]
        table[f"fused.{name}_forward[{variant}]"] = lambda c=case, f=run: (f, (c.params, c.xs, c.state))
        table[f"fused.{name}_backward[{variant}]"] = lambda c=case, f=run_back, r=run: (
            f,
            (c.params, c.dhs, c.dstate, r(c.params, c.xs, c.state)[2]),
        )
    return table | _layer_calls(dtype) | _batch_calls(dtype) | _gradient_calls(dtype)


def _layer_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    sizes = Sizes(4, 3, 2, 5, 6)
    pair = [make_cell_case("lstm", sizes, seed, dtype) for seed in (0, 1)]
    upper = make_cell_case("lstm", Sizes(4, 3, 5, 5, 6), 2, dtype)
    run, run_back = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
    params, states = tuple(c.params for c in pair), tuple(c.state for c in pair)
    dstates = tuple(c.dstate for c in pair)
    layers, starts = [pair[0].params, upper.params], [pair[0].state, upper.state]
    dlasts = [pair[0].dstate, upper.dstate]
    xs, dhs, lengths = pair[0].xs, np.concatenate([pair[0].dhs, pair[1].dhs], axis=-1), np.array([4, 1, 3])
    return {
        "bidirectional.reverse_sequences": lambda: (reverse_sequences, (xs,)),
        "bidirectional.reverse_sequences[lengths]": lambda: (reverse_sequences, (xs, lengths)),
        "bidirectional.bidirectional": lambda: (bidirectional, (run, params, xs, states, lengths)),
        "bidirectional.bidirectional_backward": lambda: (
            bidirectional_backward,
            (run_back, params, dhs, dstates, bidirectional(run, params, xs, states, lengths)[2], lengths),
        ),
        "stacked.stacked": lambda: (stacked, (run, layers, xs, starts)),
        "stacked.stacked_backward": lambda: (
            stacked_backward,
            (run_back, layers, upper.dhs, dlasts, stacked(run, layers, xs, starts)[2]),
        ),
        "causal.can_see": lambda: (can_see, (_so_far, xs)),
        "causal.stream_outputs": lambda: (stream_outputs, (_so_far, xs)),
    }


def _batch_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    sizes, lengths = Sizes(4, 3, 2, 5, 6), np.array([2, 4, 1])
    case, elman = make_cell_case("lstm", sizes, dtype=dtype), make_case(sizes, dtype=dtype)
    xs, packed = case.xs, pack(case.xs, lengths)
    net = {"cell": case.params, "out": elman.out}
    run, run_back = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
    return {
        "batching.pad": lambda: (_first(pad), ([xs[:2, 0], xs[:, 1], xs[:0, 2]], -1)),
        "batching.mask_from_lengths": lambda: (mask_from_lengths, (lengths, 5)),
        "batching.masked_mean_loss": lambda: (masked_mean_loss, (elman.logits[..., 0], elman.mask)),
        "batching.bucket": lambda: (bucket, (lengths, 2, np.random.default_rng(3))),
        "packing.pack": lambda: (_first(pack), (xs, lengths)),
        "packing.unpack": lambda: (_first(unpack), (packed, -1)),
        "packing.packed_forward": lambda: (packed_forward, (lstm_step, case.params, packed, case.state)),
        "packing.packed_backward": lambda: (
            packed_backward,
            (
                lstm_step_backward,
                case.params,
                pack(case.dhs, lengths),
                case.dstate,
                packed_forward(lstm_step, case.params, packed, case.state)[2],
            ),
        ),
        "padded.padded_loss": lambda: (padded_loss, (run, run_back, net, xs, elman.targets, lengths, case.state)),
    } | _class_calls(dtype)


def _class_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of what gives one label to a whole sequence: poolings, a classifier of symbols and of vectors, metrics."""
    sizes, lengths, labels = Sizes(4, 3, 2, 5, 6), np.array([2, 4, 1]), np.array([5, 0, 2])
    case, elman = make_cell_case("lstm", sizes, dtype=dtype), make_case(sizes, dtype=dtype)
    hs, dpooled, mask = case.dhs, case.dhs[0], mask_from_lengths(lengths)
    net = {"cell": case.params, "out": elman.out}
    of_symbols = net | {"embedding": {"E": case.dhs[:, 0, :2]}}
    run, run_back = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
    four, given = (run, run_back, pool_max, pool_max_backward), (lengths, case.state)
    symbols = np.minimum(elman.targets, 3)
    confusion = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])
    return {
        "pooling.pool_last": lambda: (_first(pool_last), (hs, lengths)),
        "pooling.pool_mean": lambda: (_first(pool_mean), (hs, lengths)),
        "pooling.pool_max": lambda: (_first(pool_max), (hs, lengths)),
        "pooling.pool_last_backward": lambda: (pool_last_backward, (dpooled, (mask,))),
        "pooling.pool_mean_backward": lambda: (pool_mean_backward, (dpooled, (mask,))),
        "pooling.pool_max_backward": lambda: (pool_max_backward, (dpooled, pool_max(hs, lengths)[1])),
        "classifier.classifier_forward": lambda: (_first(classifier_forward), (run, pool_max, net, case.xs, *given)),
        "classifier.classifier_forward[symbols]": lambda: (
            _first(classifier_forward),
            (run, pool_max, of_symbols, symbols, *given),
        ),
        "classifier.classifier_backward": lambda: (
            classifier_backward,
            (
                run_back,
                pool_max_backward,
                of_symbols,
                elman.logits[0],
                classifier_forward(run, pool_max, of_symbols, symbols, *given)[1],
            ),
        ),
        "classifier.classifier_loss": lambda: (classifier_loss, (*four, of_symbols, symbols, *given, labels)),
        "classifier.input_influence": lambda: (input_influence, (*four, net, case.xs, *given, labels)),
        "classifier.input_influence[symbols]": lambda: (
            input_influence,
            (*four, of_symbols, symbols, *given, labels),
        ),
        "metrics.confusion_matrix": lambda: (confusion_matrix, (labels, labels[::-1], 6)),
        "metrics.macro_f1": lambda: (macro_f1, (confusion,)),
        "parameters.flat": lambda: (flat, (of_symbols,)),
        "parameters.nested": lambda: (nested, (flat(of_symbols),)),
    }


def _first(function: Callable[..., Any]) -> Callable[..., Array]:
    """The first result alone: the others are integers, whatever the dtype of what goes in."""

    def first(*args: Any) -> Array:
        return function(*args)[0]

    return first


def _gradient_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of what looks at gradients, shortens them, or starts nets so that they keep their length."""
    rng, case = np.random.default_rng, make_case(Sizes(4, 3, 2, 5, 6), dtype=dtype)
    lstm = make_cell_case("lstm", Sizes(4, 3, 2, 5, 6), dtype=dtype)
    grads, norm = case.params, {"gain": case.params["b_h"], "bias": case.start[0]}
    table: dict[str, Callable[[], Call]] = {
        "diagnostics.elman_jacobian": lambda: (elman_jacobian, (case.params, case.state[0])),
        "diagnostics.state_jacobian": lambda: (
            state_jacobian,
            (lstm_step, lstm_step_backward, lstm.params, lstm.xs[0], lstm.state),
        ),
        "diagnostics.product_norms": lambda: (product_norms, (np.stack([case.params["W_hh"]] * 3),)),
        "diagnostics.gradient_norm_profile": lambda: (
            gradient_norm_profile,
            (
                lstm_step_backward,
                lstm.params,
                lstm.dstate,
                rnn_forward(lstm_step, lstm.params, lstm.xs, lstm.state)[2],
            ),
        ),
        "clipping.clip_by_norm": lambda: (clip_by_norm, (grads, 0.1)),
        "clipping.clip_by_norm[short]": lambda: (clip_by_norm, (grads, 1e6)),
        "clipping.clip_by_value": lambda: (clip_by_value, (grads, 0.1)),
        "clipping.clipped_step": lambda: (clipped_step, (case.params, grads, 0.1, 0.5)),
        "initialization.orthogonal": lambda: (orthogonal, (rng(3), 3, 5, 1.5, dtype)),
        "initialization.identity": lambda: (identity, (4, 0.5, dtype)),
        "initialization.xavier_uniform": lambda: (xavier_uniform, (rng(3), 3, 5, 1.5, dtype)),
        "layer_norm.layer_norm": lambda: (layer_norm, (norm, case.dhs)),
        "layer_norm.layer_norm_backward": lambda: (
            layer_norm_backward,
            (norm, case.dhs, layer_norm(norm, case.dhs[::-1])[1]),
        ),
        "long_tasks.adding_problem": lambda: (adding_problem, (rng(3), 5, 4, dtype)),
        "long_tasks.copy_task": lambda: (_inputs_of_copy_task, (rng(3), 4, 3, 2, 5, dtype)),
    }
    return table


def _training_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of what trains: a step of each optimizer with a memory behind it, and a run of four weights."""
    case = make_case(Sizes(4, 3, 2, 5, 6), dtype=dtype)
    params, rng = case.params, np.random.default_rng
    grads = {name: 0.5 * value for name, value in params.items()}
    squares = {name: value * value for name, value in params.items()}
    mask = (case.dhs[0] > 0).astype(dtype)

    def run() -> dict[str, Any]:
        return fit(new_run(params, rng(3)), _pull, 2, _steady, validate=_length)

    return {
        "optimizers.sgd": lambda: (sgd, (params, grads, {}, 0.1, 0.2)),
        "optimizers.momentum": lambda: (momentum, (params, grads, {"velocity": grads}, 0.1, 0.9, True)),
        "optimizers.rmsprop": lambda: (rmsprop, (params, grads, {"square": squares}, 0.1)),
        "optimizers.adam": lambda: (
            adam,
            (params, grads, {"t": 3, "mean": grads, "square": squares}, 0.1, (0.9, 0.99), 1e-8, 0.1),
        ),
        "schedules.warmup_cosine": lambda: (warmup_cosine, (7, 20, 0.1, 3, 0.01)),
        "schedules.teacher_chance": lambda: (teacher_chance, (7, 20.0, "sigmoid")),
        "scheduled_sampling.choose_input": lambda: (choose_input, (rng(3), case.dhs[0], case.dhs[1], 0.5)),
        "dropout.variational_dropout": lambda: (variational_dropout, (rng(3), case.dhs, 0.3)),
        "dropout.variational_dropout[in use]": lambda: (variational_dropout, (rng(3), case.dhs, 0.3, False)),
        "dropout.variational_dropout_backward": lambda: (variational_dropout_backward, (case.dhs, mask)),
        "monitor.update_ratio": lambda: (update_ratio, (params, grads)),
        "monitor.gate_saturation": lambda: (gate_saturation, (np.abs(case.dhs),)),
        "runs.new_run": lambda: (new_run, (params, rng(3))),
        "runs.keep_best": lambda: (keep_best, (run(), 0.01)),
        "runs.run_to_arrays": lambda: (run_to_arrays, (run(),)),
        "runs.arrays_to_run": lambda: (arrays_to_run, (run_to_arrays(run()), rng(4))),
        "runs.save_run": lambda: (_saved, (run(),)),
        "runs.load_run": lambda: (_saved, (run(),)),
        "training.fit": lambda: (fit, (run(), _pull, 5, _steady, adam, 1.0, _length)),
    }


def _labeling_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of a chain over five labels, legal paths of three sequences, and of what reads spans from labels."""
    case, cell = make_case(Sizes(4, 3, 2, 6, 5), dtype=dtype), make_cell_case("lstm", Sizes(4, 3, 2, 6, 5), dtype=dtype)
    names, lengths = ["O", "B-a", "I-a", "B-b", "I-b"], np.array([2, 4, 1])
    chain = {"transitions": case.out["W_hy"][:5], "start": case.out["b_y"], "stop": case.logits[0, 0]}
    legal, labels = forbid(chain, bio_allowed(names)), np.array([[0, 1, 3], [1, 2, 9], [9, 2, 9], [9, 0, 9]])
    net = {"cell": cell.params, "out": case.out, "crf": legal}
    run, run_back = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
    spelled = [["B-a", "I-a", "O", "I-b"], ["O"]]
    return {
        "crf.crf_init": lambda: (crf_init, (5, dtype)),
        "crf.log_sum_exp": lambda: (log_sum_exp, (case.logits, 1)),
        "crf.crf_score": lambda: (crf_score, (legal, case.logits, labels, lengths)),
        "crf.messages_ahead": lambda: (messages_ahead, (legal, case.logits)),
        "crf.messages_back": lambda: (messages_back, (legal, case.logits, lengths)),
        "crf.crf_log_partition": lambda: (crf_log_partition, (legal, case.logits, lengths)),
        "crf.marginals": lambda: (marginals, (legal, case.logits, lengths)),
        "crf.crf_loss": lambda: (crf_loss, (legal, case.logits, labels, lengths)),
        "crf.viterbi": lambda: (_second(viterbi), (legal, case.logits, lengths)),
        "bio.bio_allowed": lambda: (bio_allowed, (names,)),
        "bio.forbid": lambda: (forbid, (chain, bio_allowed(names))),
        "bio.spans": lambda: (spans, (spelled[0],)),
        "bio.span_f1": lambda: (span_f1, (spelled, [["B-a", "I-a", "O", "O"], ["B-b"]])),
        "tagger.crf_tagger_loss": lambda: (
            crf_tagger_loss,
            (run, run_back, net, case.xs, labels, lengths, cell.state),
        ),
    }


def _attention_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of one step of attention and of the decoders made of it: a source of 5 steps, 3 sequences, keys of 4."""
    rng = np.random.default_rng(3)

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    query, near, keys, scores = draw(3, 2), draw(3, 4), draw(5, 3, 4), draw(5, 3)
    lengths = np.array([5, 2, 4])
    mask = np.arange(5)[:, None] < lengths
    weights = (mask / mask.sum(axis=0)).astype(dtype)
    forms: dict[str, tuple[Any, Any, Params]] = {
        "general": (general_score, general_score_backward, {"W": draw(2, 4)}),
        "concat": (concat_score, concat_score_backward, {"W": draw(6, 7), "v": draw(7)}),
        "additive": (additive_score, additive_score_backward, {"W_q": draw(2, 7), "W_k": draw(4, 7), "v": draw(7)}),
    }
    center = {"W_p": draw(2, 6), "v_p": draw(6)}
    cell = {"W_xh": draw(9, 6), "W_hh": draw(2, 6), "b_h": draw(6)}
    parts = {"cell": cell, "score": forms["additive"][2], "combine": {"W_c": draw(6, 4)}}
    x, state, dstate = draw(3, 5), (query, draw(3, 4)), (draw(3, 2), draw(3, 4))
    words = rng.integers(6, size=(6, 3))
    batch = words[:5], lengths, words, np.array([3, 6, 2])
    table: dict[str, Callable[[], Call]] = {
        "alignment.alignment_error_rate": lambda: (alignment_error_rate, (weights > 0.2, mask, scores > 0)),
        "attention.masked_softmax": lambda: (masked_softmax, (scores, mask)),
        "attention.masked_softmax_backward": lambda: (masked_softmax_backward, (scores, weights)),
        "attention.dot_score": lambda: (dot_score, (near, keys)),
        "attention.dot_score[scaled]": lambda: (dot_score, (near, keys, True)),
        "attention.dot_score_backward": lambda: (dot_score_backward, (scores, (near, keys), True)),
        "attention.score": lambda: (score, ({}, near, keys)),
        "attention.score_backward": lambda: (score_backward, ({}, scores, (near, keys))),
        "attention.attend": lambda: (attend, (weights, keys)),
        "attention.attend_backward": lambda: (attend_backward, (near, (weights, keys))),
        "attention.local_window": lambda: (local_window, (scores[0], lengths, 5, 1.5)),
        "attention.local_center": lambda: (local_center, (center, query, lengths)),
        "attention.local_center_backward": lambda: (
            local_center_backward,
            (center, scores[0], local_center(center, query, lengths)[1]),
        ),
        "attention.focus": lambda: (focus, (weights, scores[0], 3.0)),
        "attention.focus_backward": lambda: (focus_backward, (scores, focus(weights, scores[0], 3.0)[1], 3.0)),
        "attention_decoder.attention_weights": lambda: (
            attention_weights,
            (attention_init(np.random.default_rng(3), 6, 6, 2, 4, "general", dtype), *batch[:3]),
        ),
        "attention_decoder.next_word": lambda: (
            next_word,
            (
                attention_init(np.random.default_rng(3), 6, 6, 2, 4, "general", dtype)["decoder"],
                keys,
                mask,
                words[0],
                (near, near),
            ),
        ),
    }
    for name, (forward, back, params) in forms.items():
        table[f"attention.{name}_score"] = lambda f=forward, p=params: (f, (p, query, keys))
        table[f"attention.{name}_score_backward"] = lambda f=back, g=forward, p=params: (
            f,
            (p, scores, g(p, query, keys)[1]),
        )
        table[f"attention_decoder.attention_init[{name}]"] = lambda kind=name: (
            attention_init,
            (np.random.default_rng(3), 6, 6, 2, 4, kind, dtype),
        )
    for name, step, back in (
        ("luong", luong_step, luong_step_backward),
        ("bahdanau", bahdanau_step, bahdanau_step_backward),
    ):
        table[f"attention_decoder.{name}_step"] = lambda f=step: (f, (parts, x, state, keys, mask))
        table[f"attention_decoder.{name}_step_backward"] = lambda f=back, g=step: (
            f,
            (parts, dstate, g(parts, x, state, keys, mask)[1]),
        )
        table[f"attention_decoder.attention_seq2seq_loss[{name}]"] = lambda f=step, g=back: (
            attention_seq2seq_loss,
            (attention_init(np.random.default_rng(3), 6, 6, 2, 4, "additive", dtype), *batch, f, g),
        )
    return table


def _pair_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of what turns sequences into sequences: 3 pairs, letters of 4 kinds, words of 6, D = 2, H = 5."""
    rng = np.random.default_rng
    net = seq2seq_init(rng(3), 4, 6, 2, 5, dtype)
    encoder, decoder = net["encoder"], net["decoder"]
    sources, targets = rng(4).integers(4, size=(7, 3)), rng(5).integers(6, size=(5, 3))
    n, m = np.array([3, 7, 1]), np.array([5, 2, 4])
    case = make_case(Sizes(7, 3, 2, 5, 6), dtype=dtype)
    said, wanted = [[1, 2, 3, 4, 5], [1, 1]], [[1, 2, 3, 4, 4, 5], [1, 2, 1]]
    inside = (np.arange(7)[:, None] < n)[..., None].astype(dtype)

    def speak(words: Array, state: State) -> tuple[Array, State]:
        return decode_step(decoder, words, state)[:2]

    return {
        "seq2seq.seq2seq_init": lambda: (seq2seq_init, (rng(3), 4, 6, 2, 5, dtype)),
        "seq2seq.encode": lambda: (_first(encode), (encoder, sources, n)),
        "seq2seq.encode_backward": lambda: (
            encode_backward,
            (encoder, case.dhs * inside, case.dstate, encode(encoder, sources, n)[2]),
        ),
        "seq2seq.decode_step": lambda: (decode_step, (decoder, targets[0], case.state)),
        "seq2seq.decode_step_backward": lambda: (
            decode_step_backward,
            (decoder, case.logits[0], case.dstate, decode_step(decoder, targets[0], case.state)[2]),
        ),
        "seq2seq.seq2seq_loss": lambda: (seq2seq_loss, (net, sources, n, targets, m)),
        "seq2seq.seq2seq_loss[fed]": lambda: (seq2seq_loss, (net, sources, n, targets, m, targets[1:])),
        "seq2seq.greedy_decode": lambda: (greedy_decode, (speak, case.state, 1, 2, 4)),
        "seq2seq.scheduled_inputs": lambda: (scheduled_inputs, (speak, case.state, targets, 0.5, rng(6))),
        "seq2seq.add_grads": lambda: (add_grads, (net, net)),
        "edit_distance.edit_distance": lambda: (edit_distance, (said[0], wanted[0])),
        "bleu.bleu": lambda: (bleu, (said, wanted, "exp")),
        "beam_decode.length_penalty": lambda: (length_penalty, (7, 0.6)),
        "beam_decode.beam_decode": lambda: (beam_decode, (speak, (case.state[0][:1],), 1, 2, 3, 4)),
    }


def _language_calls(dtype: Any) -> dict[str, Callable[[], Call]]:
    """Calls of what counts, chooses and searches among symbols, and of the language model, tied and not."""
    case, lstm = make_case(Sizes(4, 3, 5, 5, 6), dtype=dtype), make_cell_case("lstm", Sizes(4, 3, 5, 5, 6), dtype=dtype)
    tied = lstm.params | {"E": case.out["W_hy"].T.copy(), "b_y": case.out["b_y"]}
    free, p = tied | case.out, softmax(case.logits)
    tokens, targets, log_p = case.targets, case.targets[::-1].copy(), np.log(p[..., 0])
    run, run_back = partial(rnn_forward, lstm_step), partial(backward_through_time, lstm_step_backward)
    tables = [ngram_counts(tokens.ravel(), order, 6) for order in (1, 2)]
    training = {"params": free, "optimizer": {}, "step": 0}
    batches = [(tokens, targets), (targets, tokens)]
    return {
        "vocabulary.make_vocabulary": lambda: (make_vocabulary, (["to", "be", "to"], 1, ["?"])),
        "vocabulary.to_ids": lambda: (to_ids, (["?", "to", "be"], ["to", "sleep"], "?")),
        "vocabulary.to_tokens": lambda: (to_tokens, (["?", "to", "be"], [1, 2])),
        "ngrams.ngram_counts": lambda: (ngram_counts, (tokens.ravel(), 2, 6)),
        "ngrams.ngram_probabilities": lambda: (ngram_probabilities, (tables, tokens, 0.5)),
        "ngrams.ngram_log_probs": lambda: (ngram_log_probs, (tables, tokens.ravel(), 0.5)),
        "perplexity.perplexity": lambda: (perplexity, (log_p, case.mask)),
        "perplexity.bits_per_token": lambda: (bits_per_token, (log_p,)),
        "sampling.temper": lambda: (temper, (case.logits, 0.7)),
        "sampling.temper[zero]": lambda: (temper, (case.logits, 0)),
        "sampling.top_k": lambda: (top_k, (p, 3)),
        "sampling.nucleus": lambda: (nucleus, (p, 0.8)),
        "sampling.sample": lambda: (sample, (np.random.default_rng(3), p)),
        "beam.beam_search": lambda: (beam_search, (_always, np.log(p[0, 0]), 1, 0, 3, 4, 1.0)),
        "tied.tied_output": lambda: (tied_output, (tied, case.dhs)),
        "tied.tied_output_backward": lambda: (tied_output_backward, (tied, case.logits, (case.dhs,))),
        "language.language_init": lambda: (language_init, (np.random.default_rng(3), 6, lstm.params, True, dtype)),
        "language.language_loss": lambda: (language_loss, (run, run_back, free, tokens, targets, lstm.state)),
        "language.language_loss[tied]": lambda: (language_loss, (run, run_back, tied, tokens, targets, lstm.state)),
        "language.language_log_probs": lambda: (language_log_probs, (run, free, tokens, targets, lstm.state)),
        "language.language_step": lambda: (language_step, (lstm_step, free, tokens[0], lstm.state)),
        "language.train_stateful": lambda: (
            train_stateful,
            (run, run_back, training, batches, lstm.state, _steady, 1.0),
        ),
    }


def _second(function: Callable[..., Any]) -> Callable[..., Array]:
    """The second result alone: the first are integers, whatever the dtype of what goes in."""

    def second(*args: Any) -> Array:
        return function(*args)[1]

    return second


def _always(log_probs: Array, token: int) -> tuple[Array, Array]:
    return log_probs, log_probs


def _pull(params: Params, rng: np.random.Generator) -> tuple[float, Params]:
    grads = {name: value - value.dtype.type(rng.random()) for name, value in params.items()}
    return sum(float((g * g).sum()) for g in grads.values()) / 2, grads


def _steady(step: int) -> float:
    return 0.01 * step


def _length(params: Params) -> float:
    return sum(float((value * value).sum()) for value in params.values())


def _saved(run: dict[str, Any]) -> dict[str, Any]:
    """What comes back of a run from a file."""
    with tempfile.TemporaryDirectory() as folder:
        save_run(f"{folder}/run.npz", run)
        return load_run(f"{folder}/run.npz", np.random.default_rng(4)) | {"rng": None}


def _running_sum(total: Array, x: Array) -> tuple[Array, Array]:
    return total + x, total + x


def _so_far(xs: Array) -> Array:
    return np.cumsum(xs, axis=0)


def _sum_of_squares(x: Array) -> float:
    return float((x * x).sum())


def _inputs_of_copy_task(*args: Any) -> Array:
    return copy_task(*args)[0]


def _inputs_of_reber_batch(*args: Any) -> Array:
    return reber_batch(*args).xs


# --- a second cell, so that "any cell" is more than Elman's


def integrator_step(params: Params, x: Array, state: State) -> tuple[State, Cache]:
    """h_t = tanh(c_t), c_t = 0.9 c_{t-1} + x_t W + 0.5 h_{t-1}: a state of two arrays that both carry gradient."""
    h_prev, c_prev = state
    c = 0.9 * c_prev + x @ params["W"] + 0.5 * h_prev
    h = np.tanh(c)
    return (h, c), (x, h)


def integrator_step_backward(params: Params, dstate: State, cache: Cache) -> tuple[Array, State, Params]:
    (dh, dc), (x, h) = dstate, cache
    dc = dc + dh * (1 - h * h)
    return dc @ params["W"].T, (0.5 * dc, 0.9 * dc), {"W": x.T @ dc}
