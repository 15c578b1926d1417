"""Tables of several test sets: the main one stays as it is, each has its own, and one is of the mean over all."""

import json
import random

import numpy as np
import pytest
import test_learned_metrics
from sacrebleu.metrics.bleu import BLEU
from test_table import REFS, share, sweep, translations

from lskd_nmt.cli import main
from lskd_nmt.evaluate import bootstrap, over_sets
from lskd_nmt.evaluate.contrasts import Output, wanted
from lskd_nmt.experiment import run_metrics, steps
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results import table_json
from lskd_nmt.storage.files import read_json, sha256, write_json, write_text

learned, stub = test_learned_metrics.run, test_learned_metrics.stub  # a finished run, and a program that scores
MORE = {"second": REFS[::-1], "third": [f"{line} w0 w1" for line in REFS[:20]]}


def give(folder, name, refs, left_out=(), lost=0.1):
    """A further test set of these references, which all models but some translate with a share of words lost."""
    plan = read_json(folder / "plan.json")
    plan["tests"] = [*plan.get("tests", ["test"]), name]
    write_json(folder / "plan.json", plan)
    clean = folder / "tests" / name / "clean"
    clean.mkdir(parents=True)
    for lang in ("en", "de"):
        write_text(clean / f"test.{lang}", "".join(f"{line}\n" for line in refs))
    view = Run(folder).on(name)
    for model in view.models:
        if model.name not in left_out:
            view.results(model.name).mkdir(parents=True)
            draw, most = random.Random(model.seed), share(vars(model)) + lost
            hyps = [" ".join(word for word in line.split() if draw.random() >= most) or "w0" for line in refs]
            write_text(view.results(model.name) / "test.hyp", "".join(f"{line}\n" for line in hyps))
            steps.score(view, model.name)
    return view


def tabulated(folder, out, *words):
    assert main(["table", *map(str, [folder, *words]), "--out", str(out)]) == 0
    return read_json(out / "table.json")


@pytest.fixture
def run(tmp_path):
    return sweep(tmp_path / "run", seeds=(1, 2), smoothings=(0.1,))


def test_the_main_sets_table_is_the_same_byte_for_byte_beside_others(run, tmp_path):
    alone = tabulated(run, tmp_path / "alone")
    for name, refs in MORE.items():
        give(run, name, refs)
    found = tabulated(run, tmp_path / "beside")
    texts = {
        kind: [(tmp_path / place / f"table.{kind}").read_text() for place in ("alone", "beside")]
        for kind in ("md", "tex")
    }
    assert all(beside.startswith(before) and beside != before for before, beside in texts.values())
    same = [(tmp_path / place / "significance.json").read_bytes() for place in ("alone", "beside")]
    assert same[0] == same[1] and list(alone) == [key for key in found if key in alone]
    assert {key: found[key] for key in alone} == alone and set(found) - set(alone) == {"main_set", "sets", "over_sets"}
    assert found["main_set"] == "test" and list(found["sets"]) == ["second", "third"]
    assert [line for line in texts["md"][1].splitlines() if line.startswith("## ")][-3:] == [
        "## Test set second",
        "## Test set third",
        "## Mean over all test sets",
    ]
    assert table_json.as_json(table_json.read_table(tmp_path / "beside" / "table.json")) == found
    lines = (tmp_path / "beside" / "table.csv").read_text().splitlines()
    assert lines[0].startswith("set,") and len(lines) == 1 + 3 * len(alone["rows"])
    assert [line.split(",", 1)[1] for line in lines[: 1 + len(alone["rows"])]] == (
        (tmp_path / "alone" / "table.csv").read_text().splitlines()
    )


def test_a_sets_table_is_that_of_a_run_whose_test_set_it_is(run, tmp_path):
    view = give(run, "second", MORE["second"])
    found = tabulated(run, tmp_path / "out")["sets"]["second"]
    other = tmp_path / "other" / "run"
    for model in view.models:
        for file in ("test.hyp", "metrics.json"):
            write_text(other / "models" / model.name / file, (view.results(model.name) / file).read_text())
        for file in ("run.json", "curve.json"):
            write_text(other / "models" / model.name / file, (run / "models" / model.name / file).read_text())
    for lang in ("en", "de"):
        write_text(other / "data/clean" / f"test.{lang}", view.text("test", "target").read_text())
    write_json(other / "plan.json", {k: v for k, v in read_json(run / "plan.json").items() if k != "tests"})
    theirs = tabulated(other, tmp_path / "theirs", "--published", "none")
    assert {**found, "remarks": [], "name": ""} == {**theirs, "remarks": [], "name": ""}
    results = [
        read_json(tmp_path / at)["results"] for at in ("out/significance-second.json", "theirs/significance.json")
    ]
    assert results[0] == results[1]


def test_the_mean_over_sets_by_hand(run, tmp_path):
    for name, refs in MORE.items():
        give(run, name, refs, left_out=["student-plain-s2"] if name == "third" else ())
    found = tabulated(run, tmp_path / "out")
    over, tables = found["over_sets"], [found, *found["sets"].values()]
    for row in over["rows"]:
        mine = [next(each for each in table["rows"] if each["name"] == row["name"]) for table in tables]
        assert row["bleu"] == pytest.approx(sum(each["bleu"] for each in mine) / 3, abs=0.005)
        assert row["sentences"] == 30 + 30 + 20
    assert len(over["rows"]) == len(found["rows"]) - 1 and over["not_scored"] == ["run/student-plain-s2"]
    cell = next(each for each in over["cells"] if each["name"] == "student-plain")
    assert cell["seeds"] == [1]
    text = (tmp_path / "out" / "table.md").read_text()
    assert "- left out, as they have no scores on one of the sets: run/student-plain-s2" in text
    assert "- mean of the scores on test (the first table), second, third: each counts the same" in text


def output(folder, name, hyps, refs, seed=1):
    files = [folder / f"{name}.{kind}" for kind in ("hyp", "ref")]
    for file, lines in zip(files, (hyps, refs), strict=True):
        write_text(file, "".join(f"{line}\n" for line in lines))
    return Output(*files, "de", "raw", seed, None)


def test_resamples_of_a_mean_are_means_of_resamples_of_each_set(tmp_path, monkeypatch):
    count = 20
    monkeypatch.setattr(bootstrap, "RESAMPLES", count)
    monkeypatch.setattr(bootstrap, "CHUNK", count)
    sets = {"a": REFS, "b": MORE["third"]}
    texts = {(name, m): translations(0.1 * m, m)[0][: len(refs)] for name, refs in sets.items() for m in (1, 2)}
    outputs = {
        name: {f"m{m}": output(tmp_path, f"{name}{m}", texts[name, m], refs) for m in (1, 2)}
        for name, refs in sets.items()
    }
    asked = {"d": wanted([(1, ["m1"]), (-1, ["m2"])], "baseline")}
    found = over_sets.measure(outputs, asked, tmp_path / "all.json", lambda line: None, [])
    bleu = BLEU()
    value, resampled = 0.0, np.zeros(count)  # sacreBLEU's own, on sentences drawn one by one
    for name, refs in sets.items():
        generator = np.random.default_rng([bootstrap.SEED, int(sha256(outputs[name]["m1"].reference)[:8], 16)])
        draws = generator.choice(len(refs), size=(count, len(refs)))
        for sign, m in ((0.5, 1), (-0.5, 2)):
            value += sign * bleu.corpus_score(texts[name, m], [refs]).score
            resampled += [
                sign * bleu.corpus_score([texts[name, m][i] for i in row], [[refs[i] for i in row]]).score
                for row in draws
            ]
    result = found.results["d"]
    assert result.value == pytest.approx(value, abs=1e-9) and result.p_by_seed is None
    assert [result.low, result.high] == pytest.approx(list(np.quantile(resampled, (0.025, 0.975))), abs=1e-9)
    assert sorted(found.models) == ["a: m1", "a: m2", "b: m1", "b: m2"]
    mirrored = over_sets.measure(dict(reversed(outputs.items())), asked, tmp_path / "b.json", lambda line: None, [])
    assert mirrored.results["d"].low == pytest.approx(result.low, abs=1e-9)  # whatever the order of the sets


def test_sets_of_their_own_make_the_mean_surer_than_one_set(tmp_path):
    refs = [line for name in (REFS, MORE["second"]) for line in name]
    sets = {"a": REFS, "b": [f"{line} w3" for line in REFS]}
    outputs = {
        name: {f"m{m}": output(tmp_path, f"{name}{m}", translations(0.1 * m, 5 * m)[0], lines) for m in (1, 2)}
        for name, lines in sets.items()
    }
    asked = {"d": wanted([(1, ["m1"]), (-1, ["m2"])])}

    def width(which):
        chosen = {name: outputs[name] for name in which}
        result = over_sets.measure(chosen, asked, tmp_path / "-".join(which), lambda line: None, []).results["d"]
        return result.high - result.low

    both = np.hypot(width(["a"]), width(["b"])) / 2  # of two independent halves
    assert width(["a", "b"]) == pytest.approx(both, rel=0.1) and len(refs) == 60


def test_without_a_metric_that_all_sets_have_there_is_no_mean(run, tmp_path):
    view = give(run, "second", MORE["second"])
    run_metrics.add(Run(run), ["ter"], print)
    run_metrics.add(view, ["ter"], print, ["student-plain-s1"])  # as where a call was killed
    found = tabulated(run, tmp_path / "out", "--metrics", "ter")
    assert list(found["signatures"]) == ["ter"] and "ter" not in found["sets"]["second"]["signatures"]
    assert "over_sets" not in found
    assert "- TER is not in the table, as " in (tmp_path / "out" / "table.md").read_text()


def test_two_runs_are_compared_on_the_sets_that_both_have(run, tmp_path):
    other = sweep(tmp_path / "other", seeds=(1, 2), smoothings=(0.1,), lost=lambda model: share(model) + 0.05)
    alone = compared(run, other, tmp_path / "alone")
    give(run, "second", MORE["second"])
    assert compared(run, other, tmp_path / "still") == alone
    give(run, "third", MORE["third"])
    give(other, "news", MORE["second"], lost=0.2)  # the same text by another name
    found = compared(run, other, tmp_path / "both")
    assert list(found["sets"]) == ["second"] and found["main_set"] == "test"
    assert {key: value for key, value in found.items() if key in alone} == alone
    for pair in found["sets"]["second"]["cells"]:
        assert pair["difference"]["value"] < 0
    assert "## Test set second" in (tmp_path / "both" / "compare.md").read_text()
    assert (tmp_path / "both" / "compare.csv").read_text().startswith("set,first_name")


def test_runs_of_other_main_sets_are_compared_on_what_they_share_and_it_is_named(run, tmp_path):
    other = sweep(tmp_path / "other", seeds=(1, 2), smoothings=(0.1,), refs=MORE["third"] + REFS[:10])
    give(run, "second", MORE["second"])
    give(other, "news", MORE["second"])
    found = compared(run, other, tmp_path / "out")
    assert found["main_set"] == "second" and "sets" not in found
    assert all(pair["difference"]["value"] == 0 for pair in found["cells"])
    assert "- test set: second\n" in (tmp_path / "out" / "compare.md").read_text()


def compared(one, other, out):
    assert main(["table", "--compare", str(one), str(other), "--out", str(out)]) == 0
    return json.loads((out / "compare.json").read_text())


def test_several_references_count_in_all_scores_and_signatures(run, tmp_path):
    view = give(run, "second", REFS)
    before = read_json(view.results("student-plain-s1") / "metrics.json")
    write_text(
        view.text("test", "target").with_name("test.de.1"), (view.results("student-plain-s1") / "test.hyp").read_text()
    )
    assert [file.name for file in Run(run).on("second").references()] == ["test.de", "test.de.1"]
    for model in view.models:
        steps.score(view, model.name)
    after = read_json(view.results("student-plain-s1") / "metrics.json")
    assert after["bleu"]["score"] == 100 > before["bleu"]["score"]  # the second reference is its translation
    assert "nrefs:1" in before["bleu"]["signature"] and "nrefs:2" in after["bleu"]["signature"]
    assert "other_refs_sha256" not in before and len(after["other_refs_sha256"]) == 1
    found = tabulated(run, tmp_path / "out")["sets"]["second"]
    plain = next(cell for cell in found["cells"] if cell["name"] == "student-plain")
    row = next(row for row in found["rows"] if row["name"] == "student-plain-s1")
    assert row["bleu"] == 100 and plain["interval"][1] >= plain["bleu"]["mean"]
    assert "nrefs:2" in found["signatures"]["bleu"]


def test_a_programs_metric_is_of_all_sets_and_of_their_mean(learned, stub, tmp_path):
    test_learned_metrics.grown(learned, metrics=["mine", "bleu"], metric_commands={"mine": stub()})
    run_metrics.add_planned(Run(learned), print)
    give(learned, "second", test_learned_metrics.REFS[::-1])
    assert main(["score", "--run", str(learned)]) == 0
    assert test_learned_metrics.runs(tmp_path) == 2  # once for all models
    found = tabulated(learned, tmp_path / "out")
    second, over = found["sets"]["second"], found["over_sets"]
    assert list(second["signatures"]) == list(over["signatures"]) == ["mine", "bleu"]
    for tables in zip(found["rows"], second["rows"], over["rows"], strict=True):
        first, other, mean = (row["mine"] for row in tables)
        assert mean == pytest.approx((first + other) / 2, abs=0.01)
    cell = over["cells"][-1]
    assert cell["interval"][0] < cell["mine"]["mean"] < cell["interval"][1] <= 1
    assert test_learned_metrics.runs(tmp_path) == 2  # no table runs it


def test_a_program_is_started_once_for_all_test_sets(learned, stub, tmp_path):
    test_learned_metrics.grown(learned, metrics=["mine", "bleu"], metric_commands={"mine": stub()})
    views = [give(learned, name, test_learned_metrics.REFS[::step]) for name, step in (("second", -1), ("third", 2))]
    run_metrics.add_planned(Run(learned), print)
    assert test_learned_metrics.runs(tmp_path) == 1
    for view in (Run(learned), *views):
        refs = (view.text("test", "target")).read_text().splitlines()
        for model in view.models:
            hyps = (view.results(model.name) / "test.hyp").read_text().splitlines()
            shares = [
                sum(word in ours.split() for word in theirs.split()) / len(theirs.split())
                for ours, theirs in zip(hyps, refs, strict=True)
            ]
            found = read_json(view.results(model.name) / "metrics.json")["mine"]
            assert found["score"] == pytest.approx(sum(shares) / len(shares), abs=0.006)
    (views[1].results(views[1].models[0].name) / "metrics.json").unlink()  # of a model that is not decoded there
    run_metrics.add_planned(Run(learned), print)
    assert test_learned_metrics.runs(tmp_path) == 1


def test_the_page_has_a_choice_of_test_sets_and_their_mean(run, tmp_path):
    give(run, "second", MORE["second"])
    assert main(["report", str(run), "--out", str(tmp_path / "page"), "--sentences", "0"]) == 0
    page = (tmp_path / "page" / "index.html").read_text()
    for name in ("test", "second", "mean over all"):
        assert page.count(f'data-option="{name}"') == 3, name  # of pictures, results and effects
    found = read_json(tmp_path / "page" / "data" / "table.json")
    assert list(found["sets"]) == ["second"] and found["over_sets"]["rows"]
    assert (tmp_path / "page" / "data" / "significance-second.json").is_file()


def test_the_page_takes_over_what_was_measured_of_all_test_sets(run, tmp_path, monkeypatch):
    give(run, "second", MORE["second"])
    assert main(["table", str(run)]) == 0
    monkeypatch.setattr(bootstrap, "resampled", None)  # nothing is drawn again
    assert main(["report", str(run), "--out", str(tmp_path / "page"), "--sentences", "0"]) == 0
    for name in ("significance.json", "significance-second.json", "significance-all.json"):
        assert (tmp_path / "page" / "data" / name).read_bytes() == (run / name).read_bytes()
