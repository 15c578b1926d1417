"""`lskd adopt`: trainings and translations made outside of a run become rows of it, and stay."""

import json
import os

import pytest
from bench import TEXT, checkpoint

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.results.read import results
from lskd_nmt.storage.files import sha256


def config(prepared, **more):
    student = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 2}}
    return resolve({"name": "x", "data": {"dir": str(prepared)}, "teacher": "none", "student": student, **more})


@pytest.fixture
def run(bench, prepared, monkeypatch) -> Run:
    """A planned run of one student, and the stand-ins for fairseq."""
    path = f"{bench.folder / 'bin'}:{os.environ['PATH']}"
    for name, value in {**bench.environment, "PATH": path, "FAKE_MODEL": str(bench.folder / "mine.pt")}.items():
        monkeypatch.setenv(name, value)
    checkpoint(bench.folder / "mine.pt")
    (bench.folder / "theirs.de").write_text("".join(f"{line}\n" for line in ["Nein.", *TEXT[1:]]), encoding="utf-8")
    plan(config(prepared), "text", bench.folder / "run")
    return Run(bench.folder / "run")


def adopt(run, name, *words) -> int:
    return main(["adopt", str(run.folder), "--name", name, *map(str, words), "--device", "cpu"])


def test_a_checkpoint_and_translations_made_elsewhere_become_rows(run, bench, prepared, capsys):
    mine, theirs = bench.folder / "mine.pt", bench.folder / "theirs.de"
    assert adopt(run, "mine", "--checkpoint", mine) == 0
    assert json.loads(capsys.readouterr().out)["bleu"] == 100
    assert adopt(run, "theirs", "--hypotheses", theirs) == 0
    found = results([run.folder])
    assert [row.name for row in found.rows] == ["mine", "theirs"] and found.not_scored == ("student-plain-s1",)
    assert [(row.arch, row.parameters, row.cpu_hours, row.epochs) for row in found.rows] == [
        ("some_arch", 6, None, 0),
        ("adopted-text", None, None, 0),
    ]
    assert found.rows[0].scores["bleu"] == 100 > found.rows[1].scores["bleu"]
    assert [cell.name for cell in found.cells] == ["mine", "theirs"]
    told = "mine was not trained here: what it cost is not known; mine.pt says: arch some_arch, criterion kd_ls, "
    assert (found.expansions[found.rows[1].signature].decode or {}) == {"engine": "not known"}
    assert found.remarks[0].startswith(told) and found.remarks[1].startswith("theirs is translations made elsewhere")
    given = [found.expansions[row.signature].given for row in found.rows]
    assert given == [{"adopted": sha256(mine)}, {"adopted-text": sha256(theirs)}]
    before = (run.folder / "plan.json").read_bytes()
    assert adopt(run, "mine", "--checkpoint", mine) == 0 and (run.folder / "plan.json").read_bytes() == before
    grown = plan(config(prepared, seeds=[1, 2]), "text", run.folder)
    assert [model.name for model in grown.models] == ["student-plain-s1", "student-plain-s2", "mine", "theirs"]
    assert main(["graph", str(run.folder)]) == 0


@pytest.mark.parametrize(
    ("name", "words", "part"),
    [
        ("a b", ["--checkpoint", "mine.pt"], "--name is 'a b', it must be a name of letters"),
        ("student-plain-s1", ["--checkpoint", "mine.pt"], "has already: give another name"),
        ("x", ["--checkpoint", "none.pt"], "none.pt does not exist"),
        ("x", ["--checkpoint", "theirs.de"], "cannot be read ("),
        ("x", ["--checkpoint", "other.pt"], "other.pt translates from de to en, and the data are en-de"),
        ("x", ["--checkpoint", "large.pt"], "large.pt has 9 symbols, and"),
        ("x", ["--hypotheses", "short.de"], "short.de has 1 lines, and the test set 27 sentences"),
    ],
)
def test_what_cannot_be_adopted_is_one_line_and_leaves_nothing(run, bench, name, words, part, capsys):
    import torch

    checkpoint(bench.folder / "other.pt", "de", "en")
    checkpoint(bench.folder / "large.pt", model={"encoder.embed_tokens.weight": torch.zeros(9, 2)})
    (bench.folder / "short.de").write_text("Nein.\n")
    before = {file: file.stat().st_mtime_ns for file in run.folder.rglob("*") if file.name != ".lock"}
    assert adopt(run, name, words[0], bench.folder / words[1]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "error: " in each]
    assert part in line
    assert {file: file.stat().st_mtime_ns for file in run.folder.rglob("*") if file.name != ".lock"} == before


def test_a_config_that_plans_the_name_of_an_adopted_model_is_refused(run, bench, prepared):
    assert adopt(run, "student-plain-s7", "--hypotheses", bench.folder / "theirs.de") == 0
    with pytest.raises(LskdError, match=r"student-plain-s7 was adopted by .*, and the config plans it: rename one"):
        plan(config(prepared, seeds=[7]), "text", run.folder)
