"""MathJax is taken from a registry only if it is the one we know, and the message helps if it cannot be had."""

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest

from course import vendor
from course.archives import FetchError, Source
from course.vendor import mathjax

FILES = {
    "es5/tex-svg.js": b"render",
    "es5/input/tex/extensions/ams.js": b"ams",
    "es5/input/tex/extensions/all-packages.js": b"everything twice",
    "es5/tex-chtml.js": b"another renderer",
    "LICENSE": b"Apache",
}
KEPT = {"mathjax/LICENSE", "mathjax/es5/tex-svg.js", "mathjax/es5/input/tex/extensions/ams.js"}


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in {**{f"package/{n}": c for n, c in FILES.items()}, "package/../../evil": b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"wheel/{name}", content)
    return out.getvalue()


def _source(tool: str, data: bytes, root: str) -> Source:
    return Source(tool, (tool,), hashlib.sha256(data).hexdigest(), root)


@pytest.mark.parametrize(("data", "root"), [(_tar(), "package/"), (_zip(), "wheel/")], ids=["npm", "pip"])
def test_an_archive_gives_only_what_pages_ask_for(tmp_path, data, root):
    """From either kind of archive the same files come, and none that climbs out of the folder."""
    folder = mathjax(tmp_path, (_source("npm", data, root),), lambda source: data)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == KEPT
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}


def test_a_wrong_hash_is_refused(tmp_path):
    """Bytes that are not the recorded ones are not unpacked, whoever sends them."""
    data = _tar()
    with pytest.raises(FetchError, match=r"expected \w+: not used"):
        mathjax(tmp_path, (_source("npm", data, "package/"),), lambda source: data + b"x")
    assert not list(tmp_path.iterdir())


def test_the_second_source_serves_where_the_first_is_missing(tmp_path):
    """Without npm the files come through pip."""

    def fetch(source):
        if source.tool == "npm":
            raise FetchError("npm is not installed")
        return _zip()

    sources = (_source("npm", _tar(), "package/"), _source("pip", _zip(), "wheel/"))
    assert (mathjax(tmp_path, sources, fetch) / "mathjax" / "es5" / "tex-svg.js").read_bytes() == b"render"


def test_without_any_source_the_message_says_what_to_do(tmp_path):
    """It names what failed and what to install."""
    absent = tuple(replace(source, command=("no-such-program",)) for source in vendor.MATHJAX_SOURCES)
    with pytest.raises(FetchError, match=r"npm: no-such-program is not installed.*Install Node\.js"):
        mathjax(tmp_path, absent)


def test_it_is_fetched_once(tmp_path):
    """A second call reads the cache and asks nobody."""
    data = _tar()
    mathjax(tmp_path, (_source("npm", data, "package/"),), lambda source: data)
    mathjax(tmp_path, (), lambda source: pytest.fail("asked again"))


def test_a_fetch_that_was_cut_short_is_mended(tmp_path):
    """A folder without the renderer is no cache: it is fetched again and replaced."""
    data = _tar()
    folder = tmp_path / f"mathjax-{vendor.MATHJAX_VERSION}-svg"
    (folder / "mathjax").mkdir(parents=True)
    (folder / "mathjax" / "half").write_text("x")
    assert mathjax(tmp_path, (_source("npm", data, "package/"),), lambda source: data) == folder
    assert {path.name for path in (folder / "mathjax").iterdir()} == {"LICENSE", "es5"}
