"""Results of cells: kept while nothing that they hang on has changed, and made side by side before the build."""

import pytest
from jupyter_cache import get_cache
from myst_nb.core.read import myst_nb_reader_plugin

from course.cells import cache_folder, execute_pages, execution_digest

PAGE = """---
jupytext:
  text_representation: {{extension: .md, format_name: myst}}
kernelspec: {{name: python3, display_name: Python 3, language: python}}
---

# A page

```{{code-cell}} ipython3
{source}
```
"""


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("rnnlib/scan.py", True),
        ("course/figures.py", True),
        ("course/runs/seq2seq.py", True),
        ("course/pairs.py", True),
        ("book/_data/log.json", True),
        ("course/cli.py", False),
    ],
)
def test_the_cache_depends_on_the_library_and_the_logs(tmp_path, path, counts):
    """Change a module that cells import, one that it imports, or a log that they read, and they run again."""
    for name in ("rnnlib/scan.py", "course/figures.py", "course/pairs.py", "course/cli.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a = 1\n")
    (tmp_path / "course" / "runs").mkdir()
    (tmp_path / "course" / "runs" / "seq2seq.py").write_text("from course.pairs import (\n    split,\n)\n")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "16-seq2seq.md").write_text(
        "from course import figures\nfrom course.runs.seq2seq import LOG\n"
    )
    before = execution_digest(tmp_path)
    assert execution_digest(tmp_path) == before
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    with (tmp_path / path).open("a") as file:
        file.write("a = 2\n")
    assert (execution_digest(tmp_path) != before) is counts


def test_pages_are_run_once_and_the_build_finds_them(tmp_path):
    """What ran is in the cache as the build reads it; a page that fails is named; a changed one alone runs again."""
    sources = {"one": "print(1)", "two": "print(2)", "three": "1 / 0"}
    pages = [tmp_path / f"{name}.md" for name in sources]
    for page in pages:
        page.write_text(PAGE.format(source=sources[page.stem]))
    one, two, three = pages
    assert execute_pages(pages, tmp_path / "_build") == ([one, two], [three])
    cache = get_cache(cache_folder(tmp_path / "_build"))
    kept = cache.get_cache_bundle(cache.match_cache_notebook(myst_nb_reader_plugin(str(two))).pk)
    assert [cell.outputs[0].text for cell in kept.nb.cells if cell.cell_type == "code"] == ["2\n"]
    assert execute_pages([one, two], tmp_path / "_build") == ([], [])
    two.write_text(PAGE.format(source="print(22)"))
    assert execute_pages([one, two], tmp_path / "_build") == ([two], [])


def test_results_of_another_state_are_removed(tmp_path):
    """One folder for the state that is there now."""
    (tmp_path / "cells" / "of-old").mkdir(parents=True)
    assert list((tmp_path / "cells").iterdir()) != [cache_folder(tmp_path)]
    assert list((tmp_path / "cells").iterdir()) == [cache_folder(tmp_path)]
