"""The cells of the book's pages: when they have to run again, and running them side by side before the site is built.

What a cell puts out is kept as long as everything that it hangs on is the same: the library, the logs, the modules of
`course` that pages import. `course execute` fills that cache on all cores; the build of the site, which runs one page
after the other, then finds it full. A page that fails is left to the build, which says where and why.
"""

import hashlib
import logging
import re
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["cache_folder", "execute_pages", "execution_digest"]

ROOT = Path(__file__).resolve().parent.parent
RUNS_IN_CELLS = ("numpy", "matplotlib", "torch", "keras", "scikit-learn")
CELL_SECONDS = 120  # as in _config.yml
_IMPORTS = re.compile(r"^from (course[.\w]*) import (\([^)]*\)|.*)", re.MULTILINE)


def _helpers(root: Path) -> set[Path]:
    """The modules of `course` that pages import, and those that such a module imports in turn."""
    found: set[Path] = set()
    todo = sorted((root / "book").glob("*.md"))
    while todo:
        text = todo.pop().read_text(encoding="utf-8")
        names = {f"{where}.{name}" for where, what in _IMPORTS.findall(text) for name in re.findall(r"\w+", what)}
        names |= {where for where, _ in _IMPORTS.findall(text)}
        paths = {root.joinpath(*name.split(".")).with_suffix(".py") for name in names}
        fresh = {path for path in paths if path.is_file()} - found
        found |= fresh
        todo += sorted(fresh)
    return found


def execution_digest(root: Path) -> str:
    """A short hash of everything but the cells that decides what a cell puts out."""
    digest = hashlib.sha256()
    library, logs = (root / "rnnlib").rglob("*.py"), (root / "book" / "_data").glob("*.json")
    for path in sorted({*library, *_helpers(root), *logs}):
        digest.update(path.read_bytes())
    for name in RUNS_IN_CELLS:
        try:
            digest.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:
            digest.update(name.encode())
    return digest.hexdigest()[:12]


def cache_folder(build: Path) -> Path:
    """Where results of cells are kept below a build folder; those of another state of the library are removed."""
    caches = build / "cells"
    current = caches / execution_digest(ROOT)
    for stale in caches.glob("*"):
        if stale != current:
            shutil.rmtree(stale)
    current.mkdir(parents=True, exist_ok=True)
    return current


def execute_pages(pages: list[Path], build: Path) -> tuple[list[Path], list[Path]]:
    """Run those pages whose results are not kept, as many at a time as there are cores.

    Returns
    -------
    (the pages that ran through, those that did not)
    """
    from jupyter_cache import get_cache
    from jupyter_cache.executors import load_executor

    cache = get_cache(cache_folder(build))
    for page in pages:
        cache.add_nb_to_project(str(page), read_data={"type": "plugin", "name": "myst_nb_md"})
    logger = logging.getLogger(__name__)
    logger.setLevel(logging.WARNING)
    done = load_executor("local-parallel", cache, logger).run_and_cache(
        filter_uris=[str(page) for page in pages], timeout=CELL_SECONDS
    )
    return sorted(map(Path, done.succeeded)), sorted(map(Path, [*done.excepted, *done.errored]))
