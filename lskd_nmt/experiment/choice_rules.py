"""Which keys of a YAML that say how translations are chosen, dropped and drawn go together; see `losses/rule.py`."""

from dataclasses import dataclass

from lskd_nmt.evaluate.score_command import BATCH
from lskd_nmt.experiment.choices import learned, method_of
from lskd_nmt.experiment.run_config import RunConfig, SeqkdConfig
from lskd_nmt.losses.rule import Rule

TEACHER = "teacher"  # as seqkd.forward: the model that translated


@dataclass(frozen=True)
class ChoiceSettings:
    """What the rules ask: the section `seqkd`, and by which methods its translations are chosen."""

    seqkd: SeqkdConfig
    methods: tuple[str, ...] = ()  # of `lskd seqkd select`; none where no student learns translations
    origin: str = ""  # the kind of teacher.from
    learns: bool = True  # whether any student learns translations
    several: bool = False  # and whether several of a sentence
    drawn: tuple[int, ...] = ()  # student.hypotheses_drawn
    apart: bool = False  # whether the teacher's dictionaries are named by teacher.data

    @property
    def most_drawn(self) -> int:
        """The largest number that is to be drawn; 0: all are learned."""
        return max(self.drawn, default=0)

    @property
    def of_reverse(self) -> str:
        """The first key that is given of those that say how a reverse model drops; empty without one."""
        return next((name for name in ("forward", "drop_worst_reverse") if getattr(self.seqkd, name) is not None), "")


def choice_settings(config: RunConfig) -> ChoiceSettings:
    """What the rules ask of an experiment."""
    names, levels = config.student.hypotheses or (), config.student.kd_level or ()
    methods = tuple(dict.fromkeys(method_of(name)[0] for name in names))
    learns = any(level != "word" for level in levels)
    several = learns and any(learned(name, 2) > 1 for name in names)  # of two that are decoded `multi` has two
    drawn = config.student.hypotheses_drawn or ()
    apart = config.teacher.data is not None
    return ChoiceSettings(config.seqkd, methods, config.teacher.kind, learns, several, drawn, apart)


CHOICE_RULES: tuple[Rule[ChoiceSettings], ...] = (
    Rule(
        "similarity-unread",
        ("seqkd.similarity", "student.hypotheses"),
        "It is to the reference, which interpolate alone compares with.",
        lambda s: s.seqkd.similarity != SeqkdConfig().similarity and "interpolate" not in s.methods,
        "seqkd.similarity is {0.seqkd.similarity}, and student.hypotheses has no interpolate: remove it, or add that",
    ),
    Rule(
        "utility-unread",
        ("seqkd.utility", "student.hypotheses"),
        "It is what mbr compares translations by.",
        lambda s: s.seqkd.utility not in (None, "chrf") and "mbr" not in s.methods,
        "seqkd.utility is {0.seqkd.utility}, and student.hypotheses has no mbr: remove it, or add that",
    ),
    Rule(
        "aggregate-unread",
        ("seqkd.aggregate", "student.hypotheses"),
        "It is how mbr compares translations.",
        lambda s: bool(s.seqkd.aggregate) and "mbr" not in s.methods,
        "seqkd.aggregate is true, and student.hypotheses has no mbr: remove it, or add that",
    ),
    Rule(
        "score-batch-unread",
        ("seqkd.score_batch", "seqkd.score_command"),
        "A command is asked about so many translations at a time.",
        lambda s: s.seqkd.score_batch not in (None, BATCH) and s.seqkd.score_command is None,
        "seqkd.score_batch is {0.seqkd.score_batch}, and there is no seqkd.score_command: remove it, or give one",
    ),
    Rule(
        "drawn-unread",
        ("student.hypotheses_drawn", "student.hypotheses", "student.kd_level"),
        "They are drawn from several translations of a sentence.",
        lambda s: s.most_drawn > 0 and not s.several,
        "student.hypotheses_drawn is {0.most_drawn}, and no student learns several translations of a sentence: remove "
        "it, or take student.hypotheses multi or mbr-3",
    ),
    Rule(
        "reverse-unread",
        ("seqkd.reverse", "student.kd_level"),
        "It drops translations that students would learn.",
        lambda s: s.seqkd.reverse is not None and not s.learns,
        "seqkd.reverse is given, and no student learns translations: set student.kd_level: sequence, or both",
    ),
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
    Rule(
        "forward-and-dictionaries",
        ("seqkd.forward", "teacher.data"),
        "The models that score translations have their symbols in them, or in dict.*.txt beside them.",
        lambda s: s.seqkd.forward == TEACHER and s.apart,
        "seqkd.forward is teacher, and teacher.data names its dictionaries, which lskd seqkd select does not read: "
        "give seqkd.forward the checkpoint, with its dict.*.txt beside it",
    ),
)
