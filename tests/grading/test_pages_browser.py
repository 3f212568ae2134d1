"""Pages made from hostile submissions, opened in a real browser: nothing runs, nothing is asked for, nobody is told.

What is tried stands in cells, Markdown, outputs of every kind, students' names, messages of errors and checks, notes
and comments. The canary is a global variable, a title, a dialog, a request, a word in the console.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_submissions as made
import pytest
from made_classes import BUNDLE, CHECK, HIDDEN, SOFTMAX, Student, error, failed, make_class, shown, text
from made_submissions import SLUG
from playwright.sync_api import Browser, Page, sync_playwright
from test_feedback import nbgrader

from course.grading.gradebook import Result, Writer, database_url, save_notebook
from course.grading.pages import feedback
from course.grading.pages.feedback import page_path
from course.grading.pages.report import make_pages
from course.grading.task import grade

AWAY = "http://canary.invalid"
RUN = f"window.canary=1;document.title='canary';alert('canary');fetch('{AWAY}/fetch')"
ATTACKS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"</pre></code></style><script>{RUN}</script>",
    f'"><script>{RUN}</script>',
    f'<img src=x onerror="{RUN}">',
    f'<img src="{AWAY}/image.png">',
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}',
    f'<svg onload="{RUN}"><script>{RUN}</script></svg>',
    f'<iframe src="{AWAY}/frame"></iframe><iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f'<meta http-equiv="refresh" content="0;url={AWAY}/refresh">',
    f'<base href="{AWAY}/">',
    f'<link rel="stylesheet" href="{AWAY}/style.css">',
    f"<style>@import url({AWAY}/import.css); body {{ background: url({AWAY}/back.png) }}</style>",
    f'<object data="{AWAY}/object"></object><embed src="{AWAY}/embed">',
    f'<form action="{AWAY}/form"><button autofocus>canary</button></form>',
    f"<video src={AWAY}/video autoplay></video><audio src={AWAY}/audio autoplay></audio>",
    f"[link](javascript:{RUN}) ![picture]({AWAY}/markdown.png)",
    "data:text/html,<script>alert('canary')</script>",
    "{{ 7*7 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07 \x1b[31mred\x1b[0m \x1b[2J",
    "\u202egnihtemos\u202c \ufeff \x00 \x08 \x7f \ud800",
    "<!-- --!> <![CDATA[ ]]> <plaintext> <textarea> <title> <noscript> <template>",
    "&lt;script&gt;alert('canary')&lt;/script&gt; &#60;script&#62;",
)
NOT_OURS = (
    "script, iframe, object, embed, form, base, link, video, audio, [onload], [onerror], [onfocus], [onmouseover]"
)
ALL = "\n".join(ATTACKS)
JOINED = " ".join(ATTACKS)


def outputs() -> list[Any]:
    """Outputs of every kind, also of those that `course grade` does not let through."""
    fake = base64.b64encode(f"<svg xmlns='http://www.w3.org/2000/svg' onload=\"{RUN}\"/>".encode()).decode()
    broken = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()
    yields = [text(ALL), text(ALL, "stderr"), error(JOINED, ALL, *ATTACKS), text("flood " * 100_000)]
    for kind in ("text_html", "text_markdown", "text_latex", "image_svg_xml", "application_javascript", "text_plain"):
        yields.append(shown(**{kind: ALL}))
    for data in (fake, broken, f'x" onerror="{RUN}', f"data:text/html,<script>{RUN}</script>"):
        yields += [shown(image_png=data), shown(image_jpeg=data)]
    return [*yields, {"output_type": "execute_result", "data": {ALL: ALL}, "metadata": {}, "execution_count": 1}]


def hostile(name: str) -> Student:
    added = (
        {"cell_type": "markdown", "id": "hers", "metadata": {}, "source": ALL},
        {"cell_type": "code", "id": "more", "metadata": {}, "source": ALL, "outputs": outputs(), "execution_count": 1},
    )
    return Student(
        name,
        {CHECK: 0.0, HIDDEN: 0.0, f"{SLUG}--output_layer--check": None},
        source={SOFTMAX: f"{ALL}\n# {JOINED}"},
        outputs={
            SOFTMAX: outputs(),
            CHECK: [
                failed(f"{SLUG}/softmax", *(f"  ✗ {a}" for a in ATTACKS), *(f"Likely cause: {a}" for a in ATTACKS))
            ],
            HIDDEN: [error(JOINED, ALL, *ATTACKS)],
        },
        notes=tuple(f"its kernel ended: {attack}" for attack in ATTACKS if "\x00" not in attack),
        added=tuple(made.nbformat.from_dict(cell) for cell in added),
        person={"first_name": JOINED.replace("\x00", "").replace("\ud800", ""), "last_name": "</title>"},
        comments={SOFTMAX: ALL.replace("\x00", "").replace("\ud800", "")},
        seconds={"start": 1.0},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class of hostile students, one of them really graded, with pages."""
    root = tmp_path_factory.mktemp("hostile")
    strange = "'\"><img src=x onerror=alert(1)>{{7*7}} &amp;#?%20".replace("/", "_")
    honest = [Student(f"honest{i}", {CHECK: float(i % 4)}, seconds={"start": 0.1}) for i in range(10)]
    make_class(root, [hostile("mallory"), hostile(strange), *honest])
    outcome = grade("live", _live(), BUNDLE, made.NO_SANDBOX)
    save_notebook(root, "live", SLUG, outcome.notebook)
    with Writer(database_url(str(root / "gradebook.db")), BUNDLE) as writer:
        writer.write([Result(outcome)])
    make_pages(root, SLUG)
    return root


def _live() -> bytes:
    """A submission that tries it all while it is graded."""
    softmax = f"def softmax(logits):\n    print({ATTACKS[0]!r})\n    raise ValueError({ALL!r})"
    notebook = made.answered(BUNDLE, made.right() | {"softmax": softmax})
    show = "from IPython.display import HTML, Javascript, Markdown, display\n"
    show += f"for a in {ATTACKS!r}:\n    print(a)\n    display(HTML(a), Javascript(a), Markdown(a))\n{ALL!r}"
    notebook.cells += [made.code(show), made.code(f"raise ValueError({ALL!r})")]
    notebook.cells.append(made.nbformat.v4.new_markdown_cell(ALL))
    return json.dumps(notebook).encode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "install Chromium: the pages are opened in it"
    quiet = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=[*quiet, "--disable-sync"])
        yield chromium
        chromium.close()


@dataclass
class Seen:
    """What a page did while it was looked at."""

    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    title: str = ""
    canary: bool = False
    markup: int = 0  # elements that only an attack can have put there
    width: tuple[int, int] = (0, 0)

    @property
    def quiet(self) -> bool:
        return not (self.requests or self.console or self.dialogs or self.canary or self.markup)


def look(browser: Browser, path: Path) -> Seen:
    """Open a page, unfold what is folded, hover and focus, and say what happened."""
    seen = Seen()
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    own = path.resolve().as_uri()
    page.on("request", lambda request: seen.requests.append(request.url) if _is_other(request.url, own) else None)
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda problem: seen.console.append(str(problem)))
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(own)
    _poke(page)
    page.wait_for_timeout(300)
    seen.title = page.title()
    seen.canary = page.evaluate("'canary' in window || document.title === 'canary'")
    seen.markup = page.locator(
        "script, iframe, object, embed, form, base, link, video, audio, svg [onload], [onerror]"
    ).count()
    seen.width = tuple(page.evaluate("[document.documentElement.scrollWidth, innerWidth]"))
    context.close()
    return seen


def _is_other(url: str, own: str) -> bool:
    return url.partition("#")[0] != own and not url.startswith("data:image/")


POKE = """
document.querySelectorAll('details').forEach(d => { d.open = true });
document.querySelectorAll('*').forEach(e => {
    for (const kind of ['mouseover', 'focus', 'click', 'load', 'error', 'toggle'])
        if (!e.closest('a, summary')) e.dispatchEvent(new Event(kind, {bubbles: true}));
})
"""


def _poke(page: Page) -> None:
    """Unfold everything, and do to every element what a reader's mouse and keyboard do."""
    page.evaluate(POKE)
    for _ in range(5):
        page.keyboard.press("Tab")


def test_feedback_pages_do_nothing(root: Path, browser: Browser) -> None:
    """Of hostile students, made-up and graded; and they fit on a phone."""
    paths = sorted((root / "feedback").glob("*/*/*.html"))
    assert len(paths) == 13
    for path in [path for path in paths if "honest" not in path.name and "honest" not in path.parts[-3]]:
        seen = look(browser, path)
        assert seen.quiet, (path, seen)
        assert seen.width[0] <= seen.width[1], path


def test_the_class_report_does_nothing(root: Path, browser: Browser) -> None:
    seen = look(browser, root / "reports" / SLUG / "index.html")
    assert seen.quiet, seen
    assert seen.title == f"{SLUG}: report on the class"
    assert seen.width[0] <= seen.width[1]


def test_links_lead_to_a_students_page(root: Path, browser: Browser) -> None:
    """Also where her name has signs that mean something in an address."""
    page = browser.new_page()
    page.goto((root / "reports" / SLUG / "index.html").as_uri())
    links = page.locator("a[href*='feedback']").evaluate_all("links => links.map(a => a.href)")
    assert len(set(links)) == 2  # of those in the journal; both are hostile
    for link in set(links):
        page.goto(link)
        assert page.title().startswith(f"{SLUG}: feedback for")
    page.close()


def test_attacks_are_shown_as_they_were_written(root: Path) -> None:
    """Escaped, not dropped: the instructor sees what was tried. No template of ours was run on them."""
    page = page_path(root, "mallory", SLUG).read_text(encoding="utf-8")
    assert "&lt;script&gt;window.canary=1" in page
    assert "{{ 7*7 }}" in page
    assert "49" not in page.partition("</style>")[2].replace("0049", "")


def test_nbgraders_own_pages_do_nothing(root: Path, browser: Browser) -> None:
    """`nbgrader generate_feedback` with our settings."""
    nbgrader(root, "generate_feedback", SLUG, "--force")
    for student in ("live", "mallory"):
        seen = look(browser, page_path(root, student, SLUG))
        assert seen.quiet, seen


def test_this_test_can_fail(root: Path, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without escaping, attacks are found; without the policy as well, they run."""
    careless = feedback.environment.__wrapped__()
    careless.autoescape = False
    monkeypatch.setattr(feedback, "environment", lambda: careless)
    (root / "feedback" / "mallory" / SLUG / f"{SLUG}.html").unlink()
    make_pages(root, SLUG)
    path = page_path(root, "mallory", SLUG)
    strict = path.read_text(encoding="utf-8").replace('http-equiv="refresh"', "")  # it would lead away at any moment
    open_page, shut_page = tmp_path / "open.html", tmp_path / "shut.html"
    open_page.write_text(strict.replace("Content-Security-Policy", "X-None"), encoding="utf-8")
    shut_page.write_text(strict, encoding="utf-8")
    asked, told, markup = _without_poking(browser, open_page)
    assert "canary" in told
    assert any(url.startswith(AWAY) for url in asked)
    assert markup > 5
    _, told, markup = _without_poking(browser, shut_page)
    assert told == []  # the policy alone stops what is not escaped
    assert markup > 5


def _without_poking(browser: Browser, path: Path) -> tuple[list[str], list[str], int]:
    """What a page asks for and tells on its own, and how much in it is of an attack."""
    page = browser.new_page()
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    page.wait_for_timeout(500)
    markup = page.locator(NOT_OURS).count()
    page.close()
    return asked, told, markup
