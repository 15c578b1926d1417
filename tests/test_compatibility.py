"""Every rule of what goes together: settings that break it, the line they get, and that the plain case breaks none."""

import dataclasses
import subprocess
import sys

import pytest
from conftest import ROOT

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.choice_rules import CHOICE_RULES, ChoiceSettings
from lskd_nmt.experiment.compatibility import EXPERIMENT_RULES, METHOD_RULES, ExperimentSettings, MethodSettings
from lskd_nmt.experiment.run_config import SeqkdConfig
from lskd_nmt.losses import compatibility
from lskd_nmt.losses.compatibility import RULES
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.rule import complaints, markdown, require_compatible
from lskd_nmt.losses.settings import DEFAULTS, REAL_TEACHER_FLAGS, WORD_FLAGS, Settings

PLAIN = Settings(teacher_path="t.pt")
HYPOTHESES = {"hypotheses": "h", "kd_level": "both"}
OWN = {"kd_passes": 3}
# rule -> settings that break it, and how its line begins
BROKEN = {
    "ignored-prefix": ({"ignore_prefix_size": -1}, "--ignore-prefix-size is -1: give 0 "),
    "virtual-share-alone": ({"virtual_share": 0.5}, "--virtual-share is 0.5 and --virtual-teacher is not given"),
    "virtual-teacher-unread": (
        {"virtual_teacher": "correct", "top_k": 4},
        "--virtual-teacher correct does not read --teacher-path, --top-k: ",
    ),
    "virtual-teacher-level": (
        {"virtual_teacher": "correct", "kd_level": "both"},
        "--virtual-teacher correct is for --kd-level word, not both: ",
    ),
    "virtual-teacher-weight": (
        {"virtual_teacher": "correct", "kd_weight": 0.0},
        "--virtual-teacher is correct and --kd-weight is 0: ",
    ),
    "self-evolution-weight": (
        {"self_evolution": "0.5:0.5", "kd_weight": 0.0},
        "--self-evolution is 0.5:0.5 and --kd-weight is 0: ",
    ),
    "r-drop-level": ({"r_drop": 1.0, **HYPOTHESES}, "--r-drop is 1 and --kd-level is both: "),
    "hypotheses-level": ({"hypotheses": "h"}, "--hypotheses h is given and --kd-level is word: "),
    "level-hypotheses": ({"kd_level": "sequence"}, "--kd-level is sequence and --hypotheses is not given: "),
    "drawn-number": ({"hypotheses_drawn": -1, **HYPOTHESES}, "--hypotheses-drawn is -1: give 0 "),
    "drawn-hypotheses": (
        {"hypotheses_drawn": 2},
        "--hypotheses-drawn is 2 and --hypotheses is not given: name a folder that ",
    ),
    "gate-level": ({"select": "hard-gate", **HYPOTHESES}, "--select is hard-gate, which chooses between "),
    "level-weight": ({"kd_weight": 0.0, **HYPOTHESES}, "--kd-level is both and --kd-weight is 0: "),
    "sequence-unread": (
        {"hypotheses": "h", "kd_level": "sequence", "temperature": 2.0},
        "--kd-level is sequence and does not read --teacher-path, --temperature: ",
    ),
    "kd-passes": ({"kd_passes": 101}, "--kd-passes is 101: give 1 (the references' prefixes alone) or more, "),
    "kd-passes-and-on-policy": ({"on_policy": "0.5", **OWN}, "--kd-passes is 3 and --on-policy is 0.5: both learn "),
    "own-output-weight": ({"kd_weight": 0.0, **OWN}, "--kd-passes is 3 and --kd-weight is 0: "),
    "own-output-level": ({"on_policy": "0.5", **HYPOTHESES}, "--on-policy is 0.5 and --kd-level is both: "),
    "own-output-teacher": ({"teacher_store": "s", **OWN}, "--kd-passes is 3, and what the student says is in no store"),
    "own-output-select": ({"select": "batch:0.5", **OWN}, "--kd-passes is 3 and --select is batch:0.5: "),
    "own-output-r-drop": ({"r_drop": 0.5, **OWN}, "--kd-passes is 3 and --r-drop is 0.5: "),
    "own-output-self-evolution": (
        {"self_evolution": "0.5:0.5", **OWN},
        "--kd-passes is 3 and --self-evolution is 0.5:0.5, whose prior holds references: ",
    ),
    "on-policy-prefix": (
        {"on_policy": "1", "ignore_prefix_size": 2},
        "--on-policy is 1 and --ignore-prefix-size is 2: samples have no given prefix",
    ),
    "on-policy-sharded": (
        {"on_policy": "1", "ddp_backend": "fully_sharded"},
        "--on-policy is 1 and --ddp-backend is fully_sharded: ",
    ),
    "changing-weight": (
        {"kd_weight": 0.0, "kd_until_bleu": 20.0},
        "--kd-until-bleu is 20.0 and --kd-weight is 0: ",
    ),
    "until-bleu": ({"kd_until_bleu": 100.0}, "--kd-until-bleu is 100.0: give a BLEU from 0 to below 100"),
    "until-bleu-measured": (
        {"kd_until_bleu": 20.0, "measures_bleu": False},
        "--kd-until-bleu is 20.0 and validation measures no BLEU: ",
    ),
    "changing-weight-best": (
        {"kd_weight_schedule": "linear:0:9", "best_checkpoint_metric": "loss"},
        "--kd-weight-schedule is linear:0:9 and --best-checkpoint-metric is loss, ",
    ),
    "two-teachers": ({"teacher_store": "s"}, "--teacher-store s and --teacher-path are both given: give one"),
    "store-weight": (
        {"teacher_store": "s", "teacher_path": None, "kd_weight": 0.0},
        "--teacher-store s is given and --kd-weight is 0: leave one of them out",
    ),
    "no-teacher": (
        {"teacher_path": None},
        "--kd-weight is 0.5 and neither --teacher-path nor --teacher-store is given",
    ),
    "top-k-stored": ({"top_k": 8, "stored_top_k": 4}, "--top-k is 8, and the teacher store keeps 4: give no more"),
    "cpu-products-sharded": (
        {"cpu_products": "bfloat16", "ddp_backend": "fully_sharded"},
        "--cpu-products is bfloat16 and --ddp-backend is fully_sharded, ",
    ),
    "queue-sharded": (
        {"select": "global:0.5:300", "ddp_backend": "fully_sharded"},
        "--select is global:0.5:300 and --ddp-backend is fully_sharded, ",
    ),
    "tail-and-top-k": ({"tail": "bucket"}, "--tail is bucket and --top-k is 0: "),
    "select-weight": ({"select": "batch:0.5", "kd_weight": 0.0}, "--select is batch:0.5 and --kd-weight is 0: "),
    "select-with-r-drop": ({"select": "batch:0.5", "r_drop": 1.0}, "--select is batch:0.5 and --r-drop is 1: "),
    "divergence-with-r-drop": ({"divergence": "wttm", "r_drop": 1.0}, "--divergence is wttm and --r-drop is 1: "),
    "self-evolution-with-r-drop": (
        {"self_evolution": "0.5:0.5", "r_drop": 1.0},
        "--self-evolution is 0.5:0.5 and --r-drop is 1: ",
    ),
    "self-evolution-divergence": (
        {"self_evolution": "0.5:0.5", "divergence": "reverse"},
        "--self-evolution is 0.5:0.5 and --divergence is reverse: ",
    ),
} | {
    f"{flag.replace('_', '-')}-with-{other}": (
        {flag: value, name: option},
        f"--{flag.replace('_', '-')} is {value} and {shown}: ",
    )
    for flag, value in (("divergence", "jsd:0.5"), ("select", "gap:1"), ("rank", 5), ("self_evolution", "0.5:0.5"))
    for other, name, option, shown in (
        ("virtual-teacher", "virtual_teacher", "correct", "--virtual-teacher is correct"),
        ("top-k", "top_k", 8, "--tail is bucket"),
    )
}
EXPERIMENT_BROKEN = {
    "methods-and-axes": (
        {"methods": True, "axes": ("tail", "temper")},
        "student.methods and student.tail are given: a method's flags say that, remove one",
    ),
    "store-and-methods": ({"store": "top-k", "methods": True}, "student.store is top-k, and student.methods are given"),
    "store-and-tail": ({"store": "top-k", "tail": ("bucket:8", "dense")}, "student.tail has dense, and student.store"),
    "store-and-level": (
        {"store": "features", "kd_level": ("word", "both")},
        "student.store is features, and student.kd_level is not word alone: use none",
    ),
    "teacher-run-and-data": ({"shared_teachers": True}, "data.dir is missing, teacher.run needs it: name the data"),
    "several-hypotheses": (
        {"kd_level": ("both",), "hypotheses": ("beam", "multi")},
        "student.hypotheses has multi, and seqkd.nbest is 1: decode more hypotheses",
    ),
    "best-and-nbest": (
        {"kd_level": ("sequence",), "hypotheses": ("mbr-5",), "most": 5, "nbest": 4},
        "student.hypotheses asks for the 5 best, and seqkd.nbest is 4: decode more hypotheses",
    ),
    "aggregate-and-utility": (
        {"aggregate": True, "utility": "bleu"},
        "seqkd.aggregate is true, and seqkd.utility is bleu: use chrf, or remove one",
    ),
    "scores-lacking": (
        {"hypotheses": ("beam", "best-score-2")},
        "student.hypotheses has best-score-2, and there are no scores: name a file as seqkd.scores",
    ),
    "scores-unread": (
        {"scores": ("score_command",), "hypotheses": ("mbr",)},
        "seqkd.score_command is given, and nothing reads scores: take student.hypotheses best-score",
    ),
    "scores-twice": (
        {"scores": ("scores", "score_command"), "drops": ("min_score",)},
        "seqkd.scores and seqkd.score_command are both given: remove one",
    ),
    "nbest-and-beam": (
        {"kd_level": ("both",), "nbest": 6},
        "seqkd.nbest is 6 and seqkd.beam is 5: give at most the beam",
    ),
    "seqkd-temperature": (
        {"kd_level": ("both",), "temperature": 0.5},
        "seqkd.temperature is 0.5 without seqkd.sampling: beam search has none",
    ),
    "from-and-training": (
        {"origin": "hf", "trained": ("arch", "train")},
        "teacher.from is hf, which is not trained: remove teacher.arch",
    ),
    "from-and-its-keys": (
        {"origin": "hf", "of_kind": ("source_lang", "data")},
        "teacher.data is given, which does not go with teacher.from hf: remove it",
    ),
    "translations-and-level": (
        {"origin": "ct2", "kd_level": ("sequence", "both")},
        "student.kd_level is both, and teacher.from ct2 gives no probabilities: set student.kd_level: sequence",
    ),
    "translations-and-methods": (
        {"origin": "none", "methods": True, "taught": ("gap",)},
        "student.methods has gap, which reads a teacher's probabilities, and teacher.from is none: take methods",
    ),
    "translations-and-probabilities": (
        {"origin": "translations", "probabilities": ("tail",)},
        "student.tail is given, and teacher.from translations gives no probabilities: remove it",
    ),
    "translations-and-decoding": (
        {"origin": "translations", "decoding": ("beam",)},
        "seqkd.beam is given, and with teacher.from translations nothing is translated: remove it",
    ),
    "monolingual-and-level": (
        {"monolingual": True, "kd_level": ("word",)},
        "seqkd.monolingual is given, and no student learns translations: set student.kd_level",
    ),
    "monolingual-and-interpolate": (
        {"monolingual": True, "hypotheses": ("interpolate",)},
        "student.hypotheses has interpolate, and seqkd.monolingual has no references: use beam, multi or mbr",
    ),
    "monolingual-and-translations": (
        {"monolingual": True, "origin": "translations"},
        "seqkd.monolingual.translations goes with teacher.from translations: give both, or neither",
    ),
    "monolingual-and-store": (
        {"monolingual": True, "store": "features"},
        "seqkd.monolingual is given, and student.store is features: use none",
    ),
    "from-and-engine": ({"origin": "ct2", "engine": "fairseq"}, "seqkd.engine is fairseq, and teacher.from is ct2: "),
    "init-and-origin": ({"init": True, "origin": "hf"}, "student.init is given, and teacher.from is hf, which has no"),
    "init-and-methods": ({"init": True, "methods": True}, "student.init is given, and no method reads a teacher"),
    "init-and-finetune": (
        {"init": True, "begins": ("finetune-from-model",)},
        "student.init and train.finetune-from-model are both given: remove one",
    ),
    "no-teacher": ({"origin": "none", "axes": ("kd_level",)}, "student.kd_level is given, and teacher is none: remove"),
    "nothing-to-train": ({"origin": "none", "plain": False}, "teacher is none, student.plain is false, and no student"),
}
CHOICE_BROKEN = {
    "forward-and-dictionaries": (
        {"forward": "teacher", "reverse": "/r.pt"},
        {"apart": True},
        "seqkd.forward is teacher, and teacher.data names its dictionaries, which lskd seqkd select does not read: ",
    ),
    "similarity-unread": ({"similarity": "chrf"}, {}, "seqkd.similarity is chrf, and student.hypotheses has no interp"),
    "utility-unread": ({"utility": "bleu"}, {}, "seqkd.utility is bleu, and student.hypotheses has no mbr: remove it"),
    "aggregate-unread": ({"aggregate": True}, {}, "seqkd.aggregate is true, and student.hypotheses has no mbr: remove"),
    "score-batch-unread": ({"score_batch": 9}, {}, "seqkd.score_batch is 9, and there is no seqkd.score_command:"),
    "drawn-unread": ({}, {"drawn": (1, 2)}, "student.hypotheses_drawn is 2, and no student learns several transl"),
    "reverse-unread": ({"reverse": "/r.pt"}, {"learns": False}, "seqkd.reverse is given, and no student learns transl"),
    "reverse-lacking": ({"forward": "teacher"}, {}, "seqkd.forward is given, and seqkd.reverse is not: name a model"),
    "forward-and-teacher": (
        {"forward": "teacher", "reverse": "/r.pt"},
        {"origin": "ct2"},
        "seqkd.forward is teacher, and teacher.from is ct2, which scores no subwords of the data: give a checkpoint",
    ),
}
METHOD_BROKEN = {
    "live-without-teacher": ({"teacher": False, "live": True}, "live is true, and teacher is false: remove one"),
    "method-kd-passes": ({"kd_passes": 3}, "flags.kd-passes needs the teacher beside the student: set live: true"),
    "method-on-policy": ({"on_policy": "0.5"}, "flags.on-policy needs the teacher beside the student: set live: true"),
}


def test_every_rule_has_settings_that_break_it():
    tables = [(RULES, BROKEN), (EXPERIMENT_RULES, EXPERIMENT_BROKEN), (METHOD_RULES, METHOD_BROKEN)]
    for rules, examples in [*tables, (CHOICE_RULES, CHOICE_BROKEN)]:
        assert sorted(rule.name for rule in rules) == sorted(examples)


def refusal(rules, name, settings):
    """The line of the named rule alone."""
    (rule,) = [rule for rule in rules if rule.name == name]
    with pytest.raises(LskdError) as refused:
        require_compatible([rule], settings)
    return str(refused.value)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_flags_that_do_not_go_together_get_one_line(name):
    changed, line = BROKEN[name]
    told = refusal(RULES, name, dataclasses.replace(PLAIN, **changed))
    assert told.startswith(line) and "\n" not in told and ("{" not in told)


@pytest.mark.parametrize("name", sorted(EXPERIMENT_BROKEN))
def test_keys_of_a_yaml_that_do_not_go_together_get_one_line(name):
    changed, line = EXPERIMENT_BROKEN[name]
    settings = ExperimentSettings(**{"kd_level": ("word",), **changed})
    assert refusal(EXPERIMENT_RULES, name, settings).startswith(line)


@pytest.mark.parametrize("name", sorted(CHOICE_BROKEN))
def test_keys_of_seqkd_that_do_not_go_together_get_one_line(name):
    section, changed, line = CHOICE_BROKEN[name]
    settings = ChoiceSettings(**{"seqkd": SeqkdConfig(**section), "methods": ("beam",), **changed})
    assert refusal(CHOICE_RULES, name, settings).startswith(line)


def test_keys_that_are_read_or_spell_out_a_default_break_no_rule():
    spelt = SeqkdConfig(similarity="bleu", utility="chrf", aggregate=False, score_batch=10_000)
    read = SeqkdConfig(similarity="chrf", utility="bleu", score_batch=9, score_command="x", reverse="r", forward="f")
    assert complaints(CHOICE_RULES, ChoiceSettings(spelt, ("beam",), "hf")) == []
    assert complaints(CHOICE_RULES, ChoiceSettings(read, ("mbr", "interpolate"), "hf")) == []


@pytest.mark.parametrize("name", sorted(METHOD_BROKEN))
def test_keys_of_a_method_that_do_not_go_together_get_one_line(name):
    changed, line = METHOD_BROKEN[name]
    assert refusal(METHOD_RULES, name, MethodSettings(**changed)) == line


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"teacher_path": None, "virtual_teacher": "reg_power", "virtual_share": 0.9, "temperature": 20.0},
        {"top_k": 8, "tail": "uniform", "select": "global:0.5:30000"},
        {"divergence": "skew-reverse:0.1", "select": "hard-gate", "rank": 5},
        {"self_evolution": "0.5:0.5", "temperature": 2.0},
        {"r_drop": 5.0, "divergence": "reverse", "rank": 5},
        {"kd_passes": 3, "rank": 5},
        {"on_policy": "0:0.5:1000", "divergence": "jsd:0.1"},
        {"kd_weight": 0.0, "kd_weight_schedule": "linear:1:100", "select": "batch:0.5", "measures_bleu": True},
        {"kd_level": "both", "hypotheses": "h", "select": "batch:0.5", "temperature": 2.0},
        {"teacher_path": None, "kd_level": "sequence", "hypotheses": "h"},
    ],
    ids=str,
)
def test_what_the_methods_use_together_breaks_no_rule(changed):
    assert complaints(RULES, dataclasses.replace(PLAIN, **changed)) == []


def test_the_rules_of_a_yaml_leave_alone_what_is_used_together():
    for settings in (
        ExperimentSettings(kd_level=("word",), tail=("dense",), store="features", temperature=2.0),
        ExperimentSettings(kd_level=("both",), hypotheses=("beam", "multi"), nbest=5, sampling=True, temperature=0.5),
        ExperimentSettings(kd_level=("sequence",), origin="translations", hypotheses=("interpolate",)),
        ExperimentSettings(kd_level=("word", "both"), origin="fairseq", of_kind=("data",), probabilities=("tail",)),
        ExperimentSettings(origin="none", methods=True),
        ExperimentSettings(init=True, kd_level=("word",)),
        ExperimentSettings(init=True, methods=True, taught=("kd",), origin="fairseq"),
    ):
        assert complaints(EXPERIMENT_RULES, settings) == []
    assert complaints(METHOD_RULES, MethodSettings(live=True, kd_passes=3, on_policy="1")) == []


def test_all_complaints_come_at_once_and_a_training_stops_at_the_first():
    settings = dataclasses.replace(PLAIN, ignore_prefix_size=-1, virtual_share=0.5)
    assert len(complaints(RULES, settings)) == 2
    with pytest.raises(LskdError, match=r"^--ignore-prefix-size"):
        require_compatible(RULES, settings)


def test_the_objective_alone_asks_the_rules_about_it():
    with pytest.raises(LskdError, match="--rank is 3 and --tail is bucket: it needs the teacher's whole distribution"):
        KdOptions(rank=3, top_k=8, tail="bucket")
    assert KdOptions().settings == dataclasses.replace(DEFAULTS, tail="dense", self_evolution="")


def test_the_rules_name_options_that_there_are():
    named = {option.removeprefix("--").replace("-", "_") for rule in RULES for option in rule.options}
    assert named - {"eval_bleu"} <= {field.name for field in dataclasses.fields(Settings)}
    assert {*WORD_FLAGS, *REAL_TEACHER_FLAGS} <= {field.name for field in dataclasses.fields(Settings)}
    assert all(
        rule.reason.endswith(".") and rule.options for rule in (*RULES, *EXPERIMENT_RULES, *METHOD_RULES, *CHOICE_RULES)
    )


def test_the_docs_table_has_a_row_for_every_rule():
    rows = markdown(RULES).splitlines()
    assert len(rows) == len(RULES) and all(row.startswith("| `--") and row.endswith(" |") for row in rows)


def test_plans_read_the_rules_without_torch():
    code = "import sys; sys.modules['torch'] = None; import lskd_nmt.experiment.compatibility, "
    code += compatibility.__name__
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
