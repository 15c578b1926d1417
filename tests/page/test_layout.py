"""The page in a real browser: nothing is wider than the screen, and what is chosen is seen."""

import pytest
from browser import Browser, program
from hand_tables import METRICS, many, winner

from lskd_nmt.evaluate.metrics import described
from lskd_nmt.report.page import render, sections

pytestmark = pytest.mark.skipif(program() is None, reason="no chromium: apt install chromium")
LEARNED = (*METRICS, "chrf++", "ter", "comet22", "metricx24", "xcomet")
BOXES = "all('.table .scroll').filter(e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1)"
HEADS = "all('#results thead th').filter(e => !e.hidden).map(e => e.textContent)"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """Open the page of tables by the names of their test sets, in a window of a width; each is written once."""
    written = {}

    def opened(sets, width=1280):
        key = tuple((name, len(content.cells), *content.signatures) for name, content in sets.items())
        if key not in written:
            parts = [sections.pictures(sets), sections.results(sets), sections.effects(sets, "command: lskd report")]
            out = tmp_path_factory.mktemp("page")
            written[key] = render.write(out, sections.opening(None, sets), [each for each in parts if each], None, {})
        chromium.size(width)
        chromium.media()
        chromium.open(written[key])
        return chromium

    return opened


@pytest.mark.parametrize("rows", [4, 29])
def test_a_table_of_less_than_thirty_rows_has_no_scrollbar_of_its_own(page, rows):
    tab = page({"test": many(rows, METRICS)})
    assert tab(f"{BOXES}.map(e => e.textContent.slice(0, 60))") == []
    assert tab("document.querySelector('#results').tBodies[0].rows.length") == rows


def test_a_long_table_scrolls_in_its_box_under_its_head(page):
    tab = page({"test2016": many(50, LEARNED), "flickr2017": many(5, LEARNED)})
    box, head = "document.querySelector('#results').closest('.scroll')", "document.querySelector('#results thead th')"
    assert tab(f"{box}.scrollHeight > {box}.clientHeight + 500")
    tab(f"{box}.scrollTop = 500")
    assert tab(f"{head}.getBoundingClientRect().top") == tab(f"{box}.getBoundingClientRect().top")


def test_fifty_models_eight_metrics_and_two_sets_are_no_wider_than_the_screen(page):
    sets = {"test2016": many(50, LEARNED), "flickr2017": many(5, LEARNED)}
    for width in (1280, 390, 320):
        tab = page(sets, width)
        assert tab("document.documentElement.scrollWidth") <= width
        tab("all('.columns input:not(:checked)').forEach(e => e.click())")
        assert tab("document.documentElement.scrollWidth") <= width


def test_the_name_of_a_row_stays_while_its_box_is_scrolled_sideways(page):
    tab = page({"test2016": many(50, LEARNED), "flickr2017": many(5, LEARNED)}, 390)
    cell = "document.querySelector('#results tbody th').getBoundingClientRect().left"
    before = tab(cell)
    tab("document.querySelector('#results').closest('.scroll').scrollLeft = 300; 0")
    assert tab(cell) == before
    tab("document.querySelector('#results').scrollIntoView(); 0")
    top = "document.querySelector('#results tbody th').getBoundingClientRect().top + 5"
    assert tab(f"document.elementFromPoint({before + 5}, {top}).closest('th, td').tagName") == "TH"


def test_columns_of_metrics_beyond_the_third_are_chosen(page):
    tab = page({"test": many(5, LEARNED)})
    first = [
        "model",
        "teacher LS",
        "T",
        "seeds",
        "BLEU",
        "chrF",
        "BLEU tok. lc",
        "over baseline [95 %]",
        "p",
        "p each seed",
    ]
    assert tab(HEADS) == first
    assert tab("all('.columns input').map(e => e.checked)") == [True] * 3 + [False] * 5
    tab.click(".columns label:nth-of-type(6) input")
    tab.click(".columns label:nth-of-type(2) input")
    assert tab(HEADS) == [*first[:5], first[6], described("comet22").label, *first[7:]]
    shown = tab("[...document.querySelector('#results').tBodies[0].rows[0].cells].filter(e => !e.hidden).length")
    assert shown == len(first)


def test_three_metrics_need_no_choice(page):
    assert page({"test": winner()})("all('.columns, .choice').length") == 0


def test_a_test_set_is_chosen_for_the_whole_page_and_paper_has_all(page):
    tab = page({"test2016": winner(), "flickr2017": many(5, METRICS)})
    seen = "all('.option').filter(e => e.offsetParent !== null).map(e => e.dataset.option)"
    assert tab(seen) == ["test2016"] * 2
    assert (
        tab("all('.choice > label').map(e => e.textContent.trim().split(' ').slice(0, 2).join(' '))")
        == ["Test set"] * 2
    )
    tab("all('.choice select')[1].value = 'flickr2017'; all('.choice select')[1].dispatchEvent(new Event('change'))")
    assert tab(seen) == ["flickr2017"] * 2 and tab("all('.choice select').map(e => e.value)") == ["flickr2017"] * 2
    ids = tab("all('[id]').map(e => e.id)")
    assert len(ids) == len(set(ids)) and {"results", "results-flickr2017", "bleu", "bleu-flickr2017"} <= set(ids)
    tab.media("print")
    assert tab(seen) == ["test2016", "flickr2017"] * 2


def test_the_answer_stands_before_everything_else(page):
    tab = page({"test2016": winner(), "flickr2017": winner()})
    assert tab("document.querySelector('#about').textContent").startswith(
        "en → de · data: multi30k · 1,000 test sentences"
    )
    lines = tab("all('#answer p').map(e => e.textContent)")
    assert len(lines) == 4 and lines[0].startswith("The student with the best BLEU is student, teacher LS 0.1, T = 1")
    assert lines[3] == "It is the best on flickr2017, too."
    assert tab("document.querySelector('#answer').getBoundingClientRect().bottom < 500")
    order = tab("all('main > section').map(e => e.id)")
    assert order[:3] == ["answer", "pictures-section", "results-section"]


def test_a_table_is_as_it_was_where_no_script_runs(page):
    tab = page({"test2016": winner(), "flickr2017": many(5, METRICS)})
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.call("Page.reload")
        tab.settle("file:")
        assert tab("[...document.querySelectorAll('.option')].every(e => e.offsetParent !== null)")
        assert tab("[...document.querySelectorAll('#results-flickr2017 thead th')].every(e => !e.hidden)")
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
