"""A plain Elman net, forward alone and forward with backward, rnnlib beside torch.nn.RNN: same weights, one thread.

Run it with `python -m benchmarks.bench_elman`; benchmarks/README.md says how to read the result.
"""

import os

# Before NumPy and torch load: their thread pools read these once.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rich.box import SIMPLE_HEAD  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a script: the library is beside this folder
    sys.path.insert(0, str(ROOT))

from rnnlib.bptt import backward_through_time  # noqa: E402
from rnnlib.elman import elman_init, elman_step, elman_step_backward  # noqa: E402
from rnnlib.sequence import rnn_forward  # noqa: E402
from rnnlib.types import Array  # noqa: E402

RESULT = ROOT / "_build" / "bench" / "elman.json"
TOLERANCE = 1e-4  # float32 sums in another order; relative to the largest entry of each array
WARM_UP = 3


class Sizes(NamedTuple):
    T: int
    B: int
    D: int
    H: int


SIZES = (Sizes(50, 16, 16, 32), Sizes(50, 32, 32, 64), Sizes(100, 32, 64, 128))

Results = dict[str, Array]
Program = Callable[[], Results]
Passes = dict[str, dict[str, Program]]


def make_programs(sizes: Sizes, seed: int = 0) -> Passes:
    """For each pass one function per library, on the same float32 numbers.

    "forward" gives all states (torch keeps no graph, rnnlib always keeps its caches). "both" goes on: from the
    gradient of every state to that of inputs, start and every parameter.
    """
    T, B, D, H = sizes
    rng = np.random.default_rng(seed)
    params = elman_init(rng, D, H, np.float32)
    xs = rng.standard_normal((T, B, D), dtype=np.float32)
    start = rng.standard_normal((B, H), dtype=np.float32)
    dhs = rng.standard_normal((T, B, H), dtype=np.float32)

    def plain_forward() -> Results:
        return {"hs": rnn_forward(elman_step, params, xs, (start,))[0]}

    def plain_both() -> Results:
        hs, last, caches = rnn_forward(elman_step, params, xs, (start,))
        nothing = (np.zeros_like(last[0]),)
        dxs, (d_start,), grads = backward_through_time(elman_step_backward, params, dhs, nothing, caches)
        return {"hs": hs, "dxs": dxs, "d_start": d_start, **grads}

    net = torch.nn.RNN(D, H)
    with torch.no_grad():
        net.weight_ih_l0.copy_(torch.from_numpy(params["W_xh"].T.copy()))
        net.weight_hh_l0.copy_(torch.from_numpy(params["W_hh"].T.copy()))
        net.bias_ih_l0.copy_(torch.from_numpy(params["b_h"]))
        net.bias_hh_l0.zero_()
    t_xs = torch.from_numpy(xs.copy()).requires_grad_()
    t_start = torch.from_numpy(start[None].copy()).requires_grad_()
    t_dhs = torch.from_numpy(dhs.copy())
    wanted = [t_xs, t_start, net.weight_ih_l0, net.weight_hh_l0, net.bias_ih_l0, net.bias_hh_l0]

    def torch_forward() -> Results:
        with torch.no_grad():
            return {"hs": net(t_xs, t_start)[0].numpy()}

    def torch_both() -> Results:
        hs, _ = net(t_xs, t_start)
        dxs, d_start, d_ih, d_hh, d_bias, _ = torch.autograd.grad(hs, wanted, t_dhs)
        return {
            "hs": hs.detach().numpy(),
            "dxs": dxs.numpy(),
            "d_start": d_start[0].numpy(),
            "W_xh": d_ih.numpy().T,
            "W_hh": d_hh.numpy().T,
            "b_h": d_bias.numpy(),
        }

    return {
        "forward": {"torch": torch_forward, "rnnlib": plain_forward},
        "both": {"torch": torch_both, "rnnlib": plain_both},
    }


def largest_difference(results: Results, reference: Results) -> tuple[str, float]:
    """The array that differs most, and by how much of its own largest entry."""
    differences = {
        name: float(np.abs(results[name] - expected).max() / np.abs(expected).max())
        for name, expected in reference.items()
    }
    name = max(differences, key=lambda key: differences[key])
    return name, differences[name]


def time_interleaved(programs: dict[str, Program], rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each run, and CPU seconds per second of wall time over all of them (1 means one thread).

    Each round runs every program once, in an order that turns, so that a busy machine slows all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    names = list(programs)
    for _ in range(WARM_UP):
        for program in programs.values():
            program()
    wall, cpu = time.perf_counter(), time.process_time()
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            begin = time.perf_counter()
            programs[name]()
            seconds[name].append(time.perf_counter() - begin)
    return seconds, (time.process_time() - cpu) / (time.perf_counter() - wall)


def bench(sizes: Sizes, rounds: int) -> list[dict[str, Any]]:
    """Compare the results, then the times, for each pass; ratios are rnnlib / torch of the same round."""
    return [
        {"sizes": sizes._asdict(), "pass": name, "rounds": rounds, **compare(programs, rounds)}
        for name, programs in make_programs(sizes).items()
    ]


def compare(programs: dict[str, Program], rounds: int) -> dict[str, Any]:
    array, difference = largest_difference(programs["rnnlib"](), programs["torch"]())
    seconds, cpu_per_wall = time_interleaved(programs, rounds)
    ratios = [plain / reference for plain, reference in zip(seconds["rnnlib"], seconds["torch"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "median_ms": {name: 1e3 * statistics.median(values) for name, values in seconds.items()},
        "ratio": {"median": middle, "quartiles": [low, high]},
        "largest_relative_difference": {"array": array, "value": difference},
        "cpu_per_wall": cpu_per_wall,
    }


def show(rows: list[dict[str, Any]]) -> Table:
    """Sizes, milliseconds, ratio with its quartiles, and how far the results are apart."""
    table = Table(title="Elman net, rnnlib beside torch.nn.RNN, float32, one thread", box=SIMPLE_HEAD)
    for heading in ("T B D H", "pass", "torch ms", "rnnlib ms", "ratio", "quartiles", "apart"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["ratio"]["quartiles"]
        table.add_row(
            " ".join(map(str, row["sizes"].values())),
            row["pass"],
            f"{row['median_ms']['torch']:.2f}",
            f"{row['median_ms']['rnnlib']:.2f}",
            f"{row['ratio']['median']:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{row['largest_relative_difference']['value']:.0e}",
        )
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run every size, print the table, write the JSON file; 1 if the results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=150, help="runs of each program at each size (default 150)")
    parser.add_argument("--output", type=Path, default=RESULT, help="where to write the JSON file")
    options = parser.parse_args(arguments)
    if options.rounds < 2:
        parser.error("--rounds: quartiles need at least 2 rounds")
    torch.set_num_threads(1)
    console = Console()
    progress = track(SIZES, "Elman", console=console, transient=True)
    rows = [row for sizes in progress for row in bench(sizes, options.rounds)]
    console.print(show(rows))
    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"benchmark": "elman", "versions": versions, "machine": platform.machine(), "rows": rows}
    options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(f"Written to {options.output}", soft_wrap=True)
    worst = max(row["largest_relative_difference"]["value"] for row in rows)
    if not worst <= TOLERANCE:
        console.print(
            f"[red]The results differ by {worst:.1e}, allowed is {TOLERANCE:.0e}: these times compare nothing."
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
