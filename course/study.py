"""Flashcards and quizzes: their data, their rules, and the HTML that jupytercards and jupyterquiz bring to life.

A chapter's cards and questions stand in `book/_study/NN-slug.yml`:

```yaml
cards:                                   # 5 to 10
  - front: What does $h_t$ summarize?    # Markdown: $math$, `code`, *emphasis*
    back: Every input up to and including step $t$.
quiz:                                    # 5 to 8
  - question: Which array holds the recurrent weights?
    type: multiple_choice                # one right answer; many_choice: two or more
    answers:
      - {answer: "`W_hh`", correct: true, feedback: "It maps $h_{t-1}$ to $h_t$."}
      - {answer: "`W_xh`", correct: false, feedback: "That one maps the input."}
  - question: With $D = 3$ and $H = 4$, how many numbers are in `W_xh`?
    type: numeric
    answers:
      - {value: 12, correct: true, feedback: "$3 \\times 4$."}
      - {value: 16, correct: false, feedback: "That is `W_hh`, $H \\times H$."}
    otherwise: One row per input, one column per hidden unit.   # numeric only: what any other number is told
```

Every answer, right or wrong, says why in `feedback`. The chapter shows them with two directives:

```
:::{flashcards} 04-elman
:::

:::{quiz} 04-elman
:::
```

They are directives and not executed cells, because the cache of executed cells does not see a change in
the data. A mistake in the data is a warning at build time that names file, entry and rule.
"""

import html
import json
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

__all__ = ["StudyError", "cards_html", "check_study", "load_study", "quiz_html", "write_assets"]

CARDS = (5, 10)
QUESTIONS = (5, 8)
KINDS = ("multiple_choice", "many_choice", "numeric")
CDN = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-svg.js"
SCRIPTS = {
    "study-cards.js": ("jupytercards", ("swiped-events.min.js", "flashcards.js")),
    "study-quiz.js": (
        "jupyterquiz",
        ("js/helpers.js", "js/multiple_choice.js", "js/numeric.js", "js/string.js", "js/show_questions.js"),
    ),
}
STYLES = {"study-cards.css": ("jupytercards", ("styles.css",)), "study-quiz.css": ("jupyterquiz", ("styles.css",))}


class StudyError(ValueError):
    """The data of a chapter's cards or quiz break a rule; one line for each fault."""


def load_study(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The cards and questions of a chapter, as they stand in its file.

    Raises
    ------
    StudyError  the file is missing, is not YAML, or breaks a rule of this module's format.
    """
    if not path.is_file():
        raise StudyError(f"{path.name}: there is no such file in {path.parent.name}/")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise StudyError(f"{path.name}: not YAML: {error}") from error
    faults = check_study(data)
    if faults:
        raise StudyError("\n".join(f"{path.name}: {fault}" for fault in faults))
    return data


def check_study(data: Any) -> list[str]:
    """What is wrong with a chapter's data, one sentence each; empty if nothing is."""
    if not isinstance(data, dict) or set(data) != {"cards", "quiz"}:
        return ["the file has exactly two entries, `cards` and `quiz`"]
    faults = _check_count("cards", data["cards"], CARDS) + _check_count("quiz", data["quiz"], QUESTIONS)
    if faults:
        return faults
    for number, card in enumerate(data["cards"], 1):
        faults += [f"card {number}: {fault}" for fault in _check_texts(card, {"front", "back"})]
    for number, question in enumerate(data["quiz"], 1):
        faults += [f"question {number}: {fault}" for fault in _check_question(question)]
    fronts = [str(card.get("front")) for card in data["cards"] if isinstance(card, dict)]
    faults += [
        f"card {i + 1}: same front as card {fronts.index(f) + 1}" for i, f in enumerate(fronts) if f in fronts[:i]
    ]
    return faults


def _check_count(name: str, entries: Any, bounds: tuple[int, int]) -> list[str]:
    low, high = bounds
    if not isinstance(entries, list) or not low <= len(entries) <= high:
        count = len(entries) if isinstance(entries, list) else "no"
        return [f"{name}: {count} entries, expected a list of {low} to {high}"]
    return []


def _check_texts(entry: Any, keys: set[str], optional: frozenset[str] = frozenset()) -> list[str]:
    if not isinstance(entry, dict) or not keys <= set(entry) <= keys | optional:
        found = ", ".join(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        return [f"has {found}; expected {', '.join(sorted(keys))}"]
    return [f"`{key}` is empty or not text" for key in sorted(keys) if not _is_text(entry[key])]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check_question(question: Any) -> list[str]:
    if not isinstance(question, dict):
        return ["is not a mapping"]
    if question.get("type") not in KINDS:
        return [f"`type` is {question.get('type')!r}, expected one of {', '.join(KINDS)}"]
    numeric = question["type"] == "numeric"
    expected = {"question", "type", "answers"} | ({"otherwise"} if numeric else set())
    if set(question) != expected:
        return [f"has {', '.join(map(str, question))}; expected {', '.join(sorted(expected))}"]
    faults = [f"`{key}` is empty or not text" for key in sorted(expected - {"answers"}) if not _is_text(question[key])]
    answers = question["answers"]
    if not isinstance(answers, list) or not 2 - numeric <= len(answers) <= 6:
        return [*faults, f"`answers` is a list of {2 - numeric} to 6"]
    for number, answer in enumerate(answers, 1):
        faults += [f"answer {number}: {fault}" for fault in _check_answer(answer, numeric)]
    return faults or _check_right(question)


def _check_answer(answer: Any, numeric: bool) -> list[str]:
    label = "value" if numeric else "answer"
    if not isinstance(answer, dict) or set(answer) != {label, "correct", "feedback"}:
        found = ", ".join(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
        return [f"has {found}; expected {label}, correct, feedback"]
    faults = [] if isinstance(answer["correct"], bool) else ["`correct` is true or false"]
    if not _is_text(answer["feedback"]):
        faults.append("`feedback` is empty: say why it is right or wrong")
    if numeric and (isinstance(answer[label], bool) or not isinstance(answer[label], int | float)):
        faults.append("`value` is a number")
    if not numeric and not _is_text(answer[label]):
        faults.append("`answer` is empty or not text (put quotes around it)")
    return faults


def _check_right(question: dict[str, Any]) -> list[str]:
    right = sum(answer["correct"] for answer in question["answers"])
    if question["type"] == "many_choice" and right < 2:
        return [f"many_choice with {right} right answers, expected two or more"]
    if question["type"] != "many_choice" and right != 1:
        return [f"{question['type']} with {right} right answers, expected one"]
    return []


def _markdown() -> MarkdownIt:
    def formula(content: str, options: dict[str, Any]) -> str:
        left, right = (r"\[", r"\]") if options.get("display_mode") else (r"\(", r"\)")
        return f'<span class="math notranslate nohighlight">{left}{html.escape(content)}{right}</span>'

    return MarkdownIt("commonmark", {"html": False}).use(dollarmath_plugin, renderer=formula)


def _inline(text: str) -> str:
    return _markdown().renderInline(text.strip()).strip()


def cards_html(chapter: str, cards: list[dict[str, Any]]) -> str:
    """A deck as a container that jupytercards fills, and as a plain list where there is no script."""
    deck = [
        {"front": _inline(card["front"]), "back": _inline(card["back"]), "seqNum": number}
        for number, card in enumerate(cards)
    ]
    settings = {
        "cards": deck,
        "front-colors": ["var(--course-card-front)"],
        "back-colors": ["var(--course-card-back)"],
        "text-colors": ["var(--course-card-text)"],
        "key-control": True,
        "known-widgets": True,
    }
    plain = "".join(f"<dt>{card['front']}</dt><dd>{card['back']}</dd>" for card in deck)
    return (
        '<div class="study-cards">\n'
        f'<div class="flip-container" id="cards-{chapter}" {_data(settings)} tabindex="0" role="group" '
        'aria-label="Flashcards: space turns the card, the right arrow takes the next one"></div>\n'
        f'<div class="next" id="cards-{chapter}-next" role="button" tabindex="0" aria-label="Next card"></div>\n'
        f"<noscript><dl>{plain}</dl></noscript>\n{_symbols()}\n</div>"
    )


def quiz_html(chapter: str, questions: list[dict[str, Any]]) -> str:
    """A quiz as a container that jupyterquiz fills, and as a plain list where there is no script."""
    settings = {
        "questions": [_question(question) for question in questions],
        "shufflequestions": "False",
        "shuffleanswers": "True",
        "numquestions": len(questions),
        "maxwidth": 720,
    }
    plain = "".join(f"<li>{_inline(question['question'])}{_plain_answers(question)}</li>" for question in questions)
    return (
        '<div class="study-quiz">\n'
        f'<div id="quiz-{chapter}" {_data(settings)}></div>\n'
        f"<noscript><ol>{plain}</ol></noscript>\n</div>"
    )


def _data(settings: dict[str, Any]) -> str:
    """Settings as `data-` attributes: text as it is, everything else as JSON."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    return " ".join(f'data-{key}="{html.escape(text, quote=True)}"' for key, text in texts.items())


def _question(question: dict[str, Any]) -> dict[str, Any]:
    text = _inline(question["question"])
    if question["type"] != "numeric":
        answers = [
            {"answer": _inline(a["answer"]), "correct": a["correct"], "feedback": _inline(a["feedback"])}
            for a in question["answers"]
        ]
        return {"question": text, "type": question["type"], "answers": answers}
    answers = [
        {"type": "value", "value": a["value"], "correct": a["correct"], "feedback": _inline(a["feedback"])}
        for a in question["answers"]
    ]
    answers.append({"type": "default", "correct": False, "feedback": _inline(question["otherwise"])})
    return {"question": text, "type": "numeric", "answers": answers}


def _plain_answers(question: dict[str, Any]) -> str:
    choices = [] if question["type"] == "numeric" else [_inline(answer["answer"]) for answer in question["answers"]]
    return "<ul>" + "".join(f"<li>{choice}</li>" for choice in choices) + "</ul>" if choices else ""


def _symbols() -> str:
    """The signs on a card's corners; jupytercards refers to them by id."""
    return resources.files("jupytercards").joinpath("svg-symbols.svg").read_text(encoding="utf-8")


def write_assets(folder: Path) -> list[str]:
    """Copy what jupytercards and jupyterquiz run into `folder`, once for the whole site; returns the file names.

    Where no MathJax is found their scripts would fetch one from outside. That address is cut out: every page that
    shows cards or a quiz loads the site's own MathJax, and `study.js` waits for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("study.js")
    (folder / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    for name, (package, parts) in {**SCRIPTS, **STYLES}.items():
        files = [resources.files(package).joinpath(part).read_text(encoding="utf-8") for part in parts]
        text = "\n".join(files).replace(CDN, "")
        if "http://cdn" in text or "https://cdn" in text:
            raise StudyError(f"{package} has changed: its scripts name another address outside; see write_assets")
        (folder / name).write_text(text, encoding="utf-8")
    return [*SCRIPTS, *STYLES, script.name]
