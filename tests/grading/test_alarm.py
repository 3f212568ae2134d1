"""Test cells of ours that do not end: Python code is stopped, C code takes its process with it."""

import subprocess
import sys
import time

import pytest

from course.grading.alarm import Alarm


class Rang(BaseException):
    pass


def spin(seconds: float) -> None:
    with Alarm(seconds, Rang):
        while True:
            pass


def test_a_loop_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(Rang):
        spin(0.2)
    assert 0.15 < time.monotonic() - began < 5


def test_it_rings_in_its_block_or_not_at_all() -> None:
    """Blocks that are left just as the time is up: the exception is seen at the block's end or never comes."""
    rang = 0
    for i in range(300):
        try:
            with Alarm(0.002, Rang):
                end = time.monotonic() + 0.0015 + i % 10 * 0.001  # Python lets another thread in after 5 ms
                while time.monotonic() < end:
                    pass
        except Rang:
            rang += 1
        for _ in range(100):  # anywhere here it would be an error of this test
            time.monotonic()
    assert 0 < rang < 300


def test_who_catches_it_does_not_keep_it() -> None:
    def swallow() -> None:
        with Alarm(0.1, Rang):
            while True:
                try:
                    time.sleep(0.01)
                except Rang:
                    break

    with pytest.raises(Rang):
        swallow()


def test_it_leaves_no_trace() -> None:
    """Python's own checks for exceptions from outside are over with the block: under a profiler it would hang."""
    code = "import cProfile, time\nfrom course.grading.alarm import Alarm\n"
    code += "with Alarm(60, KeyError):\n    pass\ncProfile.run('sorted([2, 1], key=lambda i: i)')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_what_nothing_can_interrupt_ends_the_process() -> None:
    """A regular expression that takes years, in C, with the interpreter's lock held."""
    code = "import re\nfrom course.grading.task import _end_of_process\n"
    code += "with _end_of_process(0.3):\n    re.match('(a+)+$', 'a' * 60 + 'b')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (1, b"", b"")
    code = code.replace("0.3", "600").replace("60 +", "3 +")
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
