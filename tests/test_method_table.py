"""Methods in the results table: rows, several baselines, the cost of a step, the figure, and every other view."""

import csv
import json
import statistics

import pytest
from test_table import REFS, add, cell_of, record, table

from lskd_nmt.cli import main
from lskd_nmt.report.figures import bleu_by_temperature, method_ranking
from lskd_nmt.report.page import sections
from lskd_nmt.report.results.rows import row_title
from lskd_nmt.report.tables import document, tables
from lskd_nmt.storage import files

LOST = {"reverse": 0.1, "word_kd": 0.15, "r_drop": 0.17}  # shares of words; 0.2 of plain students
SPEEDS = {None: 60.0, "reverse": 40.0, "word_kd": 50.0, "r_drop": 30.0}
FLAGS = {"reverse": {"divergence": "reverse", "temperature": 2}, "word_kd": {"kd-weight": 0.5}, "r_drop": {"r-drop": 5}}


def lost(model):
    return (
        0.05
        if model["role"] == "teacher"
        else LOST.get(model.get("method"), 0.2) - 0.2 * (model["label_smoothing"] or 0)
    )


def screening(folder, smoothings=(0.1,), order=("reverse", "r_drop", "word_kd"), heat=2.0, seeds=(1, 2)):
    """A finished run of two seeds, with three methods; r_drop reads no teacher."""
    files.write_text(folder / "data/clean/test.de", "".join(f"{line}\n" for line in REFS))
    models = []
    for seed in seeds:
        for alpha in smoothings:
            add(folder, models, f"teacher-ls{alpha:g}-s{seed}", lost, role="teacher", seed=seed, label_smoothing=alpha)
        add(folder, models, f"student-plain-s{seed}", lost, role="student", seed=seed)
        for method in order:
            for alpha in smoothings if method != "r_drop" else [None]:
                facts = (
                    {
                        "label_smoothing": alpha,
                        "teacher": f"teacher-ls{alpha:g}-s{seed}",
                        "kd_level": "word",
                        "temperature": heat if method == "reverse" else 1.0,
                        "kd_weight": 0.5,
                        "tail": "dense",
                        "top_k": 0,
                    }
                    if alpha is not None
                    else {}
                )
                title = method if alpha is None else f"ls{alpha:g}-{method}"
                add(folder, models, f"student-{title}-s{seed}", lost, role="student", seed=seed, method=method, **facts)
    for model in models:
        file = folder / "models" / model["name"] / "run.json"
        speed = SPEEDS[model.get("method")] + model["seed"] - 1.5  # their mean is the number above
        files.write_json(file, files.read_json(file) | {"updates_per_second": speed})
    methods = {
        name: {"about": f"about {name}", "teacher": name != "r_drop", "live": False, "flags": FLAGS[name]}
        for name in order
    }
    data = {"folder": "data", "corpus": "files", "form": "raw", "source_lang": "en", "target_lang": "de"}
    files.write_json(
        folder / "plan.json",
        {"name": folder.name, "data": data, "models": models, "config": {"student": {"methods": methods}}},
    )
    return folder


@pytest.fixture
def run(tmp_path):
    return screening(tmp_path / "run")


def test_rows_are_plain_students_then_methods_in_the_plans_order(tmp_path):
    content = table(tmp_path, screening(tmp_path / "run", smoothings=(0.0, 0.1)))
    assert [cell["name"] for cell in content["cells"]] == [
        "teacher-ls0",
        "teacher-ls0.1",
        "student-plain",
        "student-ls0-reverse",
        "student-ls0.1-reverse",
        "student-r_drop",
        "student-ls0-word_kd",
        "student-ls0.1-word_kd",
    ]
    frame = tables.frame(record(content))
    assert list(frame["model"])[2:] == ["student without KD", "reverse", "reverse", "r_drop", "word_kd", "word_kd"]
    assert list(frame["teacher LS"])[2:] == ["–", "0", "0.1", "–", "0", "0.1"]
    assert list(frame["T"])[2:] == ["–", "2", "2", "–", "1", "1"]
    gains = [(each["at"], each["terms"]) for each in content["effects"] if each["of"]["method"]]
    assert gains == [
        (f"T = {heat}, method {name}", [[1, f"student-ls0.1-{name}"], [-1, f"student-ls0-{name}"]])
        for heat, name in ((2, "reverse"), (1, "word_kd"))
    ]
    assert not any(cell["published"] for cell in content["cells"] if cell["method"])


def test_several_baselines_give_what_each_gives_alone(tmp_path, run):
    both = table(tmp_path, run, "--baseline", "plain", "--baseline", "word_kd")
    texts = {kind: (tmp_path / "out" / f"table.{kind}").read_text(encoding="utf-8") for kind in ("md", "tex", "csv")}
    for wish in ("plain", "word_kd"):
        alone = table(tmp_path, run, "--baseline", wish)
        frames = [tables.frame(record(content)) for content in (both, alone)]
        assert list(frames[0][f"over {wish} [95 %]"]) == list(frames[1]["over baseline [95 %]"])
        assert list(frames[0][f"p over {wish}"]) == list(frames[1]["p"])
        for cell in alone["cells"]:
            found = cell_of(both, cell["name"])["over"][wish]
            assert found == {name: cell[name] for name in ("baseline", "difference", "needed") if name in cell}
        assert f"over {wish} [95 %]" in texts["md"] and "p over" in texts["tex"] and "| p each seed" not in texts["md"]
    plain = cell_of(both, "student-ls0.1-reverse")
    assert (plain["baseline"], plain["over"]["word_kd"]["baseline"]) == ("student-plain", "student-ls0.1-word_kd")
    assert cell_of(both, "student-plain")["over"]["word_kd"]["difference"]["value"] < 0
    assert (
        "- baselines: student-ls0.1-word_kd, student-plain; teachers are not compared with any of them" in texts["md"]
    )
    assert "of each baseline apart" in texts["md"] and "p each seed: of each row over each baseline" in texts["md"]
    lines = list(csv.DictReader(texts["csv"].splitlines()))
    assert [bool(lines[2]["p_over_plain"]), bool(lines[2]["p_over_word_kd"])] == [True, True]
    assert [line["method"] for line in lines[:5]] == ["", "", "reverse", "r_drop", "word_kd"]


def test_a_baseline_is_that_of_the_same_teacher(tmp_path):
    run = screening(tmp_path / "run", smoothings=(0.0, 0.1))
    content = table(tmp_path, run, "--baseline", "word_kd")
    assert {cell["name"]: cell["baseline"] for cell in content["cells"]} == {
        "teacher-ls0": None,
        "teacher-ls0.1": None,
        "student-plain": None,
        "student-r_drop": None,
        "student-ls0-word_kd": None,
        "student-ls0.1-word_kd": None,
        "student-ls0-reverse": "student-ls0-word_kd",
        "student-ls0.1-reverse": "student-ls0.1-word_kd",
    }
    content = table(tmp_path, run, "--baseline", "student-ls0-word_kd")
    assert cell_of(content, "student-r_drop")["baseline"] == "student-ls0-word_kd"


def test_a_baseline_that_is_none_is_refused(tmp_path, run, capsys):
    cases = {
        ("plain", "plain"): "--baseline plain is given twice: give each once",
        ("word_dk",): "--baseline is 'word_dk': plain, or one of reverse, r_drop, word_kd, ",
    }
    for wishes, part in cases.items():
        words = [word for wish in wishes for word in ("--baseline", wish)]
        assert main(["table", str(run), "--out", str(tmp_path / "x"), *words]) == 2
        err = capsys.readouterr().err
        assert part in err and err.count("\n") == 1 and not (tmp_path / "x").exists()


def test_a_step_costs_what_plain_students_are_faster(tmp_path, run):
    content = table(tmp_path, run)
    costs = {cell["name"]: cell["step_cost"] for cell in content["cells"]}
    assert costs == {
        "teacher-ls0.1": None,
        "student-plain": 1.0,
        "student-ls0.1-reverse": 1.5,
        "student-r_drop": 2.0,
        "student-ls0.1-word_kd": 1.2,
    }
    text = document.markdown(record(content))
    assert "step cost (plain = 1)" in text and "measured while trainings ran side by side" in text
    assert "- reverse: about reverse (--divergence reverse --temperature 2)" in text
    file = run / "models" / "student-r_drop-s2" / "run.json"
    files.write_json(file, files.read_json(file) | {"updates_per_second": None})
    frame = tables.frame(record(table(tmp_path, run))).set_index("model")
    assert frame.loc["r_drop", "step cost (plain = 1)"] == "–"
    assert frame.loc["reverse", "step cost (plain = 1)"] == "1.50"


def test_a_step_is_measured_against_the_plain_students_of_its_own_run(tmp_path, run):
    other = screening(tmp_path / "other")
    for file in other.glob("models/student-*/run.json"):
        files.write_json(file, files.read_json(file) | {"updates_per_second": 7.0})
    plan = files.read_json(other / "plan.json")
    plan["models"] = [model | {"seed": model["seed"] + 2} for model in plan["models"]]
    files.write_json(other / "plan.json", plan)
    content = table(tmp_path, run, other)
    assert cell_of(content, "student-r_drop")["seeds"] == [1, 2, 3, 4]
    assert cell_of(content, "student-r_drop")["step_cost"] == (2.0 + 1.0) / 2


def test_the_same_name_with_other_flags_is_another_row_in_every_view(tmp_path, run):
    other = screening(tmp_path / "other", heat=3.0)
    content = table(tmp_path, run, other)
    titles = [row_title(cell) for cell in record(content).cells]
    assert len(set(titles)) == len(titles) == 6
    assert {"reverse, teacher LS 0.1 [run]", "reverse, teacher LS 0.1 [other]"} < set(titles)
    assert cell_of(content, "other:student-ls0.1-reverse")["differs_in"] == ["temperature (2.0 or 3.0)"]
    frame = tables.frame(record(content))
    assert not frame[["model", "run", "teacher LS", "T"]].duplicated().any()
    sets = {"test": record(content)}
    page, drawn = sections.results(sets).parts, sections.pictures(sets).parts
    anchors = [row[0].link for row in page[0].rows]
    assert len(set(anchors)) == 6 and [part.id for part in page] == ["results"]
    assert [part.id for part in drawn] == ["methods", "bleu-by-cost", "bleu"]
    costs = [row[0].text for row in sections.costs(record(content)).parts[0].rows]
    assert sorted(costs) == sorted(titles)


def test_the_figure_has_the_best_method_on_top_beside_plain_and_word_kd(tmp_path, run):
    content = table(tmp_path, run)
    cell_of(content, "student-r_drop")["interval"] = [0.0, 100.0]  # as of two seeds that differ
    figure = method_ranking.figure(record(content))
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "reverse, teacher LS 0.1",
        "word_kd, teacher LS 0.1",
        "r_drop",
    ]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
    beside = {line.get_label(): line.get_xdata()[0] for line in axes.lines if not line.get_label().startswith("_")}
    assert beside == {
        "student without KD": cell_of(content, "student-plain")["bleu"]["mean"],
        "word_kd, teacher LS 0.1": cell_of(content, "student-ls0.1-word_kd")["bleu"]["mean"],
    }
    assert "cut at the frame" in axes.get_xlabel()
    low, high = axes.get_xlim()
    assert 0 < low < cell_of(content, "student-plain")["bleu"]["mean"] and high < 120
    assert (tmp_path / "out" / "methods.svg").is_file() and bleu_by_temperature.figure(record(content)) is None
    assert not (tmp_path / "out" / "temperature.svg").exists()
    cells = [cell for cell in content["cells"] if not cell["method"]]
    assert method_ranking.figure(record({**content, "cells": cells})) is None


def test_sweeps_of_methods_are_paired_by_method(tmp_path, run):
    other = screening(tmp_path / "other", order=("word_kd", "r_drop"), heat=3.0)
    content = table(tmp_path, "--compare", run, other, name="compare")
    pairs = [(pair["first"]["name"], pair["second"]["name"]) for pair in content["cells"]]
    assert pairs == [
        (name, name) for name in ("teacher-ls0.1", "student-plain", "student-r_drop", "student-ls0.1-word_kd")
    ]
    assert content["alone"] == {"run": ["student-ls0.1-reverse"], "other": []}


def test_a_page_with_methods_takes_several_baselines(tmp_path, run):
    words = ["report", str(run), "--out", str(tmp_path / "page"), "--baseline", "plain", "--baseline", "word_kd"]
    assert main(words) == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "over word_kd [95 %]" in page and "p over plain" in page and "BLEU by method" in page
    content = json.loads((tmp_path / "page" / "data" / "table.json").read_text(encoding="utf-8"))
    assert set(content["cells"][0]["over"]) == {"plain", "word_kd"}


def test_pooled_seeds_narrow_the_intervals_of_two_and_are_said(tmp_path, run, capsys):
    alone = table(tmp_path, run)
    own, teachers = cell_of(alone, "student-ls0.1-reverse")["difference"], cell_of(alone, "teacher-ls0.1")["interval"]
    content = table(tmp_path, run, "--pool-seeds")
    found = cell_of(content, "student-ls0.1-reverse")["difference"]
    assert found["value"] == own["value"] and found["high"] - found["low"] < own["high"] - own["low"]
    assert cell_of(content, "teacher-ls0.1")["interval"] == teachers  # that of students is not said of teachers
    rows = [
        [row["bleu"] for row in content["rows"] if f"{row['run']}/{row['name']}" in cell["members"]]
        for cell in content["cells"]
        if cell["role"] == "student"
    ]
    alone = [statistics.stdev(row) for row in rows]
    spread = content["significance"]["spread"]
    assert (spread["rows"], spread["degrees"], spread["largest"]) == (4, 4, pytest.approx(max(alone), abs=0.01))
    assert spread["deviation"] == pytest.approx(statistics.fmean(each**2 for each in alone) ** 0.5, abs=0.01)
    assert content["significance"]["pooled"] == {}
    note = f"seeds scatter by {spread['deviation']:.2f} BLEU in every row, pooled over 4 rows (4 degrees of freedom"
    assert note in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert cell_of(table(tmp_path, run), "student-ls0.1-reverse")["difference"] == own
    capsys.readouterr()
    one = screening(tmp_path / "one", seeds=(1,))
    for words, said in (
        ([str(one)], "--pool-seeds needs students of two seeds: no row has them"),
        (["--compare", str(run), str(one)], "--pool-seeds is for the rows of one table"),
    ):
        assert main(["table", *words, "--pool-seeds", "--out", str(tmp_path / "none")]) == 2
        assert said in capsys.readouterr().err and not (tmp_path / "none").exists()
