"""Students whose answers are the same but for names, comments and layout.

An answer's form is its syntax tree without docstrings and annotations, every name that it binds replaced by a number.
Two students are listed together where they share a form in at least `SHARED` exercises, counting only forms that say
something: longer than `SMALL` beyond the stub, not the reference's, and rare, that is written by no more than one in a
hundred of those who answered that exercise (but at least `FEW`, at most `MANY` students). A short answer, or one that
many come to, is alike by nature. What it means that two answers are the same, a person must find out.
"""

import ast
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

SMALL = 50  # names, numbers, operators and the like that an answer has beyond its stub
FEW, MANY, RARE = 3, 10, 0.01
SHARED = 2
NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
LONGEST = 20_000  # characters of an answer: a longer one is not compared

__all__ = ["FEW", "MANY", "RARE", "SHARED", "SMALL", "Pair", "SameAnswers", "form", "groups"]


@dataclass(frozen=True)
class Form:
    digest: bytes
    size: int  # names, numbers, operators and the like


@dataclass(frozen=True)
class Pair:
    """Two students, and the exercises in which they have the same answer, with how many wrote that very answer."""

    students: tuple[str, str]
    exercises: dict[str, int]


@lru_cache(maxsize=4096)
def form(source: str, name: str) -> Form | None:
    """The form of an answer that defines the function `name`; None if it is not Python, or too long."""
    code = "\n".join(line for line in source.split("\n") if not line.lstrip().startswith(("%", "!")))
    if len(code) > LONGEST:
        return None
    try:
        parts = list(_Parts(ast.parse(code), name))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    text = "\0".join(parts).encode("utf-8", "replace")
    return Form(hashlib.sha256(text).digest()[:16], sum(not part.startswith("(") for part in parts))


class _Parts:
    """The parts of a tree in order; kinds of nodes begin with a parenthesis, and are not counted."""

    def __init__(self, tree: ast.Module, name: str) -> None:
        self._tree = tree
        self._bound = set(_bound(tree)) - {name}
        self._numbers: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return self._node(self._tree)

    def _node(self, node: ast.AST) -> Iterator[str]:
        yield f"({type(node).__name__}"
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment", "ctx", "kind", "simple"):
                continue
            if field == "body" and isinstance(value, list):
                value = _without_docstring(value)
            yield from self._value(value, _is_name(node, field))
        yield ")"

    def _value(self, value: object, is_name: bool) -> Iterator[str]:
        if isinstance(value, list):
            yield "(list"
            for item in value:
                yield from self._value(item, is_name)
            yield ")"
        elif isinstance(value, ast.operator | ast.unaryop | ast.cmpop | ast.boolop):
            yield type(value).__name__
        elif isinstance(value, ast.AnnAssign) and value.value is not None:
            yield from self._node(ast.Assign([value.target], value.value))
        elif isinstance(value, ast.AST):
            yield from self._node(value)
        elif is_name and value in self._bound:
            yield self._numbers.setdefault(str(value), f"name {len(self._numbers)}")
        elif value is not None:
            yield f"{type(value).__name__} {value!r}"


def _is_name(node: ast.AST, field: str) -> bool:
    """Whether a field holds a name that code may give itself: no attribute, keyword, string or module."""
    if isinstance(node, ast.keyword | ast.Attribute | ast.Constant | ast.ImportFrom):
        return False
    return field in ("id", "asname", "arg", "names") or (field == "name" and not isinstance(node, ast.alias))


def _bound(tree: ast.Module) -> Iterator[str]:
    """Every name that is given a value somewhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, NAMED) and node.name:
            yield node.name
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


class SameAnswers:
    """Collects forms of answers, on disk where they are many."""

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        """`known`: for each exercise its name in answers, and the sources (stub first) that nobody is told of."""
        self._base = sqlite3.connect("")  # a file of its own that has no name, and goes with the connection
        self._base.execute("create table students (id integer primary key, name text)")
        self._base.execute("create table answers (exercise text, form blob, student integer)")
        self._skip: dict[str, set[bytes]] = {}
        self._stub: dict[str, int] = {}
        for exercise, sources in known.items():
            forms = [form(source, _function(exercise)) for source in sources]
            self._skip[exercise] = {found.digest for found in forms if found}
            self._stub[exercise] = forms[0].size if forms and forms[0] else 0

    def __enter__(self) -> "SameAnswers":
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def add(self, student: str, answers: dict[str, str]) -> None:
        """One student's answers by exercise, without those that she left as they were."""
        number = self._base.execute("insert into students (name) values (?)", (student,)).lastrowid
        rows = []
        for exercise, source in answers.items():
            if exercise in self._skip:
                found = form(source, _function(exercise))
                says = found and found.size - self._stub[exercise] >= SMALL and found.digest not in self._skip[exercise]
                rows.append((exercise, found.digest if found and says else None, number))
        self._base.executemany("insert into answers values (?, ?, ?)", rows)

    def pairs(self) -> Iterator[Pair]:
        """Who shares rare forms in several exercises, those who share most first."""
        self._base.execute("drop table if exists rare")
        self._base.execute(
            """
            create table rare as
            select a.exercise, a.form, a.student, g.writers from answers a join (
                select exercise, form, count(*) as writers from answers where form is not null
                group by exercise, form having count(*) >= 2
            ) g on a.exercise = g.exercise and a.form = g.form join (
                select exercise, count(*) as answered from answers group by exercise
            ) e on a.exercise = e.exercise
            where g.writers <= max(:few, min(:many, :rare * e.answered))
            """,
            {"few": FEW, "many": MANY, "rare": RARE},
        )
        self._base.execute("create index alike on rare (exercise, form)")
        found = self._base.execute(
            """
            select s.name, t.name, group_concat(a.exercise || ' ' || a.writers) from rare a join rare b
                on a.exercise = b.exercise and a.form = b.form and a.student < b.student
                join students s on s.id = a.student join students t on t.id = b.student
            group by a.student, b.student having count(*) >= :shared
            order by count(*) desc, s.name, t.name
            """,
            {"shared": SHARED},
        )
        for first, second, shared in found:
            counts = sorted(entry.split(" ") for entry in shared.split(","))
            yield Pair((first, second), {exercise: int(writers) for exercise, writers in counts})


def groups(pairs: Iterable[Pair]) -> list[tuple[list[str], dict[str, int]]]:
    """Students who are linked by pairs, with the exercises of those pairs and how many wrote such an answer."""
    group_of: dict[str, tuple[set[str], dict[str, int]]] = {}
    for pair in pairs:
        linked = [group_of.get(student, ({student}, {})) for student in pair.students]
        students = linked[0][0] | linked[1][0]
        merged = students, linked[0][1] | linked[1][1] | pair.exercises
        for student in students:
            group_of[student] = merged
    found = {id(group): group for group in group_of.values()}.values()
    ordered = [(sorted(students), dict(sorted(exercises.items()))) for students, exercises in found]
    return sorted(ordered, key=lambda group: (-len(group[1]), -len(group[0]), group[0]))


def _function(exercise: str) -> str:
    return exercise.rpartition("/")[2]
