"""The benchmark compares before it times: it writes what it measured, and fails where the results differ."""

import json
import subprocess
import sys
from pathlib import Path

from rnnlib_checks import PACKAGE

RUN_TWICE = """
import sys
from benchmarks import bench_elman

bench_elman.SIZES = (bench_elman.Sizes(4, 3, 2, 5),)
arguments = ["--rounds", "3", "--output", sys.argv[1]]
print("code", bench_elman.main(arguments))


def one_percent_off(params, dstate, cache):
    dx, dstate, grads = backward(params, dstate, cache)
    return dx, dstate, grads | {"b_h": 1.01 * grads["b_h"]}

backward, bench_elman.elman_step_backward = bench_elman.elman_step_backward, one_percent_off
print("code", bench_elman.main(arguments))
"""


def test_benchmark_writes_ratios_and_refuses_results_that_differ(tmp_path: Path) -> None:
    """A short run ends with 0 and a file of finite ratios; with a gradient off by one percent it ends with 1."""
    output = tmp_path / "new" / "elman.json"
    run = subprocess.run(
        [sys.executable, "-c", RUN_TWICE, str(output)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert run.returncode == 0, run.stderr
    assert [line for line in run.stdout.splitlines() if line.startswith("code")] == ["code 0", "code 1"]
    assert "compare nothing" in run.stdout
    forward, both = json.loads(output.read_text("utf-8"))["rows"]
    assert (forward["pass"], both["pass"]) == ("forward", "both")
    assert forward["sizes"] == {"T": 4, "B": 3, "D": 2, "H": 5}
    assert both["largest_relative_difference"]["array"] == "b_h"
    for row in (forward, both):
        low, high = row["ratio"]["quartiles"]
        assert 0 < low <= row["ratio"]["median"] <= high
        assert min(row["median_ms"].values()) > 0
