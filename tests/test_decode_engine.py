"""A run's test set decoded with CTranslate2: as fairseq-generate does it, or with fairseq and a reason."""

import shutil

import numpy as np
import pytest
from conftest import call

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.scoring import hypotheses
from lskd_nmt.experiment import ctranslate2_decoding, decoding_batches, steps
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.fairseq_commands import decode_command
from lskd_nmt.experiment.records import DecodeRecord, Plan, PlannedData, PlannedModel, plan_json
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_config import DecodeConfig
from lskd_nmt.seqkd import engine_check
from lskd_nmt.storage.files import read_json, read_lines, write_json
from lskd_nmt.storage.typed import read_record

LANGS, NAME = ("aa", "bb"), "teacher-ls0.1-s1"


@pytest.fixture
def run(tmp_path, pieces, checkpoint):
    """A run folder with one trained model that is not decoded, of the corpus `pieces`."""
    data, folder = tmp_path / "data", tmp_path / "models" / NAME
    for part in ("clean", "spm", "bin"):
        (data / part).mkdir(parents=True)
    shutil.copytree(pieces, data / "bin", dirs_exist_ok=True)
    shutil.copy(pieces / "spm.model", data / "spm" / "spm.model")
    for lang in LANGS:
        lines = (pieces.parent / "text" / f"test.{lang}").read_text().splitlines()
        plain = [line.replace(" ", "").replace("▁", " ").strip() for line in lines]
        (data / "clean" / f"test.{lang}").write_text("".join(f"{line}\n" for line in plain))
    about = PlannedData("data", *LANGS)
    model = PlannedModel(
        NAME, "teacher", 1, arch="ls_transformer_tiny", decode_command=decode_command(NAME, DecodeConfig(), about)
    )
    other = PlannedModel("student-plain-s1", "student", 1)
    write_json(tmp_path / "plan.json", plan_json(Plan("tiny", about, (model, other))))
    folder.mkdir(parents=True)
    shutil.copy(checkpoint, folder / "model.pt")
    return tmp_path


def planned(run, engine):
    """The run with another engine in its plan."""
    plan = read_json(run / "plan.json")
    plan["decode"]["engine"] = engine
    write_json(run / "plan.json", plan)
    return Run(run)


def evaluated(run, said=None, flags=("--cpu",)):
    machine = steps.Machine("cpu", 1, tuple(flags))
    said = [] if said is None else said
    assert steps.run_step(Run(run), NAME, "evaluate", machine, said.append, lambda line: None) == 0
    return run / "models" / NAME


def fairseqs_own(run, tmp_path, capsys):
    """What fairseq-generate answers in this process to the plan's command: the pieces, row by row."""
    from fairseq_cli import generate

    words = [*Run(run).model(NAME).decode_command[1:], "--cpu"]
    words[0] = str(run / "data" / "bin")
    words[words.index("--path") + 1] = str(run / "models" / NAME / "model.pt")
    words[words.index("--user-dir") + 1] = str(fairseq_io.plugin_folder())
    capsys.readouterr()
    call(generate.cli_main, "fairseq-generate", *words)
    return hypotheses(capsys.readouterr().out.splitlines(), 12)


def test_the_translations_are_those_of_fairseq_generate_and_the_records_say_who_made_them(run, tmp_path, capsys):
    said = []
    folder = evaluated(run, said)
    log = read_lines(folder / "generate.log")
    theirs = fairseqs_own(run, tmp_path, capsys)
    assert sum(a == b for a, b in zip(hypotheses(log, 12), theirs, strict=True)) >= 11  # a tie may break either way
    assert said[0] == "comparing CTranslate2 with fairseq on 12 sentences" and "decoded with fairseq" not in "".join(
        said
    )
    found, metrics = read_record(folder / "decode.json", DecodeRecord), read_json(folder / "metrics.json")
    assert found.engine == ctranslate2_decoding.engine_name() and found.compute_type == "float32"
    assert found.command[:2] == ("lskd", "decode-model") and found.check["sentences"] == 12 and found.reason is None
    assert metrics["decode"]["engine"] == found.engine and metrics["decode"]["compute_type"] == "float32"
    assert log[0] == f"# {found.engine}, float32" and not list(folder.glob("*.part"))

    said.clear()
    for name in steps.DECODED:
        (folder / name).unlink()
    evaluated(run, said)  # the engines were compared: not again
    assert said == [] and read_lines(folder / "generate.log") == log


@pytest.mark.parametrize(
    ("engine", "flags", "why"),
    [
        ("auto", ("--cpu", "--nbest", "2"), "--nbest has no counterpart in CTranslate2"),
        ("auto", ("--cpu", "--max-len-b", "1100"), "a translation may have 1,023 subwords"),
        ("fairseq", ("--cpu",), None),
    ],
)
def test_what_ctranslate2_cannot_do_alike_is_done_by_fairseq_and_says_why(run, monkeypatch, engine, flags, why):
    monkeypatch.setattr(steps, "watch", stand_in(run))
    planned(run, engine)
    said = []
    folder = evaluated(run, said, flags)
    found = read_record(folder / "decode.json", DecodeRecord)
    assert found.engine.startswith("fairseq") and found.compute_type is None
    assert (found.reason or "").startswith(why or "") and bool(found.reason) == bool(why)
    assert [line for line in said if "decoded with fairseq" in line] == (
        [f"decoded with fairseq: {found.reason}"] if why else []
    )
    settings = read_json(folder / "metrics.json")["decode"]
    assert settings == {"beam": 5, "lenpen": 1.0, "max_len_a": 1.5, "max_len_b": 20, "max_tokens": 4000}  # as ever


def stand_in(run):
    """fairseq-generate, which answers the references."""

    def watch(command, folder, log, progress, show):
        assert command[0] == "fairseq-generate"
        lines = (run / "data" / "clean" / "test.bb").read_text().splitlines()
        log.write_text(
            "".join(f"H-{row}\t-0.5\t{' '.join(f'▁{w}' for w in line.split())}\n" for row, line in enumerate(lines))
        )
        return 0

    return watch


def test_engines_that_are_apart_are_not_taken_for_alike(run, monkeypatch):
    monkeypatch.setattr(steps, "watch", stand_in(run))
    monkeypatch.setattr(engine_check, "IDENTICAL", 1.01)  # more than all
    said = []
    folder = evaluated(run, said)
    (line,) = [line for line in said if line.startswith("decoded with fairseq")]
    assert "CTranslate2 and fairseq are 0.00 BLEU apart" in line and line.endswith("it is not used")
    assert read_record(folder / "decode.json", DecodeRecord).engine.startswith("fairseq")
    assert not list((run / ctranslate2_decoding.CHECKS).glob("*.json"))
    planned(run, "ctranslate2")
    for name in steps.DECODED:
        (folder / name).unlink()
    with pytest.raises(LskdError, match=r"decode\.engine is ctranslate2, which cannot decode teacher-ls0.1-s1"):
        evaluated(run)
    assert not (folder / "test.hyp").exists() and not list(folder.glob("*.part"))


def test_a_run_that_fairseq_decoded_before_there_was_a_choice_stays_with_fairseq(run, monkeypatch):
    monkeypatch.setattr(steps, "watch", stand_in(run))
    other = run / "models" / "student-plain-s1"
    other.mkdir()
    (other / "test.hyp").touch()
    write_json(other / "decode.json", {"command": ["fairseq-generate"], "words_per_second": 3.0})
    folder = evaluated(run)
    assert read_record(folder / "decode.json", DecodeRecord).reason.startswith("so was student-plain-s1")


@pytest.mark.parametrize("max_tokens", [7, 20, 64, 4000])
def test_batches_are_those_of_fairseq(plugin, max_tokens):
    from fairseq.data import Dictionary, LanguagePairDataset, data_utils

    draw = np.random.default_rng(max_tokens)
    source, target = draw.integers(1, 8, (2, 60))
    dataset = LanguagePairDataset(range(60), source, Dictionary(), range(60), target, Dictionary(), shuffle=False)
    order = dataset.ordered_indices()
    theirs = data_utils.batch_by_size(order, dataset.num_tokens, dataset.num_tokens_vec(order), max_tokens, None, 1)
    text = decoding_batches.EvalText([], [], source, target)
    assert decoding_batches.batches(text, max_tokens) == [list(batch) for batch in theirs]


def test_the_binarised_text_is_read_as_fairseq_reads_it(data):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    text = decoding_batches.read_text(str(data), LANGS, (symbols.source, symbols.target))
    source, target = fairseq_io.piece_lines(str(data), LANGS, "test")
    assert [" ".join(pieces) for pieces in text.sources] == source and text.references == target
    assert text.source_lengths.tolist() == [len(line.split()) + 1 for line in source]


def test_the_engine_of_a_run_may_change_and_is_checked(finished):
    text = finished.config.read_text()
    finished.config.write_text(text + "decode: {engine: fairseq}\n")
    done = finished.experiment("--device", "cpu", "--dry-run", "yes")
    assert done.returncode == 0 and "models/" not in done.stdout  # nothing is decoded anew
    with pytest.raises(LskdError, match=r"decode\.engine is 'marian', it must be one of auto, ctranslate2, fairseq"):
        resolve(
            {
                "name": "x",
                "data": {"dir": "d"},
                "teacher": {"arch": "a"},
                "student": {"arch": "a"},
                "decode": {"engine": "marian"},
            }
        )
