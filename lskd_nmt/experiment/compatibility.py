"""Which keys of an experiment's YAML, and of a method's file, go together; rules as in `losses/compatibility.py`."""

from collections.abc import Callable
from dataclasses import dataclass

from lskd_nmt.losses.rule import Rule


@dataclass(frozen=True)
class ExperimentSettings:
    """What the rules ask of an experiment's YAML: its sections `student` and `seqkd`, and where the teachers are."""

    store: str = "none"
    methods: bool = False  # whether student.methods are given
    axes: tuple[str, ...] = ()  # given keys of `student` that a method's flags say as well
    tail: tuple[str, ...] = ()
    kd_level: tuple[str, ...] = ()  # empty if methods say it
    hypotheses: tuple[str, ...] = ()
    nbest: int = 1
    beam: int = 5
    sampling: bool = False
    temperature: float = 1.0  # of seqkd
    shared_teachers: bool = False  # whether teacher.run is given
    prepared: bool = False  # whether data.dir is

    @property
    def several(self) -> str:
        """The first way to choose among several hypotheses of a sentence; empty without one."""
        return next((way for way in self.hypotheses if way != "beam"), "")

    @property
    def above_word(self) -> bool:
        """Whether students learn the teacher's translations."""
        return set(self.kd_level) != {"word"}


@dataclass(frozen=True)
class MethodSettings:
    """What the rules ask of a method's file."""

    teacher: bool = True
    live: bool = False
    kd_passes: object = None
    on_policy: object = None


EXPERIMENT_RULES: tuple[Rule[ExperimentSettings], ...] = (
    Rule(
        "methods-and-axes",
        ("student.methods", "student.temperature", "student.kd_weight", "student.tail", "student.kd_level"),
        "A method's file says them.",
        lambda s: s.methods and bool(s.axes),
        "student.methods and student.{0.axes[0]} are given: a method's flags say that, remove one",
    ),
    Rule(
        "store-and-methods",
        ("student.store", "student.methods"),
        "Methods may need all of the teacher's probabilities, and a top k is of the temperatures in the YAML.",
        lambda s: s.store == "top-k" and s.methods,
        "student.store is top-k, and student.methods are given: use features, or none",
    ),
    Rule(
        "store-and-tail",
        ("student.store", "student.tail"),
        "A store of the top k lacks the other symbols.",
        lambda s: s.store == "top-k" and not s.methods and "dense" in s.tail,
        "student.tail has dense, and student.store is top-k: use features, or tails such as bucket:8",
    ),
    Rule(
        "store-and-level",
        ("student.store", "student.kd_level"),
        "A store is of the references, and the other levels ask about the teacher's translations.",
        lambda s: s.store != "none" and s.above_word,
        "student.store is {0.store}, and student.kd_level is not word alone: use none",
    ),
    Rule(
        "teacher-run-and-data",
        ("teacher.run", "data.dir"),
        "A teacher's dictionaries are those of its data.",
        lambda s: s.shared_teachers and not s.prepared,
        "data.dir is missing, teacher.run needs it: name the data folder of that run",
    ),
    Rule(
        "several-hypotheses",
        ("student.hypotheses", "seqkd.nbest"),
        "They are chosen or learned from several of a sentence.",
        lambda s: s.above_word and bool(s.several) and s.nbest == 1,
        "student.hypotheses has {0.several}, and seqkd.nbest is 1: decode more hypotheses",
    ),
    Rule(
        "nbest-and-beam",
        ("seqkd.nbest", "seqkd.beam"),
        "Beam search ends with as many translations as the beam is wide.",
        lambda s: s.above_word and s.nbest > s.beam and not s.sampling,
        "seqkd.nbest is {0.nbest} and seqkd.beam is {0.beam}: give at most the beam",
    ),
    Rule(
        "seqkd-temperature",
        ("seqkd.temperature", "seqkd.sampling"),
        "Only sampling has a temperature.",
        lambda s: s.above_word and s.temperature != 1 and not s.sampling,
        "seqkd.temperature is {0.temperature:g} without seqkd.sampling: beam search has none",
    ),
)


def own_output(flag: str, value: Callable[[MethodSettings], object]) -> Rule[MethodSettings]:
    """The rule about a flag with which the student learns from its own output."""
    return Rule(
        f"method-{flag}",
        (f"flags.{flag}", "live"),
        "The teacher is asked about the student's own output, which is in no store.",
        lambda s: value(s) not in (None, 1) and not s.live,
        f"flags.{flag} needs the teacher beside the student: set live: true",
    )


METHOD_RULES: tuple[Rule[MethodSettings], ...] = (
    Rule(
        "live-without-teacher",
        ("live", "teacher"),
        "A method that reads no teacher needs none beside the student.",
        lambda s: s.live and not s.teacher,
        "live is true, and teacher is false: remove one",
    ),
    own_output("kd-passes", lambda s: s.kd_passes),
    own_output("on-policy", lambda s: s.on_policy),
)
