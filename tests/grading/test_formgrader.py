"""nbgrader's formgrader opens the gradebook and the notebooks that we wrote, and a person grades in it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import made_submissions as made
import pytest
from made_submissions import SLUG
from nbgrader.api import Gradebook

from course.grading.gradebook import COURSE_ID, Result, Writer, database_url, save_notebook, save_source
from course.grading.task import grade

BUNDLE = made.small("softmax")
SCRIPT = "<script>document.title='hers'</script>"
CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "{COURSE_ID}"
c.ServerApp.jpserver_extensions = {{"nbgrader.server_extensions.formgrader": True}}
"""


def hostile(notebook: Any) -> None:
    show = "from IPython.display import HTML, Javascript, Markdown, display\n"
    show += f"display(HTML({SCRIPT!r}), Javascript('alert(1)'), Markdown({SCRIPT!r}))\nprint({SCRIPT!r})\n{SCRIPT!r}"
    notebook.cells += [made.code(show), made.nbformat.v4.new_markdown_cell(SCRIPT)]


class Pages:
    """A browser's requests to a Jupyter server."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path: str) -> str:
        return self.opener.open(f"{self.base}/{path}", timeout=60).read().decode()

    def put(self, path: str, content: dict[str, Any]) -> Any:
        token = next(cookie.value for cookie in self.jar if cookie.name == "_xsrf")
        headers = {"Content-Type": "application/json", "X-XSRFToken": token or ""}
        data = json.dumps(content).encode()
        request = urllib.request.Request(f"{self.base}/{path}", data, headers, method="PUT")
        return json.loads(self.opener.open(request, timeout=60).read())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course folder with three graded students."""
    root = tmp_path_factory.mktemp("course")
    submissions = {
        "ann": made.handed_in(BUNDLE),
        "mallory": made.handed_in(BUNDLE, {}, hostile),
        "nobody": b"this is not a notebook",
    }
    save_source(root, made.chapter())
    with Writer(database_url(str(root / "gradebook.db")), BUNDLE) as writer:
        for name, data in submissions.items():
            outcome = grade(name, data, BUNDLE, made.NO_SANDBOX)
            save_notebook(root, name, SLUG, outcome.notebook)
            writer.write([Result(outcome)])
    return root


@pytest.fixture(scope="module")
def pages(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    home = tmp_path_factory.mktemp("home")
    (root / "nbgrader_config.py").write_text(CONFIG)
    (root / "jupyter_server_config.py").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password="]
    places = {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(root),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=os.environ | places, stdout=log, stderr=log)
    found = Pages(port)
    try:
        for _ in range(120):
            try:
                found.get("formgrader/manage_assignments")
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, (home / "log").read_text()[-3000:]
                time.sleep(0.5)
        yield found
    finally:
        server.terminate()
        server.wait(30)


def test_the_class_is_listed_with_its_scores(pages: Pages) -> None:
    """By assignment and by student."""
    listed = json.loads(pages.get(f"formgrader/api/submissions/{SLUG}"))
    assert {entry["student"]: (entry["score"], entry["autograded"]) for entry in listed} == {
        "ann": (4.0, True),
        "mallory": (0.0, True),
        "nobody": (0.0, True),
    }
    (assignment,) = json.loads(pages.get("formgrader/api/assignments"))
    assert (assignment["name"], assignment["max_score"]) == (SLUG, 4.0)
    assert len(json.loads(pages.get("formgrader/api/students"))) == 3


def submission(pages: Pages, student: str) -> str:
    listed = json.loads(pages.get(f"formgrader/api/submitted_notebooks/{SLUG}/{SLUG}"))
    return next(entry["id"] for entry in listed if entry["student"] == student)


def test_each_notebook_opens(pages: Pages) -> None:
    """The right one, the hostile one, and the one that could not be read."""
    ann, mallory, nobody = (
        pages.get(f"formgrader/submissions/{submission(pages, student)}/") for student in ("ann", "mallory", "nobody")
    )
    assert f"{SLUG}--softmax--check" in ann
    assert "all as expected" in ann
    assert "not written yet" in mallory
    assert "The submission cannot be read" in nobody


def test_what_a_student_wrote_does_nothing_in_the_page(pages: Pages) -> None:
    """Her script is shown, and is no script: neither as output nor as text."""
    page = pages.get(f"formgrader/submissions/{submission(pages, 'mallory')}/")
    assert SCRIPT not in page
    assert "alert(1)</script>" not in page
    assert "&lt;script&gt;" in page


def test_a_person_grades_in_it(pages: Pages, root: Path) -> None:
    """A manual score and a comment arrive in the gradebook; a regrade keeps them."""
    pages.get("formgrader/manage_assignments")
    found = submission(pages, "ann")
    grades = json.loads(pages.get(f"formgrader/api/grades?submission_id={found}"))
    mine = next(entry for entry in grades if entry["name"].endswith("--check"))
    pages.put(f"formgrader/api/grade/{mine['id']}", {"manual_score": 1.0, "extra_credit": None})
    (comment,) = json.loads(pages.get(f"formgrader/api/comments?submission_id={found}"))
    pages.put(f"formgrader/api/comment/{comment['id']}", {"manual_comment": "See me."})
    with Writer(database_url(str(root / "gradebook.db")), BUNDLE) as writer:
        writer.write([Result(grade("ann", made.handed_in(BUNDLE), BUNDLE, made.NO_SANDBOX))])
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", COURSE_ID) as gradebook:
        assert gradebook.find_submission(SLUG, "ann").score == 2.0
        assert gradebook.find_comment(f"{SLUG}--softmax", SLUG, SLUG, "ann").comment == "See me."
