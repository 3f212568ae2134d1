"""`rnnlib.fused` beside torch.nn and beside plain NumPy: forward and backward, same weights, float32, one thread.

Run it with `make bench`; benchmarks/README.md says how to read the result.
"""

import os

# Before NumPy and torch load: their thread pools read these once.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import ctypes  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import tracemalloc  # noqa: E402
from collections.abc import Callable, Iterable  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from functools import partial  # noqa: E402
from itertools import product  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rich.box import SIMPLE_HEAD  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks import loops  # noqa: E402
from rnnlib import fused, torch_layout  # noqa: E402
from rnnlib.bptt import backward_through_time  # noqa: E402
from rnnlib.elman import elman_init, elman_step, elman_step_backward  # noqa: E402
from rnnlib.gru import gru_init, gru_step, gru_step_backward  # noqa: E402
from rnnlib.lstm import lstm_init, lstm_step, lstm_step_backward  # noqa: E402
from rnnlib.sequence import rnn_forward  # noqa: E402
from rnnlib.types import Array, Params, State  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RESULT, SCRATCH = ROOT / "book" / "_data" / "speed.json", ROOT / "_build" / "bench" / "speed.json"
TOLERANCE = 1e-4  # float32 sums in another order; relative to the largest entry of each array
WARM_UP, LEAST_ROUNDS, MOST_ROUNDS = 3, 9, 300
MB = 2**20


class Sizes(NamedTuple):
    T: int
    B: int
    D: int
    H: int

    def __str__(self) -> str:
        return " ".join(map(str, self))


class Cell(NamedTuple):
    """One cell in each of the libraries; `gates` is how many blocks of H its weights have."""

    init: Callable[..., Params]
    step: Any
    step_backward: Any
    forward: Any
    backward: Any
    loop: Callable[..., loops.Results]
    net: type[Any]
    to_torch: Callable[[Params], Params]
    from_torch: Callable[[Params], Params]
    gates: int
    parts: int  # arrays in its state


SIZES = (
    Sizes(50, 16, 16, 32),
    Sizes(50, 32, 32, 64),
    Sizes(100, 32, 64, 128),
    Sizes(100, 64, 128, 256),
    Sizes(200, 16, 8, 64),
)
CELLS = {
    "Elman": Cell(
        elman_init,
        elman_step,
        elman_step_backward,
        fused.elman_forward,
        fused.elman_backward,
        loops.elman,
        torch.nn.RNN,
        torch_layout.elman_to_torch,
        torch_layout.elman_from_torch,
        gates=1,
        parts=1,
    ),
    "GRU": Cell(
        partial(gru_init, reset="after"),
        partial(gru_step, reset="after"),
        partial(gru_step_backward, reset="after"),
        partial(fused.gru_forward, reset="after"),
        partial(fused.gru_backward, reset="after"),
        loops.gru,
        torch.nn.GRU,
        torch_layout.gru_to_torch,
        torch_layout.gru_from_torch,
        gates=3,
        parts=1,
    ),
    "LSTM": Cell(
        lstm_init,
        lstm_step,
        lstm_step_backward,
        fused.lstm_forward,
        fused.lstm_backward,
        loops.lstm,
        torch.nn.LSTM,
        torch_layout.lstm_to_torch,
        torch_layout.lstm_from_torch,
        gates=4,
        parts=2,
    ),
}

Program = Callable[[], Any]


# --- the programs


class Numbers(NamedTuple):
    """What every program gets: float32, from one seed."""

    params: Params
    xs: Array
    state: State
    dhs: Array


def make_numbers(cell: Cell, sizes: Sizes, seed: int = 0) -> Numbers:
    T, B, D, H = sizes
    rng = np.random.default_rng(seed)
    params = cell.init(rng, D, H, dtype=np.float32)
    for name in params.keys() - {"W_xh", "W_hh"}:  # no bias is zero
        params[name] += 0.1 * rng.standard_normal(params[name].shape, dtype=np.float32)

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape, dtype=np.float32)

    return Numbers(params, draw(T, B, D), tuple(draw(B, H) for _ in range(cell.parts)), draw(T, B, H))


def walk(run: Any, run_back: Any, numbers: Numbers) -> loops.Results:
    """Forward and backward, by rnnlib's signatures for whole sequences."""
    params, xs, state, dhs = numbers
    hs, last, caches = run(params, xs, state)
    dxs, dstart, grads = run_back(params, dhs, tuple(np.zeros_like(part) for part in last), caches)
    return {"hs": hs, "dxs": dxs, **dict(zip(("dh", "dc"), dstart, strict=False)), **grads}


def numpy_programs(cell: Cell, numbers: Numbers) -> dict[str, Program]:
    return {
        "rnnlib": partial(walk, cell.forward, cell.backward, numbers),
        "plain": partial(
            walk, partial(rnn_forward, cell.step), partial(backward_through_time, cell.step_backward), numbers
        ),
        "loop": partial(cell.loop, *numbers),
    }


def torch_program(cell: Cell, numbers: Numbers) -> tuple[Program, Callable[[Any], loops.Results]]:
    """torch's layer with the same weights, and what brings its results into rnnlib's names and layout."""
    params, xs, state, dhs = numbers
    net = cell.net(xs.shape[2], dhs.shape[2])
    net.load_state_dict({f"{name}_l0": torch.from_numpy(w) for name, w in cell.to_torch(params).items()})
    inputs = torch.from_numpy(xs).requires_grad_()
    starts = [torch.from_numpy(part[None].copy()).requires_grad_() for part in state]
    names, weights = zip(*net.named_parameters(), strict=True)
    wanted = [inputs, *starts, *weights]
    incoming = torch.from_numpy(dhs)

    def run() -> Any:
        hs, _ = net(inputs, tuple(starts) if cell.parts == 2 else starts[0])
        return hs, torch.autograd.grad(hs, wanted, incoming)

    def read(found: Any) -> loops.Results:
        hs, (dxs, *rest) = found
        dstart, dweights = rest[: cell.parts], rest[cell.parts :]
        grads = {name.removesuffix("_l0"): grad.numpy().copy() for name, grad in zip(names, dweights, strict=True)}
        H = dhs.shape[2]  # torch adds the bias twice and tells each its gradient; only the GRU's last block is two
        grads["bias_hh"][: 2 * H if cell.gates == 3 else None] = 0
        results = {"hs": hs.detach().numpy(), "dxs": dxs.numpy()}
        results |= {name: part[0].numpy() for name, part in zip(("dh", "dc"), dstart, strict=False)}
        return results | cell.from_torch(grads)

    return run, read


def limit_program(cell: Cell, sizes: Sizes) -> Program:
    """The matrix products and the tanhs alone, on arrays of the same shapes: NumPy cannot do with less."""
    (T, B, D, H), k = sizes, cell.gates
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape, dtype=np.float32)

    xs, hs, das = draw(T, B, D), draw(T, B, H), draw(T, B, k * H)
    W_xh, W_hh, W_in, W_back = draw(k, D, H), draw(k, H, H), draw(k * H, D), draw(k * H, H)
    tanhs = k + (cell.parts == 2)
    sums, h, squashed = draw(T, k, B, H), np.empty((B, H), np.float32), draw(tanhs, B, H)
    recalled = np.empty((k, B, H), np.float32)
    rows = das.reshape(-1, k * H)

    def run() -> None:
        np.matmul(xs[:, None], W_xh, out=sums)
        for h_prev in hs:
            np.matmul(h_prev, W_hh, out=recalled)
            np.tanh(squashed, out=squashed)
        for da in das:
            np.matmul(da, W_back, out=h)
        np.matmul(rows, W_in)
        np.matmul(xs.reshape(-1, D).T, rows)
        np.matmul(hs.reshape(-1, H).T, rows)

    return run


# --- comparing and timing


def largest_difference(results: loops.Results, reference: loops.Results) -> tuple[str, float]:
    """The array that differs most, and by how much of its own largest entry."""
    if results.keys() != reference.keys():
        raise ValueError(f"results are {sorted(results)} and {sorted(reference)}")
    differences = {
        name: float(np.abs(results[name] - expected).max() / np.abs(expected).max())
        for name, expected in reference.items()
    }
    name = max(differences, key=lambda key: differences[key])
    return name, differences[name]


def time_interleaved(programs: dict[str, Program], seconds: float) -> tuple[dict[str, list[float]], float]:
    """Seconds of each run, and processor seconds per second of wall time over all of them (1 means one thread).

    Each round runs every program once, in an order that turns, so that a busy machine slows all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    names = list(programs)
    for _ in range(WARM_UP):
        begin = time.perf_counter()
        for program in programs.values():
            program()
        once = time.perf_counter() - begin
    wall, cpu = time.perf_counter(), time.process_time()
    for i in range(min(MOST_ROUNDS, max(LEAST_ROUNDS, int(seconds / once)))):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            begin = time.perf_counter()
            programs[name]()
            times[name].append(time.perf_counter() - begin)
    return times, (time.process_time() - cpu) / (time.perf_counter() - wall)


def bench(name: str, sizes: Sizes, seconds: float) -> dict[str, Any]:
    """Results compared with torch's, then times; a ratio is the median over rounds of two times of one round."""
    cell = CELLS[name]
    numbers = make_numbers(cell, sizes)
    ours = numpy_programs(cell, numbers)
    theirs, read = torch_program(cell, numbers)
    expected = read(theirs())
    apart = {key: largest_difference(program(), expected) for key, program in ours.items()}
    small = make_numbers(cell, Sizes(sizes.T, 1, 1, 1))
    others = {"limit": limit_program(cell, sizes), "smallest": numpy_programs(cell, small)["rnnlib"]}
    times, cpu_per_wall = time_interleaved({"torch": theirs, **ours, **others}, seconds)

    def ratio(above: str, below: str) -> dict[str, Any]:
        quotients = [a / b for a, b in zip(times[above], times[below], strict=True)]
        low, middle, high = statistics.quantiles(quotients, n=4)
        return {"median": middle, "quartiles": [low, high]}

    return {
        "cell": name,
        "sizes": sizes._asdict(),
        "rounds": len(times["torch"]),
        "median_ms": {key: 1e3 * statistics.median(values) for key, values in times.items()},
        "to_torch": {key: ratio(key, "torch") for key in times if key != "torch"},
        "to_rnnlib": {key: ratio(key, "rnnlib") for key in times if key != "rnnlib"},
        "to_limit": {"loop": ratio("loop", "limit")},
        "largest_relative_difference": {key: {"array": array, "value": value} for key, (array, value) in apart.items()},
        "cpu_per_wall": cpu_per_wall,
    }


# --- memory


def peak_memory(name: str, sizes: Sizes, library: str) -> dict[str, float | None]:
    """MB that forward and backward need at most, beyond inputs, weights and incoming gradients.

    "resident": how far the process's resident memory rises above what it was (Linux). "traced": NumPy's own
    account of what it allocated, for NumPy's programs.
    """
    cell = CELLS[name]

    def make(sizes: Sizes) -> Program:
        numbers = make_numbers(cell, sizes)
        return torch_program(cell, numbers)[0] if library == "torch" else numpy_programs(cell, numbers)[library]

    make(Sizes(2, 2, 2, 2))()  # what a library sets up at its first call is no part of it
    program = make(sizes)
    rise = None
    if Path("/proc/self/clear_refs").exists():
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from now
        before = _status("VmRSS")
        program()
        rise = (_status("VmHWM") - before) / MB
    traced = None
    if library != "torch":
        tracemalloc.start()
        program()
        traced = tracemalloc.get_traced_memory()[1] / MB
        tracemalloc.stop()
    return {"resident_mb": rise, "traced_mb": traced}


def _status(field: str) -> int:
    """Bytes, from the process's own status."""
    (line,) = (text for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def bench_memory(names: Iterable[str], sizes: Iterable[Sizes]) -> list[dict[str, Any]]:
    """Each program at each size in a process of its own, forked before anything large was allocated."""
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    rows = []
    with context.Pool(1, maxtasksperchild=1) as pool:
        for name, size in product(names, sizes):
            libraries = ("torch", "rnnlib", "loop")
            found = {library: pool.apply(peak_memory, (name, size, library)) for library in libraries}
            rows.append({"cell": name, "sizes": size._asdict(), "peak": found})
    return rows


# --- what comes out


def geometric_mean(rows: list[dict[str, Any]], of: str, to: str) -> float:
    return statistics.geometric_mean(row[f"to_{to}"][of]["median"] for row in rows)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = {name: [row for row in rows if row["cell"] == name] for name in CELLS} | {"all": rows}
    return {
        name: {
            "rnnlib_to_torch": geometric_mean(chosen, "rnnlib", "torch"),
            "limit_to_torch": geometric_mean(chosen, "limit", "torch"),
            "loop_to_rnnlib": geometric_mean(chosen, "loop", "rnnlib"),
            "plain_to_rnnlib": geometric_mean(chosen, "plain", "rnnlib"),
            "loop_to_limit": geometric_mean(chosen, "loop", "limit"),
            "worst_to_torch": max(row["to_torch"]["rnnlib"]["median"] for row in chosen),
            "least_to_rnnlib": min(row["to_rnnlib"]["loop"]["median"] for row in chosen),
        }
        for name, chosen in kinds.items()
        if chosen
    }


def show(rows: list[dict[str, Any]], means: dict[str, Any]) -> Table:
    """A line for each cell and size: milliseconds, ratios with their quartiles, how far the results are apart."""
    table = Table(title="Forward and backward, float32, one thread", box=SIMPLE_HEAD)
    heads = (
        "cell",
        "T B D H",
        "torch ms",
        "rnnlib ms",
        "ratio",
        "quartiles",
        "limit",
        "loop",
        "plain",
        "loop/limit",
        "apart",
    )
    for heading in heads:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        ratio, ours = row["to_torch"]["rnnlib"], row["to_rnnlib"]
        low, high = ratio["quartiles"]
        apart = max(found["value"] for found in row["largest_relative_difference"].values())
        table.add_row(
            row["cell"],
            " ".join(map(str, row["sizes"].values())),
            f"{row['median_ms']['torch']:.2f}",
            f"{row['median_ms']['rnnlib']:.2f}",
            f"{ratio['median']:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{row['to_torch']['limit']['median']:.2f}",
            f"{ours['loop']['median']:.1f}",
            f"{ours['plain']['median']:.1f}",
            f"{row['to_limit']['loop']['median']:.1f}",
            f"{apart:.0e}",
        )
    for name, mean in means.items():
        ratios = [f"{mean[key]:.2f}" for key in ("rnnlib_to_torch", "limit_to_torch")]
        gains = [f"{mean[key]:.1f}" for key in ("loop_to_rnnlib", "plain_to_rnnlib", "loop_to_limit")]
        table.add_row(name, "geometric mean", "", "", ratios[0], "", ratios[1], *gains, "")
    return table


def show_memory(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Peak memory of forward and backward, MB", box=SIMPLE_HEAD)
    heads = ("cell", "T B D H", "torch", "rnnlib", "loop", "rnnlib, traced", "loop, traced")
    for heading in heads:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        resident = [row["peak"][library]["resident_mb"] for library in ("torch", "rnnlib", "loop")]
        traced = [row["peak"][library]["traced_mb"] for library in ("rnnlib", "loop")]
        numbers = ("" if value is None else f"{value:.1f}" for value in (*resident, *traced))
        table.add_row(row["cell"], " ".join(map(str, row["sizes"].values())), *numbers)
    return table


def processor() -> str:
    """Its name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main(arguments: list[str] | None = None) -> int:
    """Run every cell at every size, print the tables, write the JSON file; 1 if results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="for each cell and size (default 8)")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), help="which cells (default all)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(ROOT)} for the book")
    parser.add_argument("--output", type=Path, help="where else to write the JSON file")
    options = parser.parse_args(arguments)
    if options.write and options.cells != list(CELLS):
        parser.error("--write: the book's page needs all cells")
    torch.set_num_threads(1)
    console = Console(width=max(120, Console().width))
    memory = bench_memory(options.cells, SIZES)
    pairs = list(product(options.cells, SIZES))
    progress = track(pairs, "Cells", console=console, transient=True)
    rows = [bench(name, sizes, options.seconds) for name, sizes in progress]
    means = summary(rows)
    console.print(show(rows, means))
    console.print(show_memory(memory))
    report = {
        "benchmark": "cells",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__},
        "processor": processor(),
        "summary": means,
        "rows": rows,
        "memory": memory,
    }
    differences = [found["value"] for row in rows for found in row["largest_relative_difference"].values()]
    if not max(differences) <= TOLERANCE:
        worst = f"The results differ by {max(differences):.1e}, allowed is {TOLERANCE:.0e}"
        console.print(f"[red]{worst}: these times compare nothing.", soft_wrap=True)
        return 1
    output = options.output or (RESULT if options.write else SCRATCH)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    console.print(f"Written to {output}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
