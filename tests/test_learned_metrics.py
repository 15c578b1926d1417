"""Metrics that programs compute: plan, score, table and page with a stand-in for a trained one, and what is refused."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from conftest import ROOT
from hand_tables import PLAIN, cell
from lxml import html
from test_plan import config

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate import metrics
from lskd_nmt.evaluate.kept_statistics import FOLDER, Reading
from lskd_nmt.evaluate.learned import Asked, kept, scores_by_program, signature_of
from lskd_nmt.evaluate.metrics import EvaluationSet
from lskd_nmt.evaluate.records import ScoringFacts
from lskd_nmt.experiment import run_metrics, steps
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results import read
from lskd_nmt.report.results.records import Cell, Setting, TableRow
from lskd_nmt.report.tables import tables
from lskd_nmt.storage.files import read_json, write_json, write_text

WORDS = [f"w{number}" for number in range(40)]
REFS = [" ".join(random.Random(number).choices(WORDS, k=8)) for number in range(30)]
SOURCES = [line.upper() for line in REFS]
# the share of the reference's words that the translation has; it says what it is, and notes that it ran
STUB = """
import json, sys
open({calls!r}, "a").write("ran\\n")
print(json.dumps({about!r}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    open({calls!r} + ".asked", "a").write(line)
    ours, theirs = asked["translation"].split(), asked.get("references", [asked.get("source", "").lower()])[0].split()
    print(sum(word in ours for word in theirs) / len(theirs))
"""
ABOUT = {"signature": "stub|version:1", "sha256": "0123456789abcdef" * 4}


def quiet(line):
    """Show nothing."""


@pytest.fixture
def stub(tmp_path):
    """A function that writes a program and gives its command, with the file of its runs."""

    def written(about=ABOUT, code=STUB, name="stub"):
        file = tmp_path / f"{name}.py"
        file.write_text(code.format(calls=str(tmp_path / name), about=about), encoding="utf-8")
        return f"{sys.executable} {file}"

    return written


def runs(tmp_path, name="stub"):
    file = tmp_path / name
    return len(file.read_text().splitlines()) if file.is_file() else 0


def text(lines):
    return "".join(f"{line}\n" for line in lines)


def translated(name, seed):
    """The references with some words lost; the same sentences of all models are not changed."""
    draw = random.Random(f"{name} {seed}")
    lost = 0.1 if "teacher" in name else 0.3
    return [
        line if at < 5 else " ".join(w for w in line.split() if draw.random() > lost) for at, line in enumerate(REFS)
    ]


@pytest.fixture
def run(tmp_path):
    """A finished run of stand-ins, planned without a word of metrics, and scored."""
    folder = tmp_path / "run"
    planned = plan(resolve(config(seeds=[1, 2])), "", folder)
    for side, lines in (("en", SOURCES), ("de", REFS)):
        write_text(folder / f"data/clean/test.{side}", text(lines))
    for model in planned.models:
        place = folder / "models" / model.name
        write_text(place / "model.pt", "")
        write_text(place / "test.hyp", text(translated(model.name, model.seed)))
        write_json(place / "run.json", {"parameters": 10, "cpu_seconds": 9, "wall_seconds": 9})
        write_json(place / "curve.json", [{"epoch": 1, "valid_nll_loss": 4.0}, {"epoch": 2, "valid_nll_loss": 4.5}])
        steps.score(Run(folder), model.name)
    return folder


def grown(folder, **keys):
    """The run planned again with these keys in its YAML."""
    return plan(resolve(config(seeds=[1, 2], **keys)), "", folder)


def table(folder, *flags):
    assert main(["table", str(folder), *flags]) == 0
    return read_json(folder / "table.json")


def tree(folder):
    """Every file with its bytes, but for the lock and the figures."""
    return {
        file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.suffix not in (".png", ".svg")
    }


def by_hand(lines):
    return [sum(w in ours.split() for w in theirs.split()) / 8 for ours, theirs in zip(lines, REFS, strict=True)]


def test_a_metric_of_a_program_goes_from_the_yaml_to_table_and_page(run, stub, tmp_path, capsys):
    before = table(run)
    hyps = {file: file.read_bytes() for file in run.glob("models/*/test.hyp")}
    grown(run, metrics=["comet22", "chrf++", "bleu"], metric_commands={"comet22": stub()})
    assert main(["score", "--run", str(run)]) == 0
    assert runs(tmp_path) == 1  # once for all models
    asked = [json.loads(line) for line in (tmp_path / "stub.asked").read_text().splitlines()]
    assert asked[0] == {"source": SOURCES[0], "translation": REFS[0], "references": [REFS[0]]}
    keys = [json.dumps(each) for each in asked]
    assert len(keys) == len({*keys})  # the same translation of several models is asked once
    found = table(run)
    assert runs(tmp_path) == 1 and found["signatures"]["comet22"] == (
        "comet22|stub|version:1|sha256:0123456789ab|scale:100 (text raw)"
    )
    assert list(found["signatures"]) == ["comet22", "chrf++", "bleu"]
    for row in found["rows"]:
        values = by_hand(translated(row["name"], row["seed"]))
        assert row["comet22"] == round(100 * float(np.mean(values)), 2)
    assert [row["signature"] for row in found["rows"]] == [row["signature"] for row in before["rows"]]
    assert [row["bleu"] for row in found["rows"]] == [row["bleu"] for row in before["rows"]]
    assert hyps == {file: file.read_bytes() for file in run.glob("models/*/test.hyp")}
    kept_tests = read_json(run / "significance.json")
    assert {contrast["metric"] for contrast in kept_tests["contrasts"].values()} == {"comet22"}
    assert kept_tests["packages"] == {"comet22": "comet22|stub|version:1|sha256:0123456789ab|scale:100"}
    cell = next(cell for cell in found["cells"] if cell["difference"])
    mean = cell["comet22"]["mean"]
    assert cell["interval"][0] < mean < cell["interval"][1] and cell["difference"]["p_holm"] is not None
    lines = (run / "table.md").read_text(encoding="utf-8").splitlines()
    header = next(line for line in lines if line.startswith("| model"))
    assert [word.strip() for word in header.split("|")][5:8] == ["COMET-22", "chrF++", "BLEU"]
    assert main(["report", str(run), "--out", str(tmp_path / "page")]) == 0
    page = html.parse(tmp_path / "page" / "index.html").getroot().text_content()
    assert "COMET-22 of every model" in page and "BLEU of every model" not in page and runs(tmp_path) == 1
    capsys.readouterr()


def test_in_the_pipeline_a_program_runs_in_the_folder_from_which_run_sh_is_called(run, stub, tmp_path):
    stub()
    grown(run, metrics=["bleu", "near"], metric_commands={"near": f"{sys.executable} stub.py"})
    scripts = ROOT / "experiments"
    assert "export LSKD_CALLED_IN=$PWD " in (scripts / "run.sh").read_text(encoding="utf-8")
    words = ["bash", scripts / "steps" / "metrics.sh", "--run", run]  # the engine's jobs run in the run folder

    def called_in(folder):
        environment = {**os.environ, "LSKD_PYTHON": sys.executable, "LSKD_CALLED_IN": str(folder)}
        return subprocess.run(words, cwd=run, env=environment, capture_output=True, text=True, check=False)

    gone = called_in(tmp_path / "gone")
    assert gone.returncode == 2 and f"{tmp_path}/gone, from which run.sh was called, is not there" in gone.stderr
    done = called_in(tmp_path)
    assert done.returncode == 0, done.stderr
    assert runs(tmp_path) == 1 and "near" in table(run)["signatures"]


def test_a_metric_that_comes_later_is_scored_alone(run, stub, tmp_path, capsys):
    command = stub()
    grown(run, metrics=["bleu", "one"], metric_commands={"one": command})
    assert main(["score", "--run", str(run)]) == 0
    model = "student-plain-s1"
    first = read_json(run / "models" / model / "metrics.json")
    kept_before = {file: file.read_bytes() for file in run.glob(f"models/*/{FOLDER}/*.bin")}
    other = stub({"signature": "other"}, name="other")
    grown(run, metrics=["bleu", "one", "two", "ter"], metric_commands={"one": command, "two": other})
    assert main(["score", "--run", str(run), "--model", model, "--metrics", "two"]) == 0
    then = read_json(run / "models" / model / "metrics.json")
    assert {**then, "two": None} == {**first, "two": None} and then["two"]["signature"] == "two|other"
    assert "two is not in the table, as 5 models lack it" in " ".join(table(run)["remarks"])
    assert main(["score", "--run", str(run)]) == 0
    assert (runs(tmp_path), runs(tmp_path, "other")) == (1, 2)
    assert list(table(run)["signatures"]) == ["bleu", "one", "two", "ter"]
    assert kept_before == {file: file.read_bytes() for file in kept_before}
    assert list(table(run, "--metrics", "ter,two")["signatures"]) == ["ter", "two"]
    assert "TER: lower is better" in (run / "table.md").read_text(encoding="utf-8")
    steps.score(Run(run), model)  # by hand again: what the programs said of the same text stays
    assert read_json(run / "models" / model / "metrics.json")["two"] == then["two"]
    assert (runs(tmp_path), runs(tmp_path, "other")) == (1, 2)
    capsys.readouterr()


def test_a_plan_with_other_metrics_is_no_other_run(run, stub):
    before = {model.name: model for model in Run(run).plan.models}
    after = grown(run, metrics=["chrf"], metric_commands={"mine": stub()})
    assert {model.name: model for model in after.models} == before
    assert after.config.metrics == ("chrf",)
    without = grown(run)
    assert without == Run(run).plan and "metrics" not in read_json(run / "plan.json")["config"]


def test_two_runs_are_compared_by_the_metric_that_comes_first(run, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    for folder in (run, other):
        run_metrics.add(Run(folder), ["ter"], quiet)
    words = ["table", "--compare", str(run), str(other), "--out", str(tmp_path / "both")]
    assert main([*words, "--metrics", "ter,bleu"]) == 0
    found = read_json(tmp_path / "both" / "significance.json")["contrasts"]
    assert {contrast["metric"] for contrast in found.values()} == {"ter"}
    text = (tmp_path / "both" / "compare.md").read_text(encoding="utf-8")
    assert "- TER: nrefs:1|case:lc|tok:tercom" in text and "- TER: lower is better, so that a difference" in text
    assert main([*words, "--metrics", "bleu,ter"]) == 0
    assert "lower is better" not in (tmp_path / "both" / "compare.md").read_text(encoding="utf-8")
    shutil.rmtree(other / "models" / "student-plain-s1" / FOLDER)
    plain = other / "models" / "student-plain-s1" / "metrics.json"
    write_json(plain, {name: value for name, value in read_json(plain).items() if name != "ter"})
    assert main([*words, "--metrics", "ter,bleu"]) == 2
    assert "have not both ter, or not of one signature: choose others by --metrics" in capsys.readouterr().err


def test_a_file_says_which_metrics_in_which_order_all_models_have(run):
    names = []
    run_metrics.add_planned(Run(run), quiet)
    assert not list(run.glob(".metrics-*"))
    for chosen in (["chrf", "ter"], ["ter", "chrf"], ["chrf", "ter"]):
        grown(run, metrics=chosen)
        run_metrics.add_planned(Run(run), quiet)
        (mark,) = run.glob(".metrics-*")
        assert mark.read_text().split() == chosen
        names.append(mark.name)
    assert names[0] == names[2] != names[1]


def test_a_program_may_say_that_less_is_better(run, stub, capsys):
    grown(run, metrics=["errors"], metric_commands={"errors": stub({**ABOUT, "higher_is_better": False})})
    assert main(["score", "--run", str(run)]) == 0
    found = table(run)
    assert found["lower_is_better"] == ["errors"] and found["signatures"]["errors"].startswith(
        "errors|stub|version:1|sha"
    )
    assert "errors: lower is better, so that" in (run / "table.md").read_text(encoding="utf-8")
    table(run, "--metrics", "bleu,errors")  # a column has its direction, too
    assert "\n- errors: lower is better\n" in (run / "table.md").read_text(encoding="utf-8")
    capsys.readouterr()


FAILURES = {
    "dies": ("import sys; print(1); sys.exit('no GPU')", r"ended with exit code 1 \(no GPU\)"),
    "few": ("print(1)", r"gave 1 scores of \d+ sentences: one a line is needed"),
    "nan": ("import sys\nfor line in sys.stdin: print('NaN')", r"'NaN', which is no finite number"),
    "text": ("print('hello')", r"'hello', which is no number"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_program_that_fails_changes_nothing(run, stub, name, capsys):
    code, message = FAILURES[name]
    other = stub(name="good")
    programs = {"good": other, name: stub(code=code.replace("{", "{{"), name="bad")}
    grown(run, metrics=["bleu", "ter", "good", name], metric_commands=programs)
    before = {file: file.read_bytes() for file in run.glob("models/*/metrics.json")}
    assert main(["score", "--run", str(run)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"error: metric_commands.{name} " in said
    with pytest.raises(LskdError, match=message):
        run_metrics.add(Run(run), [name], quiet)
    assert before == {file: file.read_bytes() for file in before}
    assert not list(run.glob(f"models/*/{FOLDER}/{name}.bin")) and not list(run.rglob("*.part"))
    assert not list(run.rglob("*.jsonl"))
    assert not list(run.glob(".metrics-*"))


def test_what_one_program_said_is_kept_when_the_next_one_fails(run, stub, tmp_path, capsys):
    bad = tmp_path / "bad.py"
    bad.write_text("raise SystemExit(1)")
    grown(run, metrics=["one", "two"], metric_commands={"one": stub(), "two": f"{sys.executable} {bad}"})
    assert main(["score", "--run", str(run)]) == 2
    bad.write_text("import sys\nfor line in sys.stdin: print(1)")
    assert main(["score", "--run", str(run)]) == 0
    assert runs(tmp_path) == 1
    assert read_json(run / "models/student-plain-s1/metrics.json")["two"]["signature"] == (
        "two|the program says nothing of itself"
    )
    capsys.readouterr()


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"metrics": ["bleu", "comet"]}, "metrics has 'comet', it must be one of bleu, chrf, "),
        (
            {"metrics": "comet22"},
            "metrics has comet22, which a program computes: name its command as metric_commands.comet22",
        ),
        ({"metric_commands": {"bleu": "x"}}, "metric_commands.bleu is of a metric that sacreBLEU computes: remove it"),
        ({"metrics": ["bleu", "bleu"]}, "a list of different values"),
        ({"metrics": ["seeds"], "metric_commands": {"seeds": "x"}}, "no key of a table"),
        ({"metric_commands": {"../x": "x"}}, "names of metrics"),
        ({"metric_commands": {"x": "${NO_SUCH_VARIABLE}/x"}}, "NO_SUCH_VARIABLE is not"),
        ({"metric_commands": "x"}, "the command of each metric by its name"),
    ],
)
def test_a_yaml_whose_metrics_cannot_be_is_refused(keys, message):
    with pytest.raises(LskdError) as refused:
        resolve(config(**keys))
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_variables_of_a_command_are_expanded(monkeypatch):
    monkeypatch.setenv("COMET", "/opt/comet")
    found = resolve(config(metrics=["comet22"], metric_commands={"comet22": "${COMET}/bin/python x.py --model $M"}))
    assert found.metric_commands == {"comet22": "/opt/comet/bin/python x.py --model $M"}


@pytest.mark.parametrize(
    "words, message",
    [
        (["score", "--run", "RUN", "--metrics", "comet"], "the metric is 'comet': one of bleu, chrf, "),
        (
            ["score", "--run", "RUN", "--metrics", "comet22"],
            "the metric comet22 is computed by a program: name its command",
        ),
        (["score", "--run", "RUN", "--metrics", ","], "--metrics is ',': give names, each once"),
        (["score", "--run", "RUN", "--tokenize", "char"], "--tokenize is for one model: give --model"),
        (["table", "RUN", "--metrics", "ter"], "--metrics has 'ter', by which no model of RUN is scored"),
    ],
)
def test_metrics_that_cannot_be_are_refused_in_one_line(run, words, message, capsys):
    assert main([word.replace("RUN", str(run)) for word in words]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert message.replace("RUN", str(run)) in said


def test_translations_that_are_gone_are_named_with_what_to_do(run, capsys):
    (run / "models" / "student-plain-s1" / "test.hyp").unlink()
    assert main(["score", "--run", str(run), "--metrics", "ter"]) == 2
    assert "test.hyp does not exist: student-plain-s1 was scored with it, so put it back" in capsys.readouterr().err


def test_a_metric_that_reads_sources_is_refused_where_there_are_none(run, stub, tmp_path):
    grown(run, metrics=["cometkiwi22"], metric_commands={"cometkiwi22": stub()})
    (run / "data/clean/test.en").unlink()
    with pytest.raises(LskdError, match="the metric 'cometkiwi22' needs the source sentences, which are not there"):
        run_metrics.add(Run(run), ["cometkiwi22"], quiet)
    assert not runs(tmp_path)


def test_a_metric_without_references_is_not_shown_them(stub, tmp_path):
    asked = Asked(tmp_path / "test.hyp", ["a b"], EvaluationSet(["x y"], "de", sources=["S"], others=[["z"]]))
    scores_by_program("cometkiwi22", stub(), [asked], quiet)
    scores_by_program("comet22", stub(), [asked], quiet)
    without, with_them = map(json.loads, (tmp_path / "stub.asked").read_text().splitlines())
    assert without == {"source": "S", "translation": "a b"}
    assert with_them == {"source": "S", "translation": "a b", "references": ["x y", "z"]}


def test_tokenised_text_is_detokenised_for_programs(stub, tmp_path):
    data = EvaluationSet(
        ["ja , das ist gut ."], "de", "tokenised", sources=["yes , it &apos;s good ."], source_lang="en"
    )
    scores_by_program("comet22", stub(), [Asked(tmp_path / "test.hyp", ["ja ."], data)], quiet)
    asked = json.loads((tmp_path / "stub.asked").read_text())
    assert asked == {"source": "yes, it's good.", "translation": "ja.", "references": ["ja, das ist gut."]}


def test_kept_scores_are_of_their_text_alone(stub, tmp_path):
    asked = Asked(tmp_path / "test.hyp", ["a b", "c d"], EvaluationSet(["a x", "c d"], "de", sources=["s", "t"]))
    (score,) = scores_by_program("comet22", stub(), [asked], quiet)
    assert score.score == 75 and kept("comet22", asked)[:, 0].tolist() == [0.5, 1]
    for other in (
        replace(asked, translations=["a b", "c e"]),
        replace(asked, data=replace(asked.data, references=["a x", "c e"])),
        replace(asked, data=replace(asked.data, sources=["s", "u"])),
        replace(asked, data=replace(asked.data, others=[["x", "y"]])),
    ):
        assert kept("comet22", other) is None
    place = tmp_path / FOLDER / "comet22.bin"
    content = place.read_bytes()
    assert b"stub|version:1" in content
    place.write_bytes(content.replace(b"stub|version:1", b"stub|version:2"))
    assert kept("comet22", asked) is None
    write_text(asked.file, text(["a b", "c e"]))
    with pytest.raises(LskdError, match=r"comet22.bin does not hold the scores of .*test.hyp: lskd score --run RUN"):
        Reading("comet22", asked.data, score.signature).statistics(asked.file)


COUNTING = """
import json, os, signal, sys
print(json.dumps({about}), flush=True)
for number, line in enumerate(sys.stdin):
    open({log!r}, "a").write(line)
    if number == {last}:
        {end}
    print(len(json.loads(line)["translation"]), flush=True)
"""


@pytest.mark.parametrize("end", ["sys.exit('out of memory')", "os.kill(os.getpid(), signal.SIGKILL)"])
@pytest.mark.parametrize("is_same", [True, False])
def test_after_a_kill_a_program_is_asked_for_the_rest_alone(tmp_path, end, is_same):
    program, log = tmp_path / "program.py", tmp_path / "log"
    lines = ["a", "bb", "ccc", "bb", "dddd"]
    asked = Asked(tmp_path / "test.hyp", lines, EvaluationSet(lines, "de"))

    def ask(about, last):
        program.write_text(COUNTING.format(about=about, log=str(log), last=last, end=end), encoding="utf-8")
        return scores_by_program("mine", f"{sys.executable} {program}", [asked], quiet)

    with pytest.raises(LskdError, match="ended with exit code"):
        ask({"signature": "one"}, 2)
    so_far = tmp_path / FOLDER / "mine.jsonl"
    assert len(so_far.read_text().splitlines()) == 3 and kept("mine", asked) is None
    with so_far.open("a") as cut:
        cut.write('["0123')
    log.unlink()
    (score,) = ask({"signature": "one" if is_same else "two"}, 9)
    again = [json.loads(line)["translation"] for line in log.read_text().splitlines()]
    # another program, as its first line says, is asked the rest, and then everything
    assert again == ["ccc", "dddd"] if is_same else again == ["ccc", "dddd", "a", "bb", "ccc", "dddd"]
    assert score.score == 2.4 and score.signature == f"mine|{'one' if is_same else 'two'}"
    assert kept("mine", asked)[:, 0].tolist() == [1, 2, 3, 2, 4] and not so_far.exists()


def test_nothing_is_kept_of_a_program_that_does_not_say_what_it_is(tmp_path):
    asked = Asked(tmp_path / "test.hyp", ["a", "b"], EvaluationSet(["a", "b"], "de"))
    with pytest.raises(LskdError, match="ended with exit code 3"):
        scores_by_program("mine", "echo 1; exit 3", [asked], quiet)
    assert not list(tmp_path.rglob("*.jsonl"))


def test_signatures_say_what_the_program_says():
    assert signature_of("mine", {}) == "mine|the program says nothing of itself"
    assert (
        signature_of("mine", {"signature": "a|b", "batch": 8, "sha256": "f" * 64})
        == "mine|a|b|batch:8|sha256:ffffffffffff"
    )
    assert signature_of("metricx24", {"signature": "m"}) == "metricx24|m"
    assert signature_of("comet22", {"signature": "c", "higher_is_better": True}) == "comet22|c|scale:100"


def test_no_metric_can_be_called_as_a_key_beside_its_scores():
    keys = {each.name for record in (TableRow, Cell, Setting, ScoringFacts) for each in fields(record)}
    assert keys - {"_"} <= metrics.RESERVED | {"scores"}
    assert not metrics.RESERVED & {*metrics.METRICS}


def test_no_metric_can_be_called_as_a_column_of_the_table():
    columns = {name for name in tables.line(cell("plain", PLAIN, 30.0)) if re.fullmatch("[a-z_]+", name)}
    assert {"model", "p", "note"} <= columns <= metrics.RESERVED
    with pytest.raises(LskdError, match="metrics is \\['p'\\], it must be names of metrics"):
        resolve(config(metrics=["p"], metric_commands={"p": "true"}))


def test_programs_of_two_signatures_are_refused_in_one_table(run, stub, tmp_path):
    grown(run, metrics=["mine"], metric_commands={"mine": stub()})
    run_metrics.add(Run(run), ["mine"], quiet, ["student-plain-s1"])
    grown(run, metrics=["mine"], metric_commands={"mine": stub({"signature": "new"}, name="new")})
    run_metrics.add(Run(run), ["mine"], quiet)
    with pytest.raises(LskdError, match=r"mine of different signatures .* remove the older statistics/mine.bin"):
        read.results([run])
    for file in run.glob(f"models/student-plain-s1/{FOLDER}/mine.bin"):
        file.unlink()
    run_metrics.add_planned(Run(run), quiet)
    assert read.results([run]).signatures == {"mine": "mine|new (text raw)"}
    assert runs(tmp_path, "new") == 2
