"""Tables and figures from JSON written by hand."""

import csv
import io
import json
import statistics

import pytest

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.records import CurvePoint
from lskd_nmt.report.figures import bleu_bars, learning_curves
from lskd_nmt.report.results import read
from lskd_nmt.report.results.records import MeanScore
from lskd_nmt.report.results.table_json import table_of
from lskd_nmt.storage.files import write_json

SIGNATURES = {"bleu": "nrefs:1|tok:13a", "chrf": "nc:6", "bleu_tokenised_lowercased": "tok:none|case:lc"}


def write_model(run, name, bleu, curve=((1, 5.0, 10.0), (2, 4.0, 12.5)), version="2"):
    folder = run / "models" / name
    scores = {
        metric: {"score": bleu + shift, "signature": f"{signature}|version:{version}", "text": "raw"}
        for shift, (metric, signature) in enumerate(SIGNATURES.items())
    }
    write_json(folder / "metrics.json", {"name": name, "sentences": 200, **scores})
    write_json(folder / "run.json", {"parameters": 1234567, "cpu_seconds": 1800, "wall_seconds": 900})
    epochs = [{"epoch": epoch, "valid_nll_loss": loss, "valid_bleu": score} for epoch, loss, score in curve]
    write_json(folder / "curve.json", epochs)


def planned(name, role, smoothing=None, temperature=None, seed=1):
    teacher = f"teacher-ls{smoothing:g}-s{seed}" if temperature else None
    weight = 1.0 if temperature else 0.0
    return {
        "name": name,
        "role": role,
        "teacher": teacher,
        "label_smoothing": smoothing,
        "temperature": temperature,
        "kd_weight": weight,
        "arch": "tiny",
        "seed": seed,
    }


@pytest.fixture
def run(tmp_path):
    models = [
        planned("teacher-ls0.1-s1", "teacher", 0.1),
        planned("teacher-ls0.1-s2", "teacher", 0.1, seed=2),
        planned("student-plain-s1", "student"),
        planned("student-ls0.1-t2-s1", "student", 0.1, 2.0),
    ]
    data = {"folder": "data", "corpus": "files", "form": "raw", "source_lang": "en", "target_lang": "de"}
    write_json(tmp_path / "plan.json", {"name": "try", "data": data, "models": models})
    for model, bleu in zip(models[:3], (30.0, 31.0, 20.5), strict=True):
        write_model(tmp_path, model["name"], bleu)
    return tmp_path


def written(run, kind="json"):
    """What `lskd table` makes of the run; its translations are not there."""
    assert main(["table", str(run), "--out", str(run / "out")]) == 0
    text = (run / "out" / f"table.{kind}").read_text(encoding="utf-8")
    return json.loads(text) if kind == "json" else text


def test_seeds_of_one_cell_give_mean_and_deviation(run):
    cell, plain = read.results([run]).cells
    assert cell.seeds == (1, 2)
    assert cell.scores["bleu"] == MeanScore(30.5, round(statistics.stdev([30, 31]), 2))
    assert cell.cpu_hours == 1.0  # half an hour each
    assert plain.scores["bleu"] == MeanScore(20.5, None)


def test_of_many_missing_models_the_first_are_named_and_the_others_counted(run):
    plan = json.loads((run / "plan.json").read_text())
    plan["models"] += [{**plan["models"][-1], "name": f"more-{number}"} for number in range(20)]
    (run / "plan.json").write_text(json.dumps(plan))
    (line,) = [line for line in written(run, "md").splitlines() if "not scored yet" in line]
    names, _, rest = line.removeprefix("- not scored yet: ").partition(" and ")
    assert len(names.split(", ")) == 12 and rest == "9 more (table.json has all)"


def test_the_table_has_every_cell_the_signatures_and_what_is_missing(run):
    text = written(run, "md")
    rows = [[field.strip() for field in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["model", "teacher LS", "T", "seeds", "BLEU", "chrF", "BLEU tok. lc", "note"]
    assert rows[2] == ["teacher", "0.1", "–", "2", "30.50 ± 0.71", "31.50 ± 0.71", "32.50 ± 0.71", "not converged"]
    assert rows[3][:6] == ["student without KD", "–", "–", "1", "20.50", "21.50"]
    costs = rows[rows.index(next(row for row in rows if "CPU h" in row)) + 2]
    assert costs[:8] == ["teacher, LS 0.1", "1,234,567", "2", "1.00", "–", "–", "–", "–"] and len(costs[8]) == 8
    assert "- BLEU: nrefs:1|tok:13a|version:2 (text raw)" in text
    assert "- not scored yet: student-ls0.1-t2-s1" in text and "- 200 test sentences" in text
    assert "- not compared, as their translations are not here: try/student-plain-s1, try/teacher-ls0.1-s1" in text


def test_csv_has_a_line_per_model_with_numbers_only(run):
    lines = list(csv.DictReader(io.StringIO(written(run, "csv"))))
    assert [line["name"] for line in lines] == ["teacher-ls0.1-s1", "teacher-ls0.1-s2", "student-plain-s1"]
    assert float(lines[1]["bleu"]) == 31.0 and int(lines[1]["parameters"]) == 1234567
    assert lines[2]["temperature"] == ""
    assert float(lines[0]["best_valid_bleu"]) == 12.5 and int(lines[0]["epochs"]) == 2


def test_latex_is_a_booktabs_table_with_the_signatures_as_comments(run):
    table, notes = written(run, "tex").split("% Notes\n")
    assert notes.startswith("% BLEU: nrefs:1") and "nrefs" not in table
    assert r"\toprule" in table and r"30.50 $\pm$ 0.71" in table


def test_different_signatures_do_not_stand_in_one_table(run):
    write_model(run, "student-plain-s1", 20.5, version="3")
    with pytest.raises(LskdError, match=r"holds bleu of different signatures .*score again"):
        read.results([run])


@pytest.mark.parametrize("losses, expected", [((5, 4, 3), True), ((5, 3, 4), False), ((3, 4, 3), False), ((5,), True)])
def test_a_curve_that_still_falls_is_marked(losses, expected):
    assert (
        read.still_falling([CurvePoint(number, valid_nll_loss=loss) for number, loss in enumerate(losses)]) is expected
    )


def test_a_run_without_scores_or_curves_is_refused(run, capsys):
    for name in ("metrics", "curve"):
        for file in run.glob(f"models/*/{name}.json"):
            file.unlink()
    for verb, part in (("table", "has no scored model"), ("curves", "has no learning curve")):
        assert main([verb, str(run)]) == 2
        err = capsys.readouterr().err
        assert part in err and err.count("\n") == 1


def test_the_figures_show_the_numbers(run):
    axes = bleu_bars.bleu(table_of(written(run), "table.json")).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[30.0, 31.0], [20.5]]
    assert [text.get_text() for text in axes.texts] == ["30.50 ± 0.71", "20.50"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["teacher, LS 0.1", "student without KD"]
    loss, bleu = learning_curves.curves(run).axes
    assert [line.get_label() for line in bleu.lines] == [
        "teacher-ls0.1 (2 seeds)",
        "_teacher-ls0.1-s2",
        "student-plain-s1",
    ]
    assert list(loss.lines[0].get_ydata()) == [5.0, 4.0] and list(bleu.lines[0].get_ydata()) == [10.0, 12.5]


def write_curves(run, names):
    """A run of models whose only epoch has their number as its BLEU."""
    models = [
        {"name": name, "role": name.split("-")[0], "seed": 1, "label_smoothing": None if "plain" in name else 0.0}
        for name in names
    ]
    data = {"folder": "data", "source_lang": "en", "target_lang": "de"}
    write_json(run / "plan.json", {"name": "many", "data": data, "models": models})
    for number, name in enumerate(names):
        write_json(run / "models" / name / "curve.json", [{"epoch": 1, "valid_bleu": number}])


def test_of_many_learning_curves_those_to_compare_with_and_the_best_have_panels(tmp_path):
    names = ["teacher-ls0-s1", "student-plain-s1", *(f"student-ls0-{i}-s1" for i in range(30))]
    write_curves(tmp_path, names)
    panels = [axes for axes in learning_curves.curves(tmp_path).axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == [*names[:2], *names[-22:]] * 2
    for axes, title in zip(panels[24:], [*names[:2], *names[-22:]], strict=True):  # of BLEU
        *grey, own = axes.lines
        assert len(grey) == len(names) and own.get_label() == title and list(own.get_ydata()) == [names.index(title)]


def test_seeds_of_many_settings_share_a_panel(tmp_path):
    names = [f"student-ls0-{setting}-s{seed}" for setting in range(9) for seed in (1, 2)]
    write_curves(tmp_path, names)
    panels = [axes for axes in learning_curves.curves(tmp_path).axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels[:9]] == [f"student-ls0-{n} (2 seeds)" for n in range(9)]
    seeds = [[line for line in axes.lines if not line.get_label().startswith("_")] for axes in panels[9:]]
    assert [[list(line.get_ydata()) for line in lines] for lines in seeds] == [[[2 * n], [2 * n + 1]] for n in range(9)]
    assert len({line.get_color() for lines in seeds for line in lines}) == 1


def test_the_verbs_write_everything_beside_and_the_same_twice(run, tmp_path, capsys):
    kinds = {
        "table": ["table.json", "table.md", "table.tex", "table.csv", "significance.json", "bleu.png", "bleu.svg"],
        "curves": ["curves.png", "curves.svg"],
    }
    for verb, files in kinds.items():
        written = []
        for out in (tmp_path / "first", tmp_path / "second"):
            assert main([verb, str(run), "--out", str(out)]) == 0
            json.loads(capsys.readouterr().out)
            written.append({file: (out / file).read_bytes() for file in files})
        assert written[0] == written[1]
    assert sorted(file.name for file in (tmp_path / "first").iterdir()) == sorted([*kinds["table"], *kinds["curves"]])
