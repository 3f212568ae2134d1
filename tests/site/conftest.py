"""The sample book, built once, and the real one; a browser that may not leave the disk."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent / "sample"
BUILD = "from jupyter_book.cli.main import main; main()"


@dataclass
class Built:
    """What a build left behind: its folder, its exit status, and what it said."""

    root: Path
    status: int
    output: str

    @property
    def html(self) -> Path:
        return self.root / "_build" / "html"

    def page(self, name: str) -> str:
        return (self.html / name).read_text(encoding="utf-8")


def build_sample(root: Path, edit: Callable[[Path], None] | None = None) -> Built:
    """Copy the sample book to `root` (unless it is there), change it, and build it as `make book` does."""
    if not (root / "book").is_dir():
        shutil.copytree(SAMPLE, root, dirs_exist_ok=True)
        shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
        shutil.copy(ROOT / "_config.yml", root)
        (root / "book" / "_templates").mkdir(exist_ok=True)
    if edit:
        edit(root)
    command = [sys.executable, "-c", BUILD, "build", "book", "--config", "_config.yml", "-W", "-n", "--keep-going"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=200, check=False)
    return Built(root, done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sample book, built without a warning."""
    built = build_sample(tmp_path_factory.mktemp("sample"))
    assert built.status == 0, built.output[-3000:]
    return built


@pytest.fixture(scope="session")
def site() -> Path:
    """The real book's pages; `make book` writes them."""
    html = ROOT / "_build" / "html"
    if not (html / "index.html").is_file():
        pytest.fail("there is no built book in _build/html: run `make book` first")
    return html


@dataclass
class Visit:
    """An open page, what it asked for outside the disk, and what it complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: the machine's own if it has one, else Playwright's."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    quiet = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        quiet.append("--no-sandbox")  # Chromium refuses to start for root with one
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, names)), None)
        chromium = playwright.chromium.launch(executable_path=found, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def window(browser: Any) -> Callable[[int, str], Any]:
    """A browser's window of a width and a scheme, the same one each time; whoever opens a page in it is new to it."""

    @cache
    def window(width: int, scheme: str) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.add_init_script("try { localStorage.clear() } catch {}")
        context.new_page()  # stays: with it stays the process that draws pages, which takes long to start
        return context

    return window


@pytest.fixture
def visit(window: Callable[[int, str], Any]) -> Iterator[Callable[..., Visit]]:
    """Open a file as a reader would, from disk; wait until its formulas are typeset."""
    opened = []

    def open_page(path: Path, width: int = 1280, scheme: str = "light") -> Visit:
        visit = Visit(window(width, scheme).new_page())
        opened.append(visit.page)
        visit.page.on("request", lambda request: _note_request(visit, request.url))
        visit.page.on("requestfailed", lambda request: visit.complaints.append(f"not loaded: {request.url}"))
        visit.page.on("pageerror", lambda error: visit.complaints.append(f"error: {error}"))
        visit.page.on("console", lambda message: _note_console(visit, message))
        visit.page.goto(path.resolve().as_uri())
        visit.page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
        return visit

    yield open_page
    for page in opened:
        page.close()


def _note_request(visit: Visit, url: str) -> None:
    if not url.startswith(("file:", "data:", "blob:", "about:")):
        visit.requests.append(url)


def _note_console(visit: Visit, message: Any) -> None:
    if message.type in ("error", "warning"):
        visit.complaints.append(f"console {message.type}: {message.text}")
