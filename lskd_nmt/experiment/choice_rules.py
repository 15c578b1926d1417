"""Which keys of a YAML's `seqkd` say how translations are chosen and dropped, and go together; see `losses/rule.py`."""

from dataclasses import dataclass

from lskd_nmt.experiment.choices import method_of
from lskd_nmt.experiment.run_config import RunConfig, SeqkdConfig
from lskd_nmt.losses.rule import Rule

TEACHER = "teacher"  # as seqkd.forward: the model that translated


@dataclass(frozen=True)
class ChoiceSettings:
    """What the rules ask: the section `seqkd`, and by which methods its translations are chosen."""

    seqkd: SeqkdConfig
    methods: tuple[str, ...] = ()  # of `lskd seqkd select`; none where no student learns translations
    origin: str = ""  # the kind of teacher.from

    @property
    def of_reverse(self) -> str:
        """The first key that is given of those that say how a reverse model drops; empty without one."""
        return next((name for name in ("forward", "drop_worst_reverse") if getattr(self.seqkd, name) is not None), "")


def choice_settings(config: RunConfig) -> ChoiceSettings:
    """What the rules ask of an experiment."""
    methods = (method_of(name)[0] for name in config.student.hypotheses or ())
    return ChoiceSettings(config.seqkd, tuple(dict.fromkeys(methods)), config.teacher.kind)


CHOICE_RULES: tuple[Rule[ChoiceSettings], ...] = (
    Rule(
        "reverse-lacking",
        ("seqkd.forward", "seqkd.drop_worst_reverse", "seqkd.reverse"),
        "They say how translations are dropped by a model of the other direction.",
        lambda s: s.seqkd.reverse is None and bool(s.of_reverse),
        "seqkd.{0.of_reverse} is given, and seqkd.reverse is not: name a model of the other direction, or remove it",
    ),
    Rule(
        "forward-and-teacher",
        ("seqkd.forward", "teacher.from"),
        "Only fairseq's models say how probable a translation is in the data's subwords.",
        lambda s: s.seqkd.forward == TEACHER and s.origin in ("hf", "ct2", "translations"),
        "seqkd.forward is teacher, and teacher.from is {0.origin}, which scores no subwords of the data: give a "
        "checkpoint of fairseq",
    ),
)
