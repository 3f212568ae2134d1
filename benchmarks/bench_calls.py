"""What a call through the referee costs: a function in another process, an array each way, no sandbox in between.

Run it with `python -m benchmarks.bench_calls`. It prints the median and the 95th percentile of one call, for several
arguments, beside the time that the same process needs to copy the bytes through a socket and back, and ends with 1 if
the median for a (32, 64) float64 array each way is above a millisecond.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import multiprocessing  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from course.grading.referee import Referee  # noqa: E402
from course.grading.student import serve  # noqa: E402
from course.grading.wire import receive, send  # noqa: E402

CALLS, WARM_UP = 1000, 50
LIMIT = 1e-3  # seconds, of the first case
CASES = {  # what goes there, and comes back
    "(32, 64) float64": "np.ones((32, 64))",
    "one number": "1.5",
    "an Elman step: 3 weights, input, state": "({'W_xh': a, 'W_hh': a, 'b_h': a[0]}, a, (a,))",
    "50 steps' caches of 3 arrays": "[(a + i, a - i, a * i) for i in range(50)]",
    "(100, 64, 128) float64": "np.ones((100, 64, 128))",
}
CELL = """
import time
import numpy as np

a = np.ones((32, 32))
value = {value}
for _ in range({warm_up}):
    f(value)
for _ in range({calls}):
    began = time.perf_counter()
    f(value)
    times.append(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Limits:
    call_seconds: float = 60
    test_seconds: float = 600
    output_kb: float = 100


def again(value: Any) -> Any:
    """What the student's function does: new arrays of the same size."""
    if isinstance(value, np.ndarray):
        return value + 1
    if isinstance(value, list | tuple):
        return type(value)(again(item) for item in value)
    return {key: again(item) for key, item in value.items()} if isinstance(value, dict) else value


def _answer(path: str) -> None:
    for _ in CASES:
        serve(path, {"f": again})
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(path)
        for _ in range(CALLS):
            send(plain, bytes(receive(plain)))


def main() -> None:
    folder = tempfile.TemporaryDirectory(prefix="calls-")
    path = str(Path(folder.name) / "calls")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(2)
    process = multiprocessing.get_context("spawn").Process(target=_answer, args=(path,), daemon=True)
    process.start()
    listener.settimeout(60)
    medians = []
    print(f"{'each way':42}{'median':>10}{'95 %':>10}   ms a call")
    for name, value in CASES.items():
        times = _times(listener, value, CALLS if "100, 64" not in name else CALLS // 20)
        medians.append(_show(name, times))
    _show("16 KB through the socket and back, alone", _echo(listener))
    process.join(10)
    folder.cleanup()
    sys.exit(medians[0] > LIMIT)


def _times(listener: socket.socket, value: str, calls: int) -> list[float]:
    times: list[float] = []
    sys.modules["__main__"].__dict__["times"] = times
    source = "from __main__ import times\n" + CELL.format(value=value, calls=calls, warm_up=WARM_UP)
    result = Referee(listener, (), Limits()).run_cell(source, ["f"])
    if not result.passed:
        raise RuntimeError(result.error)
    return times


def _echo(listener: socket.socket) -> list[float]:
    connection, _ = listener.accept()
    data, times = bytes(32 * 64 * 8), []
    with connection:
        for _ in range(CALLS):
            began = time.perf_counter()
            send(connection, data)
            receive(connection)
            times.append(time.perf_counter() - began)
    return times


def _show(name: str, times: list[float]) -> float:
    median, late = np.percentile(times, [50, 95])
    print(f"{name:42}{median * 1e3:10.3f}{late * 1e3:10.3f}")
    return float(median)


if __name__ == "__main__":
    main()
