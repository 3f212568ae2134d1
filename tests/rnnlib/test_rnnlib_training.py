"""Optimizers are PyTorch's; masks stand still in time; a run that is broken off goes on with the same bits."""

import copy
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rnnlib_checks import SIZES, Sizes, arrays_in, assert_all_close, assert_close, make_case

from rnnlib.dropout import variational_dropout, variational_dropout_backward
from rnnlib.elman import elman_init, elman_step, elman_step_backward
from rnnlib.last_step import loss_at_the_end
from rnnlib.monitor import gate_saturation, update_ratio
from rnnlib.optimizers import adam, momentum, rmsprop, sgd
from rnnlib.output import output_init
from rnnlib.runs import arrays_to_run, keep_best, load_run, new_run, run_to_arrays, save_run
from rnnlib.scheduled_sampling import choose_input
from rnnlib.schedules import teacher_chance, warmup_cosine
from rnnlib.training import fit
from rnnlib.types import Array, Params

T = torch.optim
OPTIMIZERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sgd": (sgd, T.SGD),
    "sgd, decay": (partial(sgd, weight_decay=0.3), partial(T.SGD, weight_decay=0.3)),
    "momentum": (momentum, partial(T.SGD, momentum=0.9)),
    "momentum 0.5": (partial(momentum, mu=0.5), partial(T.SGD, momentum=0.5)),
    "nesterov": (partial(momentum, nesterov=True), partial(T.SGD, momentum=0.9, nesterov=True)),
    "rmsprop": (rmsprop, T.RMSprop),
    "rmsprop 0.9": (partial(rmsprop, keep=0.9, eps=0.01), partial(T.RMSprop, alpha=0.9, eps=0.01)),
    "adam": (adam, T.Adam),
    "adam, other betas": (partial(adam, betas=(0.7, 0.95), eps=0.1), partial(T.Adam, betas=(0.7, 0.95), eps=0.1)),
    "adamw": (partial(adam, weight_decay=0.2), partial(T.AdamW, weight_decay=0.2)),
}
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


@every_optimizer
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_fifty_steps_are_those_of_torch_optim(name: str, sizes: Sizes) -> None:
    """The same gradients and a rate that changes: after every one of 50 steps the weights agree to 1e-10."""
    ours, theirs = OPTIMIZERS[name]
    case, rng = make_case(sizes), np.random.default_rng(1)
    params, state = case.params | case.out, {}
    weights = {k: torch.tensor(value, requires_grad=True) for k, value in params.items()}
    optimizer = theirs(list(weights.values()), lr=0.1)
    for t in range(1, 51):
        rate = warmup_cosine(t, 50, 0.1, 5, 0.01)
        grads = {k: rng.standard_normal(value.shape) + 0.1 * value for k, value in params.items()}
        for k, weight in weights.items():
            weight.grad = torch.from_numpy(grads[k])
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        params, state = ours(params, grads, state, rate)
        assert_all_close(params, {k: weight.detach().numpy() for k, weight in weights.items()})


def test_without_bias_correction_adam_is_another() -> None:
    """The comparison above can fail: the usual mistakes are found at the first step."""
    params, grads = {"w": np.ones(3)}, {"w": np.full(3, 2.0)}
    right, _ = adam(params, grads, {}, 0.1)
    assert_close("first step", right["w"], np.full(3, 0.9), tol=1e-8)
    wrong = 1 - 0.1 * (0.1 * 2) / np.sqrt(0.001 * 4)
    assert abs(wrong - 0.9) > 0.1


@every_optimizer
def test_a_row_of_steps_leaves_every_earlier_one_as_it_was(name: str) -> None:
    """Old parameters and old states are still there after ten more steps: nothing is changed in place."""
    ours, rng = OPTIMIZERS[name][0], np.random.default_rng(2)
    params, state, seen = {"W": rng.standard_normal((2, 3)), "b": rng.standard_normal(3)}, {}, []
    for _ in range(10):
        seen.append((params, state, copy.deepcopy((params, state))))
        params, state = ours(params, {k: rng.standard_normal(v.shape) for k, v in params.items()}, state, 0.1)
    for params, state, before in seen:
        for (path, now), (_, then) in zip(arrays_in([params, state]), arrays_in(list(before)), strict=True):
            assert_close(path, now, then, tol=0.0)


# --- schedules


@pytest.mark.parametrize(("total", "warmup", "floor"), [(40, 7, 0.002), (13, 1, 0.0), (9, 0, 0.01)])
def test_the_rates_are_those_of_torchs_schedulers(total: int, warmup: int, floor: float) -> None:
    """LinearLR up to the peak, CosineAnnealingLR from there, one after the other."""
    optimizer = T.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    scheduler = T.lr_scheduler
    parts: list[Any] = [scheduler.CosineAnnealingLR(optimizer, total - max(warmup, 0), floor)]
    if warmup > 1:
        optimizer = T.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
        parts = [
            scheduler.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1),
            scheduler.CosineAnnealingLR(optimizer, total - warmup, floor),
        ]
        schedule: Any = scheduler.SequentialLR(optimizer, parts, [warmup - 1])
    else:
        schedule = parts[0]
    theirs = []
    for _ in range(total + 1):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    shift = 1 if warmup == 0 else 0  # without warm-up the first step is already one down from the peak
    ours = [warmup_cosine(t, total, 0.05, warmup, floor) for t in range(1, total + 1)]
    assert_close("rates", ours, theirs[shift : shift + total])


def test_the_teachers_chance_does_not_overflow() -> None:
    """A step of a million is the floor, for every form, and no warning is given."""
    with np.errstate(all="raise"):
        for kind, k in (("linear", 10.0), ("exponential", 0.9), ("sigmoid", 2.0)):
            assert teacher_chance(10**6, k, kind, 0.1) == 0.1
            assert 0 <= teacher_chance(10**6, k, kind) < 1e-300 or kind == "sigmoid"


@pytest.mark.parametrize("kind", ["linear", "exponential", "sigmoid"])
def test_the_teachers_chance_is_the_formula(kind: str) -> None:
    """Each form as the paper writes it."""
    k = 0.93 if kind == "exponential" else 17.0
    for i in range(60):
        written = {"linear": 1 - i / k, "exponential": k**i, "sigmoid": k / (k + math.exp(i / k))}[kind]
        assert teacher_chance(i, k, kind) == pytest.approx(max(0.0, written), abs=1e-12)


# --- dropout and scheduled sampling


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("drop", [0.0, 0.3, 0.9])
def test_dropout_and_its_way_back_are_a_product_with_one_mask(sizes: Sizes, drop: float) -> None:
    """Outputs and gradients agree with PyTorch's of the same product, at every step with the same mask."""
    case = make_case(sizes)
    ys, mask = variational_dropout(np.random.default_rng(3), case.dhs, drop)
    xs = torch.tensor(case.dhs, requires_grad=True)
    expected = xs * torch.from_numpy(mask)
    expected.backward(torch.from_numpy(case.dhs[::-1].copy()))
    dxs = variational_dropout_backward(case.dhs[::-1].copy(), mask)
    assert_all_close({"ys": ys, "dxs": dxs}, {"ys": expected.detach(), "dxs": xs.grad})
    assert set(np.unique(mask)) <= {0.0, 1 / (1 - drop)}


def test_the_mean_over_masks_is_the_net_in_use() -> None:
    """Over 20,000 masks the mean of what comes out is what goes in, within five standard errors."""
    xs = np.ones((1, 20_000, 2))
    ys, _ = variational_dropout(np.random.default_rng(4), xs, 0.4)
    assert ys.mean() == pytest.approx(1.0, abs=5 * math.sqrt(0.4 / 0.6 / 40_000))
    used, mask = variational_dropout(np.random.default_rng(4), xs, 0.4, training=False)
    assert (used == 1).all()
    assert (mask == 1).all()


@pytest.mark.parametrize("shape", [(500,), (500, 3), (500, 2, 4)])
def test_a_row_is_the_truths_or_the_nets(shape: tuple[int, ...]) -> None:
    """With the coins drawn again, each row is the one that its coin says."""
    rng = np.random.default_rng(5)
    truth, said = rng.standard_normal(shape), rng.standard_normal(shape)
    fed = choose_input(np.random.default_rng(6), truth, said, 0.3)
    coins = np.random.default_rng(6).random(500) < 0.3
    for b in range(500):
        assert (fed[b] == (truth if coins[b] else said)[b]).all()


# --- monitor


def test_update_ratio_is_of_one_long_vector() -> None:
    """Arrays are put end to end; a rotation of all weights by a small angle shows although no length changes."""
    rng = np.random.default_rng(7)
    before = {"a": rng.standard_normal((3, 4)), "b": 100 * rng.standard_normal(2)}
    after = {name: value + 0.01 * rng.standard_normal(value.shape) for name, value in before.items()}
    one, two = (np.concatenate([t["a"].ravel(), t["b"]]) for t in (before, after))
    assert update_ratio(before, after) == pytest.approx(np.linalg.norm(two - one) / np.linalg.norm(one), rel=1e-12)


def test_gate_saturation_counts_both_ends() -> None:
    """Two of five values are near an end."""
    gates = np.array([0.01, 0.3, 0.5, 0.94, 0.99])
    assert gate_saturation(gates) == pytest.approx(0.4)
    assert gate_saturation(gates, 0.1) == pytest.approx(0.6)


# --- runs and fit: an Elman net, dropout on its inputs, Adam, a schedule, clipping, early stopping


def _loss_and_grads(params: Params, rng: np.random.Generator) -> tuple[float, Params]:
    xs, _ = variational_dropout(rng, rng.standard_normal((6, 8, 3)), 0.2)
    targets = (xs[0, :, 0] > 0).astype(np.int64)
    return loss_at_the_end(elman_step, elman_step_backward, params, xs, (np.zeros((8, 5)),), targets)


def _validate(params: Params) -> float:
    return _loss_and_grads(params, np.random.default_rng(99))[0]


DECAYING = partial(adam, weight_decay=0.01)


def _start() -> dict[str, Any]:
    rng = np.random.default_rng(8)
    return new_run(elman_init(rng, 3, 5) | output_init(rng, 5, 2), rng)


def _train(run: dict[str, Any], steps: int, optimizer: Any = DECAYING, **how: Any) -> Any:
    rates = partial(warmup_cosine, total=20, peak=0.05, warmup=4)
    return fit(run, _loss_and_grads, steps, rates, optimizer, 0.5, _validate, 3, **how)


def _bits(run: dict[str, Any]) -> dict[str, Any]:
    """Everything in a run, as bytes."""
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in run_to_arrays(run).items()}


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 7, 12, 19, 20])
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adamw"])
def test_a_run_that_is_broken_off_and_read_from_a_file_ends_with_the_same_bits(
    name: str, stop: int, tmp_path: Path
) -> None:
    """Weights, optimizer's memory, step, generator, best so far: after a break at any step, every bit is the same."""
    optimizer = OPTIMIZERS[name][0]
    whole = _train(_start(), 20, optimizer)
    save_run(tmp_path / "run.npz", _train(_start(), stop, optimizer))
    rest = _train(load_run(tmp_path / "run.npz", np.random.default_rng()), 20, optimizer)
    assert _bits(rest) == _bits(whole)


def test_the_comparison_of_bits_sees_each_part_that_is_lost(tmp_path: Path) -> None:
    """Without the optimizer's memory, the generator, the step, the best or its count, the end is another."""
    whole, half = _bits(_train(_start(), 20)), _train(_start(), 7)
    assert _bits(_train(half, 20)) == whole
    lost: dict[str, Any] = {"optimizer": {}, "rng": np.random.default_rng(8), "step": 6, "waited": 50}
    lost |= {"best_loss": -1.0, "best_params": {}, "params": half["best_params"]}
    for part, value in lost.items():
        assert _bits(_train(half | {part: value}, 20)) != whole, part


def test_every_reported_run_can_be_gone_on_with() -> None:
    """A run that was handed to `report` stays what it was, though training went on."""
    seen: list[dict[str, Any]] = []
    whole = _train(_start(), 20, report=lambda run, numbers: seen.append(run))
    assert [run["step"] for run in seen] == list(range(1, 21))
    for run in seen[::4]:
        assert _bits(_train(run, 20)) == _bits(whole)


def test_a_file_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where writing fails half way, or before the name is taken, the old run is still there and loads."""
    path = tmp_path / "run.npz"
    save_run(path, _train(_start(), 3))
    before = path.read_bytes()

    def half(file: Any, **arrays: Array) -> None:
        file.write(before[: len(before) // 2])
        raise OSError("no space left on device")

    for name, fault in (("numpy.savez", half), ("os.fsync", _fail), ("os.replace", _fail)):
        with monkeypatch.context() as patch:
            patch.setattr(name, fault)
            with pytest.raises(OSError, match="no space"):
                save_run(path, _train(_start(), 6))
        assert path.read_bytes() == before, name
    assert load_run(path, np.random.default_rng())["step"] == 3


def _fail(*_: Any) -> None:
    raise OSError("no space left on device")


KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = [{folder!r}]
import numpy as np
import test_rnnlib_training as t

def save(run, numbers):
    t.save_run({path!r}, run)
    if run["step"] == 9:
        replace, os.replace = os.replace, lambda *names: os._exit(9)  # the machine goes down while step 9 is written
        t.save_run({path!r}, run | {{"step": 77}})

t._train(t._start(), 20, report=save)
"""


def test_a_process_that_dies_while_it_saves_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    """Killed between writing and naming: the file holds step 9, and training from it ends with the same bits."""
    path = tmp_path / "run.npz"
    code = KILLED.format(folder=str(Path(__file__).parent), path=str(path))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 9
    run = load_run(path, np.random.default_rng())
    assert run["step"] == 9
    assert _bits(_train(run, 20)) == _bits(_train(_start(), 20))


def test_a_file_holds_no_pickle(tmp_path: Path) -> None:
    """It is read with allow_pickle=False, no member is an array of objects, and what is none of ours is refused."""
    path = tmp_path / "run.npz"
    save_run(path, _train(_start(), 2))
    with np.load(path, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} <= set("fiub")
    assert all(b"pickle" not in zipfile.ZipFile(path).read(n) for n in zipfile.ZipFile(path).namelist())
    with pytest.raises(TypeError, match=r"save_run: odd could only be pickled"):
        save_run(path, _start() | {"odd": object()})
    assert load_run(path, np.random.default_rng())["step"] == 2


def test_a_run_before_its_first_step_comes_back() -> None:
    """The optimizer's memory is empty then, and stays a dictionary; the loss to beat is infinite."""
    run = arrays_to_run(run_to_arrays(_start()), np.random.default_rng())
    assert run["optimizer"] == {}
    assert run["best_loss"] == math.inf
    assert _bits(run) == _bits(_start())


def test_the_best_is_kept_and_the_waiting_ends() -> None:
    """Validation losses that rise from the third on: with patience 2 training ends after the fifth."""
    losses, seen = iter([3.0, 2.0, 1.0, 1.5, 1.2, 0.1]), []

    def validate(params: Params) -> float:
        seen.append(params)
        return next(losses)

    run = fit(_start(), _loss_and_grads, 20, lambda t: 0.01, validate=validate, patience=2)
    assert (run["step"], run["best_loss"], run["waited"]) == (5, 1.0, 2)
    assert_all_close(run["best_params"], seen[2], tol=0.0)
    assert fit(run, _loss_and_grads, 20, lambda t: 0.01, validate=validate, patience=2)["step"] == 5


def test_a_loss_that_is_no_number_is_not_better() -> None:
    """nan counts as waiting, before and after a first loss."""
    run = keep_best(_start(), math.nan)
    assert (run["best_loss"], run["waited"]) == (math.inf, 1)
    run = keep_best(keep_best(run, 2.0), math.nan)
    assert (run["best_loss"], run["waited"]) == (2.0, 1)


def test_the_reported_norm_is_that_before_the_cut() -> None:
    """Gradients reach the optimizer at most max_norm long; the length and whether it was cut are told."""
    lengths, told = [], []

    def spy(params: Params, grads: Params, state: Any, rate: float) -> Any:
        lengths.append(math.sqrt(sum(float(np.vdot(g, g)) for g in grads.values())))
        return sgd(params, grads, state, rate)

    report = lambda run, numbers: told.append((numbers["norm"], numbers["clipped"]))  # noqa: E731
    fit(_start(), _loss_and_grads, 10, lambda t: 0.5, spy, 0.4, report=report)
    assert max(lengths) <= 0.4 + 1e-12
    assert any(clipped for _, clipped in told)
    for length, (norm, clipped) in zip(lengths, told, strict=True):
        assert clipped == (norm > 0.4)
        assert length == pytest.approx(min(norm, 0.4), rel=1e-12)
