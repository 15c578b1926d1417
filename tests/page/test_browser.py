"""The page in a real browser: it loads alone, obeys mouse and keyboard, and takes hostile text as text."""

import io
import itertools
import time
from contextlib import redirect_stdout

import pytest
from browser import Browser, program
from hostile import HOSTILE, NAME, hostile_run, report, write_texts
from test_table import sweep

pytestmark = pytest.mark.skipif(program() is None, reason="no chromium: apt install chromium")
SENTENCES = "all('#sentences > li')"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return report(folder / "out", hostile_run(folder / "run"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def tab(chromium, page):
    chromium.size(1280)
    chromium.media()
    chromium.open(page)
    return chromium


def column(tab, number, table="results"):
    rows = f"[...document.getElementById('{table}').tBodies[0].rows].filter(row => !row.hidden)"
    return tab(f"{rows}.map(row => row.cells[{number}].textContent)")


def until(tab, expression):
    end = time.monotonic() + 20
    while not tab(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.05)


def test_it_loads_without_errors_and_asks_no_network(tab):
    events = [(event["method"], event["params"]) for event in tab.events]
    asked = [facts["request"]["url"] for method, facts in events if method == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [url for url in asked if url.startswith("file:")] == [asked[0]]  # the page and no other file
    loud = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert [facts for method, facts in events if method in loud] == []


def test_hostile_text_is_text(tab):
    assert tab("window.hacked") is None
    assert tab("document.querySelector('h1').textContent") == NAME and tab("document.title") == NAME
    seen = tab(f"{SENTENCES}.map(e => e.querySelectorAll('dd')[1].textContent)")
    assert seen == HOSTILE  # each reference to the letter
    assert tab("all('#sentences script, #sentences img, h1 *:not(bdi), td *:not(a, span)').length") == 0
    words = tab("all('table').find(e => e.caption.textContent.includes('wrong in the student')).id")
    assert column(tab, 1, words) == [text.replace("\x00", "") for text in HOSTILE]  # HTML has no such sign


def test_a_script_that_got_into_the_page_would_not_run(tab):
    tab("""(() => { const script = document.createElement('script'); script.textContent = 'window.hacked = 9';
        const button = document.createElement('button'); button.setAttribute('onclick', 'window.hacked = 9');
        document.body.append(script, button); button.click(); })()""")
    assert tab("window.hacked") is None
    assert tab("fetch('https://example.org/').then(() => 'asked', () => 'refused')") == "refused"


def test_a_click_sorts_a_table_and_another_turns_it(tab):
    place = tab("all('#results thead th').findIndex(e => e.textContent === 'BLEU')")
    head = f"#results thead th:nth-child({place + 1})"
    for direction in ("ascending", "descending"):
        tab.click(f"{head} button")
        assert tab(f"document.querySelector('{head}').getAttribute('aria-sort')") == direction
        scores = [float(text.split()[0]) for text in column(tab, place)]
        assert scores == sorted(scores, reverse=direction == "descending") and len(set(scores)) > 2
    tab.click("#results thead th:nth-child(1) button")
    assert tab("all('#results [aria-sort]').length") == 1
    assert column(tab, 0) == sorted(column(tab, 0))


def test_rows_without_a_value_come_last_in_both_directions(tab):
    place = tab("all('#results thead th').findIndex(e => e.textContent === 'T')")
    for expected in (["1", "1", "2", "2"], ["2", "2", "1", "1"]):
        tab.click(f"#results thead th:nth-child({place + 1}) button")
        assert column(tab, place) == [*expected, "–", "–", "–"]


def test_the_keyboard_sorts_and_filters(tab):
    tab("document.querySelector('#results').closest('[data-table]').querySelector('input').focus()")
    tab.type("plain")
    assert column(tab, 0) == []
    tab("document.activeElement.select()")
    tab.type("without kd")
    assert column(tab, 0) == ["student without KD"]
    assert "1 of 7 rows" in tab(
        "document.querySelector('#results').closest('[data-table]').querySelector('output').textContent"
    )
    tab("document.activeElement.value = ''; document.activeElement.dispatchEvent(new Event('input'))")
    for key in ("Tab", "Tab", "Enter"):  # the scrolling box, the first head
        tab.key(key)
    assert tab("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
    assert tab("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.key(" ")
    assert tab("document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"


def test_the_first_stop_of_the_keyboard_leads_past_the_navigation(tab):
    tab.key("Tab")
    assert tab("document.activeElement.className") == "skip"
    tab.key("Enter")
    assert tab("location.hash") == "#main"


def test_a_number_leads_to_its_command_with_one_click(tab):
    tab.click("#results tbody a")
    until(tab, "document.querySelector('#records-section details[open]') !== null")
    text = tab("document.querySelector('#records-section details[open]').textContent")
    assert "fairseq-train data/bin --lr 1" in text and "tok:13a" in text
    tab("document.querySelector('#records-section details[open]').open = false")
    tab.click("#results tbody a")
    until(tab, "document.querySelector('#records-section details[open]') !== null")


def choose(tab, name, value):
    """What a person does in the form under the heading Sentences."""
    tab(f"""(() => {{ const form = document.getElementById('search'); form.elements.{name}.value = '{value}';
        form.dispatchEvent(new Event('input')); }})()""")


def test_sentences_are_searched_filtered_and_ordered(tab):
    count = len(HOSTILE)
    assert tab("document.querySelector('#search output').value") == f"{count} of {count} sentences, page 1 of 1"
    tab("document.querySelector('#search [name=text]').focus()")
    tab.type("SHALOM <script>")
    until(tab, f"{SENTENCES}.length === 0")
    tab("document.activeElement.select()")
    tab.type("עולם")
    until(tab, f"{SENTENCES}.length === 1")
    choose(tab, "text", "")
    choose(tab, "order", "long")
    until(tab, f"{SENTENCES}.length === {count} && {SENTENCES}[0].textContent.includes('{'x' * 3000}')")
    choose(tab, "which", "same")
    until(tab, f"{SENTENCES}.length === 0")  # every second model adds a word
    choose(tab, "which", "right")
    until(tab, f"{SENTENCES}.length === {count}")


def test_words_that_the_reference_lacks_are_marked(tab):
    marks = tab(f"[...{SENTENCES}[4].querySelectorAll('mark')].map(e => e.textContent)")
    assert marks and all(mark[:3] == "<b>" and mark[3:-4].isdigit() for mark in marks)  # what the stand-ins add
    assert tab("all('#sentences b').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(tab, scheme):
    tab.media("screen", scheme)
    tab("all('details').forEach(e => { e.open = true })")
    low = tab("""(() => {
      const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
      const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const lum = (colour) => colour.slice(0, 3).map(v => linear(v / 255))
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
      const found = {};
      for (const e of all('body *:not(script):not(svg *)')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.disabled) continue;
        const [a, b] = [lum(rgb(getComputedStyle(e).color)), lum(behind(e))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) found[e.tagName + '.' + e.className] = ratio;
      }
      return found; })()""")
    assert low == {}


def test_the_button_changes_the_colours_and_the_system_does_before_it(tab, page):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = tab(paper)
    tab.click("#theme")
    dark = tab(paper)
    assert light != dark
    tab("localStorage.removeItem('lskd-theme')")
    tab.open(page)
    assert tab(paper) == light
    tab.media("screen", "dark")
    assert tab(paper) == dark
    tab("localStorage.removeItem('lskd-theme')")


@pytest.mark.parametrize("width", [320, 375, 768])
def test_a_narrow_page_does_not_scroll_sideways(tab, width):
    tab.size(width, 800)
    tab("all('details').forEach(e => { e.open = true })")
    assert tab("document.documentElement.scrollWidth") <= width
    assert tab("document.querySelector('#results').closest('.scroll').scrollWidth") > 320  # its own box does


def test_pictures_are_drawn(tab):
    sizes = tab("all('figure svg, figure img').map(e => e.getBoundingClientRect()).map(r => [r.width, r.height])")
    assert len(sizes) >= 5 and all(width > 200 and height > 20 for width, height in sizes)
    inside = tab("all('figure svg').map(e => [e.querySelectorAll('path, use').length, e.getBBox().width])")
    assert all(paths > 10 and width > 100 for paths, width in inside)
    used = "all('svg use').map(e => e.getAttribute('xlink:href') || e.getAttribute('href'))"
    assert tab(f"{used}.length") > 100 and tab(f"{used}.filter(h => !document.getElementById(h.slice(1)))") == []


def test_structure_is_as_screen_readers_need_it(tab):
    levels = tab("all('h1, h2, h3, h4').map(e => Number(e.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for selector in ("header", "nav[aria-label]", "main"):
        assert tab(f"all('{selector}').length") == 1, selector
    assert tab("all('table').every(e => e.caption && e.caption.textContent)")
    ids = tab("all('[id]').map(e => e.id)")
    assert len(ids) == len(set(ids))
    named = [
        f"all('[{name}]').flatMap(e => e.getAttribute('{name}').split(' '))"
        for name in ("aria-labelledby", "aria-controls")
    ]
    links = tab("all('a[href^=\"#\"]').map(e => decodeURIComponent(e.hash.slice(1)))")
    assert {*links, *tab(named[0]), *tab(named[1])} <= set(ids)
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = ("button", "textbox", "searchbox", "checkbox", "combobox", "link", "img", "image", "table")
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node.get("ignored") and node["role"]["value"] in roles and not node.get("name", {}).get("value")
    ]
    assert nameless == []


def test_paper_has_everything_but_the_controls(tab):
    tab.media("print", "dark")
    for selector in ("nav", "#theme", "form", ".filter"):
        assert tab(f"getComputedStyle(document.querySelector('{selector}')).display") == "none", selector
    assert tab("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.size(700)  # about the width of a page
    assert tab("all('table, figure svg, pre').filter(e => e.getBoundingClientRect().right > innerWidth).length") == 0
    pdf = tab.pdf()
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000


def test_data_comes_back_as_it_was(tab, page):
    files = tab("""Promise.all(all('#data-section a').map(async e =>
        [e.download, new TextDecoder().decode(Uint8Array.from(atob(e.href.split(',')[1]), c => c.charCodeAt(0)))]))""")
    assert len(files) == 7  # table as JSON and CSV, intervals, four analyses
    for name, text in files:
        assert text == (page.parent / "data" / name).read_text(encoding="utf-8")


def test_a_thousand_sentences_of_ten_systems_stay_fast(chromium, tmp_path):
    run = sweep(tmp_path / "run", seeds=(1,), temperatures=(1.0, 2.0, 3.0), smoothings=(0.0, 0.1))
    lines = [f"{number} " + "Wort und noch eines " * 6 for number in range(1000)]
    write_texts(run, lines, lines, lambda number, line: f"{line} {number}")
    with redirect_stdout(io.StringIO()):
        page = report(tmp_path / "out", run)
    chromium.open(page)
    assert chromium("document.querySelector('#search output').value") == "1000 of 1000 sentences, page 1 of 50"
    chromium.click("#search [name=next]")
    assert chromium("document.querySelector('#sentences h3').textContent") == "Sentence 21"
    took = chromium("""(() => { const f = document.getElementById('search'), start = performance.now();
        f.elements.text.value = 'wort'; f.requestSubmit(); return performance.now() - start })()""")
    assert took < 1000 and chromium(f"{SENTENCES}.length") == 20  # milliseconds; 30 on an idle core
