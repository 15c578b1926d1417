"""Values of fairseq flags: literals pass, what would run as code or cannot be understood does not."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest
from test_plan import complaint, config

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.fairseq_io.flag_values import EVALUATED, LOGGING, PATHS, require_value, require_words, without
from lskd_nmt.fairseq_io.literals import harmless

CODE = '__import__("pathlib").Path("ran").touch()'


@pytest.mark.parametrize(
    "flag, value",
    [
        ("adam-betas", "(0.9, 0.98)"),
        ("adam-betas", "[0.9, 0.999]"),
        ("adafactor-eps", "(1e-30, 1e-3)"),
        ("lr", "3e-3"),
        ("lr", 5e-4),
        ("lr", "0.001,0.0005"),
        ("update-freq", "4"),
        ("encoder-layers", 6),
        ("encoder-layers", "[(512, 3)] * 9 + [(1024, 3)] * 4"),
        ("decoder-kernel-size-list", "[3,7,15]"),
        ("decoder-attention", "True"),
        ("weight-softmax", "True"),
        ("adaptive-softmax-cutoff", "2000,8000"),
        ("eval-bleu-args", '{"beam": 1}'),
        ("eval-bleu-args", {"beam": 1}),
        ("clip-norm", float("inf")),
        ("lr-scheduler", "inverse_sqrt"),
        ("tensorboard-logdir", "logs/my run (2)"),
        ("wandb-project", "a(b)"),
        ("eval-bleu-remove-bpe", "@@ "),
        ("valid-subset", "valid,valid1"),
        ("patience", None),
        ("eval-bleu", True),
        ("kd-weight-schedule", "linear:0.1"),
        ("xformers-att-config", "{'name': 'x'}"),
    ],
)
def test_what_fairseq_takes_passes(flag, value):
    require_value(flag, value)


@pytest.mark.parametrize(
    "flag, value, part",
    [
        ("adam-betas", f"(0.9, 0.98) if {CODE} else 0", "two numbers, (0.9, 0.98)"),
        ("adam-betas", "0.9", "two numbers"),
        ("adam-betas", "(0.9, 'b')", "two numbers"),
        ("adam-betas", "(0.9, 1.5)", "below 1"),
        ("adam-betas", "betas", "two numbers"),
        ("adam-betas", "(0.9,", "two"),
        ("lr", f"[{CODE}]", "a number, or a tuple or list"),
        ("lr", "fast", "a number, or a tuple or list"),
        ("encoder-layers", f"[(512, 3)] * {CODE}", "written out"),
        ("encoder-layers", "[0] * 10000000000", "written out"),
        ("encoder-layers", "[0] * 999 * 999 * 999", "written out"),
        ("decoder-kernel-size-list", "[x for x in ().__class__.__bases__]", "written out"),
        ("no-such-flag", CODE, "no Python expression"),
        ("no-such-flag", "(lambda: 1)()", "no Python expression"),
        ("no-such-flag", "f'{x.y}'", "no Python expression"),
        ("lr-scheduler", "a[b]", "no Python expression"),
        ("eval-bleu-args", "{beam: 1}", "a JSON object"),
        ("eval-bleu-args", "[1]", "a JSON object"),
        ("eval-bleu-args", "[" * 5000, "a JSON object"),
        ("dropout", float("nan"), "a finite number"),
        ("dropout", "nan", "a finite number"),
        ("lr", float("inf"), "a finite number"),
        ("lr", "--cpu", "no flag"),
        ("lr", "1\n2", "one line"),
    ],
)
def test_what_would_run_or_is_not_understood_is_refused(flag, value, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        require_value(flag, value)


def test_no_harmless_text_calls_anything():
    """Every text that passes, evaluated with nothing at hand, gives a literal or fails; the others hold a call."""
    for text in ("(0.9, 0.98)", "[(512, 3)] * 20", "{'a': -1}", "1/0", "inverse_sqrt"):
        assert harmless(text)
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not names or names == {"inverse_sqrt"}
    for text in (CODE, "a.b", "a[0]", "[x for x in y]", "a if b else c", "(x := 1)", "f'{a}'", "a < b", "9**9"):
        assert not harmless(text)


def test_every_flag_that_the_installed_fairseq_evaluates_is_known():
    """The names that stand in a call of eval or eval_str_… in fairseq's source are in the table."""
    folder = Path(importlib.util.find_spec("fairseq").submodule_search_locations[0])
    call = re.compile(r"\beval(?:_str_list|_str_dict|_bool)?\(\s*(?:self\.)?(?:cfg|args)\.(\w+)")
    found = {
        name
        for part in ("models", "optim", "criterions", "tasks", "modules", "distributed")
        for file in (folder / part).rglob("*.py")
        for name in call.findall(file.read_text(encoding="utf-8"))
    }
    assert len(found) > 15
    assert {name.replace("_", "-") for name in found} <= EVALUATED
    assert not EVALUATED & PATHS


def test_a_config_says_which_flag_is_wrong():
    text = complaint(config(train={"adam-betas": f"(0.9, 0.98) if {CODE} else 0"}))
    assert "train.adam-betas is" in text and "it must be two numbers, (0.9, 0.98)" in text
    text = complaint(config(student={"train": {"max-epoch": 2, "lr": f"[{CODE}]"}}))
    assert "student.train.lr is" in text
    assert not Path("ran").exists()
    assert "each once: max-tokens and max_tokens are one" in complaint(config(train={"max_tokens": 1, "max-tokens": 2}))
    assert "fairseq-train flags without dashes" in complaint(config(train={"--max-tokens": 1}))
    assert "fairseq-train flags without dashes" in complaint(config(train={"seed=3": True}))


def test_words_behind_a_command_are_held_to_the_same():
    require_words(["fairseq-train", "data/bin", "--cpu", "--lr", "1e-3", "--tensorboard-logdir", "a(b)", "--fp16"])
    for words in (["x", "--adam-betas", CODE], ["x", f"--adam-betas={CODE}"], ["x", "--adam_betas", CODE, "--cpu"]):
        with pytest.raises(LskdError, match=r"--adam-betas is .*: give a plain value, no Python expression"):
            require_words(words)


def test_flags_of_logging_are_told_from_others():
    words = ["fairseq-train", "d", "--log-interval", "20", "--no-progress-bar", "--lr", "1", "--wandb-project", "x"]
    assert without(words, LOGGING) == ["fairseq-train", "d", "--lr", "1"]


@pytest.mark.parametrize("verb", ["watch", "generate"])
def test_a_verb_runs_no_command_with_code_in_it(tmp_path, capsys, verb):
    """Neither behind `--` nor in a plan that somebody else wrote."""
    plan(resolve(config()), "", tmp_path)
    words = [verb, "--run", str(tmp_path), "--model", "teacher-ls0.1-s1"]
    assert main([*words, "--", "--adam-betas", CODE]) == 2
    assert "--adam-betas is '__import__" in capsys.readouterr().err
    text = (tmp_path / "plan.json").read_text()
    text = text.replace('"--required-batch-size-multiple"', '"--update-freq", "f(1)", "--x"')
    (tmp_path / "plan.json").write_text(text)
    assert main(words) == 2
    assert "--update-freq is 'f(1)': give a plain value" in capsys.readouterr().err
    assert not list((tmp_path / "models" / "teacher-ls0.1-s1").glob("*.log")) and not Path("ran").exists()
