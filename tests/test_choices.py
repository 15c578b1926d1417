"""Students of chosen translations: named, chosen and learned as the YAML says, from the plan to a training."""

import json
import sys
from itertools import pairwise

import pytest
from conftest import train
from test_plan import complaint, config, expanded

from lskd_nmt import cli, fairseq_io
from lskd_nmt.cost import kinds
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.records import Plan, model_json
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.scripts import teacher_scripts
from lskd_nmt.experiment.teacher_commands import as_read
from lskd_nmt.report.results import rows, signature
from lskd_nmt.report.results.table_json import record_json
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.chooser import SelectSettings
from lskd_nmt.seqkd.select import deciding
from lskd_nmt.seqkd.store import HypothesisStore, Selection
from lskd_nmt.storage.typed import read_record


def test_students_of_mbr_and_of_scores_are_named_and_chosen_by_the_yaml(tmp_path):
    names = ["beam", "mbr", "mbr-3", "best-score", "best-score-2"]
    seqkd = {"nbest": 4, "sampling": True, "utility": "bleu", "score_command": "my-scorer --fast", "score_batch": 99}
    student = {"kd_level": "sequence", "hypotheses": names, "plain": False}
    models = expanded(student=student, seqkd=seqkd)
    assert list(models)[1:] == [f"student-ls0.1-sequence-{name}-s1" for name in names]
    _, *steps = models["teacher-ls0.1-s1"].seqkd_commands
    flags = [dict(pairwise(step)) for step in steps]
    assert [each["--method"] for each in flags] == ["beam", "mbr", "mbr", "best-score", "best-score"]
    assert [each.get("--hypotheses") for each in flags] == [None, None, "3", None, "2"]
    assert [each.get("--utility") for each in flags] == [None, "bleu", "bleu", None, None]
    assert [each.get("--score-command") for each in flags] == [None] * 3 + ["my-scorer --fast"] * 2
    assert [each["--out"].rpartition("/")[2] for each in flags] == names
    both = expanded(student=student, seqkd={**seqkd, "drop_worst": 0.2, "min_score": -1.5})["teacher-ls0.1-s1"]
    for step in both.seqkd_commands[1:]:
        words = dict(pairwise(step))
        assert (words["--drop-worst"], words["--min-score"]) == ("0.2", "-1.5") and words["--score-batch"] == "99"
    text = teacher_scripts(both)["hypotheses.sh"]
    assert "  --score-command 'my-scorer --fast' \\\n" in text
    tiny = expanded(student={"kd_level": "sequence"}, seqkd={"min_score": -1e-5, "scores": "/s"})
    low = tiny["teacher-ls0.1-s1"]
    assert dict(pairwise(low.seqkd_commands[-1]))["--min-score"] == "-0.00001"  # argparse takes -1e-05 for a flag
    plan(resolve(config(student=student, seqkd=seqkd)), "", tmp_path)
    assert read_record(tmp_path / "plan.json", Plan).config.seqkd.score_batch == 99


def test_a_model_of_the_other_direction_is_named_in_the_yaml(tmp_path):
    student = {"kd_level": "sequence", "hypotheses": ["beam", "multi"]}
    seqkd = {"nbest": 4, "reverse": str(tmp_path / "r.pt"), "drop_worst_reverse": 0.1, "forward": "teacher"}

    def flags(section):
        steps = expanded(student=student, seqkd=section)["teacher-ls0.1-s1"].seqkd_commands[1:]
        names = ("--reverse-model", "--drop-worst-reverse", "--forward-model")
        return [[dict(pairwise(step)).get(name) for name in names] for step in steps]

    assert flags(seqkd) == [[str(tmp_path / "r.pt"), "0.1", "models/teacher-ls0.1-s1/model.pt"]] * 2
    assert (
        flags(seqkd | {"forward": str(tmp_path / "f.pt")})
        == [[str(tmp_path / "r.pt"), "0.1", str(tmp_path / "f.pt")]] * 2
    )
    assert flags({"nbest": 4}) == [[None] * 3] * 2
    content = config(student=student, seqkd=seqkd)
    with pytest.raises(LskdError, match=r"^seqkd.reverse is .*/r.pt, which is not there: give a checkpoint, or a run"):
        plan(resolve(content), "", tmp_path / "run")
    (tmp_path / "r.pt").touch()
    assert plan(resolve(content), "", tmp_path / "run").config.seqkd.forward == "teacher"
    for kind in ("beam", "multi"):
        folder = tmp_path / "run" / "models" / "teacher-ls0.1-s1" / "hypotheses" / kind
        folder.mkdir(parents=True)
        (folder / "hypotheses.json").touch()
    (tmp_path / "r.pt").unlink()  # all is chosen: it may be gone
    plan(resolve(content), "", tmp_path / "run")


UNREAD = [
    (["--similarity", "chrf"], "--similarity is chrf, and --method is beam: it is of interpolate"),
    (["--utility", "bleu"], "--utility is bleu, and --method is beam: it is of mbr"),
    (["--aggregate"], "--aggregate is given and --method is beam: it is of mbr"),
    (["--hypotheses", 2], "--hypotheses is 2 and --method is beam: it is of multi, mbr, best-score"),
    (["--tokenize", "char"], "--tokenize is char, and nothing computes BLEU: it is of --method interpolate, and of"),
    (["--method", "mbr", "--tokenize", "char"], "--tokenize is char, and nothing computes BLEU"),
    (["--examples", 9], "--examples is 9, and nothing is filtered: give --filters, or leave it out"),
    (["--score-batch", 9], "--score-batch is 9, and no --score-command is asked: give one, or leave it out"),
    (["--drop-worst-reverse", 0.1], "--drop-worst-reverse is 0.1, and no --reverse-model is given: give one, or"),
    (["--seed", 2], "--seed is 2, and nothing is drawn: it is of --share, give that or leave it out"),
    (["--share", 0.5], "--share is of --monolingual beside --decoded: name both, or leave it out"),
    (["--workers", 3], "--workers is 3, and --method is beam: it is of mbr"),
]


@pytest.mark.parametrize("words, line", UNREAD, ids=[" ".join(map(str, words)) for words, _ in UNREAD])
def test_flags_of_select_that_nothing_reads_are_refused(words, line, data, tmp_path, capsys):
    call = ["seqkd", "select", "--data", data, "--decoded", "d", "--out", tmp_path / "h", *words]
    assert cli.main([*map(str, call)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert line in said and not (tmp_path / "h").exists()


def test_the_data_of_a_decoding_that_is_not_named_are_refused(data, tmp_path, capsys):
    call = ["seqkd", "select", "--data", data, "--monolingual", "m", "--decoded-data", data, "--out", tmp_path / "h"]
    assert cli.main([*map(str, call)]) == 2
    assert "and no --decoded is given, of which these are the data: give both" in capsys.readouterr().err


@pytest.mark.parametrize("spelt", [["--similarity", "bleu"], ["--utility", "chrf"], ["--examples", "5"]])
def test_defaults_may_be_spelled_out_as_scripts_of_before_do(spelt, data, tmp_path, capsys):
    call = ["seqkd", "select", "--data", str(data), "--decoded", str(tmp_path / "d"), "--out", str(tmp_path / "h")]
    assert cli.main([*call, *spelt]) == 2
    assert f"{tmp_path / 'd'} has no ledger.json" in capsys.readouterr().err  # the next thing that is wrong


def test_select_is_given_what_it_reads_alone():
    student = {"kd_level": "sequence", "hypotheses": ["beam", "interpolate", "mbr", "best-score"]}
    seqkd = {"nbest": 4, "similarity": "bleu", "utility": "bleu", "scores": "/s"}
    found = expanded(student=student, seqkd=seqkd, data={"tokenize": "char"})["teacher-ls0.1-s1"].seqkd_commands[1:]
    flags = [dict(pairwise(command)) for command in found]
    assert [each.get("--similarity") for each in flags] == [None, "bleu", None, None]
    assert [each.get("--tokenize") for each in flags] == [None, "char", "char", None]
    old = ("lskd", "seqkd", "select", "--method", "beam", "--similarity", "chrf", "--tokenize", "char", "--out", "o")
    assert as_read(old) == ("lskd", "seqkd", "select", "--method", "beam", "--out", "o")
    assert all(as_read(command) == command for command in found)
    decode = ("lskd", "seqkd", "decode", "--similarity", "chrf")
    assert as_read(decode) == decode


def test_a_plan_of_before_goes_on_and_its_translations_stay(tmp_path):
    """With --similarity in every command: a new student is added to it, and what was chosen is not chosen again."""
    student = {"kd_level": "sequence", "hypotheses": ["beam"]}
    before = plan(resolve(config(student=student, seqkd={"nbest": 4})), "", tmp_path)
    content = json.loads((tmp_path / "plan.json").read_text())
    teacher = next(model for model in content["models"] if model["role"] == "teacher")
    teacher["seqkd_commands"][-1][5:5] = ["--similarity", "chrf"]
    content["config"]["seqkd"]["similarity"] = "chrf"  # in the YAML of then: it is refused now
    (tmp_path / "plan.json").write_text(json.dumps(content))
    (tmp_path / "models" / teacher["name"] / "hypotheses" / "beam").mkdir(parents=True)
    more = student | {"hypotheses": ["beam", "multi"]}
    after = plan(resolve(config(student=more, seqkd={"nbest": 4})), "", tmp_path)
    (old,), (new,) = ([model for model in found.models if model.role == "teacher"] for found in (before, after))
    assert new.seqkd_commands[:2] == old.seqkd_commands and len(new.seqkd_commands) == 3
    assert "--similarity" not in (tmp_path / "models" / old.name / "hypotheses.sh").read_text()


def select_flags(run, name):
    """What a student's signature says of the choice of its translations."""
    return signature.hypotheses(run, run.model(name))[-1]


@pytest.mark.parametrize("tokenize", [None, "char"])
def test_a_row_of_before_keeps_its_signature_once_its_plan_is_written_anew(tokenize, tmp_path):
    """Plans of before gave --similarity and --tokenize to every choice; those of now to the ones that read them."""
    student = {"kd_level": "sequence", "hypotheses": ["beam", "mbr"]}
    content = config(student=student, seqkd={"nbest": 4}, data={"tokenize": tokenize} if tokenize else {})
    plan(resolve(content), "", tmp_path)
    new = Run(tmp_path)
    before = json.loads((tmp_path / "plan.json").read_text())
    words = ["--similarity", "bleu", *(["--tokenize", tokenize] if tokenize else [])]
    for model in before["models"]:
        model["seqkd_commands"] = [
            [*command, *words] if "select" in command else command for command in model.get("seqkd_commands", [])
        ]
    (tmp_path / "plan.json").write_text(json.dumps(before))
    old = Run(tmp_path)
    for kind in student["hypotheses"]:
        name = f"student-ls0.1-sequence-{kind}-s1"
        found = select_flags(old, name)
        assert found == select_flags(new, name)
        assert found["similarity"] == "bleu" and found.get("tokenize") == tokenize


def test_seeds_whose_own_teacher_scored_have_one_signature_and_other_scorers_another(tmp_path):
    student, found = {"kd_level": "sequence", "hypotheses": "beam"}, {}
    (tmp_path / "r.pt").touch()
    (tmp_path / "f.pt").touch()
    for forward in ("teacher", str(tmp_path / "f.pt"), None):
        seqkd = {"nbest": 4, "reverse": str(tmp_path / "r.pt"), **({"forward": forward} if forward else {})}
        folder = tmp_path / str(len(found))
        planned = plan(resolve(config(student=student, seqkd=seqkd, seeds=[1, 2])), "", folder)
        for model in planned.models:
            if model.hypotheses is None:
                continue
            chosen = folder / "models" / model.teacher / "hypotheses" / "beam" / "hypotheses.json"
            chosen.parent.mkdir(parents=True, exist_ok=True)
            scorers = {"reverse_model": {"file": "r.pt", "sha256": "1" * 64}}
            scorers |= {"forward_model": {"file": "model.pt", "sha256": f"{model.seed}" * 64}} if forward else {}
            chosen.write_text(json.dumps({"selection": {"method": "beam", **scorers}}))
            of_choice = select_flags(Run(folder), model.name), signature.scores(Run(folder), model)
            found.setdefault(forward, []).append(json.dumps(of_choice, sort_keys=True))
    assert [len(set(each)) for each in found.values()] == [1, 2, 1]  # f.pt has changed between the seeds
    assert len({each[0] for each in found.values()}) == 3
    assert all(str(tmp_path) not in text for each in found.values() for text in each)  # where files are says nothing


def test_a_choice_of_before_is_the_same_without_a_similarity_that_it_did_not_read():
    old = Selection("beam", 0, "chrf")
    assert deciding(old) == SelectSettings().content("de")
    compared = Selection("interpolate", 0, "chrf")
    assert deciding(compared) == compared and deciding(None) is None


def test_a_method_and_how_many_hypotheses_are_one_name():
    from lskd_nmt.experiment import choices
    from lskd_nmt.seqkd import chooser

    assert (*choices.PLAIN, *choices.RANKED) == chooser.METHODS and choices.RANKED == chooser.RANKED
    assert [choices.method_of(name) for name in ("multi", "mbr-12", "best-score")] == [
        ("multi", None),
        ("mbr", 12),
        ("best-score", None),
    ]
    assert [choices.learned(name, 8) for name in (None, "beam", "multi", "mbr", "mbr-3")] == [1, 1, 8, 1, 3]


def test_students_of_some_of_several_translations_are_named_after_how_many_are_drawn():
    names = ["beam", "mbr", "mbr-3", "multi"]
    student = {"kd_level": ["word", "sequence"], "hypotheses": names, "plain": False}
    usual = expanded(student=student, seqkd={"nbest": 4})
    drawn = expanded(student={**student, "hypotheses_drawn": 1}, seqkd={"nbest": 4})
    both = expanded(student={**student, "hypotheses_drawn": [0, 1]}, seqkd={"nbest": 4})
    kept = ["teacher-ls0.1-s1", *(f"student-ls0.1-{name}-s1" for name in ("t1", "sequence-beam", "sequence-mbr"))]
    several = [f"student-ls0.1-sequence-{name}-s1" for name in ("mbr-3", "multi")]
    some = [f"student-ls0.1-sequence-{name}-drawn1-s1" for name in ("mbr-3", "multi")]
    assert [*usual] == [*kept, *several] and [*drawn] == [*kept, *some] and {*both} == {*kept, *several, *some}
    assert all(both[name] == usual[name] for name in usual) and all(both[name] == drawn[name] for name in drawn)
    for name in some:
        words = [*drawn[name].train_command]
        assert words.pop(words.index("--hypotheses-drawn") + 1) == "1" and drawn[name].hypotheses_drawn == 1
        words.remove("--hypotheses-drawn")
        whole = usual[name.replace("-drawn1", "")]
        assert [word.replace("-drawn1", "") for word in words] == [*whole.train_command]
        assert model_json(drawn[name])["hypotheses_drawn"] == 1 and "hypotheses_drawn" not in model_json(whole)
    assert all("hypotheses_drawn" not in model_json(usual[name]) for name in usual)


def test_to_draw_as_many_as_a_choice_has_is_no_other_student():
    """It would be trained twice, to the same weights."""
    student = {"kd_level": "sequence", "hypotheses": ["mbr-2", "mbr-3", "multi"], "plain": False}
    names = [*expanded(student={**student, "hypotheses_drawn": [0, 2, 3]}, seqkd={"nbest": 4})][1:]
    wanted = ("mbr-2", "mbr-3", "mbr-3-drawn2", "multi", "multi-drawn2", "multi-drawn3")
    assert names == [f"student-ls0.1-sequence-{name}-s1" for name in wanted]


@pytest.mark.parametrize(
    "student", [{"kd_level": "sequence", "hypotheses": ["beam", "mbr"]}, {"kd_level": "word", "hypotheses": "multi"}]
)
def test_a_number_to_draw_that_no_student_reads_is_refused(student):
    said = complaint(config(student={**student, "hypotheses_drawn": [0, 2]}, seqkd={"nbest": 4}))
    assert "no student learns several translations of a sentence: remove it, or take" in said
    expanded(student={**student, "hypotheses_drawn": 0}, seqkd={"nbest": 4})  # the default may be spelled out


def test_a_model_of_the_other_direction_that_drops_nothing_is_refused():
    said = complaint(config(student={"kd_level": "word"}, seqkd={"reverse": "/r.pt"}))
    assert "seqkd.reverse is given, and no student learns translations: set student.kd_level" in said


@pytest.mark.parametrize("number", [-1, 0.5, "many", True])
def test_a_number_to_draw_that_is_none_is_refused(number):
    student = {"kd_level": "sequence", "hypotheses": "multi", "hypotheses_drawn": number}
    said = complaint(config(student=student, seqkd={"nbest": 4}))
    assert "student.hypotheses_drawn is" in said and "it must be a whole number from 0" in said
    assert "a method's flags say that" in complaint(
        config(student={"hypotheses_drawn": 1, "methods": resolved_method()})
    )


def resolved_method():
    """A method as it is once its file was read."""
    return {"mine": {"about": "x", "flags": {"temperature": 1}}}


def test_students_of_draws_are_forecast_by_what_they_learn_at_an_update():
    student = {"kd_level": "sequence", "hypotheses": ["beam", "mbr-3", "multi"], "plain": False}
    models = expanded(student={**student, "hypotheses_drawn": [0, 1, 5]}, seqkd={"nbest": 4})
    found = {tuple(model.name[22:-3] for model in group) for group in kinds.groups([*models.values()])[1:]}
    assert found == {
        ("-beam", "-mbr-3-drawn1", "-multi-drawn1"),
        ("-mbr-3",),
        ("-multi",),
        ("-multi-drawn5",),
    }


def test_a_row_of_draws_says_so_and_others_are_as_they_were():
    models = expanded(
        student={"kd_level": "sequence", "hypotheses": "multi", "hypotheses_drawn": [0, 2]}, seqkd={"nbest": 4}
    )
    of_all, of_two = (rows.setting(models[f"student-ls0.1-sequence-multi{name}-s1"]) for name in ("", "-drawn2"))
    assert rows.setting_title(of_all) == "student, teacher LS 0.1, sequence (multi)"
    assert rows.setting_title(of_two) == "student, teacher LS 0.1, sequence (multi, 2 drawn)"
    assert "hypotheses_drawn" not in record_json(of_all) and record_json(of_two)["hypotheses_drawn"] == 2


@pytest.mark.parametrize("name", ["mbr-1", "mbr-0", "mbr-", "multi-3", "mbr-3-3", "MBR", "comet", "mbr-1000"])
def test_a_way_to_choose_that_nobody_knows_names_the_known_ones(name):
    said = complaint(config(student={"kd_level": "sequence", "hypotheses": name}, seqkd={"nbest": 4}))
    assert "beam, interpolate, multi, mbr, best-score, mbr-M, best-score-M" in said and "\n" not in said


@pytest.mark.parametrize(
    "hypotheses, seqkd, part",
    [
        ("mbr", {}, "student.hypotheses has mbr, and seqkd.nbest is 1: decode more hypotheses"),
        ("mbr-5", {"nbest": 4}, "asks for the 5 best, and seqkd.nbest is 4"),
        ("best-score", {"nbest": 4}, "student.hypotheses has best-score, and there are no scores"),
        ("beam", {"drop_worst": 0.1}, "seqkd.drop_worst is given, and there are no scores"),
        ("mbr", {"nbest": 4, "scores": "/s"}, "seqkd.scores is given, and nothing reads scores"),
        ("mbr", {"nbest": 4, "utility": "comet"}, "seqkd.utility is 'comet', it must be one of chrf, bleu"),
        ("mbr", {"nbest": 4, "utility": "bleu", "aggregate": True}, "seqkd.aggregate is true, and seqkd.utility is"),
        ("beam", {"drop_worst": 1, "scores": "/s"}, "seqkd.drop_worst is 1, it must be a share between 0 and 1"),
        ("beam", {"min_score": "low", "scores": "/s"}, "seqkd.min_score is 'low', it must be a number"),
    ],
)
def test_choices_that_cannot_be_made_are_refused(hypotheses, seqkd, part):
    assert part in complaint(config(student={"kd_level": "sequence", "hypotheses": hypotheses}, seqkd=seqkd))


LENGTHS = "import json, sys\nfor line in sys.stdin: print(-len(json.loads(line)['translation']))"


def test_from_the_yaml_to_students_of_mbr_and_of_scores(data, teacher, tmp_path, monkeypatch, capsys):
    """The commands of a plan, in a run folder whose teacher is trained already: samples, three choices, a student."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scorer.py").write_text(LENGTHS)
    kinds = ["mbr", "mbr-2", "best-score"]
    seqkd = {"nbest": 5, "sampling": True, "score_command": f"{sys.executable} scorer.py", "drop_worst": 0.1}
    planned = expanded(student={"kd_level": "sequence", "hypotheses": kinds, "plain": False}, seqkd=seqkd)
    folder = tmp_path / "models" / "teacher-ls0.1-s1"
    folder.mkdir(parents=True)
    (folder / "model.pt").symlink_to(teacher)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bin").symlink_to(data)
    for command in planned["teacher-ls0.1-s1"].seqkd_commands:
        words = ["aa" if word == "en" else "bb" if word == "de" else word for word in command[1:]]
        more = ["--accept-difference", "--device", "cpu", "--workers", "1"] if "decode" in words else []
        assert cli.main([*words, *more]) == 0
    rows = [row.hypotheses for row in ledger.read_rows(folder / "hypotheses" / "decoded" / "rows.jsonl")]
    counts = {}
    for kind in kinds:
        header = HypothesisStore.open(folder / "hypotheses" / kind).header
        counts[kind] = header.hypotheses
        assert header.scored.candidates == sum(bool(each.pieces) for row in rows for each in row)
        assert 0 < header.dropped["score"] <= 0.1 * header.scored.candidates
    assert counts["mbr"] == counts["best-score"] == len(rows) - header.sentences_without < counts["mbr-2"]
    asked = [json.loads(file.read_text()) for file in folder.glob("hypotheses/decoded/scores/*/*.json")]
    assert len(asked) == 1  # of three choices by the same scores
    model = planned["student-ls0.1-sequence-mbr-2-s1"]
    where = dict(pairwise(model.train_command))["--hypotheses"]
    flags = "--kd-level", "sequence", "--kd-weight", 1, "--max-epoch", 1, "--no-epoch-checkpoints"
    saved = train(data, tmp_path / "s", *flags, "--hypotheses", tmp_path / where) / "checkpoint_last.pt"
    state = fairseq_io.read_checkpoint(str(saved), "student")
    assert state["optimizer_history"][-1]["num_updates"] > 0
    assert state["cfg"]["criterion"]["hypotheses"] == str(tmp_path / where)
