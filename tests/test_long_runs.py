"""The logs of long runs: each belongs to the code that is here and is whole; and chapter 11's can be made again."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from course.runs import log as log_module
from course.runs import long_range
from course.runs.log import logs
from course.runs.long_range import BATCHES, KINDS, LENGTHS, LOG, SEEDS, SOLVED, Run, Setting, train_one
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.gru import gru_step, gru_step_backward
from rnnlib.lstm import lstm_step, lstm_step_backward
from rnnlib.sequence import rnn_forward

QUICK = Setting("copying", "orthogonal Elman", 5, 0)


def test_every_log_is_found_and_none_is_left_over():
    """A log has a module of its name in `course/runs`, its chapter and its file; no file is without one."""
    for name, log in logs().items():
        assert log.train_one.__module__ == f"course.runs.{name}"
        assert (log_module.FOLDER.parent / f"{log.chapter}.md").exists()
    assert {path.stem for path in log_module.FOLDER.glob("*.json")} - {"speed"} == set(logs())


@pytest.mark.parametrize("name", logs())
def test_the_log_is_not_stale(name):
    """Its stamp is that of the code and the settings that are here now."""
    log = logs()[name]
    logged, _ = log.read()
    assert logged == log.stamp(), f"{log.path.name} comes from other code or settings: run `course train {name}`"


@pytest.mark.parametrize("name", logs())
def test_the_log_holds_every_run_once(name):
    """Every setting is there once and in order, and a run is its setting and plain numbers and texts."""
    log = logs()[name]
    found = log.runs()
    assert [log.setting_of(run) for run in found] == list(log.settings())
    assert len(set(log.settings())) == len(found) > 0
    assert not log.missing()
    own = [field.name for field in fields(log.setting)]
    assert [field.name for field in fields(log.run)][: len(own)] == own


def test_the_runs_of_chapter_11_are_runs():
    """All tasks, kinds, lengths and seeds, and numbers that a run can have."""
    runs = LOG.runs()
    assert len(runs) == sum(map(len, LENGTHS.values())) * len(KINDS) * SEEDS
    for run in runs:
        assert 0 < run.batches <= BATCHES
        assert run.seconds > 0
        assert run.solved == (run.error < SOLVED)
        assert run.solved or run.batches == BATCHES or run.error > 1e8, "a run stopped early that is not solved"


def test_a_run_of_the_log_can_be_made_again():
    """The quickest one solves its task again, in about as many batches; rounding may differ elsewhere."""
    logged = next(run for run in LOG.runs() if LOG.setting_of(run) == QUICK)
    again, _ = train_one(QUICK)
    assert logged.solved
    assert again.solved
    assert abs(again.batches - logged.batches) <= 40


def test_another_setting_or_other_code_is_another_stamp(monkeypatch):
    """A change of the trainer's source or of one function that it uses changes the stamp; a comment does not."""
    source, sources = log_module.inspect.getsource, {}
    monkeypatch.setattr(log_module.inspect, "getsource", lambda what: sources.get(what, source(what)))
    before = LOG.stamp()
    for what, old, new, same in (
        (long_range, "BATCHES = 32, 32, 2000", "BATCHES = 32, 32, 2001", False),
        (long_range.clipping.clip_by_norm, "min(1.0,", "min(2.0,", False),
        (long_range.lstm.lstm_step, "f * c_prev", "i * c_prev", False),
        (long_range.lstm.lstm_step, "    c = f * c_prev", "    # a comment\n    c = f * c_prev", True),
        (long_range.lstm.lstm_step, "One step of an LSTM", "A step of an LSTM", True),
    ):
        text = source(what)
        assert text.count(old) == 1, old
        sources[what] = text.replace(old, new)
        assert (LOG.stamp() == before) is same, new
        sources.clear()


def test_training_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Runs that the log holds are not made again, and a log of other code is not gone on with."""
    made = []

    def quick(setting):
        made.append(setting)
        return Run(**asdict(setting), batches=1, error=0.5, seconds=0.1)

    quick.__module__ = long_range.__name__
    monkeypatch.setattr(log_module, "FOLDER", tmp_path)
    monkeypatch.setattr(long_range, "LENGTHS", {"adding": (2,)})
    log = replace(LOG, train_one=quick)
    rows = log.make()
    for _ in range(3):
        next(rows)
    rows.close()
    stamp, runs = log.read()
    assert stamp == log.stamp()
    assert len(runs) == len(made) == 3
    assert len(list(log.make())) == len(list(log.settings())) - 3
    assert made == list(log.settings())
    assert not log.missing()
    data = json.loads(log.path.read_text("utf-8"))
    log.path.write_text(json.dumps(data | {"stamp": "of other code"}), "utf-8")
    assert log.missing() == list(log.settings())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", LENGTHS)
def test_the_gradients_that_it_trains_with_are_those_of_the_plain_path(kind, task):
    """Error and gradients agree with rnn_forward and backward_through_time, and a nudge changes the error as told."""
    cells = {"LSTM": (lstm_step, lstm_step_backward), "GRU": (gru_step, gru_step_backward)}
    step, back = cells.get(kind, (elman_step, elman_step_backward))
    phi = {"phi": "relu"} if kind == "IRNN" else {}

    def run(params, xs, state):
        return rnn_forward(lambda p, x, s: step(p, x, s, **phi), params, xs, state)

    def run_back(params, dhs, dlast, caches):
        return backward_through_time(lambda p, d, c: back(p, d, c, **phi), params, dhs, dlast, caches)

    fused = KINDS[kind]
    plain, setting = replace(fused, run=run, back=run_back), Setting(task, kind, 6, 0)
    rng = np.random.default_rng(0)
    inputs, outputs = (2, 1) if task == "adding" else (long_range.SYMBOLS + 2, long_range.SYMBOLS)
    params = fused.init(rng, inputs) | long_range.output.output_init(rng, long_range.HIDDEN, outputs)
    params = {name: value.astype(np.float32) for name, value in params.items()}
    data = long_range.draw(setting, rng, 4)
    (error, grads), (want, wanted) = (long_range.error_and_gradients(k, params, task, *data) for k in (fused, plain))
    assert error == pytest.approx(want, rel=1e-5)
    assert grads.keys() == params.keys()
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, wanted[name], rtol=2e-4, atol=2e-5, err_msg=name)
    bump = {name: value + 1e-2 * (name == "b_y") for name, value in params.items()}
    nudged, _ = long_range.error_and_gradients(fused, bump, task, *data, back=False)
    assert (nudged - error) / 1e-2 == pytest.approx(float(grads["b_y"].sum()), abs=0.03)
