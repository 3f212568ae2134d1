"""Is the built book whole? Links, anchors, images and what a browser would fetch, checked on the files.

`python -m course.site _build/html` prints every fault with its page and exits 1 if there is one. A page must read
from a folder without network: links and anchors inside the site resolve, every image has alt text, and nothing that
a browser fetches by itself (scripts, styles, fonts, images, frames) has an address outside. A link that a reader
clicks may lead anywhere.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

__all__ = ["Fault", "check_site", "main", "pages"]

# Of the kinds of <link>, those that make a browser fetch something or open a connection.
FETCHED_LINKS = {
    *("stylesheet", "icon", "apple-touch-icon", "mask-icon", "manifest", "preload", "modulepreload", "prefetch"),
    *("prerender", "preconnect", "dns-prefetch"),
}
SOURCES = ("script", "img", "iframe", "embed", "source", "video", "audio", "track", "input")
OUTSIDE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//|^(?:https?|ftp|wss?):", re.IGNORECASE)
IN_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[^'\")\s;]+)", re.IGNORECASE)
IN_SCRIPT = re.compile(r"https?://[^\s'\"`)]+\.(?:m?js|css|woff2?|ttf|otf|wasm)\b", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong: on which page (or style sheet), which rule, and what."""

    page: str
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.page}: {self.rule}: {self.what}"


class Page:
    """A page of the site, read once."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")

    @cached_property
    def anchors(self) -> set[str]:
        """Everything that `#...` can point to."""
        named = {str(tag["name"]) for tag in self.soup.find_all("a", attrs={"name": True})}
        return named | {str(tag["id"]) for tag in self.soup.find_all(id=True)}


def pages(root: Path) -> list[Path]:
    """The site's pages; what lies in folders that begin with an underscore belongs to the theme."""
    inside = (path for path in root.rglob("*.html") if not path.relative_to(root).parts[0].startswith("_"))
    return sorted(inside)


def check_site(root: Path) -> list[Fault]:
    """Every fault of the site in `root`, sorted by page.

    Raises
    ------
    FileNotFoundError  there is no page in `root`.
    """
    root = Path(root).resolve()
    site = {path: Page(path, root) for path in pages(root)}
    if not site:
        raise FileNotFoundError(f"no page in {root}: build the book first")
    faults: set[Fault] = set()
    for page in site.values():
        for rule, what in [*_links(page, root, site), *_images(page), *_fetches(page, root), *_inline(page)]:
            faults.add(Fault(page.name, rule, what))
    for style in root.rglob("*.css"):
        for address in IN_STYLE.findall(style.read_text(encoding="utf-8")):
            faults.add(Fault(style.relative_to(root).as_posix(), "fetches from outside", address))
    return sorted(faults)


def _links(page: Page, root: Path, site: dict[Path, Page]) -> Iterator[tuple[str, str]]:
    for tag in page.soup.find_all("a", href=True):
        href = str(tag["href"]).strip()
        if OUTSIDE.match(href) or urlsplit(href).scheme in ("mailto", "data", "javascript"):
            continue
        parts = urlsplit(href)
        target = _resolve(page, parts.path, root)
        if target is None:
            yield "link to nothing", href
            continue
        anchor = unquote(parts.fragment)
        if anchor and anchor not in ("top",) and target in site and anchor not in site[target].anchors:
            yield "link to a missing anchor", href


def _resolve(page: Page, path: str, root: Path) -> Path | None:
    """The file that a relative address means, or None if the site has no such file."""
    if not path:
        return page.path
    target = (page.path.parent / unquote(path)).resolve()
    if target.is_dir():
        target = target / "index.html"
    return target if target.is_file() and target.is_relative_to(root) else None


def _images(page: Page) -> Iterator[tuple[str, str]]:
    for tag in page.soup.find_all("img"):
        if not str(tag.get("alt") or "").strip():
            yield "image without alt text", str(tag.get("src"))


def _fetches(page: Page, root: Path) -> Iterator[tuple[str, str]]:
    for tag, address in _addresses(page.soup):
        if OUTSIDE.match(address):
            yield "fetches from outside", f"<{tag.name}> {address}"
        elif urlsplit(address).scheme != "data" and _resolve(page, urlsplit(address).path, root) is None:
            yield "missing file", f"<{tag.name}> {address}"


def _addresses(soup: BeautifulSoup) -> Iterator[tuple[Tag, str]]:
    for tag in soup.find_all(SOURCES):
        for attribute in ("src", "poster"):
            if tag.get(attribute):
                yield tag, str(tag[attribute]).strip()
        for choice in str(tag.get("srcset") or "").split(","):
            if choice.strip():
                yield tag, choice.split()[0]
    for tag in soup.find_all("object", attrs={"data": True}):
        yield tag, str(tag["data"]).strip()
    for tag in soup.find_all(["image", "use"]):
        address = str(tag.get("href") or tag.get("xlink:href") or "").strip()
        if address and not address.startswith("#"):
            yield tag, address
    for tag in soup.find_all("link", href=True):
        if FETCHED_LINKS & {str(kind).lower() for kind in tag.get_attribute_list("rel")}:
            yield tag, str(tag["href"]).strip()


def _inline(page: Page) -> Iterator[tuple[str, str]]:
    styles = [tag.get_text() for tag in page.soup.find_all("style")]
    styles += [str(tag["style"]) for tag in page.soup.find_all(style=True)]
    for text in styles:
        for address in IN_STYLE.findall(text):
            yield "fetches from outside", f"<style> {address}"
    for tag in page.soup.find_all("script", src=False):
        for address in IN_SCRIPT.findall(tag.get_text()):
            yield "fetches from outside", f"<script> {address}"


def main(arguments: list[str] | None = None) -> int:
    """The command: `python -m course.site FOLDER`; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m course.site FOLDER   (the built book, such as _build/html)", file=sys.stderr)
        return 2
    try:
        faults = check_site(Path(arguments[0]))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    for fault in faults:
        print(fault)
    count = len(pages(Path(arguments[0])))
    print(f"{count} pages read, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
