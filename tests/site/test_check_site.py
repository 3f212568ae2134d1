"""The checks on the built site find what they are for: every rule has a page that breaks it."""

import pytest

from course.site import check_site, main

PNG = '<img src="dot.png" alt="a dot">'
BROKEN = {
    "link to nothing": '<a href="nowhere.html">x</a>',
    "link to a missing anchor": '<a href="other.html#gone">x</a>',
    "image without alt text": '<img src="dot.png" alt=" ">',
    "missing file": '<img src="gone.png" alt="a dot">',
}
OUTSIDE = [
    '<script src="https://cdn.example.org/x.js"></script>',
    '<script src="//cdn.example.org/x.js"></script>',
    '<script>load("https://cdn.example.org/lib/x.min.js")</script>',
    '<link rel="stylesheet" href="https://fonts.example.org/css?family=X">',
    '<link rel="preconnect" href="https://fonts.example.org">',
    '<style>@import "https://fonts.example.org/x.css";</style>',
    '<p style="background: url(http://example.org/x.png)">x</p>',
    '<img src="https://example.org/x.png" alt="x">',
    '<img src="dot.png" srcset="https://example.org/x.png 2x" alt="x">',
    '<iframe src="https://example.org/player"></iframe>',
    '<object data="https://example.org/x.svg"></object>',
]


@pytest.fixture
def site_with(tmp_path):
    """A site of two pages, the first with the given body."""

    def make(body: str):
        (tmp_path / "dot.png").write_bytes(b"not looked at")
        (tmp_path / "other.html").write_text('<h1 id="a/b">Other</h1>', encoding="utf-8")
        (tmp_path / "index.html").write_text(f"<body>{body}</body>", encoding="utf-8")
        return tmp_path

    return make


def test_a_whole_site_has_no_fault(site_with):
    """Links inside, links that a reader clicks, images with alt text and data addresses are all right."""
    body = f"""{PNG}<a href="other.html#a/b">x</a><a href="other.html#a%2Fb">x</a><a href="https://example.org/">x</a>
    <a href="mailto:a@example.org">x</a><a href="#">x</a><img src="data:image/png;base64,AA" alt="x">
    <link rel="canonical" href="https://example.org/"><a href="dot.png">x</a>"""
    assert check_site(site_with(body)) == []


@pytest.mark.parametrize(("rule", "body"), BROKEN.items())
def test_each_rule_is_enforced(site_with, rule, body):
    """A page that breaks one rule gets exactly that fault, with its name."""
    faults = check_site(site_with(body))
    assert [(fault.page, fault.rule) for fault in faults] == [("index.html", rule)]


@pytest.mark.parametrize("body", OUTSIDE)
def test_nothing_is_fetched_from_outside(site_with, body):
    """Every way in which a page can fetch from another host is seen."""
    assert {fault.rule for fault in check_site(site_with(body))} == {"fetches from outside"}


def test_style_sheets_are_read_too(site_with):
    """A font that a style sheet loads from outside is a fault of that sheet."""
    root = site_with(PNG)
    (root / "_static").mkdir()
    (root / "_static" / "x.css").write_text("@font-face { src: url(https://fonts.example.org/x.woff2) }")
    assert [str(fault) for fault in check_site(root)] == [
        "_static/x.css: fetches from outside: https://fonts.example.org/x.woff2"
    ]


def test_a_link_may_not_leave_the_site(site_with, tmp_path_factory):
    """A file that lies beside the site is not part of it."""
    root = site_with(f'{PNG}<a href="../outside.html">x</a>')
    (root.parent / "outside.html").write_text("x")
    assert [fault.rule for fault in check_site(root)] == ["link to nothing"]


def test_the_command_says_what_is_wrong(site_with, capsys):
    """It lists the faults and exits 1; a whole site gives 0, no site 2."""
    assert main([str(site_with(BROKEN["link to nothing"]))]) == 1
    assert "index.html: link to nothing: nowhere.html" in capsys.readouterr().out
    assert main([str(site_with(PNG))]) == 0
    assert main([str(site_with(PNG) / "empty")]) == 2
