"""MathJax for the site, from npm, or from PyPI where npm is not installed; nothing of it stands in the repository.

We take its SVG output: a page opened from a folder then needs no font file, which some browsers refuse to
load for `file://` pages.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from course.archives import FetchError, Source, cache_dir, checked, fetch, from_npm, from_pypi, members

__all__ = ["MATHJAX_SOURCES", "MATHJAX_VERSION", "mathjax", "wanted"]

MATHJAX_VERSION = "3.2.2"
MATHJAX_SOURCES = (
    from_npm(
        f"mathjax@{MATHJAX_VERSION}", "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09", "package/"
    ),
    from_pypi(
        "django-static-mathjax==3.2.2.1",
        "05ad109fd9e5d9d380c76389689b7f523e9ccb7f7a85c1eb962c7564eac7601d",
        "mathjax/static/mathjax/",
    ),
)


def wanted(name: str) -> bool:
    """Of an archive's files, those that a page can ask for: the renderer, the TeX extensions, the licence.

    Examples
    --------
    >>> [wanted(name) for name in ("es5/tex-svg.js", "es5/input/tex/extensions/ams.js", "es5/tex-chtml.js")]
    [True, True, False]
    """
    extension = name.startswith("es5/input/tex/extensions/") and name.count("/") == 4
    return name in ("LICENSE", "es5/tex-svg.js") or (extension and not name.endswith("all-packages.js"))


def mathjax(
    cache: Path | None = None,
    sources: tuple[Source, ...] = MATHJAX_SOURCES,
    get: Callable[[Source], bytes] | None = None,
) -> Path:
    """The folder that holds `mathjax/es5/tex-svg.js`, fetched on first use.

    Raises
    ------
    FetchError  no source could be reached, or an archive has another hash than the one recorded here.
    """
    folder = (cache or cache_dir()) / f"mathjax-{MATHJAX_VERSION}-svg"
    if _complete(folder):
        return folder
    faults = []
    for source in sources:
        try:
            data = (get or fetch)(source)
        except FetchError as error:
            faults.append(f"{source.tool}: {error}")
            continue
        _install(members(checked(data, source, "the MathJax archive"), source.root, wanted), folder)
        return folder
    raise FetchError(
        f"the site needs MathJax {MATHJAX_VERSION} and could not fetch it ({'; '.join(faults)}). "
        "Install Node.js, so that `npm` is on the path, or check that pip can reach its index, and build again. "
        f"After the first build it is read from {folder.parent}."
    )


def _install(files: Iterator[tuple[str, bytes]], folder: Path) -> None:
    """Write aside and move into place: an interrupted fetch leaves nothing half done, two at once do no harm."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        for name, content in files:
            path = Path(aside) / "new" / "mathjax" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            (Path(aside) / "new").rename(folder)
        except OSError:
            if not _complete(folder):
                shutil.rmtree(folder)
                (Path(aside) / "new").rename(folder)


def _complete(folder: Path) -> bool:
    return (folder / "mathjax" / "es5" / "tex-svg.js").is_file()
