"""The log of chapter 11's long runs: it belongs to the code that is here, is whole, and can be made again."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from course import long_range, train
from course.long_range import BATCHES, KINDS, LENGTHS, SEEDS, SOLVED, Run, Setting, train_one
from rnnlib.bptt import backward_through_time
from rnnlib.elman import elman_step, elman_step_backward
from rnnlib.gru import gru_step, gru_step_backward
from rnnlib.lstm import lstm_step, lstm_step_backward
from rnnlib.sequence import rnn_forward

QUICK = Setting("copying", "orthogonal Elman", 5, 0)


def test_the_log_is_not_stale():
    """Its stamp is that of the code and the settings that are here now."""
    logged, _ = train.read_log()
    assert logged == train.stamp(), "book/_data/long_range.json comes from other code or settings: run `make train`"


def test_the_log_holds_every_run_once():
    """All tasks, kinds, lengths and seeds, and numbers that a run can have."""
    _, runs = train.read_log()
    found = [Setting(run.task, run.kind, run.length, run.seed) for run in runs]
    assert found == list(train.jobs())
    assert len(found) == sum(map(len, LENGTHS.values())) * len(KINDS) * SEEDS
    assert not train.missing()
    for run in runs:
        assert 0 < run.batches <= BATCHES
        assert run.seconds > 0
        assert run.solved == (run.error < SOLVED)
        assert run.solved or run.batches == BATCHES or run.error > 1e8, "a run stopped early that is not solved"


def test_a_run_of_the_log_can_be_made_again():
    """The quickest one solves its task again, in about as many batches; rounding may differ elsewhere."""
    _, runs = train.read_log()
    logged = next(run for run in runs if Setting(run.task, run.kind, run.length, run.seed) == QUICK)
    again, _ = train_one(QUICK)
    assert logged.solved
    assert again.solved
    assert abs(again.batches - logged.batches) <= 40


def test_another_setting_or_other_code_is_another_stamp(monkeypatch):
    """A change of the trainer's source or of one function that it uses changes the stamp; a comment does not."""
    source, sources = train.inspect.getsource, {}
    monkeypatch.setattr(train.inspect, "getsource", lambda what: sources.get(what, source(what)))
    before = train.stamp()
    for what, old, new, same in (
        (long_range, "BATCHES = 32, 32, 2000", "BATCHES = 32, 32, 2001", False),
        (train.clipping.clip_by_norm, "min(1.0,", "min(2.0,", False),
        (train.lstm.lstm_step, "f * c_prev", "i * c_prev", False),
        (train.lstm.lstm_step, "    c = f * c_prev", "    # a comment\n    c = f * c_prev", True),
        (train.lstm.lstm_step, "One step of an LSTM", "A step of an LSTM", True),
    ):
        text = source(what)
        assert text.count(old) == 1, old
        sources[what] = text.replace(old, new)
        assert (train.stamp() == before) is same, new
        sources.clear()


def test_training_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Runs that the log holds are not made again, and a log of other code is not gone on with."""
    path, made = tmp_path / "log.json", []

    def quick(setting):
        made.append(setting)
        return Run(**asdict(setting), batches=1, error=0.5, seconds=0.1), {}

    monkeypatch.setattr(train, "train_one", quick)
    monkeypatch.setattr(train, "LENGTHS", {"adding": (2,)})
    rows = train.train_all(path)
    for _ in range(3):
        next(rows)
    rows.close()
    stamp, runs = train.read_log(path)
    assert stamp == train.stamp()
    assert len(runs) == len(made) == 3
    assert len(list(train.train_all(path))) == len(list(train.jobs())) - 3
    assert made == list(train.jobs())
    assert not train.missing(path)
    data = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(data | {"stamp": "of other code"}), "utf-8")
    assert train.missing(path) == list(train.jobs())


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
