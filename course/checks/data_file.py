"""Check data on disk: worked examples and the fingerprints of wrong versions, one pair of files per chapter.

`NN-slug.json` holds the exercises' records and the skeletons of the values, `NN-slug.npz` their arrays.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from course.exercises import DATA, Exercise, read_record
from course.plain import flatten, restore

__all__ = ["CheckData", "Misconception", "answers_of", "load", "load_one", "write"]


@dataclass
class Misconception:
    """What a known wrong version returns on each example: a value, or the name of the exception it raises."""

    says: str
    answers: list[Any]


@dataclass
class CheckData:
    """Worked examples of one exercise. An exercise that is checked by properties alone has none."""

    examples: list[tuple[Any, ...]] = field(default_factory=list)  # arguments
    answers: list[Any] = field(default_factory=list)
    returns: Any = "result"  # what the parts of an answer are called
    misconceptions: list[Misconception] = field(default_factory=list)


class _Arrays(Sequence[np.ndarray]):
    """The arrays of a file that was read whole, each unpacked when it is first asked for.

    Nine in ten are answers of wrong versions; who only lists the checks of all chapters needs none of those.
    """

    def __init__(self, content: bytes) -> None:
        self._archive = np.load(io.BytesIO(content), allow_pickle=False)
        self._unpacked: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._archive.files)

    def __getitem__(self, i: Any) -> Any:
        if i not in self._unpacked:
            self._unpacked[i] = self._archive[f"{i:04d}"]
        return self._unpacked[i]


@cache
def _stored(slug: str) -> tuple[dict[str, Any], Sequence[np.ndarray]]:
    """The skeletons of a chapter's check data, by exercise id, and the arrays that go into them; read once."""
    return read_record(slug)["checks"]["dict"], _Arrays((DATA / f"{slug}.npz").read_bytes())


def load(slug: str) -> dict[str, CheckData]:
    """Check data of a chapter, by exercise id; made anew each time, so that functions named in it are today's."""
    skeletons, arrays = _stored(slug)
    return {exercise_id: _check_data(skeleton, arrays) for exercise_id, skeleton in skeletons.items()}


def load_one(exercise: Exercise) -> CheckData:
    """Check data of one exercise: a module of `rnnlib` that only others' examples need may be broken."""
    skeletons, arrays = _stored(exercise.slug)
    return _check_data(skeletons[exercise.id], arrays)


def answers_of(exercise: Exercise) -> list[Any]:
    """The right answers to the worked examples; the examples may name functions of `rnnlib`, answers do not."""
    skeletons, arrays = _stored(exercise.slug)
    return restore(skeletons[exercise.id]["dict"]["answers"], arrays)


def _check_data(skeleton: Any, arrays: Sequence[np.ndarray]) -> CheckData:
    value = restore(skeleton, arrays)
    return CheckData(**value | {"misconceptions": [Misconception(**m) for m in value["misconceptions"]]})


def write(slug: str, exercises: list[Exercise], checks: dict[str, CheckData]) -> dict[str, bytes]:
    """The two files' contents, by name: the same bytes for the same data."""
    skeleton, arrays = flatten({exercise_id: vars(data) | _plain(data) for exercise_id, data in checks.items()})
    record = {"exercises": [exercise.as_dict() for exercise in exercises], "checks": skeleton}
    return {f"{slug}.json": _json(record).encode(), f"{slug}.npz": _npz(arrays)}


def _json(record: dict[str, Any]) -> str:
    """JSON with a line for each exercise: short enough to read, long enough to see in a diff what changed."""
    exercises = ",\n".join(json.dumps(e, ensure_ascii=False) for e in record["exercises"])
    checks = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record["checks"]["dict"].items()
    )
    return f'{{"exercises": [\n{exercises}\n],\n"checks": {{"dict": {{\n{checks}\n}}}}}}\n'


def _plain(data: CheckData) -> dict[str, Any]:
    return {"misconceptions": [vars(misconception) for misconception in data.misconceptions]}


def _npz(arrays: list[np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, array in enumerate(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{i:04d}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()
