"""Which flags go together with learning from the student's own output: `--kd-passes` and `--on-policy`."""

from lskd_nmt.losses.rule import Rule
from lskd_nmt.losses.settings import Settings

MOST_PASSES = 100  # the authors have 3; each is a pass of student and teacher over every batch

OWN_OUTPUT: list[Rule[Settings]] = [
    Rule(
        "kd-passes",
        ("--kd-passes",),
        "Each is a pass of student and teacher over every batch.",
        lambda s: not 1 <= s.kd_passes <= MOST_PASSES,
        f"--kd-passes is {{0.kd_passes}}: give 1 (the references' prefixes alone) or more, and at most {MOST_PASSES}",
    ),
    Rule(
        "kd-passes-and-on-policy",
        ("--kd-passes", "--on-policy"),
        "Each replaces the references' prefixes in its own way.",
        lambda s: s.kd_passes > 1 and s.on_policy is not None,
        "{0.own_output}: both learn from the student's own output, give one",
    ),
    Rule(
        "own-output-weight",
        ("--kd-passes", "--on-policy", "--kd-weight"),
        "On the student's own output the divergence is all there is to learn.",
        lambda s: bool(s.own_output) and not s.distils,
        "{0.own_output} and --kd-weight is 0: give a weight, or leave the flag out",
    ),
    Rule(
        "own-output-level",
        ("--kd-passes", "--on-policy", "--kd-level"),
        "The other levels learn from the teacher's translations.",
        lambda s: bool(s.own_output) and s.kd_level != "word",
        "{0.own_output} and --kd-level is {0.kd_level}: it is for the level word",
    ),
    Rule(
        "own-output-teacher",
        ("--kd-passes", "--on-policy", "--teacher-path", "--teacher-store"),
        "What the student will write is not known when a store is made.",
        lambda s: bool(s.own_output) and (not s.teacher_path or bool(s.teacher_store)),
        "{0.own_output}, and what the student says is in no store: it needs a teacher beside it, give --teacher-path",
    ),
    Rule(
        "own-output-select",
        ("--kd-passes", "--on-policy", "--select"),
        "A selection compares losses on references.",
        lambda s: bool(s.own_output) and s.select != "all",
        "{0.own_output} and --select is {0.select}: it distils all tokens, leave --select out",
    ),
    Rule(
        "own-output-r-drop",
        ("--kd-passes", "--on-policy", "--r-drop"),
        "R-Drop is defined on two passes over the references.",
        lambda s: bool(s.own_output and s.r_drop),
        "{0.own_output} and --r-drop is {0.r_drop:g}: it is for references alone, leave --r-drop out",
    ),
    Rule(
        "own-output-self-evolution",
        ("--kd-passes", "--on-policy", "--self-evolution"),
        "Its prior mixes in the reference's symbol, which the student's own output does not have.",
        lambda s: bool(s.own_output and s.self_evolution),
        "{0.own_output} and --self-evolution is {0.self_evolution}, whose prior holds references: "
        "leave one of them out",
    ),
    Rule(
        "on-policy-prefix",
        ("--on-policy", "--ignore-prefix-size"),
        "A sampled translation starts from nothing.",
        lambda s: s.on_policy is not None and s.ignore_prefix_size != 0,
        "--on-policy is {0.on_policy} and --ignore-prefix-size is {0.ignore_prefix_size}: samples have no given prefix",
    ),
    Rule(
        "on-policy-sharded",
        ("--on-policy", "--ddp-backend"),
        "Sampling calls the decoder alone, whose parameters are in pieces there.",
        lambda s: s.on_policy is not None and s.ddp_backend == "fully_sharded",
        "--on-policy is {0.on_policy} and --ddp-backend is fully_sharded: it decodes with whole parameters",
    ),
]
