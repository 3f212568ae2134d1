"""Statistics of a class, collected one student at a time."""

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, quantiles
from typing import Any

from course.exercises import Exercise
from course.grading.pages.feedback import STOPPED, UNANSWERED, Part
from course.grading.pages.notebooks import Work
from course.grading.pages.records import Item, Record
from course.grading.task import GRADED, NOTED, UNREADABLE

ENOUGH = 10  # students below whom a correlation says nothing
BINS = 10
SLOW = 3.0  # times the class's median
LISTED = 50  # students in one list of the report; the files beside it have all
NOT_GRADED, NOT_HANDED_IN = "a person must look", "not handed in"
KINDS = ("start", "cells", "tests")

__all__ = ["ClassStatistics", "Entry", "ItemStatistics", "Moments", "Seconds", "status_of"]


@dataclass
class Moments:
    """Means, variances and covariance of pairs of numbers, in one pass (Welford's way)."""

    count: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def add(self, x: float, y: float) -> None:
        self.count += 1
        dx, dy = x - self.mean_x, y - self.mean_y
        self.mean_x += dx / self.count
        self.mean_y += dy / self.count
        self.xx += dx * (x - self.mean_x)
        self.yy += dy * (y - self.mean_y)
        self.xy += dx * (y - self.mean_y)

    @property
    def correlation(self) -> float | None:
        """Pearson's; None where one of the two does not vary."""
        tiny = 1e-12 * max(1, self.count)
        if self.xx <= tiny or self.yy <= tiny:
            return None
        return max(-1.0, min(1.0, self.xy / math.sqrt(self.xx * self.yy)))


@dataclass
class ItemStatistics:
    """One item over the class: those who have a score for it."""

    item: Item
    count: int = 0
    sum: float = 0.0
    full: int = 0
    unanswered: int = 0
    waiting: int = 0  # for a person
    against_rest: Moments = field(default_factory=Moments)

    def add(self, score: float | None, rest: float | None, unanswered: bool) -> None:
        """One student's score, and what she got for everything else (None where that is not known yet)."""
        self.unanswered += unanswered
        if score is None:
            self.waiting += 1
            return
        self.count += 1
        self.sum += score
        self.full += score >= self.item.maximum
        if rest is not None:
            self.against_rest.add(score, round(rest, 9))

    @property
    def mean_share(self) -> float | None:
        return self.sum / self.count / self.item.maximum if self.count and self.item.maximum else None

    @property
    def difficulty(self) -> float | None:
        """The share of students who got all of it."""
        return self.full / self.count if self.count else None

    @property
    def discrimination(self) -> float | None:
        """Correlation of this item with the rest of the points; of an item that is right or wrong, point-biserial."""
        return self.against_rest.correlation if self.against_rest.count >= ENOUGH else None

    @property
    def no_discrimination(self) -> str:
        """Why there is none."""
        if self.against_rest.count < ENOUGH:
            return "too few"
        return "all the same" if self.discrimination is None else ""


@dataclass(frozen=True, order=True)
class Seconds:
    """How long grading one submission took."""

    total: float
    student: str
    by_kind: tuple[float, float, float] = (0.0, 0.0, 0.0)
    what: str = ""  # stopped: what happened

    @classmethod
    def of(cls, student: str, seconds: Mapping[str, float], tests: Iterable[str], what: str = "") -> "Seconds":
        wanted, found = set(tests), dict.fromkeys(KINDS, 0.0)
        for name, value in seconds.items():
            found["start" if name == "start" else "tests" if name in wanted else "cells"] += value
        return cls(sum(found.values()), student, tuple(found[kind] for kind in KINDS), what)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Entry:
    """What is said of one student in lists."""

    status: str
    reason: str = ""  # why a person must look, or why it cannot be read
    seconds: Seconds | None = None


@dataclass
class Listed:
    """The first of a list that may be long, and how long it is."""

    first: list[Any] = field(default_factory=list)
    count: int = 0

    def add(self, entry: Any) -> None:
        self.count += 1
        if self.count <= LISTED:
            self.first.append(entry)

    @property
    def more(self) -> int:
        return self.count - len(self.first)


def status_of(record: Record, work: Work, result: Mapping[str, Any]) -> str:
    """What became of a submission. The gradebook and the notebook are newer than the journal where they differ."""
    if not record.submitted:
        return NOT_HANDED_IN
    if all(mark.auto is None and mark.manual is None for mark in record.marks.values()):
        return NOT_GRADED
    if result.get("status") == UNREADABLE or any(note.startswith("The submission cannot be") for note in work.notes):
        return UNREADABLE
    return NOTED if work.notes else GRADED


class ClassStatistics:
    """What the class report says, item by item."""

    def __init__(self, items: Mapping[str, Item], exercises: Sequence[Exercise], known: Mapping[str, set[str]]) -> None:
        """`known`: the misconceptions of each exercise; a sentence that a student's code made up is not counted."""
        self.maximum = sum(item.maximum for item in items.values())
        self.items = {name: ItemStatistics(item) for name, item in items.items()}
        self.statuses: Counter[str] = Counter()
        self.misconceptions: dict[str, Counter[str]] = {exercise.id: Counter() for exercise in exercises}
        self.unreadable, self.waiting, self.stopped = Listed(), Listed(), Listed()
        self._known = known
        self._totals, self._seconds = array("d"), array("d")
        self._slowest: list[Seconds] = []

    def add(self, record: Record, work: Work, parts: Sequence[Part], result: Mapping[str, Any]) -> Entry:
        """One student, and what is to be said of her."""
        status, reason = status_of(record, work, result), ""
        self.statuses[status] += 1
        if status == NOT_HANDED_IN:
            return Entry(status)
        if status == UNREADABLE:
            reason = (work.notes or ["no reason is known"])[-1]
            self.unreadable.add((record, reason))
        elif record.needs_person:
            reason = _what_waits(record, work, status)
            self.waiting.add((record, reason))
        if status not in (UNREADABLE, NOT_GRADED):
            self._add_scores(record, parts)
            self._add_misconceptions(parts)
        return Entry(status, reason, self._add_seconds(record, work, parts, result))

    def _add_scores(self, record: Record, parts: Sequence[Part]) -> None:
        unanswered = {t.item.name for part in parts if part.state == UNANSWERED for t in part.tested}
        scores = {name: mark.score for name, mark in record.marks.items()}
        complete = not record.needs_person
        total = sum(score or 0.0 for score in scores.values())
        for name, item in self.items.items():
            mark = record.marks.get(name)
            score = mark.score if mark and not mark.needs_person else None
            item.add(score, total - score if complete and score is not None else None, name in unanswered)
        if complete:
            self._totals.append(record.total)

    def _add_misconceptions(self, parts: Sequence[Part]) -> None:
        for part in parts:
            for cause in part.causes:
                if cause in self._known.get(part.id, ()):
                    self.misconceptions[part.id][cause] += 1

    def _add_seconds(
        self, record: Record, work: Work, parts: Sequence[Part], result: Mapping[str, Any]
    ) -> Seconds | None:
        stopped = [part.title for part in parts if part.state == STOPPED]
        what = "; ".join([note for note in work.notes if "kernel" in note or "was run" in note][:3])
        if not what and stopped:
            what = f"took too long in: {', '.join(stopped)}"
        took = Seconds.of(record.student, result.get("seconds", {}), self.items, what)
        if what:
            self.stopped.add(took)
        if not took.total:
            return took if what else None
        self._seconds.append(took.total)
        heapq.heappush(self._slowest, took)
        if len(self._slowest) > LISTED:
            heapq.heappop(self._slowest)
        return took

    # --- what it came to

    @property
    def graded(self) -> int:
        """Students whose total is known."""
        return len(self._totals)

    @property
    def handed_in(self) -> int:
        return self.statuses.total() - self.statuses[NOT_HANDED_IN]

    def bins(self) -> list[int]:
        """How many totals are in each tenth of the points; the full score is in the last."""
        counts = [0] * BINS
        for total in self._totals:
            share = total / self.maximum if self.maximum else 0.0
            counts[min(BINS - 1, int(share * BINS + 1e-9))] += 1
        return counts

    def quartiles(self) -> dict[str, float]:
        """Mean, extremes and quartiles of the totals; empty without students."""
        if not self._totals:
            return {}
        one = len(self._totals) == 1
        cuts = [self._totals[0]] * 3 if one else quantiles(self._totals, n=4, method="inclusive")
        names = ("lowest", "lower quartile", "median", "upper quartile", "highest", "mean")
        return dict(zip(names, (min(self._totals), *cuts, max(self._totals), mean(self._totals)), strict=True))

    @property
    def median_seconds(self) -> float | None:
        return sorted(self._seconds)[len(self._seconds) // 2] if self._seconds else None

    def slow(self) -> Iterator[Seconds]:
        """Those who took several times as long as the median, slowest first, and are not listed as stopped."""
        stopped = {entry.student for entry in self.stopped.first}
        for took in sorted(self._slowest, reverse=True):
            if took.total > SLOW * (self.median_seconds or 0.0) and took.student not in stopped:
                yield took


def _what_waits(record: Record, work: Work, status: str) -> str:
    if status == NOT_GRADED and work.notes:
        return work.notes[-1]
    waiting = [name for name, mark in record.marks.items() if mark.needs_person or mark.score is None]
    return f"to be graded by hand: {', '.join(sorted(waiting))}"
