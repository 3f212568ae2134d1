"""The benchmark of grading: which submissions it makes, and that it counts all processor time."""

import json
import subprocess
import sys
from itertools import islice
from typing import Any

import nbformat
import pytest

from benchmarks import bench_grading as bench
from course.grading.rebuild import Unreadable, read_submission, rebuild
from course.sources import ROOT


@pytest.fixture(scope="module")
def numpy_only() -> bench.Assignment:
    return bench.part(bench.NUMPY, bench._needs_no_torch)


def test_of_ten_submissions_each_is_what_it_should_be(numpy_only: bench.Assignment) -> None:
    """Four as the course answers, three with another answer, one half done, one broken, one no notebook."""
    tens = list(islice(bench.stories(numpy_only), 20))
    assert list(islice(bench.stories(numpy_only), 20)) == tens
    assert len(set(tens[:4])) == 1
    assert tens[10:14] == tens[:4]
    for data in tens[:9]:
        _, notes = rebuild(numpy_only.bundle, read_submission(data))
        assert notes == []
    with pytest.raises(Unreadable):
        read_submission(tens[9])
    changed = [_changed(data, tens[0]) for data in tens[:9]]
    assert changed[:4] == [0, 0, 0, 0]
    assert changed[4:7] == [1, 1, 1]
    assert changed[7] == len(numpy_only.names) - len(numpy_only.names) // 2
    assert changed[8] == 1
    assert len({*tens[4:7], *tens[14:17]}) == 6


def _changed(data: bytes, other: bytes) -> int:
    one, two = (nbformat.reads(text.decode(), as_version=4).cells for text in (data, other))
    return sum(a.source != b.source for a, b in zip(one, two, strict=True))


def test_the_numpy_notebook_has_tests_and_neither_torch_nor_experiments(numpy_only: bench.Assignment) -> None:
    notebook = numpy_only.bundle.notebook()
    assert "torch" not in numpy_only.bundle.skeleton
    assert not any("experiment" in cell.metadata.get("tags", []) for cell in notebook.cells)
    checks = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if cell.metadata.nbgrader.grade]
    assert len(checks) > len(numpy_only.names) == 10


def test_processor_time_of_processes_that_outlive_their_parent_counts() -> None:
    """The command ends at once; what it left behind works for half a second more."""
    busy = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    leaves = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"
    code = (
        "import sys, tempfile; from pathlib import Path; from benchmarks import bench_grading as b\n"
        "b.reap_orphans()\n"
        f"run = b.measured([sys.executable, '-c', {leaves!r}], Path(tempfile.mkdtemp()) / 'log')\n"
        "print(run.processor)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.5 < float(found.stdout) < 5


def test_the_account_adds_up() -> None:
    """Parts make the whole, and the ratio is of the whole to cells and tests."""
    used = {"start": 0.1, "cells": 0.5, "warden": 0.1, "tests": 0.3, "around": 0.1, "memory_mb": 70.0}
    outcome: dict[str, Any] = {"name": "a", "scores": {"t": 1.0}, "used": used}
    outcome["seconds"] = {"start": 0.2, "t": 0.4, "answer": 0.1}
    run = bench.Run(processor=0.9, outcomes=[outcome], memory={"parent": 100.0}, writing=0.2)
    found = bench.account([run, run])
    assert sum(found["processor_seconds_each"].values()) == pytest.approx(found["processor_seconds"]) == 1.6
    assert found["processor_ratio"] == 2.0
    assert found["wall_seconds_each"] == {"kernel start": 0.2, "her cells": 0.1, "tests": 0.4}
    assert found["memory_mb"]["a submission's kernel"] == 70
    json.dumps(found)
