"""The built book, read as a reader does: from a folder, without a network, in a real browser."""

import pytest

from course.site import check_site, pages

pytestmark = pytest.mark.site
PHONE = 390
PARTS = 6  # of the real book's pages: workers share them
SAMPLE = pytest.param("sample", marks=pytest.mark.xdist_group("sample"))  # built once: all its tests are one worker's


@pytest.fixture(scope="module", params=[SAMPLE, "book"])
def html(request):
    """The sample book's folder, then the real book's."""
    return request.getfixturevalue("sample").html if request.param == "sample" else request.getfixturevalue("site")


@pytest.fixture(scope="module", params=[SAMPLE, *(pytest.param(i, id=f"book-{i}") for i in range(PARTS))])
def part(request):
    """The sample book's folder and which of a list of its pages to read: all; then the real book's, a part each."""
    if request.param == "sample":
        return request.getfixturevalue("sample").html, slice(None)
    return request.getfixturevalue("site"), slice(request.param, None, PARTS)


def test_every_link_anchor_and_image_is_in_order(html):
    """What `python -m course.site` reports is nothing."""
    assert [str(fault) for fault in check_site(html)] == []


def test_pages_read_from_disk_without_a_network(part, visit):
    """No page asks for anything outside, none logs an error; every formula is typeset and fits its column."""
    html, some = part
    formulas = 0
    for path in pages(html)[some]:
        seen = visit(path)
        name = path.relative_to(html).as_posix()
        assert seen.requests == [], f"{name} asks for something outside"
        assert seen.complaints == [], name
        # Cards and quizzes typeset their own formulas a moment later.
        written = seen.page.locator(".math").evaluate_all(
            "all => all.filter(e => !e.closest('.study-quiz,.study-cards'))"
        )
        typeset = seen.page.locator(".math:not(.study-quiz *, .study-cards *) mjx-container").count()
        assert typeset >= len(written), f"{name}: {len(written)} formulas, {typeset} typeset"
        assert seen.page.locator("mjx-merror, [data-mjx-error]").count() == 0, f"{name} has a formula in error"
        cut = seen.page.locator("div.math mjx-container").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.closest('.math').id || e.textContent)"
        )
        assert cut == [], f"{name} has a formula wider than its column"
        formulas += typeset
        seen.page.close()
    assert formulas > 0


def test_pages_fit_a_phone(part, visit):
    """At 390 pixels nothing makes the page itself scroll sideways."""
    html, some = part
    for path in pages(html)[some]:
        seen = visit(path, width=PHONE)
        width = seen.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE, f"{path.relative_to(html)} is {width} pixels wide"
        seen.page.close()


def _study_pages(part):
    html, some = part
    found = [path for path in pages(html) if 'class="study-cards"' in path.read_text(encoding="utf-8")][some]
    assert found, "no page has cards"
    return found


def test_cards_turn_and_pass(part, visit):
    """A click shows the back; `next` brings another card; the keys do the same, and Tab leaves the deck."""
    for path in _study_pages(part):
        seen = visit(path)
        deck = seen.page.locator(".study-cards .flip-container").first
        deck.locator(".frontcard .front").wait_for()
        first = deck.locator(".frontcard .front .flashcardtext").inner_text()
        deck.click()
        assert "flip" in deck.get_attribute("class").split()
        seen.page.keyboard.press(" ")
        assert "flip" not in deck.get_attribute("class").split()
        deck.evaluate("e => Promise.allSettled(e.getAnimations({subtree: true}).map(a => a.finished))")  # it turns
        seen.page.locator(".study-cards .next").first.click()
        # Both cards are there while one leaves and the other comes; alone is what stays, and it must be another.
        seen.page.wait_for_function(
            """([deck, first]) => {
                const texts = [...deck.querySelectorAll(".frontcard .front .flashcardtext")].map(e => e.innerText);
                return texts.length === 1 && texts[0] !== first;
            }""",
            arg=[deck.element_handle(), first],
        )
        deck.focus()
        seen.page.keyboard.press("Tab")
        assert not deck.evaluate("e => e === document.activeElement")
        assert seen.complaints == []
        assert seen.requests == []
        seen.page.close()


def test_quizzes_answer(part, visit):
    """Every choice of every question brings its own explanation, marked right or wrong."""
    for path in _study_pages(part):
        seen = visit(path)
        seen.page.locator(".study-quiz .Quiz").first.wait_for()
        for question in seen.page.locator(".study-quiz .Quiz").all():
            for choice in question.locator("label.MCButton").all():
                choice.click()
                feedback = question.locator(".Feedback")
                right = choice.get_attribute("data-correct") == "true"
                assert ("correct" if right else "incorrect") in feedback.get_attribute("class").split()
                assert feedback.inner_text().strip() not in ("", "Correct!", "Incorrect -- try again.")
            for box in question.locator("input.Input-text").all():
                _answer_a_number(seen.page, question, box)
        seen.page.wait_for_timeout(300)
        assert seen.page.locator(".study-quiz mjx-merror").count() == 0
        assert seen.complaints == []
        assert seen.requests == []
        seen.page.close()


def _answer_a_number(page, question, box):
    answers = box.evaluate("e => JSON.parse(e.dataset.answers)")
    for answer in [a for a in answers if "value" in a]:
        box.fill(str(answer["value"]))
        box.press("Enter")
        kind = "correct" if answer["correct"] else "incorrect"
        assert kind in question.locator(".Feedback").get_attribute("class").split()
    box.fill("987654")
    box.press("Enter")
    assert "incorrect" in question.locator(".Feedback").get_attribute("class").split()


def test_the_browser_would_notice_a_request(visit, tmp_path):
    """The test above can fail: a page with a script from outside and an error is noticed."""
    page = tmp_path / "page.html"
    page.write_text('<script src="https://cdn.invalid/x.js"></script><script>throw new Error("x")</script>')
    seen = visit(page)
    assert seen.requests == ["https://cdn.invalid/x.js"]
    assert any("error" in complaint for complaint in seen.complaints)
