"""What fairseq would refuse of a training is refused when it is planned; what the table knows fairseq takes."""

import inspect
import json
import re
import shlex
import subprocess
import sys
import typing

import pytest
from conftest import ROOT
from test_plan import config

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.accepted import require_accepted
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.scripts import runnable
from lskd_nmt.fairseq_io import known_flags
from lskd_nmt.fairseq_io.training_flags import complaint_of
from lskd_nmt.losses.options import COLDEST, HOTTEST

METHOD = {"about": "x", "teacher": True, "live": False}


def refusal(**sections):
    with pytest.raises(LskdError) as refused:
        require_accepted(expand(resolve(config(**sections))))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 600
    return str(refused.value)


@pytest.fixture(scope="module")
def words(plugin):
    """A training of the defaults, as fairseq is asked about it."""
    return runnable(expand(resolve(config())).models[0].train_command)[1:]


EXAMPLES = {
    "arch": "transformer",
    "optimizer": "adam",
    "lr-scheduler": "inverse_sqrt",
    "criterion": "kd_ls",
    "best-checkpoint-metric": "ppl",
    "eval-bleu-remove-bpe": "sentencepiece",
    "eval-bleu-detok": "moses",
    "log-format": "none",
    "smoothing-over": "vocabulary",
    "temper": "both",
    "tail": "bucket",
    "kd-level": "word",
    "hypotheses-drawn": "0",  # more are of hypotheses
    "adam-betas": "(0.9, 0.98)",
    "lr": "1e-4",
    "source-lang": "a",
}


def test_fairseq_takes_every_flag_and_arch_of_the_table(words):
    """All flags at once, then each arch: the parser refuses none."""
    flags = [flag for flag in known_flags.FLAGS if flag not in ("teacher-store", "hypotheses", "user-dir", "kd-level")]
    values = {flag: EXAMPLES.get(flag, "1" if kind.fits("1") else "0.5") for flag, kind in known_flags.FLAGS.items()}
    switches = {flag for flag, kind in known_flags.FLAGS.items() if kind is known_flags.SWITCH}
    given = [word for flag in flags for word in ([f"--{flag}"] if flag in switches else [f"--{flag}", values[flag]])]
    assert complaint_of([*words, *given]) is None
    for arch in known_flags.ARCHS:
        assert (
            complaint_of([*words, "--arch", arch]) is None
            and complaint_of([arch if word == "ls_transformer_base" else word for word in words]) is None
        )
    assert all(known_flags.FLAGS[flag].fits(value) or not value for flag, value in EXAMPLES.items() if flag in flags)


@pytest.mark.parametrize("flag", ["tail", "temper", "smoothing-over", "kd-level"])
def test_the_table_has_every_choice_of_the_criterion(plugin, flag):
    from user_dir.criterions.flags import KdLsConfig

    kind = typing.get_type_hints(KdLsConfig)[flag.replace("-", "_")]
    (choices,) = [each for each in (kind, *typing.get_args(kind)) if hasattr(each, "__members__")]
    assert len(choices) > 1 and all(known_flags.FLAGS[flag].fits(each.value) for each in choices)


def test_kd_loss_chooses_the_best_of_students_alone():
    chosen = {"max-epoch": 1, "best-checkpoint-metric": "kd_loss", "maximize-best-checkpoint-metric": False}
    require_accepted(expand(resolve(config(student={"train": chosen, "plain": False}))))
    assert (
        "teacher.train.best-checkpoint-metric is kd_loss, which a model without a teacher does not measure"
        in refusal(teacher={"train": chosen})
    )


def test_the_defaults_and_the_quickstart_need_no_question(monkeypatch):
    monkeypatch.setattr("lskd_nmt.fairseq_io.flag_complaint", lambda command: pytest.fail("fairseq was asked"))
    logging = {"tensorboard-logdir": "a b", "wandb-project": "x", "log-interval": 3, "no-progress-bar": True}
    require_accepted(expand(resolve(config(train=logging, teacher={"average": {"last": 3}}))))
    require_accepted(expand(resolve(config(student={"kd_level": ["word", "both"], "tail": ["dense", "bucket:8"]}))))


@pytest.mark.parametrize(
    "flag, value, line",
    [
        ("max-tokens", "5k", "train.max-tokens is 5k, it must be a whole number from 1"),
        ("max-tokens", -1, "train.max-tokens is -1, it must be a whole number from 1"),
        ("max-epoch", "1.5", "teacher.train.max-epoch is 3.5, it must be a whole number from 0"),
        ("dropout", 1.5, "train.dropout is 1.5, it must be a number from 0 up to, not including, 1"),
        ("patience", "ten", "train.patience is ten, it must be a whole number from -1"),
        ("eval-bleu", "sure", "train.eval-bleu is sure, it must be true or false"),
        ("max-epoch", True, "teacher.train.max-epoch is true, it must be a whole number from 0"),
        ("best-checkpoint-metric", "blue", "train.best-checkpoint-metric is blue, it must be one of bleu, loss"),
        ("best-checkpoint-metric", "loss", "of which less is better: set maximize-best-checkpoint-metric to false"),
        ("best-checkpoint-metric", "accuracy", "is accuracy, and report-accuracy is off: set it to true"),
        ("lr", "1e-3,-1e-4", "train.lr is 1e-3,-1e-4, it must be a number from 0"),
        ("update-freq", 0, "train.update-freq is 0, it must be a number from 1"),
        ("encoder-layers", 0, "train.encoder-layers is 0, it must be a number from 1"),
        ("eval-bleu-args", {"bem": 5}, "train.eval-bleu-args has a wrong value: bem is unknown, the nearest is beam"),
        ("eval-bleu-args", {"beam": "5"}, 'beam is "5", it must be a whole number from 1'),
        ("eval-bleu-args", '{"beam": 1.5}', "beam is 1.5, it must be a whole number from 1"),
        ("eval-bleu-args", {"beam": 1, "max_len_a": -1}, "max_len_a is -1, it must be a number from 0"),
        ("eval-bleu-detok", "mosess", "train.eval-bleu-detok is mosess, it must be one of moses, nltk, space"),
        ("eval-bleu", False, "is bleu, and eval-bleu is off: set best-checkpoint-metric to nll_loss"),
    ],
)
def test_a_value_of_another_type_is_refused_without_asking(monkeypatch, flag, value, line):
    monkeypatch.setattr("lskd_nmt.fairseq_io.flag_complaint", lambda command: pytest.fail("fairseq was asked"))
    sections = {"train": {flag: value}}
    if flag == "max-epoch":
        sections = {"teacher": {"train": {flag: 3.5 if value == "1.5" else value}}}
    assert line in refusal(**sections)


def test_what_fairseq_reads_of_a_search_is_known_and_no_more(plugin):
    from fairseq.data import encoders
    from fairseq.tasks.fairseq_task import FairseqTask

    source = inspect.getsource(FairseqTask.build_generator)
    read = set(re.findall(r'getattr\(args, "(\w+)"', source)) | set(re.findall(r"args\.(\w+)", source))
    known = {*known_flags.SEARCH, *known_flags.OTHER_SEARCH_KEYS}
    assert read - known == set() and known - read == {"tokenize"}  # ours
    assert set(encoders.TOKENIZER_REGISTRY) == set(known_flags.DETOKENISERS)
    full = {
        "beam": 5,
        "max_len_a": 1.2,
        "max_len_b": 10,
        "lenpen": -0.5,
        "unkpen": 1,
        "sampling": True,
        "sampling_topk": -1,
        "diverse_beam_groups": 2,
        "temperature": 0.7,
        "unnormalized": 0,
        "min_len": 1,
        "tokenize": "char",
        "constraints": "ordered",
    }
    assert known_flags.search_misfit(json.dumps(full)) is None and known_flags.search_misfit("{}") is None
    assert known_flags.search_misfit('{"bem": 1}', known_only=False) is None


@pytest.mark.parametrize(
    "flag, value, line",
    [
        ("max-tokns", 5, "train.max-tokns is no flag of fairseq-train with --arch ls_transformer_base and --opt"),
        ("optimizer", "adm", "train.optimizer is refused by fairseq: invalid choice: 'adm'"),
        ("max-sentences", 5, "train.batch-size is another name of max-sentences: give one of them"),
        ("fp16-init-scale", "big", "train.fp16-init-scale is refused by fairseq: invalid int value: 'big'"),
        ("fp32-reduce-scatter", "yes", "train.fp32-reduce-scatter is yes, it must be true or false"),
        ("task", "translat", "train.task is refused by fairseq: invalid choice: 'translat'"),
        ("ddp-backend", True, "train.ddp-backend is refused by fairseq: expected one argument"),
        ("divergence", "forwrd", "train.divergence is forwrd: give one of forward, reverse"),
        ("on-policy", "0.5", "train.on-policy is 0.5 and --kd-weight is 0: give a weight"),
    ],
)
def test_what_only_fairseq_knows_is_asked_of_it(plugin, flag, value, line):
    assert line in refusal(train={flag: value, **({"batch-size": 3} if flag == "max-sentences" else {})})


@pytest.mark.parametrize(
    "sections, line",
    [
        (
            {"teacher": {"arch": "ls_transformer_tny"}},
            "teacher.arch is ls_transformer_tny, and fairseq has no such arch: the nearest is ls_transformer_tiny",
        ),
        ({"student": {"arch": "transformer_lm"}}, "student.arch is transformer_lm, which does not translate"),
        (
            {"train": {"optimizer": "sgd"}},
            "train.adam-betas (a default, which null takes out) is no flag of fairseq-train",
        ),
        (
            {"student": {"arch": "levenshtein_transformer"}},
            "student.arch is levenshtein_transformer, which needs tgt",
        ),
        ({"student": {"arch": "wav2vec"}}, "student.arch is wav2vec, which does not translate"),
        (
            {"student": {"methods": {"mine": {**METHOD, "flags": {"divergence": "jsd"}}}}},
            "method mine: flags.divergence is jsd: give",
        ),
        (
            {"student": {"methods": {"mine": {**METHOD, "flags": {"kd-weight-schedule": "linear:0"}}}}},
            "method mine: flags.kd-weight-schedule",
        ),
        (
            {"teacher": {"arch": "lstm", "train": {"max-epoch": 1, "encoder-attention-heads": 2}}},
            "teacher.train.encoder-attention-heads is no flag of fairseq-train with --arch lstm",
        ),
    ],
)
def test_archs_and_methods_are_asked_too(plugin, sections, line):
    assert line in refusal(**sections)


def test_temperatures_that_no_student_could_train_with_are_refused_before_their_teacher_is_trained():
    assert known_flags.TEMPERATURE[1:3] == (COLDEST, HOTTEST)
    for value in (1e-30, 1e-4, 2e5, 1e30):
        assert "it must be a number above 0, from 0.001 to 100000" in refusal(student={"temperature": [1, value]})
    resolve(config(student={"temperature": [1e-3, 1e5]}))


def test_what_fairseq_takes_is_taken(plugin):
    for train in (
        {"lr": "0.001,0.0005"},
        {"lr-scheduler": "cosine"},
        {"update-freq": "2,4"},
        {"optimizer": "adafactor", "adam-betas": None},
    ):
        require_accepted(expand(resolve(config(train=train))))
    fconv = {"encoder-layers": "[(16, 3)] * 2", "decoder-layers": "[(16, 3)] * 2", "decoder-attention": "True"}
    require_accepted(expand(resolve(config(teacher={"arch": "fconv", "train": {"max-epoch": 1, **fconv}}))))


def test_the_command_of_a_refused_plan_leaves_no_folder(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("name: x\ndata: {corpus: toyy}\nteacher: {arch: a}\nstudent: {arch: b}\n")
    run = [sys.executable, "-m", "lskd_nmt.cli", "plan", str(file), "--out", str(tmp_path / "run")]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2 and "data.corpus is 'toyy', it must be one of" in done.stderr, shlex.join(run)
    assert not (tmp_path / "run").exists()
