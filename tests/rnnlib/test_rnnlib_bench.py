"""The benchmark compares before it times: it writes what it measured, and fails where the results differ."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rnnlib_checks import PACKAGE

RUN_TWICE = """
import sys
from benchmarks import bench_cells

bench_cells.SIZES = (bench_cells.Sizes(4, 3, 2, 5), bench_cells.Sizes(3, 2, 40, 30))
arguments = ["--seconds", "0", "--output", sys.argv[1]]
print("code", bench_cells.main(arguments))


def one_percent_off(params, dhs, dlast, caches):
    dxs, dstart, grads = backward(params, dhs, dlast, caches)
    return dxs, dstart, grads | {"b_h": 1.01 * grads["b_h"]}

cell = bench_cells.CELLS["LSTM"]
backward, bench_cells.CELLS["LSTM"] = cell.backward, cell._replace(backward=one_percent_off)
print("code", bench_cells.main([*arguments[:3], sys.argv[1] + ".off", "--cells", "LSTM"]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where a short run wrote its figures, and what it and one with a wrong gradient said."""
    output = tmp_path_factory.mktemp("bench") / "new" / "speed.json"
    done = subprocess.run(
        [sys.executable, "-c", RUN_TWICE, str(output)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stderr
    return output, done.stdout


def test_results_that_differ_are_refused(run: tuple[Path, str]) -> None:
    """A run ends with 0; with a gradient off by one percent it ends with 1, says why, and writes nothing."""
    output, said = run
    assert [line for line in said.splitlines() if line.startswith("code")] == ["code 0", "code 1"]
    assert "compare nothing" in said
    assert output.exists()
    assert not output.with_name(output.name + ".off").exists()


def test_every_cell_and_size_has_its_ratios(run: tuple[Path, str]) -> None:
    """Each row has times of all programs and ratios within their quartiles, and results that agree with torch's."""
    report = json.loads(run[0].read_text("utf-8"))
    rows = report["rows"]
    assert [(row["cell"], row["sizes"]["H"]) for row in rows] == [
        (n, H) for n in ("Elman", "GRU", "LSTM") for H in (5, 30)
    ]
    for row in rows:
        assert set(row["median_ms"]) == {"torch", "rnnlib", "plain", "loop", "limit", "smallest"}
        assert min(row["median_ms"].values()) > 0
        for ratio in (*row["to_torch"].values(), *row["to_rnnlib"].values(), *row["to_limit"].values()):
            low, high = ratio["quartiles"]
            assert 0 < low <= ratio["median"] <= high
        assert set(row["largest_relative_difference"]) == {"rnnlib", "plain", "loop"}
        assert max(found["value"] for found in row["largest_relative_difference"].values()) < 1e-5
    ratios: list[Any] = [row["to_torch"]["rnnlib"]["median"] for row in rows]
    summary = report["summary"]["all"]
    assert min(ratios) < summary["rnnlib_to_torch"] < max(ratios) == summary["worst_to_torch"]


def test_memory_counts_at_least_what_must_be_kept(run: tuple[Path, str]) -> None:
    """The traced peak of a NumPy program is at least its results and its caches, and not ten times as much."""
    for row in json.loads(run[0].read_text("utf-8"))["memory"]:
        sizes, peak = row["sizes"], row["peak"]
        states = 4 * sizes["T"] * sizes["B"] * sizes["H"] / 2**20
        kept = {"Elman": 2, "GRU": 6, "LSTM": 8}[row["cell"]]
        assert kept * states < peak["rnnlib"]["traced_mb"] < 1
        assert peak["torch"]["traced_mb"] is None
