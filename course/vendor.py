"""What the site takes from package registries: fetched once, held against a hash, kept in the user's cache folder.

MathJax comes from npm, or from PyPI where npm is not installed; nothing of it stands in the repository.
We take its SVG output: a page opened from a folder then needs no font file, which some browsers refuse to
load for `file://` pages.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

__all__ = ["MATHJAX_SOURCES", "MATHJAX_VERSION", "Source", "VendorError", "cache_dir", "mathjax", "wanted"]

MATHJAX_VERSION = "3.2.2"


class VendorError(RuntimeError):
    """A file from a registry could not be had or is not what it should be; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """One archive that holds MathJax: how to get it, its sha256, and the folder in it that we take files from."""

    tool: str
    command: tuple[str, ...]
    sha256: str
    root: str


MATHJAX_SOURCES = (
    Source(
        "npm",
        ("npm", "pack", f"mathjax@{MATHJAX_VERSION}", "--silent"),
        "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        "package/",
    ),
    Source(
        "pip",
        (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "django-static-mathjax==3.2.2.1"),
        "05ad109fd9e5d9d380c76389689b7f523e9ccb7f7a85c1eb962c7564eac7601d",
        "mathjax/static/mathjax/",
    ),
)


def cache_dir() -> Path:
    """Where fetched files are kept: `RNN_COURSE_CACHE` if set, else the user's cache folder."""
    return Path(os.environ.get("RNN_COURSE_CACHE") or user_cache_dir("rnn-course", appauthor=False))


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
    fetch: Callable[[Source], bytes] | None = None,
) -> Path:
    """The folder that holds `mathjax/es5/tex-svg.js`, fetched on first use.

    Raises
    ------
    VendorError  no source could be reached, or an archive has another hash than the one recorded here.
    """
    folder = (cache or cache_dir()) / f"mathjax-{MATHJAX_VERSION}-svg"
    if _complete(folder):
        return folder
    faults = []
    for source in sources:
        try:
            data = (fetch or _fetch)(source)
        except VendorError as error:
            faults.append(f"{source.tool}: {error}")
            continue
        _install(_members(data, source), folder)
        return folder
    raise VendorError(
        f"the site needs MathJax {MATHJAX_VERSION} and could not fetch it ({'; '.join(faults)}). "
        "Install Node.js, so that `npm` is on the path, or check that pip can reach its index, and build again. "
        f"After the first build it is read from {folder.parent}."
    )


def _fetch(source: Source) -> bytes:
    if shutil.which(source.command[0]) is None:
        raise VendorError(f"{source.command[0]} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        # On Windows npm is a script, which only its full name starts.
        command = [shutil.which(source.command[0]) or source.command[0], *source.command[1:]]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        files = sorted(Path(folder).iterdir())
        if done.returncode or len(files) != 1:
            raise VendorError(f"`{source.tool}` failed: {(done.stderr or done.stdout).strip()[-300:]}")
        return files[0].read_bytes()


def _members(data: bytes, source: Source) -> Iterator[tuple[str, bytes]]:
    digest = hashlib.sha256(data).hexdigest()
    if digest != source.sha256:
        raise VendorError(
            f"the MathJax archive from {source.tool} has sha256 {digest}, expected {source.sha256}: not used"
        )
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pairs = [(name, archive.read(name)) for name in archive.namelist() if _inside(name, source.root)]
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            names = [member for member in archive if member.isfile() and _inside(member.name, source.root)]
            pairs = [(member.name, archive.extractfile(member).read()) for member in names]  # type: ignore[union-attr]
    return ((name.removeprefix(source.root), content) for name, content in pairs)


def _inside(name: str, root: str) -> bool:
    return name.startswith(root) and wanted(name.removeprefix(root))


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
