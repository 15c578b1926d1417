"""Which flags of `kd_ls` go together: the rules, each with the settings that break it, its reason and the user's line.

A plugin asks them before its first batch, a plan before its first training, and the table in the docs is made of them.
Those about an experiment's YAML stand in `lskd_nmt/experiment/compatibility.py`.
"""

from collections.abc import Callable

from lskd_nmt.losses.own_output_rules import OWN_OUTPUT
from lskd_nmt.losses.rule import Rule
from lskd_nmt.losses.settings import Settings


def of_tokens(flag: str, needs: Callable[[Settings], bool]) -> list[Rule[Settings]]:
    """The rules about an option that looks at single tokens, or at all of the teacher's probabilities."""
    field = flag.removeprefix("--").replace("-", "_")
    need = f"{flag} is {{0.{field}}}"
    return [
        Rule(
            f"{field}-with-virtual-teacher".replace("_", "-"),
            (flag, "--virtual-teacher"),
            "It compares symbol by symbol, and a virtual teacher tells only the gold symbol from the others.",
            lambda s: bool(s.virtual_teacher) and needs(s),
            f"{need} and --virtual-teacher is {{0.virtual_teacher}}: it needs a real teacher, leave one of them out",
        ),
        Rule(
            f"{field}-with-top-k".replace("_", "-"),
            (flag, "--top-k"),
            "It needs probabilities that a teacher's top k leaves out.",
            lambda s: not s.virtual_teacher and s.top_k_in_use > 0 and needs(s),
            f"{need} and --tail is {{0.tail_in_use}}: it needs the teacher's whole distribution, "
            "leave --top-k out (a store of features has it)",
        ),
    ]


def two_passes(flag: str, by_token: Callable[[Settings], bool]) -> Rule[Settings]:
    """The rule that R-Drop does not go together with an option that weighs each token by the student's loss."""
    field = flag.removeprefix("--").replace("-", "_")
    return Rule(
        f"{field}-with-r-drop".replace("_", "-"),
        (flag, "--r-drop"),
        "R-Drop has two losses of each token, which would choose or weigh it differently.",
        lambda s: s.r_drop > 0 and by_token(s),
        f"{flag} is {{0.{field}}} and --r-drop is {{0.r_drop:g}}: its two passes would weigh tokens differently, "
        "leave one of them out",
    )


def other_divergence(settings: Settings) -> bool:
    """Whether the divergence is another one than forward KL."""
    return settings.named_divergence.name != "forward"


def selects_by_teacher(settings: Settings) -> bool:
    """Whether the selection asks what the teacher finds of each token."""
    return any(not name.startswith("student_") for name in settings.selection.entry.statistics)


LEVEL: list[Rule[Settings]] = [
    Rule(
        "ignored-prefix",
        ("--ignore-prefix-size",),
        "It is a number of target tokens.",
        lambda s: s.ignore_prefix_size < 0,
        "--ignore-prefix-size is {0.ignore_prefix_size}: give 0 (all target tokens count) or more",
    ),
    Rule(
        "virtual-share-alone",
        ("--virtual-share", "--virtual-teacher"),
        "The share is the gold symbol's probability under the virtual teacher.",
        lambda s: s.virtual_share is not None and not s.virtual_teacher,
        "--virtual-share is {0.virtual_share} and --virtual-teacher is not given: name one, or leave it out",
    ),
    Rule(
        "virtual-teacher-unread",
        ("--virtual-teacher", "--teacher-path", "--teacher-store", "--top-k", "--tail", "--temper", "--hypotheses"),
        "A virtual teacher is made of the reference, and reads no model and no store.",
        lambda s: bool(s.virtual_teacher and s.unread_by_virtual),
        "--virtual-teacher {0.virtual_teacher} does not read {0.unread_by_virtual}: leave one of them out",
    ),
    Rule(
        "virtual-teacher-level",
        ("--virtual-teacher", "--kd-level"),
        "A virtual teacher has probabilities, and no translations.",
        lambda s: bool(s.virtual_teacher) and s.kd_level != "word",
        "--virtual-teacher {0.virtual_teacher} is for --kd-level word, not {0.kd_level}: leave one of them out",
    ),
    Rule(
        "virtual-teacher-weight",
        ("--virtual-teacher", "--kd-weight"),
        "A teacher whose divergence has no weight is not learned from.",
        lambda s: bool(s.virtual_teacher) and not s.distils,
        "--virtual-teacher is {0.virtual_teacher} and --kd-weight is 0: give a weight, or leave it out",
    ),
    Rule(
        "self-evolution-weight",
        ("--self-evolution", "--kd-weight"),
        "Self-evolution is a divergence from the teacher.",
        lambda s: bool(s.self_evolution) and not s.distils,
        "--self-evolution is {0.self_evolution} and --kd-weight is 0: give a weight, or leave it out",
    ),
    Rule(
        "r-drop-level",
        ("--r-drop", "--kd-level"),
        "R-Drop is defined on two passes over the references.",
        lambda s: bool(s.r_drop) and s.kd_level != "word",
        "--r-drop is {0.r_drop:g} and --kd-level is {0.kd_level}: it is for word, leave one of them out",
    ),
    Rule(
        "hypotheses-level",
        ("--hypotheses", "--kd-level"),
        "At the level word the student learns the references.",
        lambda s: bool(s.hypotheses) and s.kd_level == "word",
        "--hypotheses {0.hypotheses} is given and --kd-level is word: use --kd-level sequence or both",
    ),
    Rule(
        "level-hypotheses",
        ("--kd-level", "--hypotheses"),
        "The levels sequence and both learn the teacher's translations.",
        lambda s: s.kd_level != "word" and not s.hypotheses,
        "--kd-level is {0.kd_level} and --hypotheses is not given: name a folder that lskd seqkd select wrote",
    ),
    Rule(
        "drawn-number",
        ("--hypotheses-drawn",),
        "It is a number of translations.",
        lambda s: s.hypotheses_drawn < 0,
        "--hypotheses-drawn is {0.hypotheses_drawn}: give 0 (all of a sentence's hypotheses at each update) or more",
    ),
    Rule(
        "drawn-hypotheses",
        ("--hypotheses-drawn", "--hypotheses"),
        "They are drawn from a store of translations.",
        lambda s: s.hypotheses_drawn > 0 and not s.hypotheses,
        "--hypotheses-drawn is {0.hypotheses_drawn} and --hypotheses is not given: name a folder that "
        "lskd seqkd select wrote, or leave it out",
    ),
    Rule(
        "gate-level",
        ("--select", "--kd-level"),
        "A gate chooses between the reference and the teacher, and hypotheses have no reference.",
        lambda s: s.kd_level == "both" and s.selection.entry.hard_alone,
        "--select is {0.select}, which chooses between the reference and the teacher at each token, and "
        "--kd-level is both: use --kd-level word, batch:R or global:R:Q",
    ),
    Rule(
        "level-weight",
        ("--kd-level", "--kd-weight"),
        "Hypotheses without weight are not learned from.",
        lambda s: s.kd_level != "word" and not s.distils,
        "--kd-level is {0.kd_level} and --kd-weight is 0: give a weight, or leave the level out",
    ),
    Rule(
        "sequence-unread",
        ("--kd-level", "--temperature", "--top-k", "--divergence", "--select", "--teacher-path"),
        "At the level sequence translations are learned, and no probabilities are asked for.",
        lambda s: s.kd_level == "sequence" and bool(s.unread_by_sequence),
        "--kd-level is sequence and does not read {0.unread_by_sequence}: remove it, or "
        "use --kd-level both (lskd seqkd decode --sampling has a temperature)",
    ),
]

WEIGHT: list[Rule[Settings]] = [
    Rule(
        "changing-weight",
        ("--kd-weight-schedule", "--kd-until-bleu", "--kd-weight"),
        "A weight that stays 0 does not change.",
        lambda s: bool(s.changing_weight) and not s.distils,
        "{0.changing_weight} and --kd-weight is 0: give a weight, or leave it out",
    ),
    Rule(
        "until-bleu",
        ("--kd-until-bleu",),
        "BLEU is from 0 to 100.",
        lambda s: s.kd_until_bleu is not None and not 0 <= s.kd_until_bleu < 100,
        "--kd-until-bleu is {0.kd_until_bleu}: give a BLEU from 0 to below 100",
    ),
    Rule(
        "until-bleu-measured",
        ("--kd-until-bleu", "--eval-bleu"),
        "The BLEU that is waited for is that of validation.",
        lambda s: s.kd_until_bleu is not None and s.measures_bleu is False,
        "--kd-until-bleu is {0.kd_until_bleu} and validation measures no BLEU: add --eval-bleu",
    ),
    Rule(
        "changing-weight-best",
        ("--kd-weight-schedule", "--kd-until-bleu", "--best-checkpoint-metric"),
        "Losses under different weights cannot be compared.",
        lambda s: bool(s.changing_weight) and s.best_checkpoint_metric == "loss",
        "{0.changing_weight} and --best-checkpoint-metric is loss, which changes with the weight: "
        "give nll_loss, or bleu with --maximize-best-checkpoint-metric",
    ),
]

TEACHER: list[Rule[Settings]] = [
    Rule(
        "two-teachers",
        ("--teacher-store", "--teacher-path"),
        "A store stands for the teacher that it was made of.",
        lambda s: bool(s.teacher_store and s.teacher_path),
        "--teacher-store {0.teacher_store} and --teacher-path are both given: give one",
    ),
    Rule(
        "store-weight",
        ("--teacher-store", "--kd-weight"),
        "Without weight nothing is read from a store.",
        lambda s: bool(s.teacher_store) and not s.distils,
        "--teacher-store {0.teacher_store} is given and --kd-weight is 0: leave one of them out",
    ),
    Rule(
        "no-teacher",
        ("--kd-weight", "--teacher-path", "--teacher-store"),
        "The divergence is from a teacher.",
        lambda s: s.reads_teacher and not s.teacher_path and not s.teacher_store,
        "--kd-weight is {0.kd_weight} and neither --teacher-path nor --teacher-store is given: "
        "name a teacher, or train without one with --kd-weight 0",
    ),
]

STORE: list[Rule[Settings]] = [
    Rule(
        "top-k-stored",
        ("--top-k", "--teacher-store"),
        "A store has no more symbols than were kept.",
        lambda s: 0 < s.stored_top_k < s.top_k_in_use,
        "--top-k is {0.top_k_in_use}, and the teacher store keeps {0.stored_top_k}: give no more",
    ),
    Rule(
        "queue-sharded",
        ("--select", "--ddp-backend"),
        "The queue of losses is a buffer of the criterion, which this backend does not keep.",
        lambda s: s.ddp_backend == "fully_sharded" and s.selection.memory > 0,
        "--select is {0.select} and --ddp-backend is fully_sharded, which cannot hold its queue: "
        "use another backend, or batch:R",
    ),
    Rule(
        "cpu-products-sharded",
        ("--cpu-products", "--ddp-backend"),
        "The loss is taken from whole logits with this backend, and its products are the model's.",
        lambda s: s.ddp_backend == "fully_sharded" and s.cpu_products != "float32",
        "--cpu-products is {0.cpu_products} and --ddp-backend is fully_sharded, whose products are the model's: "
        "leave one of them out",
    ),
]

TAIL_AND_TOP_K: Rule[Settings] = Rule(
    "tail-and-top-k",
    ("--tail", "--top-k"),
    "A tail is what a top k leaves out.",
    lambda s: (s.tail_in_use == "dense") != (s.top_k_in_use == 0),
    "--tail is {0.tail_in_use} and --top-k is {0.top_k_in_use}: dense is for all symbols "
    "(--top-k 0), bucket, uniform and renormalise for the top k",
)

OBJECTIVE: list[Rule[Settings]] = [
    Rule(
        "select-weight",
        ("--select", "--kd-weight"),
        "Nothing is distilled, so that there is nothing to select.",
        lambda s: not s.distils and s.select != "all",
        "--select is {0.select} and --kd-weight is 0: nothing is distilled, leave one of them out",
    ),
    two_passes("--select", lambda s: s.selection.name != "all"),
    two_passes("--divergence", lambda s: bool(s.named_divergence.entry.statistics)),
    two_passes("--self-evolution", lambda s: bool(s.self_evolution)),
    Rule(
        "self-evolution-divergence",
        ("--self-evolution", "--divergence"),
        "It is forward KL from the teacher to a mixture of its own.",
        lambda s: bool(s.self_evolution) and other_divergence(s),
        "--self-evolution is {0.self_evolution} and --divergence is {0.divergence}: it is a forward "
        "KL of its own, leave one of them out",
    ),
    *of_tokens("--divergence", other_divergence),
    *of_tokens("--select", selects_by_teacher),
    *of_tokens("--rank", lambda s: s.rank > 0),
    *of_tokens("--self-evolution", lambda s: bool(s.self_evolution)),
]

RULES: tuple[Rule[Settings], ...] = (*LEVEL, *OWN_OUTPUT, *WEIGHT, *TEACHER, *STORE, TAIL_AND_TOP_K, *OBJECTIVE)
