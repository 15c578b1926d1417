"""What goes into the page: numbers as they are, text as text, and only what is there."""

import json

import pytest
from hostile import HOSTILE, NAME, calibration, diagnosis, embedded, estimate, hostile_run, report, write_texts
from lxml import html
from test_table import record, sweep

from lskd_nmt.cli import main
from lskd_nmt.report.figures import bleu_by_cost, reliability
from lskd_nmt.report.page import analysed, figures, parts, render, seeds, sources
from lskd_nmt.report.results.analyses import Bins, Histogram
from lskd_nmt.report.results.rows import row_title
from lskd_nmt.report.tables import numbers, tables, texts
from lskd_nmt.storage import files


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return report(folder / "out", hostile_run(folder / "run"))


@pytest.fixture
def run(tmp_path):
    """A small finished run with text on both sides."""
    folder = sweep(tmp_path / "run", seeds=(1,), smoothings=(0.1,))
    write_texts(folder, ["uno", "due"], ["eins", "zwei"], lambda number, line: f"{line} {number}")
    return folder


def cells(tree, table):
    """The texts of a table's body."""
    return [[cell.text_content() for cell in row] for row in tree.get_element_by_id(table).iter("tr")][1:]


@pytest.mark.parametrize(
    "text, value",
    [
        ("36.26", 36.26),
        ("+0.66 [-0.34, +1.68]", 0.66),
        ("-0.74 [-1.78, +0.33]", -0.74),
        ("35.3 ± 0.2", 35.3),
        ("1,949,696", 1949696),
        ("<0.001", 0.001),
        ("0.178, 0.2", 0.178),
        ("4.07e-06", 4.07e-06),
        ("12 %", 12),
        ("–", None),
        ("", None),
        ("008561ab", None),
        ("1e5f", None),
        ("word", None),
        ("3rd", None),
    ],
)
def test_a_cell_is_sorted_by_the_number_that_it_begins_with(text, value):
    assert numbers.number(text) == value


def test_a_column_is_numeric_if_all_but_its_dashes_are():
    texts = [["1", "–", "12345678", "–"], ["2 [1, 3]", "–", "008561ab", "0.5"]]
    assert numbers.numeric(texts, 4) == [True, False, False, True]


def test_different_names_have_different_slugs():
    names = ["a b", "a-b", "a/b", "a'", "a", "A", "a.b", "ä", "<a>", '"a"']
    slugs = {parts.slug(name) for name in names}
    assert len(slugs) == len(names) and all(slug.isascii() and "/" not in slug and " " not in slug for slug in slugs)


def test_embedded_json_holds_no_sign_that_html_or_javascript_reads():
    text = render.as_script(HOSTILE)
    assert json.loads(text) == HOSTILE
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_figure_gets_ids_of_its_own_and_the_colours_of_the_page():
    svg = """<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="s" width="90pt" height="9.5pt" viewBox="0 0 90 9.5">
    <metadata><rdf:RDF xmlns:rdf="http://www.w3.org/x"/></metadata><defs><path id="m1" style="stroke: #000000"/></defs>
    <use xlink:href="#m1" style="fill: #ffffff; stroke: #D55E00"/><g clip-path="url(#p1)"/></svg>"""
    made = figures.inline(svg, "name", "title", "text")
    assert made.startswith("<svg ") and "rdf" not in made and "width=" not in made and "max-width: 90pt" in made
    for part in (
        'id="name-m1"',
        'xlink:href="#name-m1"',
        "url(#name-p1)",
        "stroke: currentColor",
        "fill: var(--paper)",
        "stroke: #D55E00",
        'role="img"',
        '<title id="name-title">title</title>',
    ):
        assert part in made, part


def test_the_page_has_the_numbers_of_the_table(run, tmp_path):
    page = report(tmp_path / "out", run)
    tree = html.parse(page).getroot()
    content = files.read_json(tmp_path / "out/data/table.json")
    found = cells(tree, "results")
    assert [line[0] for line in found] == [row_title(cell) for cell in record(content).cells]
    assert [line[1:] for line in found] == [line[1:] for line in tables.frame(record(content)).values.tolist()]
    ((alpha, *scores),) = cells(tree, "grid-1")
    students = [cell for cell in record(content).cells if cell.setting.temperature is not None]
    assert alpha == "0.1"
    for text, cell in zip(scores, students, strict=True):
        expected = [
            f"{cell.scores['bleu'].mean:.2f} [{cell.interval[0]:.2f}, {cell.interval[1]:.2f}]",
            texts.interval(cell.difference),
            "not comparable",
        ]
        assert text.split("\n") == expected


def test_every_model_leads_to_its_command_signature_and_commit(run, tmp_path):
    tree = html.parse(report(tmp_path / "out", run)).getroot()
    links = [link.get("href") for link in tree.get_element_by_id("results").iter("a")]
    assert len(set(links)) == 4
    for link in links:
        text = tree.get_element_by_id(link.removeprefix("#")).text_content()
        assert "fairseq-train data/bin" in text and "tok:13a" in text and "commit" in text and "signature" in text


def test_corpus_text_is_only_ever_text(hostile):
    assert embedded(hostile)["reference"] == HOSTILE and embedded(hostile)["source"] == HOSTILE
    tree = html.parse(hostile).getroot()
    assert len(tree.xpath("//script")) == 2 and not tree.xpath("//*[@onerror or @onclick or @onload]")
    assert not tree.xpath("//img[not(starts-with(@src, 'data:image/svg+xml;base64,'))]")
    assert tree.findtext(".//title") == NAME and tree.xpath("//h1")[0].text_content().strip() == NAME
    addresses = tree.xpath("//@href | //@src | //@*[local-name() = 'href']")
    assert {address.split(":")[0] for address in addresses if not address.startswith("#")} == {"data"}


def test_without_sentences_no_text_of_the_corpus_is_written(run, tmp_path):
    files.write_json(run / "analysis/diagnosis.json", diagnosis(["eins", "zwei"]))
    page = report(tmp_path / "out", run, "--sentences", "0")
    assert embedded(page) is None and "sentences-section" not in page.read_text(encoding="utf-8")
    written = [file.read_text(encoding="utf-8") for file in (tmp_path / "out").rglob("*.*") if file.suffix != ".pdf"]
    assert len(written) > 5 and not [text for text in written if "eins" in text or "zwei" in text]


def test_some_sentences_are_the_first_ones(run, tmp_path):
    found = embedded(report(tmp_path / "out", run, "--sentences", "1"))
    assert (found["source"], found["reference"], found["of"]) == (["uno"], ["eins"], 2)
    assert [each["translations"] for each in found["systems"]] == [["eins 3"], ["eins 2"], ["eins 0"], ["eins 1"]]


def test_a_run_without_its_texts_has_a_page_without_them(run, tmp_path):
    for file in run.rglob("test.*"):
        file.unlink()
    assert embedded(report(tmp_path / "out", run)) is None


def test_only_analyses_that_are_there_have_a_section(run, tmp_path):
    tree = html.parse(report(tmp_path / "none", run)).getroot()
    assert not tree.xpath("//section[starts-with(@id, 'analysis')]")
    files.write_json(run / "analysis/calibration-student.json", calibration())
    files.write_json(run / "analysis/mine.json", {"analysis": "mine", "words": [{"word": "a & b", "value": 0.123456}]})
    tree = html.parse(report(tmp_path / "some", run)).getroot()
    assert tree.xpath("//section[starts-with(@id, 'analysis')]/@id") == [
        "analysis-calibration-section",
        "analysis-mine-section",
    ]
    (row,) = cells(tree, "calibration-forced-token")
    assert (row[:4], row[-1]) == (["student", "40", "0.2 [0.1, 0.3]", "0.143 [0.0429, 0.243]"], "1.25")
    assert cells(tree, "analysis-run-mine-1") == [["a & b", "0.123"]]


@pytest.mark.parametrize(
    "content",
    [
        {"analysis": "calibration"},
        {"analysis": "calibration", "decoding": 1, "token": 2},
        {"analysis": "diffusion", "students": {"2": {"verdict": "", "by_class": {"a": {}}}}},
        {"analysis": "projection", "tokens": ["a"]},
    ],
)
def test_an_analysis_of_another_form_is_named_and_no_page_is_written(run, tmp_path, capsys, content):
    files.write_json(run / "analysis/odd.json", content)
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "run/analysis/odd.json" in error
    assert error.endswith(("write it again, or remove it", "make it again"))
    assert not (tmp_path / "out/index.html").exists()


def test_a_figure_belongs_to_the_longest_name_that_fits(tmp_path):
    for name in ("a.json", "a-b.json", "a-b-plot.svg", "a-c.svg", "unknown.svg"):
        files.write_text(tmp_path / "analysis" / name, "{}")
    found = {each.name: list(each.figures) for each in sources.analyses({"run": tmp_path})}
    assert found == {"a": ["a-c"], "a-b": ["a-b-plot"]}


def test_what_a_run_measured_is_not_measured_again(run, tmp_path, capsys):
    assert main(["table", str(run)]) == 0
    capsys.readouterr()
    report(tmp_path / "out", run)
    assert "resamples" not in capsys.readouterr().err
    assert (tmp_path / "out/data/significance.json").read_text() == (run / "significance.json").read_text()


def test_the_same_runs_give_the_same_page(run, tmp_path):
    first = report(tmp_path / "out", run).read_bytes()
    assert report(tmp_path / "out", run).read_bytes() == first


def test_seeds_of_two_runs_stand_in_one_row(run, tmp_path):
    other = sweep(tmp_path / "other", seeds=(2,), smoothings=(0.1,))
    write_texts(other, ["uno", "due"], ["eins", "zwei"], lambda number, line: f"{number} {line}")
    page = report(tmp_path / "out", run, other, "--title", "both")
    assert [row[3] for row in cells(html.parse(page).getroot(), "results")] == ["2"] * 4
    systems = embedded(page)["systems"]
    assert [each["name"] for each in systems[:2]] == ["run/teacher-ls0.1-s1", "other/teacher-ls0.1-s2"]
    assert [each["shown"] for each in systems[:2]] == [True, False]


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--sentences", "-1", "--out", "out"], "--sentences is -1"),
        (["--out", "run"], "is a run folder"),
        (["--baseline", "none", "--out", "out"], "--baseline is 'none'"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(run, tmp_path, monkeypatch, capsys, arguments, part):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "run", *arguments]) == 2
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1
    assert not (tmp_path / "out/index.html").exists()


def test_the_figure_of_costs_shows_size_and_hours(run, tmp_path):
    report(tmp_path / "out", run)
    content = files.read_json(tmp_path / "out/data/table.json")
    drawn = bleu_by_cost.figure(record(content))
    assert [axes.get_xlabel().split(",")[0].split(" (")[0] for axes in drawn.axes] == [
        "parameters",
        "CPU hours of a training",
        "GPU hours of a training",
    ]
    for axes, expected in zip(drawn.axes, (10 / 1e6, 1.0, 0.5), strict=True):  # of each stand-in
        points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
        assert points == [(expected, cell["bleu"]["mean"]) for cell in content["cells"]]


def test_a_reliability_diagram_leaves_out_empty_bins():
    bins = Bins(count=(10, 0, 30), confidence=(0.3, 0.0, 0.9), accuracy=(0.2, 0.0, 0.8))
    axes = reliability.diagrams({"$a_{": [bins]}).axes[0]
    assert list(axes.lines[1].get_xdata()) == [0.3, 0.9] and list(axes.lines[1].get_ydata()) == [0.2, 0.8]
    assert [bar.get_height() for bar in axes.patches] == [0.25, 0.75]


def test_values_stand_behind_a_click_unless_they_are_too_long():
    content = {"command": "lskd calibrate", "settings": {"bins": [15]}, "points": [[0.5] * 2000]}
    assert analysed.origin(content) == [("command", "lskd calibrate"), ("settings", '{"bins": [15]}')]


def test_features_that_lie_among_the_analyses_are_none(tmp_path):
    for name in ("features/header", "mine-of-a-model"):
        file = tmp_path / "analysis" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    assert [(found.name, found.kind) for found in sources.analyses({"run": tmp_path})] == [("mine-of-a-model", "mine")]


def seed_of(value, edges=(0.0, 0.5, 1.0)):
    """The calibration of one seed: its ECE, and bins that hold 10 and 30 tokens of which `value` are right."""
    content = calibration()
    bins = {"edges": list(edges), "count": [10.0, 30.0], "confidence": [0.3, 0.8], "accuracy": [0.2, value]}
    for level in ("token", "word"):
        content[level] = {"units": 40, "numbers": {"ece_2": estimate(value)}, "reliability": {"ece_2": bins}}
    return content


def test_seeds_are_averaged_and_folded(run, tmp_path):
    for name, value in (("student-s1", 0.5), ("student-s2", 0.7), ("teacher-s1", 0.9)):
        files.write_json(run / f"analysis/calibration-{name}.json", seed_of(value))
    tree = html.parse(report(tmp_path / "out", run)).getroot()
    assert [row[:4] for row in cells(tree, "calibration-forced-token")] == [
        ["student", "2", "40", "0.6 (0.5–0.7)"],
        ["teacher-s1", "1", "40", "0.9 [0.8, 1]"],
    ]
    every = tree.get_element_by_id("calibration-forced-token-seeds")
    assert [row[0] for row in cells(tree, every.get("id"))] == ["student-s1", "student-s2", "teacher-s1"]
    assert next(every.iterancestors("details")).find("summary").text == "Each of the 3 models"
    text = tree.get_element_by_id("calibration-forced-token-reliability").text_content()
    assert "A panel for each setting: student, ECE-2 0.600; teacher-s1, ECE-2 0.900." in text


def test_a_panel_has_all_tokens_of_its_seeds_and_each_seed_as_a_thin_line():
    """By hand: 10 of 10 and 30 tokens' 0.2 and 0.6 are 0.5 in the first bin; the second is empty in one of them."""
    one = Bins(count=(10, 0), confidence=(0.2, None), accuracy=(0.2, None))
    two = Bins(count=(30, 20), confidence=(0.4, 0.9), accuracy=(0.6, 0.8))
    (axes,) = reliability.diagrams({"student": [one, two]}).axes
    _, mean, *thin = axes.lines
    assert list(mean.get_xdata()) == pytest.approx([0.35, 0.9]) and list(mean.get_ydata()) == pytest.approx([0.5, 0.8])
    assert [list(line.get_ydata()) for line in thin] == [[0.2], [0.6, 0.8]]
    assert all(line.get_linewidth() < mean.get_linewidth() for line in thin)
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([40 / 60, 20 / 60])


def test_entropies_of_up_to_eight_settings_share_a_panel_and_more_have_their_own():
    one, two = Histogram((0.0, 1.0, 2.0), (3, 1)), Histogram((0.0, 1.0, 2.0), (1, 3))
    (axes,) = reliability.histograms({f"setting {n}": [one, two] for n in range(8)}).axes
    means = [patch for patch in axes.patches if patch.get_label().startswith("setting")]
    assert len({(patch.get_edgecolor(), patch.get_linestyle()) for patch in means}) == 8
    assert [list(patch.get_data().values) for patch in means] == [[0.5, 0.5]] * 8
    many = reliability.histograms({f"setting {n}": [one, two] for n in range(9)})
    assert [axes.get_title(loc="left") for axes in many.axes if axes.axison] == [f"setting {n}" for n in range(9)]


@pytest.mark.parametrize(
    "name, without",
    [
        ("student-ls0-t1-s1", "student-ls0-t1"),
        ("student-ls0-t1-s12-own", "student-ls0-t1-own"),
        ("run: teacher-s3", "run: teacher"),
        ("student-s1x", "student-s1x"),
        ("student", "student"),
    ],
)
def test_a_seed_is_the_end_of_a_name(name, without):
    assert seeds.without_seed(name) == without


def test_of_many_systems_the_best_and_those_to_compare_with_are_seen_at_first(tmp_path):
    folder = sweep(tmp_path / "run", seeds=(1,), temperatures=(1.0, 2.0, 3.0), smoothings=(0.0, 0.1))
    write_texts(folder, ["uno", "due"], ["eins", "zwei"], lambda number, line: f"{line} {number}")
    systems = embedded(report(tmp_path / "out", folder))["systems"]
    shown = [each["name"] for each in systems if each["shown"]]
    assert len(systems) == 9 and shown[:3] == ["teacher-ls0-s1", "teacher-ls0.1-s1", "student-plain-s1"]
    assert len(shown) == 4 and shown[3].startswith("student-ls")
