"""Streams whose inputs come one by one; nothing but NumPy in here (`course.checks.driver` says why)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["chunk_diary", "follow_bits", "same_start", "stream_diary"]


def stream_diary(scan: Callable[..., Any], inputs: list[int]) -> tuple[list[str], Any]:
    """What happens in which order when `scan` reads from a generator, and its answer."""
    diary: list[str] = []
    return diary, scan(_writing(diary), 0, _told(diary, "input", inputs))


def chunk_diary(scan_chunks: Callable[..., Any], chunks: list[list[int]]) -> tuple[list[str], Any]:
    """The same for chunks: which chunk is asked for when."""
    diary: list[str] = []
    return diary, scan_chunks(_writing(diary), 0, _told(diary, "chunk", chunks))


def same_start(walk: Callable[..., Any]) -> tuple[bool, list[Any]]:
    """Whether the start itself comes back where there is nothing to read, and the outputs."""
    start = [1.0]
    end, outputs = walk(_writing([]), start, [])
    return end is start, outputs


def follow_bits(step: Callable[..., Any], stream: list[int]) -> tuple[list[float], list[int]]:
    """What `xor_guess_step` guesses after the third bit and later, and what came after each."""
    state, guesses = (np.full(3, 1 / 3), stream[0], stream[1]), []
    for bit in stream[2:-1]:
        state, p = step(state, bit)
        guesses.append(p)
    return guesses, stream[3:]


def _told(diary: list[str], name: str, things: list[Any]) -> Iterator[Any]:
    for thing in things:
        diary.append(f"{name} {thing}")
        yield thing


def _writing(diary: list[str]) -> Callable[[Any, Any], tuple[Any, Any]]:
    def step(state: Any, x: Any) -> tuple[Any, Any]:
        diary.append(f"step {x}")
        return 10 * state + x, state

    return step
