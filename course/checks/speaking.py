"""How often a decoder is asked, for the checks of chapter 16; nothing but NumPy and toys in here."""

from typing import Any

import numpy as np

from course.checks.toys import speak_from_table

__all__ = ["count_calls"]


def count_calls(function: Any, tables: np.ndarray, *args: Any) -> tuple[Any, int]:
    """Call what takes (step, state, ...) with the toy that speaks from tables: its answer, and how often it asked."""
    asked = []

    def step(words: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        asked.append(words)
        return speak_from_table(words, state)

    return function(step, (tables, np.zeros(tables.shape[:2])), *args), len(asked)
