"""Cards and quizzes: the data's rules are enforced, and what comes out needs nothing from outside."""

import json
import re

import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import SAMPLE

from course.study import StudyError, cards_html, check_study, load_study, quiz_html, write_assets

GOOD = yaml.safe_load((SAMPLE / "book" / "_study" / "07-sample.yml").read_text(encoding="utf-8"))


def _set(data, value, *keys):
    for key in keys[:-1]:
        data = data[key]
    data[keys[-1]] = value


def _drop(data, *keys):
    for key in keys[:-1]:
        data = data[key]
    del data[keys[-1]]


BREAKS = {
    "cards: 4 entries": lambda d: _drop(d, "cards", 0),
    "card 2: has front": lambda d: _drop(d, "cards", 1, "back"),
    "card 3: same front as card 1": lambda d: _set(d, d["cards"][0]["front"], "cards", 2, "front"),
    "card 1: `back` is empty": lambda d: _set(d, " ", "cards", 0, "back"),
    "quiz: 4 entries": lambda d: _drop(d, "quiz", 0),
    "question 1: `type` is 'essay'": lambda d: _set(d, "essay", "quiz", 0, "type"),
    "question 1: answer 2: `feedback` is empty": lambda d: _set(d, "", "quiz", 0, "answers", 1, "feedback"),
    "question 1: answer 2: has answer, correct": lambda d: _drop(d, "quiz", 0, "answers", 1, "feedback"),
    "question 1: answer 1: `correct` is true or false": lambda d: _set(d, "yes", "quiz", 0, "answers", 0, "correct"),
    "multiple_choice with 2 right": lambda d: _set(d, True, "quiz", 0, "answers", 1, "correct"),
    "many_choice with 1 right": lambda d: _set(d, False, "quiz", 2, "answers", 1, "correct"),
    "question 2: has question, type, answers; expected": lambda d: _drop(d, "quiz", 1, "otherwise"),
    "question 2: answer 1: `value` is a number": lambda d: _set(d, "12", "quiz", 1, "answers", 0, "value"),
    "question 4: answer 1: `answer` is empty or not text": lambda d: _set(d, True, "quiz", 3, "answers", 0, "answer"),
    "exactly two entries": lambda d: _drop(d, "quiz"),
}


def test_the_sample_is_in_order():
    """Data that keep every rule give no fault."""
    assert check_study(GOOD) == []


@pytest.mark.parametrize("message", BREAKS)
def test_each_rule_is_enforced(message):
    """Breaking one rule gives one fault, and its text names the place."""
    data = json.loads(json.dumps(GOOD))
    BREAKS[message](data)
    faults = check_study(data)
    assert len(faults) == 1
    assert message in faults[0]


def test_a_missing_or_unreadable_file_is_named(tmp_path):
    """The message names the file that is to be written or mended."""
    with pytest.raises(StudyError, match=r"05-x\.yml: there is no such file"):
        load_study(tmp_path / "05-x.yml")
    (tmp_path / "05-x.yml").write_text("cards: [", encoding="utf-8")
    with pytest.raises(StudyError, match="not YAML"):
        load_study(tmp_path / "05-x.yml")


def test_cards_carry_formulas_and_code_as_html():
    """Markdown becomes HTML with TeX that MathJax finds; markup in the data does not get through."""
    data = [{"front": "Is $a<b$ in `x`? <script>alert(1)</script>", "back": "*Yes*"}]
    box = BeautifulSoup(cards_html("07-sample", data), "html.parser").select_one(".flip-container")
    (card,) = json.loads(box["data-cards"])
    assert r"\(a&lt;b\)" in card["front"]
    assert "<code>x</code>" in card["front"]
    assert "<script" not in card["front"]
    assert card["back"] == "<em>Yes</em>"


def test_a_quiz_can_be_read_without_scripts():
    """Where no script runs, every question and every choice stands on the page."""
    fallback = BeautifulSoup(quiz_html("07-sample", GOOD["quiz"]), "html.parser").find("noscript")
    assert len(fallback.select("ol > li")) == len(GOOD["quiz"])
    assert len(fallback.select("ul > li")) == sum(len(q["answers"]) for q in GOOD["quiz"] if q["type"] != "numeric")


def test_the_same_data_give_the_same_html():
    """No random ids: the page is the same on every build."""
    assert cards_html("07-sample", GOOD["cards"]) == cards_html("07-sample", GOOD["cards"])
    assert quiz_html("07-sample", GOOD["quiz"]) == quiz_html("07-sample", GOOD["quiz"])


def test_the_scripts_name_no_other_host(tmp_path):
    """What jupytercards and jupyterquiz would fetch from a CDN is cut out of the copies that the site serves."""
    names = write_assets(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    text = "\n".join((tmp_path / name).read_text(encoding="utf-8") for name in names)
    hosts = set(re.findall(r"https?://([\w.-]+)", text))
    assert hosts <= {"www.w3.org", "schema.org", "github.com", "stackoverflow.com"}, (
        "addresses beyond namespaces, credits"
    )
    assert "createCards" in text
    assert "show_questions" in text
