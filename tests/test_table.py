"""The headline table of whole sweeps: effects, verdicts, published numbers, several runs, and two side by side."""

import csv
import json
import random
import shutil
import statistics
from dataclasses import replace
from functools import cache

import pytest
from lxml import html

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.metrics import METRICS, Metric
from lskd_nmt.evaluate.records import scores_json
from lskd_nmt.report.figures import bleu_by_temperature
from lskd_nmt.report.results import baselines, published, read, records, signature, table_json, verdicts
from lskd_nmt.report.tables import document
from lskd_nmt.storage.files import read_json, sha256, write_json, write_text

WORDS = [f"w{number}" for number in range(40)]
REFS = [" ".join(random.Random(number).choices(WORDS, k=10)) for number in range(30)]
PREP = {"corpus": "iwslt14_en_de", "form": "fairseq14", "settings": {"subwords": "bpe", "vocab_size": "30000"}}


@cache
def translations(share, seed):
    """The references with a share of their words lost, and their scores."""
    draw = random.Random(seed)
    hyps = [" ".join(word for word in line.split() if draw.random() >= share) or "w0" for line in REFS]
    return hyps, {"sentences": len(REFS)} | scores_json(scoring.scores(hyps, REFS, "de", "raw"))


def share(model):
    """The words that a model of the stand-in sweep loses: more at a high temperature, fewer with label smoothing."""
    if model["role"] == "teacher":
        return 0.05
    if model["label_smoothing"] is None:
        return 0.2
    return 0.08 + 0.05 * min(model["temperature"], 8) - 0.3 * model["label_smoothing"]


def add(folder, models, name, lost=share, lr="1", **facts):
    """One trained, decoded and scored model."""
    model = {
        "name": name,
        "arch": "tiny",
        "teacher": None,
        "label_smoothing": None,
        "temperature": None,
        "kd_weight": 0.0,
        "train_command": [
            "fairseq-train",
            "data/bin",
            "--lr",
            lr,
            "--seed",
            str(facts["seed"]),
            "--save-dir",
            f"models/{name}/checkpoints",
        ],
    } | facts
    models.append(model)
    hyps, scores = translations(lost(model), model["seed"])
    out = folder / "models" / name
    write_text(out / "test.hyp", "".join(f"{line}\n" for line in hyps))
    hashes = {"hyp_sha256": sha256(out / "test.hyp"), "ref_sha256": sha256(folder / "data/clean/test.de")}
    write_json(out / "metrics.json", {"name": name, **scores, **hashes})
    write_json(
        out / "run.json",
        {
            "parameters": 10,
            "cpu_seconds": 3600,
            "wall_seconds": 60,
            "gpu_hours": 0.5,
            "peak_memory_mb": 100.0 * model["seed"],
            "words_per_second": 50.0,
        },
    )
    write_json(out / "curve.json", [{"epoch": 1, "valid_nll_loss": 4.0}, {"epoch": 2, "valid_nll_loss": 4.5}])


def sweep(
    folder,
    seeds=(1, 2, 3),
    smoothings=(0.0, 0.1),
    temperatures=(1.0, 2.0),
    tails=("dense",),
    prep=None,
    lr="1",
    lost=share,
    langs=("en", "de"),
    plain=True,
    refs=REFS,
):
    """A finished run of stand-ins."""
    write_text(folder / "data/clean/test.de", "".join(f"{line}\n" for line in refs))
    facts = {"corpus": "files", "form": "raw", "source_lang": langs[0], "target_lang": langs[1]}
    if prep:
        write_json(folder / "data/prep.json", prep)
        facts |= {"corpus": prep["corpus"], "form": prep["form"]}
    models = []
    for seed in seeds:
        for alpha in smoothings:
            add(
                folder,
                models,
                f"teacher-ls{alpha:g}-s{seed}",
                lost,
                lr,
                role="teacher",
                seed=seed,
                label_smoothing=alpha,
            )
        if plain:
            add(folder, models, f"student-plain-s{seed}", lost, lr, role="student", seed=seed)
        for alpha in smoothings:
            for tail in tails:
                for heat in temperatures:
                    add(
                        folder,
                        models,
                        f"student-ls{alpha:g}-{tail}-t{heat:g}-s{seed}",
                        lost,
                        lr,
                        role="student",
                        seed=seed,
                        teacher=f"teacher-ls{alpha:g}-s{seed}",
                        label_smoothing=alpha,
                        temperature=heat,
                        kd_weight=1.0,
                        kd_level="word",
                        tail=tail,
                        top_k=0 if tail == "dense" else 8,
                    )
    write_json(folder / "plan.json", {"name": folder.name, "data": {"folder": "data", **facts}, "models": models})
    return folder


def table(tmp_path, *arguments, kind="json", name="table"):
    assert main(["table", *map(str, arguments), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / f"{name}.{kind}").read_text(encoding="utf-8")
    return json.loads(text) if kind == "json" else text


def record(content):
    """The table as tables and figures take it."""
    return table_json.table_of(content, "table.json")


def cell_of(content, name):
    return next(cell for cell in content["cells"] if cell["name"] == name)


@pytest.mark.parametrize(
    "given, low, high, seeds, said",
    [
        (0.5, 0.1, 0.9, 3, "reproduced"),
        (0.5, -0.1, 0.9, 3, "undecided"),
        (0.5, -0.9, -0.1, 3, "not reproduced"),
        (-0.5, -0.9, -0.1, 3, "reproduced"),
        (-0.5, 0.1, 0.9, 5, "not reproduced"),
        (-0.5, -0.9, 0.0, 3, "undecided"),
        (0.5, 0.1, 0.9, 1, "undecided (one seed)"),
        (0.5, -0.9, -0.1, 2, "undecided (2 seeds)"),
        (0.05, -0.08, 0.09, 3, "reproduced"),
        (0.05, 0.2, 0.4, 3, "not reproduced"),
        (0.05, 0.02, 0.4, 3, "undecided"),
    ],
)
def test_a_difference_is_judged_by_the_side_of_zero_on_which_its_interval_lies(given, low, high, seeds, said):
    assert verdicts.direction(given, low, high, seeds) == said


@pytest.mark.parametrize(
    "low, high, seeds, said",
    [
        (26.2, 26.9, 3, "reproduced"),
        (26.6, 26.9, 3, "not reproduced"),
        (24.0, 28.0, 3, "undecided"),
        (26.2, 26.9, 1, "undecided (one seed)"),
    ],
)
def test_a_score_is_reproduced_by_a_narrow_interval_around_it(low, high, seeds, said):
    assert verdicts.absolute(26.461, low, high, seeds) == said


def test_published_numbers_are_those_of_the_source():
    teacher = records.Setting("teacher", 0.1, None, None, None, None, 0.0, None)
    student = records.Setting("student", 0.0, "word", None, "dense", 0, 1.0, 64.0)
    assert published.bleu("en-de", teacher) == 26.750 and published.bleu("en-ru", student) == 3.605
    assert published.bleu("en-ru", replace(student, temperature=4.0)) is None
    assert published.bleu("en-de", replace(student, kd_level="both")) is None and published.bleu(None, student) is None
    # teacher, T = 1, 2, 3, 64: the gains that the methods' notes name
    gains = [
        [round(numbers[0.1, heat] - numbers[0.0, heat], 3) for heat in (None, 1.0, 2.0, 3.0, 64.0)]
        for numbers in published.BLEU.values()
    ]
    assert gains == [[0.289, 0.171, 0.318, 0.077, -0.103], [0.258, 0.057, 0.123, 0.280, -0.015]]


def test_effects_are_differences_of_means_within_a_tail(tmp_path):
    run = sweep(tmp_path / "run", temperatures=(1.0, 2.0, 64.0), tails=("dense", "bucket"))
    content = table(tmp_path, run)
    scores = {f"{row['run']}/{row['name']}": row["bleu"] for row in content["rows"]}
    bleu = {cell["name"]: statistics.fmean(map(scores.get, cell["members"])) for cell in content["cells"]}
    found = {(each["effect"].split(":")[0], *[name for _, name in each["terms"]]): each for each in content["effects"]}
    gains = [key for key in found if key[0] == "LS gain"]
    assert (
        len(gains) == 1 + 2 * 3 and len(found) == len(gains) + 2 * 2 * 2 + 2 * 2
    )  # teacher; tails × (T, α × steps, α)
    for kind, first, second in found:
        weight = 0.5 if kind == "collapse" else 1
        value = found[kind, first, second]["difference"]["value"]
        assert value == pytest.approx(bleu[first] - weight * bleu[second], abs=0.02)  # rows are rounded
        assert first == "teacher-ls0.1" or first.split("-")[2] == second.split("-")[2]
    step = found["order", "student-ls0-dense-t2", "student-ls0-dense-t64"]
    assert step["published"] == pytest.approx(23.103 - 6.564)
    collapse = found["collapse", "student-ls0.1-bucket-t64", "student-ls0.1-bucket-t1"]
    assert collapse["published"] == pytest.approx(6.461 - 25.085 / 2, abs=1e-3)
    assert found["order", "student-ls0-dense-t1", "student-ls0-dense-t2"]["verdict"] == "reproduced"


def test_one_seed_decides_nothing(tmp_path):
    content = table(tmp_path, sweep(tmp_path / "run", seeds=(1,)))
    assert {each["verdict"] for each in content["effects"]} == {"undecided (one seed)"}
    assert all(each["needed"]["seeds"] is None and each["needed"]["within"] is None for each in content["effects"])


def test_what_would_decide_stands_beside_what_is_open(tmp_path):
    def lost(model):  # a student's α changes little, its temperature much
        return 0.1 + (0.001 * model["label_smoothing"] + 0.1 * model["temperature"] if model["temperature"] else 0)

    run = sweep(tmp_path / "run", lost=lost)
    content = table(tmp_path, run)
    text = (tmp_path / "out/table.md").read_text(encoding="utf-8")
    lines = {tuple(line.split("|")[1:3]): line for line in text.split("## Effects")[1].split("##")[0].splitlines()}
    for each in content["effects"]:
        gap = each["difference"]
        line = next(
            line for name, line in lines.items() if [part.strip() for part in name] == [each["effect"], each["at"]]
        )
        is_open = each["verdict"] == "undecided"
        assert is_open == (gap["low"] <= 0 <= gap["high"]) == ("needed" in each)
        if is_open:
            bound = max(abs(gap["low"]), abs(gap["high"]))
            assert line.rstrip(" |").endswith(f"within ±{bound:.2f}") and each["needed"]["within"] == bound
            is_same = bound == 0  # teachers of both α translate alike here
            assert is_same or each["needed"]["test_set"] or each["needed"]["seeds"] > 3
    assert {"needed" in each for each in content["effects"]} == {True, False}
    for cell in content["cells"]:
        gap = cell["difference"]
        assert ("needed" in cell) == bool(gap and gap["low"] <= 0 <= gap["high"])
    assert "- would decide: how many seeds" in text and "- within ±x" in text


def test_differences_of_an_older_version_are_measured_again_for_what_would_decide(tmp_path):
    run = sweep(tmp_path / "run", seeds=(1, 2), smoothings=(0.1,), temperatures=(1.0,))
    content = table(tmp_path, run)
    file = tmp_path / "out/significance.json"
    kept = read_json(file)
    older = {
        name: {key: value for key, value in each.items() if key != "uncertainty"}
        for name, each in kept["results"].items()
    }
    assert older != kept["results"]
    write_json(file, kept | {"results": older})
    assert table(tmp_path, run) == content and read_json(file) == kept


def test_the_gain_of_one_teacher_over_another_is_undecided_however_many_students_learn_of_them(tmp_path):
    run = sweep(tmp_path / "run")
    plan = read_json(run / "plan.json")
    for model in plan["models"]:
        if model["teacher"]:
            model["teacher"] = model["teacher"].replace(f"s{model['seed']}", "s1")
    write_json(run / "plan.json", plan)
    content = table(tmp_path, run)
    said = {(each["effect"].split(":")[0], each["of"]["role"], each["verdict"]) for each in content["effects"]}
    assert {(kind, role) for kind, role, verdict in said if verdict == "undecided (one teacher)"} == {
        ("LS gain", "student")
    }
    assert ("order", "student", "reproduced") in said


def test_students_are_compared_with_the_baseline_and_teachers_are_not(tmp_path, refused):
    run = sweep(tmp_path / "run")
    content = table(tmp_path, run)
    assert {cell["name"]: cell["baseline"] for cell in content["cells"]} == {
        "teacher-ls0": None,
        "teacher-ls0.1": None,
        "student-plain": None,
        "student-ls0-dense-t1": "student-plain",
        "student-ls0-dense-t2": "student-plain",
        "student-ls0.1-dense-t1": "student-plain",
        "student-ls0.1-dense-t2": "student-plain",
    }
    cell = cell_of(content, "student-ls0.1-dense-t1")
    gap = cell["bleu"]["mean"] - cell_of(content, "student-plain")["bleu"]["mean"]
    assert cell["difference"]["value"] == pytest.approx(gap, abs=0.02) and cell["difference"]["low"] > 0
    other = table(tmp_path, run, "--baseline", "student-ls0-dense-t1")
    assert cell_of(other, "student-plain")["baseline"] == "student-ls0-dense-t1"
    assert "- baseline: student-ls0-dense-t1" in document.markdown(record(other))
    assert main(["table", str(run), "--out", str(tmp_path / "x"), "--baseline", "studnet"]) == 2
    assert not (tmp_path / "x").exists()
    lines = list(csv.DictReader((tmp_path / "out" / "table.csv").open(encoding="utf-8")))
    assert [bool(line["p_over_baseline"]) for line in lines[:5]] == [False, False, True, False, True]


def test_a_reference_that_is_not_the_scored_one_is_refused(tmp_path, capsys):
    run = sweep(tmp_path / "run", seeds=(1,))
    reference = run / "data" / "clean" / "test.de"
    reference.write_text(reference.read_text().replace("w1 ", "w2 "))
    assert main(["table", str(run)]) == 2
    err = capsys.readouterr().err
    assert f"{reference} has changed since {run}/models/student-ls0-dense-t1-s1/test.hyp was scored: put" in err
    assert err.count("\n") == 1 and not (run / "table.json").exists()


def test_absolute_verdicts_need_the_published_data_and_bleu(tmp_path):
    files = table(tmp_path, sweep(tmp_path / "files"))
    assert {cell["published"]["verdict"] for cell in files["cells"] if cell["published"]} == {"not comparable"}
    assert files["published"]["obstacles"] == [
        "corpus files, not iwslt14_en_de",
        "text form raw, not fairseq14",
        "subwords unknown, not bpe",
        "vocabulary size unknown, not 30000",
    ]
    given = {**PREP, "settings": {**PREP["settings"], "dictionary": "teacher"}}  # learned nothing by these settings
    others = table(tmp_path, sweep(tmp_path / "given", prep=given))
    assert others["published"]["obstacles"] == ["subwords unknown, not bpe", "vocabulary size unknown, not 30000"]
    iwslt = table(tmp_path, sweep(tmp_path / "iwslt", prep=PREP))
    cell = cell_of(iwslt, "student-ls0-dense-t1")
    assert cell["published"]["verdict"] == "not reproduced" and cell["published"]["interval"][0] > 24.914
    assert cell["published"]["difference"] == pytest.approx(cell["published"]["ours"] - 24.914, abs=0.006)
    assert "the source names neither edition" in document.markdown(record(iwslt))
    russian = records.RunData("run", "iwslt_en_ru", "raw", "en", "ru")
    assert published.obstacles("en-ru", [russian]) == ["how the published en-ru data were made is not known"]


def test_the_published_pair_is_that_of_the_languages_unless_text_is_generated(tmp_path):
    facts = records.RunData("run", "files", "raw", "en", "ru")
    assert published.pair_of("auto", [facts]) == "en-ru" and published.pair_of("none", [facts]) is None
    assert published.pair_of("auto", [replace(facts, corpus="toy")]) is None
    assert published.pair_of("auto", [replace(facts, source_lang="ru", target_lang="en")]) is None
    assert published.pair_of("en-de", [facts]) == "en-de"
    text = table(tmp_path, sweep(tmp_path / "run"), "--published", "none", kind="md")
    assert "published" not in text and "verdict" not in text


def test_seeds_of_several_runs_meet_where_signatures_agree(tmp_path):
    one, two = sweep(tmp_path / "one", seeds=(1, 2)), sweep(tmp_path / "two", seeds=(3, 4))
    content = table(tmp_path, one, two)
    assert [cell["seeds"] for cell in content["cells"]] == [[1, 2, 3, 4]] * 7 and len(content["rows"]) == 28
    assert cell_of(content, "student-plain")["runs"] == ["one", "two"]
    assert cell_of(content, "student-plain")["peak_memory_mb"] == 400 and content["cells"][0]["gpu_hours"] == 2.0


def test_other_signatures_stay_apart_and_say_what_differs(tmp_path):
    one, two = sweep(tmp_path / "one", seeds=(1, 2)), sweep(tmp_path / "two", seeds=(3, 4), lr="2")
    content = table(tmp_path, one, two)
    assert len(content["cells"]) == 14 and {tuple(cell["seeds"]) for cell in content["cells"]} == {(1, 2), (3, 4)}
    twin = cell_of(content, "two:student-plain")
    assert twin["differs_in"] == ["train.lr (1 or 2)"] and twin["named_runs"] == ["two"]
    assert cell_of(content, "two:student-ls0-dense-t1")["baseline"] == "two:student-plain"
    assert {each["at"] for each in content["effects"] if each["at"].endswith("two")} == {
        "teacher, two",
        "T = 1, two",
        "T = 2, two",
        "α = 0, two",
        "α = 0.1, two",
    }
    text = document.markdown(record(content))
    assert "- two:student-plain differs from the row above it in train.lr (1 or 2)" in text
    assert "| student, teacher LS 0, T = 1 [two] " in text


def test_a_model_that_two_runs_share_is_taken_once_and_another_of_its_seed_is_not_it(tmp_path):
    one, same = sweep(tmp_path / "one", seeds=(1,)), sweep(tmp_path / "same", seeds=(1,))
    content = table(tmp_path, one, same)
    assert len(content["cells"]) == len(content["rows"]) == 7
    other = sweep(tmp_path / "other", seeds=(1,), lost=lambda model: share(model) + 0.05)
    content = table(tmp_path, one, other)
    assert len(content["cells"]) == 14
    assert cell_of(content, "other:student-plain")["differs_in"] == ["translations of the same seed"]


def test_runs_of_other_test_sets_are_refused(tmp_path):
    one, two = sweep(tmp_path / "one"), sweep(tmp_path / "two", refs=[*REFS[1:], "x"])
    with pytest.raises(LskdError, match="scores on different test sets"):
        read.results([one, two])


def test_a_signature_knows_all_that_matters_and_nothing_else():
    command = [
        "fairseq-train",
        "data/bin",
        "--lr",
        "1",
        "--seed",
        "3",
        "--save-dir",
        "x",
        "--adam-betas",
        "(0.9, 0.98)",
        "--fp16",
        "--cpu",
        "--teacher-path",
        "t.pt",
    ]
    assert signature.flags(command) == {"adam-betas": "(0.9, 0.98)", "fp16": "", "lr": "1"}
    store = ["fairseq-train", "data/bin", "--teacher-store", "../../store8", "--tail", "bucket"]
    assert signature.flags(store) == {"teacher-store": "store8"}  # the tail is in the cell
    one = records.Expansion(train={"lr": "1"}, data={"x": "a" * 64})
    other = records.Expansion(train={"lr": "1", "fp16": ""}, data={"x": "b" * 64})
    assert signature.differing(one, other) == ["data.x (aaaaaaaa or bbbbbbbb)", "train.fp16 (none or set)"]
    reordered = replace(other, train=dict(reversed(other.train.items())))
    assert signature.short(one) != signature.short(other) == signature.short(reordered)


def test_two_sweeps_stand_side_by_side(tmp_path):
    one = sweep(tmp_path / "one")
    two = sweep(tmp_path / "two", lost=lambda model: share(model) + (0.05 if model["temperature"] else 0))
    content = table(tmp_path, "--compare", one, two, name="compare")
    found = {pair["first"]["name"]: pair["difference"] for pair in content["cells"]}
    assert len(found) == 7 and found["teacher-ls0"]["value"] == 0 and found["teacher-ls0"]["p"] == 1
    assert found["student-ls0-dense-t1"]["high"] < 0 and len(content["effects"]) == 5
    pair = next(pair for pair in content["cells"] if pair["first"]["name"] == "student-ls0-dense-t1")
    gap = pair["second"]["bleu"]["mean"] - pair["first"]["bleu"]["mean"]
    assert pair["difference"]["value"] == pytest.approx(gap, abs=0.02)
    for kind in ("md", "tex", "csv"):
        assert (tmp_path / "out" / f"compare.{kind}").read_text(encoding="utf-8").count("LS gain") == (
            3 if kind != "csv" else 0
        )


def test_sweeps_of_other_tails_are_compared_where_the_rest_agrees(tmp_path):
    one, two = sweep(tmp_path / "one"), sweep(tmp_path / "two", tails=("bucket",), plain=False, smoothings=(0.1,))
    content = table(tmp_path, "--compare", one, two, name="compare")
    pairs = [(pair["first"]["name"], pair["second"]["name"]) for pair in content["cells"]]
    assert pairs == [
        ("teacher-ls0.1", "teacher-ls0.1"),
        ("student-ls0.1-dense-t1", "student-ls0.1-bucket-t1"),
        ("student-ls0.1-dense-t2", "student-ls0.1-bucket-t2"),
    ]
    assert "- no baseline: no student without KD is scored here" in table(tmp_path, two, kind="md")
    assert content["alone"]["one"] == ["teacher-ls0", "student-plain", "student-ls0-dense-t1", "student-ls0-dense-t2"]
    both = sweep(tmp_path / "both", tails=("dense", "bucket"))
    content = table(tmp_path, "--compare", one, both, name="compare")
    assert [pair["first"]["name"] for pair in content["cells"]] == [pair["second"]["name"] for pair in content["cells"]]


def test_sweeps_of_other_test_sets_or_grids_are_not_compared(tmp_path, capsys):
    one, two = sweep(tmp_path / "one"), sweep(tmp_path / "two", refs=[*REFS[1:], "x"])
    far = sweep(tmp_path / "far", smoothings=(0.3,), plain=False)
    for other, part in ((two, "are scored on different test sets"), (far, "have no cell in common")):
        assert main(["table", "--compare", str(one), str(other), "--out", str(tmp_path / "out")]) == 2
        err = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(err) == 1 and part in err[0] and not (tmp_path / "out").exists()


def test_what_the_verb_is_given_must_make_sense(tmp_path, capsys):
    run = str(sweep(tmp_path / "run", seeds=(1,)))
    for arguments, part in (
        ([], "give run folders, or --compare"),
        ([run, "--compare", run, run], "give run folders"),
        ([run, run], "give --out DIR"),
        ([run, run, "--out", "x"], "give each run once"),
        (["--compare", run, run], "give --out DIR"),
    ):
        assert main(["table", *arguments]) == 2
        assert part in capsys.readouterr().err


def test_the_temperature_figure_has_a_panel_for_each_tail_and_dashes_what_is_published(tmp_path):
    content = table(tmp_path, sweep(tmp_path / "run", tails=("dense", "bucket")))
    figure = bleu_by_temperature.figure(record(content))
    titles = ["level word, tail dense, KD weight 1", "level word, tail bucket, top 8, KD weight 1"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == titles
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    measured = [cell_of(content, f"student-ls0-dense-t{heat}")["bleu"]["mean"] for heat in (1, 2)]
    assert list(lines["teacher LS 0"].get_ydata()) == measured
    dashed = lines["published, teacher LS 0.1 (other data)"]
    assert list(dashed.get_ydata()) == [25.085, 23.421] and dashed.get_linestyle() == "--"
    without = bleu_by_temperature.figure(record(table(tmp_path, tmp_path / "run", "--published", "none")))
    assert not any("published" in line.get_label() for line in without.axes[0].lines)
    cells = [cell for cell in content["cells"] if cell["temperature"] is None]
    assert bleu_by_temperature.figure(record({**content, "cells": cells})) is None


def cell(name, smoothing, run):
    setting = records.Setting("student", smoothing, None, None, None, None, 0.0, None)
    unknown = ("parameters", "cpu_hours", "gpu_hours", "peak_memory_mb", "peak_gpu_memory_mb", "words_per_second")
    facts = {"members": (), "scores": {}, "epochs": 1.0, "not_converged": (), "signature": ""}
    return records.Cell(name, setting, (1,), runs=(run,), **facts, **dict.fromkeys(unknown))


def test_a_named_baseline_of_its_own_run_is_preferred():
    facts = (("plain", None, "a"), ("b:plain", None, "b"), ("x", 0.1, "b"), ("y", 0.1, "c"))
    cells = [cell(name, smoothing, run) for name, smoothing, run in facts]
    assert {name: base.name for name, base in baselines.baseline(cells, "plain").items()} == {"x": "b:plain"}


def test_p_values_below_four_seeds_are_of_the_scatter_of_all_rows_and_the_table_says_so(tmp_path):
    content = table(tmp_path, sweep(tmp_path / "run"))
    rows = [
        [row["bleu"] for row in content["rows"] if f"{row['run']}/{row['name']}" in cell["members"]]
        for cell in content["cells"]
        if cell["role"] == "student"
    ]
    pooled = content["significance"]["pooled"]["students"]
    assert (pooled["rows"], pooled["degrees"]) == (5, 10) and content["significance"]["spread"] is None
    assert pooled["deviation"] == pytest.approx(statistics.fmean(map(statistics.variance, rows)) ** 0.5, abs=0.01)
    text = document.markdown(record(content))
    assert f"p of students of fewer than 4 seeds: seeds scatter by {pooled['deviation']:.2f} BLEU in every row" in text
    four = table(tmp_path, sweep(tmp_path / "four", seeds=(1, 2, 3, 4)))
    assert four["significance"]["pooled"] == {} and "fewer than 4 seeds" not in document.markdown(record(four))


def test_a_row_that_scatters_more_than_the_others_has_no_p_value_and_is_named(tmp_path):
    def lost(model):
        is_wide = model["label_smoothing"] == 0 and model["temperature"] == 2
        return share(model) + 0.4 * (model["seed"] == 2) * is_wide

    content = table(tmp_path, sweep(tmp_path / "run", lost=lost))
    wide, other = (cell_of(content, f"student-ls{alpha}-dense-t2")["difference"] for alpha in ("0", "0.1"))
    assert wide["p"] is wide["p_holm"] is None and other["p_holm"] is not None and wide["low"] < wide["high"]
    text = document.markdown(record(content))
    assert "no p for student-ls0-dense-t2, nor over them: fewer than 4 seeds, and these scatter more" in text
    row = next(
        line for line in text.splitlines() if line.startswith("| student ") and "| 0  " in line and "| 2  " in line
    )
    names = [field.strip() for field in text.splitlines()[2].split("|")]
    assert [field.strip() for field in row.split("|")][names.index("p")] == "–"
    both = table(tmp_path, "--compare", tmp_path / "run", sweep(tmp_path / "other"), name="compare")
    assert "no p for student-ls0-dense-t2 of run, nor over them" in (tmp_path / "out/compare.md").read_text("utf-8")
    assert sum(pair["difference"]["p"] is None for pair in both["cells"]) == 1


def test_students_of_one_seed_are_compared_by_their_sentences(tmp_path):
    content = table(tmp_path, sweep(tmp_path / "run", seeds=(1,)))
    found = cell_of(content, "student-ls0.1-dense-t1")["difference"]
    assert found["p"] is not None and found["pool"] is None and content["significance"]["pooled"] == {}


def test_a_model_that_was_deleted_is_named_in_table_and_page(tmp_path, capsys):
    run = sweep(tmp_path / "run", seeds=(1,))
    shutil.rmtree(run / "models" / "student-ls0-dense-t2-s1")
    (run / "models" / "student-ls0-dense-t1-s1" / "metrics.json").unlink()
    text = table(tmp_path, run, kind="md")
    assert "- not scored yet: student-ls0-dense-t1-s1, student-ls0-dense-t2-s1\n" in text
    assert "without a folder in the run, deleted or moved away: student-ls0-dense-t2-s1\n" in text
    assert main(["report", str(run), "--out", str(tmp_path / "page")]) == 0
    page = html.parse(tmp_path / "page" / "index.html").getroot()
    seen = [
        each.text_content() for each in page.iter("p") if not any(up.tag == "details" for up in each.iterancestors())
    ]
    assert any("deleted or moved away: student-ls0-dense-t2-s1." in text for text in seen)
    assert any("The same seed gives other BLEU on another kind of processor." in text for text in seen)
    capsys.readouterr()


def test_a_metric_of_the_registry_has_a_column_if_every_model_is_scored_by_it(tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "length", Metric("length", "Length", METRICS["chrf"].scorer))
    run = sweep(tmp_path / "run", seeds=(1,))
    scored = sorted(run.glob("models/*/metrics.json"))
    for file in scored:
        write_json(file, read_json(file) | {"length": {"score": 9.5, "signature": "words", "text": "raw"}})
    content = table(tmp_path, run)
    assert content["rows"][0]["length"] == 9.5 and content["cells"][0]["length"] == {"mean": 9.5, "deviation": None}
    text = document.markdown(record(content))
    assert "| Length" in text and "- Length: words (text raw)" in text
    write_json(scored[0], {name: value for name, value in read_json(scored[0]).items() if name != "length"})
    assert "length" not in table(tmp_path, run)["signatures"]
