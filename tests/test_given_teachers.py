"""Teachers that are there already: planned, taken, read by their students, and in the table."""

import os
from itertools import pairwise

import pytest
from bench import TEXT, checkpoint

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import untrained
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.steps import Machine, run_step
from lskd_nmt.experiment.text_decoding import texts
from lskd_nmt.report.results.read import results
from lskd_nmt.report.results.table_json import as_json
from lskd_nmt.storage.files import sha256

STUDENT = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 2}}
SEQUENCE = {**STUDENT, "kd_level": "sequence"}


def config(teacher, student=STUDENT, **sections):
    return {"name": "x", "data": {"corpus": "toy"}, "teacher": teacher, "student": dict(student), **sections}


def models(*arguments, **sections):
    return {model.name: model for model in expand(resolve(config(*arguments, **sections))).models}


def flags(command):
    return {word: after for word, after in pairwise(command) if word.startswith("--")}


def test_a_fairseq_checkpoint_takes_the_place_of_the_teachers_of_all_seeds(tmp_path):
    student = {**STUDENT, "temperature": [1, 2], "kd_level": ["word", "sequence"]}
    found = models({"from": f"fairseq:{tmp_path}/t.pt", "data": f"{tmp_path}/bin"}, student, seeds=[1, 2])
    names = [f"student-{kind}-s{seed}" for seed in (1, 2) for kind in ("t1", "t2", "sequence-beam")]
    assert list(found) == ["teacher-fairseq", "student-plain-s1", "student-plain-s2", *names]
    teacher = found["teacher-fairseq"]
    assert teacher.origin == f"fairseq:{tmp_path}/t.pt" and not teacher.train_command
    assert flags(teacher.decode_command)["--path"] == "models/teacher-fairseq/model.pt"
    words = flags(found["student-t2-s2"].train_command)
    assert (words["--teacher-path"], words["--teacher-data"]) == ("models/teacher-fairseq/model.pt", f"{tmp_path}/bin")
    assert flags(teacher.seqkd_commands[0])["--teacher-data"] == f"{tmp_path}/bin"
    assert {model.teacher for name, model in found.items() if "plain" not in name} == {None, "teacher-fairseq"}


def test_translations_are_imported_and_chosen_and_nothing_is_decoded(tmp_path):
    teacher = models({"from": f"translations: {tmp_path}/out.de"}, SEQUENCE)["teacher-translations"]
    take, choose = teacher.seqkd_commands
    assert take[:3] == ("lskd", "seqkd", "import") and choose[:3] == ("lskd", "seqkd", "select")
    decoded = "models/teacher-translations/hypotheses/decoded"
    assert flags(take) == {
        "--source": "data/clean/train.en",
        "--translations": f"{tmp_path}/out.de",
        "--out": decoded,
    }
    assert flags(choose)["--decoded"] == decoded and not teacher.decode_command


def test_models_of_others_translate_by_their_own_names_of_languages(tmp_path):
    teacher = {"from": "hf:Helsinki-NLP/opus-mt-en-de", "source_lang": "eng_Latn", "target_lang": "deu_Latn"}
    found = models(teacher, SEQUENCE, seqkd={"beam": 4})["teacher-hf"]
    words = flags(found.seqkd_commands[0])
    assert words["--teacher"] == "hf:Helsinki-NLP/opus-mt-en-de" and words["--beam"] == "4"
    assert (words["--teacher-source-lang"], words["--teacher-target-lang"]) == ("eng_Latn", "deu_Latn")
    test = flags(found.decode_command)
    assert (test["--split"], test["--beam"], test["--out"]) == ("test", "5", "models/teacher-hf/decoded-test")
    assert models({"from": f"ct2:{tmp_path}"}, SEQUENCE)["teacher-ct2"].origin == f"ct2:{tmp_path}"


def test_without_a_teacher_there_are_plain_students_and_methods_that_read_none():
    assert list(models("none", seeds=[1, 2])) == ["student-plain-s1", "student-plain-s2"]
    method = {"about": "x", "teacher": False, "live": False, "flags": {"label-smoothing": 0.2}}
    assert list(models("none", {**STUDENT, "methods": {"ls": method}})) == ["student-plain-s1", "student-ls-s1"]
    with pytest.raises(LskdError, match=r"student\.methods has ls, which reads a teacher's probabilities"):
        models("none", {**STUDENT, "methods": {"ls": {**method, "teacher": True}}})


@pytest.mark.parametrize(
    ("teacher", "student", "part"),
    [
        ("fairseq", STUDENT, "it must be fairseq:CHECKPOINT, hf:DIR-OR-NAME, ct2:DIR, translations:FILE or none"),
        ("marian:x", STUDENT, "teacher.from is 'marian:x', it must be fairseq:CHECKPOINT"),
        ("hf:a b", STUDENT, "it must be hf: with a folder, or with a name such as Helsinki-NLP/opus-mt-en-de"),
        ("ct2:$" + "{NOWHERE}/x", STUDENT, "NOWHERE is not"),
        (7, STUDENT, "teacher.from is 7"),
        ("ct2:/x", STUDENT, "student.kd_level is word, and teacher.from ct2 gives no probabilities: set student.kd"),
    ],
)
def test_a_teacher_that_cannot_be_is_one_line(teacher, student, part):
    with pytest.raises(LskdError) as refused:
        models({"from": teacher}, student)
    assert part in str(refused.value) and "\n" not in str(refused.value)


def planned(tmp_path, prepared, origin, student=STUDENT) -> Run:
    content = config({"from": origin}, student)
    content["data"] = {"dir": str(prepared)}
    plan(resolve(content), "text", tmp_path / "run")
    return Run(tmp_path / "run")


def test_a_checkpoint_is_copied_with_what_it_says_and_one_of_another_direction_refused(tmp_path, prepared):
    file = checkpoint(tmp_path / "t.pt")
    run = planned(tmp_path, prepared, f"fairseq:{file}")
    teacher = run.model("teacher-fairseq")
    untrained.take(run, teacher)
    folder = run.model_folder("teacher-fairseq")
    known = untrained.record_of(run, teacher)
    assert known is not None and known.sha256 == sha256(file) == sha256(folder / "model.pt")
    says = {"arch": "some_arch", "criterion": "kd_ls", "label_smoothing": 0.1, "seed": 5, "updates": 70, "epoch": 4}
    assert known.says == says and run.run_record("teacher-fairseq").parameters == 6
    assert "not trained here" in (folder / "command.sh").read_text()
    changed = config({"from": f"fairseq:{tmp_path}/other.pt"})
    checkpoint(tmp_path / "other.pt")
    changed["data"] = {"dir": str(prepared)}
    with pytest.raises(LskdError, match=r"teacher\.from = .*t\.pt.* the config now says"):
        plan(resolve(changed), "text", run.folder)
    (folder / "model.pt").unlink()
    checkpoint(file, "de", "en")
    with pytest.raises(LskdError, match="translates from de to en, and the data are en-de: give a model of this"):
        untrained.take(run, teacher)
    assert not (folder / "model.pt").exists() and not (folder / "model.pt.part").exists()


@pytest.mark.parametrize(
    ("origin", "part"),
    [
        ("fairseq:{}/none.pt", "none.pt, which is no file: give a checkpoint"),
        ("ct2:{}/none", "none, which is no folder: give the folder of a model"),
        ("hf:{}", "and the folder has no config.json: give the folder of a model"),
        ("translations:{}/none.de", "none.de, which is no file: give a translation of each line of"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_made(tmp_path, prepared, origin, part):
    (prepared / "clean" / "train.en").touch()
    with pytest.raises(LskdError) as refused:
        planned(tmp_path, prepared, origin.format(tmp_path), SEQUENCE)
    (prepared / "clean" / "train.en").unlink()
    assert part in str(refused.value) and not (tmp_path / "run").exists()


YAML = """
name: tiny
data: {{dir: {data}}}
teacher: {{from: "{origin}"}}
student: {{arch: ls_transformer_tiny, kd_level: sequence, plain: false, train: {{max-epoch: 2}}}}
"""


def done(run: Run, monkeypatch, bench, **environment) -> Run:
    """All steps of a run but hypotheses, with the bench's stand-ins for fairseq."""
    for name, value in {
        **bench.environment,
        "PATH": f"{bench.folder / 'bin'}:{os.environ['PATH']}",
        **environment,
    }.items():
        monkeypatch.setenv(name, value)
    for model in run.models:
        run.model_folder(model.name).mkdir(exist_ok=True)
        for step in ("train", "evaluate"):
            assert run_step(run, model.name, step, Machine("cpu"), print, print) == 0
    return run


def test_a_student_of_a_checkpoint_and_the_checkpoint_stand_in_the_table(bench, prepared, monkeypatch):
    file = checkpoint(bench.folder / "mine.pt")
    run = done(planned(bench.folder, prepared, f"fairseq:{file}"), monkeypatch, bench, FAKE_MODEL=str(file))
    assert sorted(bench.calls()) == ["student-plain-s1", "student-t1-s1"]
    found = results([run.folder])
    rows = {row.name: row for row in found.rows}
    assert list(rows) == ["teacher-fairseq", "student-plain-s1", "student-t1-s1"]
    teacher = rows["teacher-fairseq"]
    assert (teacher.scores["bleu"], teacher.arch, teacher.cpu_hours, teacher.epochs) == (100, "some_arch", None, 0)
    assert [cell.setting.kd_level for cell in found.cells] == [None, None, "word"]
    (remark,) = [line for line in found.remarks if "mine.pt" in line]
    assert remark.endswith(
        "mine.pt says: arch some_arch, criterion kd_ls, label smoothing 0.1, seed 5, updates 70, epoch 4"
    )
    given_of = {name: found.expansions[row.signature].given for name, row in rows.items()}
    digest = {"fairseq": sha256(file)}
    assert given_of == {"teacher-fairseq": digest, "student-plain-s1": None, "student-t1-s1": digest}
    content = as_json(found)
    assert isinstance(content, dict) and "given" not in content["expansions"][rows["student-plain-s1"].signature]


def test_translations_have_no_row_and_their_hash_is_in_the_signature(bench, prepared, monkeypatch):
    file = bench.folder / "out.de"
    file.write_text("".join(f"{line}\n" for line in TEXT))
    run = done(planned(bench.folder, prepared, f"translations:{file}", SEQUENCE), monkeypatch, bench)
    found = results([run.folder])
    assert [row.name for row in found.rows] == ["student-plain-s1", "student-sequence-beam-s1"]
    assert found.not_scored == ()
    assert found.remarks == (
        f"teacher-translations has no row: it is translations made elsewhere (out.de, sha256 {sha256(file)[:8]}…)",
    )
    assert found.expansions[found.rows[1].signature].given == {"translations": sha256(file)}


def test_a_translator_of_others_stands_in_the_table_with_its_own_translations(bench, prepared, monkeypatch):
    model = bench.folder / "opus"
    model.mkdir()
    (model / "config.json").touch()
    run = planned(bench.folder, prepared, f"hf:{model}", SEQUENCE)
    done(run, monkeypatch, bench, FAKE_TEXT=str(prepared / "clean" / "test.de"))
    found = results([run.folder])
    row = found.rows[0]
    assert (row.name, row.scores["bleu"], row.arch, row.cpu_hours) == ("teacher-hf", 100, "hf", None)
    expansion = found.expansions[row.signature]
    assert expansion.given == {"hf opus": "a1"} and str((expansion.decode or {})["engine"]).startswith("ctranslate2")
    assert found.remarks[0].startswith("teacher-hf was there already (hf:opus): how it was trained is not known")
    with pytest.raises(LskdError, match="does not have the 28 test rows in order"):
        texts(run.model_folder("teacher-hf") / "decoded-test", 28)


def test_monolingual_text_is_translated_and_makes_the_students_corpus(tmp_path):
    text = {"files": [f"{tmp_path}/a.en", f"{tmp_path}/b.en.zst"], "share": 0.5}
    found = models({"from": f"ct2:{tmp_path}"}, SEQUENCE, seqkd={"monolingual": text})
    decode, first, second, select = found["teacher-ct2"].seqkd_commands
    folder = "models/teacher-ct2/hypotheses"
    assert "--source" not in decode and flags(second)["--source"] == f"{tmp_path}/b.en.zst"
    assert flags(first)["--teacher"] == f"ct2:{tmp_path}" and "--quantization" not in first
    words = flags(select)
    assert (words["--monolingual"], words["--share"]) == (f"{folder}/monolingual-1:{folder}/monolingual-2", "0.5")
    student = found["student-sequence-beam-s1"].train_command
    assert student[1] == f"{folder}/beam/bin" and flags(student)["--hypotheses"] == f"{folder}/beam"
    assert found["student-plain-s1"].train_command[1] == "data/bin"


def test_translations_of_monolingual_text_are_imported(tmp_path):
    text = {"files": f"{tmp_path}/a.en", "translations": f"{tmp_path}/a.de"}
    teacher = {"from": f"translations:{tmp_path}/out.de"}
    found = models(teacher, SEQUENCE, seqkd={"monolingual": text})["teacher-translations"]
    assert [command[2] for command in found.seqkd_commands] == ["import", "import", "select"]
    assert flags(found.seqkd_commands[1])["--translations"] == f"{tmp_path}/a.de"
    assert "--share" not in found.seqkd_commands[2]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ({}, "it must be {files: FILE, share: 0.5}, with translations: FILE where they are there already"),
        ({"files": "a", "share": 1}, "it must be a number between 0 and 1"),
        ({"files": "a:b"}, "it must be paths without a colon"),
        ({"files": ["a", "b"], "translations": "c"}, "it must be as many translations as files"),
        ({"files": "a", "sare": 1}, "it must be {files: FILE"),
        ({"files": "a", "translations": "c"}, "goes with teacher.from translations: give both, or neither"),
    ],
)
def test_monolingual_text_that_cannot_be_mixed_is_one_line(text, part):
    with pytest.raises(LskdError) as refused:
        models({"from": "ct2:/x"}, SEQUENCE, seqkd={"monolingual": text})
    assert part in str(refused.value) and "\n" not in str(refused.value)


def test_the_pipeline_imports_translations_before_students_read_them(bench, prepared):
    (bench.folder / "out.de").write_text("".join(f"{line}\n" for line in TEXT))
    origin = f"translations:{bench.folder}/out.de"
    bench.config.write_text(YAML.format(data=prepared, origin=origin))
    done = bench.experiment("--device", "cpu", "--until", "students")
    assert done.returncode == 0, done.stderr
    made = bench.calls("lskd")
    assert list(made) == ["decoded", "beam"] and "--device" not in made["decoded"]
    assert list(bench.calls()) == ["student-sequence-beam-s1"]
    assert (bench.model("teacher-translations") / "given.json").is_file()


def test_data_may_be_cut_by_the_subwords_of_an_imported_teacher(tmp_path):
    content = config("none")
    content["data"] = {"corpus": "toy", "dictionary": str(tmp_path / "teacher")}
    plan(resolve(content), "text", tmp_path / "run")
    assert f"--dictionary {tmp_path}/teacher" in (tmp_path / "run" / "prepare.sh").read_text()
