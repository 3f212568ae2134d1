"""A gradebook on a PostgreSQL server: the same results as in a file, also when two write, or the server goes away."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import made_runs as runs
import pytest
from made_runs import BUNDLE, ENTERED
from made_submissions import SLUG
from nbgrader.api import Gradebook
from postgres_server import NONE, Server, postgres, programs

from course.grading import gradebook as module
from course.grading.batch import grade_all
from course.grading.errors import GRADEBOOK, Stopped
from course.grading.gradebook import COURSE_ID, Result, Writer, database_url
from course.grading.task import GRADED, Outcome


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = programs()
    if found is None:
        pytest.skip(NONE)
    with postgres(found) as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of this test's database."""
    return f"db_{abs(hash(request.node.name))}"


@pytest.fixture
def url(server: Server, name: str) -> str:
    return server.database(name)


def outcome(student: str, check: float = 2.0) -> Result:
    return Result(Outcome(student, GRADED, {runs.CHECK: check, runs.HIDDEN: 1.0}))


def nbgrader(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=root, env=os.environ | {"PATH": path}, capture_output=True, text=True)


# --- a class


def test_scores_are_those_of_a_file(small: None, url: str, tmp_path: Path) -> None:
    """Cell by cell, for every kind of work, and the number of the learning platform's beside them."""
    folder = runs.class_of(tmp_path / "in", 8)
    (folder / "loose").mkdir()
    (folder / "loose" / f"Öztürk Zoë_17_99_{SLUG}.ipynb").write_bytes(b"\xff\xfe")  # as Canvas names it
    grade_all(runs.order(folder, tmp_path / "file"))
    grade_all(runs.order(folder, tmp_path / "server", database=url))
    assert runs.grades(tmp_path, url) == runs.grades(tmp_path / "file")
    assert {s: scores for s, scores in runs.scores(runs.grades(tmp_path, url)).items() if s[0] == "s"} == runs.deserved(
        8
    )
    with Gradebook(url, COURSE_ID) as gradebook:
        assert gradebook.find_student("Öztürk Zoë_17").lms_user_id == "17"
        assert (gradebook.find_submission(SLUG, "s00").score, gradebook.find_submission(SLUG, "s01").score) == (3, 0)


@pytest.mark.parametrize("driver", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_needs_no_driver(driver: str, server: Server, url: str, name: str) -> None:
    with Writer(database_url(server.url(name, driver)), BUNDLE) as writer:
        assert writer.missing(["ann"]) == {"ann"}


def test_what_people_entered_stays(small: None, url: str, tmp_path: Path) -> None:
    """A regrade keeps manual score, extra credit, comment, penalty and extension."""
    folder = runs.class_of(tmp_path / "in", 2)
    grade_all(runs.order(folder, tmp_path / "course", database=url))
    runs.enter_by_hand(url, "s00")
    with Gradebook(url, COURSE_ID) as gradebook:
        gradebook.find_submission(SLUG, "s00").extension = timedelta(days=2)
        gradebook.db.commit()
    assert grade_all(runs.order(folder, tmp_path / "course", database=url, regrade=True)).graded == 2
    assert runs.by_hand(url, "s00") == ENTERED
    assert runs.grades(tmp_path, url)["s00"][runs.CHECK] == [2.0, 1.5, True]  # a person looks again
    with Gradebook(url, COURSE_ID) as gradebook:
        assert gradebook.find_submission(SLUG, "s00").extension == timedelta(days=2)


def test_stock_nbgrader_works_with_it(small: None, url: str, tmp_path: Path) -> None:
    """`nbgrader export` writes what we graded; `nbgrader db upgrade` finds nothing to do."""
    grade_all(runs.order(runs.class_of(tmp_path / "in", 4), tmp_path / "course", database=url))
    done = nbgrader(tmp_path, "export", f"--db={url}", "--to=grades.csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "grades.csv").open()))
    assert {row["student_id"]: float(row["score"]) for row in rows} == {"s00": 3, "s01": 0, "s02": 0, "s03": 0}
    done = nbgrader(tmp_path, "db", "upgrade", f"--db={url}")
    assert done.returncode == 0, done.stderr
    assert runs.scores(runs.grades(tmp_path, url)) == runs.deserved(4)


# --- others who write


@pytest.mark.parametrize("kind", ["server", "file"])
def test_two_commands_at_the_same_time(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """From two course folders into one new gradebook: both end well, and every student is there once."""
    database = request.getfixturevalue("url") if kind == "server" else str(tmp_path / "both.db")
    folder = runs.class_of(tmp_path / "in", 8)
    both = [
        runs.command(BUNDLE, folder, tmp_path / place, "--db", database, "--workers", "1") for place in ("one", "two")
    ]
    for process in both:
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
    assert runs.scores(runs.grades(tmp_path, database)) == runs.deserved(8)


@pytest.mark.parametrize("kind", ["server", "file"])
def test_writers_in_each_others_way(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Eight open the same new gradebook at the same moment and write the same students again and again."""
    database = database_url(request.getfixturevalue("url") if kind == "server" else str(tmp_path / "both.db"))
    students = [f"s{i:02d}" for i in range(30)]
    together, faults = threading.Barrier(8), list[BaseException]()

    def write(number: int) -> None:
        try:
            together.wait()
            with Writer(database, BUNDLE) as writer:
                for _ in range(4):
                    writer.write([outcome(student) for student in students[:: -1 if number % 2 else 1]])
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    found = runs.grades(tmp_path, request.getfixturevalue("url") if kind == "server" else str(tmp_path / "both.db"))
    assert runs.scores(found) == {student: [2.0, 1.0] for student in students}


def test_a_table_that_another_holds_is_said(
    url: str, name: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, but not forever; afterwards the same results go in."""
    monkeypatch.setattr(module, "LOCK_SECONDS", 1)
    with Writer(database_url(url), BUNDLE) as writer:
        with server.connect(name) as other:
            other.execute("lock table grade in access exclusive mode")
            with pytest.raises(Stopped, match=r"lock timeout\nAnother program holds the gradebook") as stopped:
                writer.write([outcome("ann")])
        assert stopped.value.code == GRADEBOOK
        writer.write([outcome("ann")])
        assert writer.missing(["ann"]) == set()


# --- a server that goes away


def test_a_server_that_comes_back_at_once_is_not_noticed(url: str, server: Server) -> None:
    """Restarted between two batches, or while a session is open in it."""
    with Writer(database_url(url), BUNDLE) as writer:
        for student, how in (("ann", signal.SIGINT), ("bob", signal.SIGQUIT)):
            server.stop(how)
            server.start()
            writer.write([outcome(student)])
        assert writer.missing(["ann", "bob"]) == set()


def test_a_server_that_stops_in_the_middle_costs_nothing(url: str, name: str, server: Server, tmp_path: Path) -> None:
    """The command says so, with exit code 4; when the server is back the next one goes on with all that was graded."""
    folder, root = runs.class_of(tmp_path / "in", 60), tmp_path / "course"
    process = runs.command(BUNDLE, folder, root, "--db", url, "--workers", "1")
    try:
        deadline = time.monotonic() + 100
        while len(runs.finished(root)) < 6 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        server.stop()
        said, _ = process.communicate(timeout=100)
    finally:
        process.kill()
        server.start()
    assert process.returncode == GRADEBOOK, said
    assert "no result is lost" in said
    assert "run the same command" in said
    assert "Traceback" not in said
    assert server.password not in said
    before = runs.finished(root)
    assert 6 <= len(before) < 60
    process = runs.command(BUNDLE, folder, root, "--db", url, "--workers", "2")
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert f"; {len(before)} had their result before" in said
    assert sorted(runs.finished(root)) == sorted(runs.deserved(60))
    assert runs.scores(runs.grades(tmp_path, url)) == runs.deserved(60)


# --- what cannot be used


def test_who_may_not_in_is_told(url: str, name: str, server: Server, tmp_path: Path) -> None:
    """A wrong password, no such database, a user without rights, a server that is not there; never the password."""
    server.run("create role guest login password 'guest-secret'; revoke create on schema public from public", name)
    cases = {
        url.replace(server.password, "wrong-secret"): "password authentication failed",
        url.replace(name, "nothing"): 'database "nothing" does not exist',
        url.replace(f"course:{server.password}", "guest:guest-secret"): "permission denied",
        f"postgresql://course:some-secret@127.0.0.1:1/{name}": "Connection refused",
        url.replace(str(server.folder), str(tmp_path)): "No such file or directory",
    }
    for database, cause in cases.items():
        with pytest.raises(Stopped, match=cause) as stopped:
            Writer(database_url(database), BUNDLE)
        assert stopped.value.code == GRADEBOOK
        assert str(stopped.value).startswith("postgresql+psycopg://")
        assert "run the same command" in str(stopped.value)
        assert "secret" not in str(stopped.value)
        assert server.password not in str(stopped.value)


def test_tables_of_an_older_nbgrader_are_left_alone(url: str, name: str, server: Server, tmp_path: Path) -> None:
    """Its `db upgrade` is named, and after it the gradebook is used."""
    module._make_tables(database_url(url))
    server.run("drop table assignment cascade; drop table course cascade; delete from alembic_version", name)
    server.run("insert into alembic_version values ('282d30a0218e')", name)
    server.run("create table assignment (id varchar(32) primary key, name varchar(128), duedate timestamp)", name)
    with pytest.raises(Stopped, match="nbgrader db upgrade") as stopped:
        Writer(database_url(url), BUNDLE)
    assert stopped.value.code == GRADEBOOK
    with server.connect(name) as connection:
        assert connection.execute("select to_regclass('course')").fetchone() == (None,)
    done = nbgrader(tmp_path, "db", "upgrade", f"--db={url}")
    assert done.returncode == 0, done.stderr
    with Writer(database_url(url), BUNDLE) as writer:
        writer.write([outcome("ann")])
    assert runs.scores(runs.grades(tmp_path, url)) == {"ann": [2.0, 1.0]}


def test_tables_of_something_else_are_left_alone(url: str, name: str, server: Server) -> None:
    server.run("create table invoices (id int)", name)
    with pytest.raises(Stopped, match=r"no gradebook of nbgrader's \(invoices\)"):
        Writer(database_url(url), BUNDLE)
    with server.connect(name) as connection:
        found = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    assert found == (1,)


def test_the_server_of_these_tests_is_gone_with_them(server: Server) -> None:
    """One of our own, on no port, and nothing of it is left."""
    with postgres(server.programs) as mine:
        folder = mine.folder
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        assert b"listen_addresses=\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
