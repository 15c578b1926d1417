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
    most: int = 1  # hypotheses of a sentence that the largest M of `hypotheses` asks for
    nbest: int = 1
    beam: int = 5
    sampling: bool = False
    temperature: float = 1.0  # of seqkd
    shared_teachers: bool = False  # whether teacher.run is given
    prepared: bool = False  # whether data.dir is
    origin: str = ""  # the kind of teacher.from: fairseq, hf, ct2, translations or none
    trained: tuple[str, ...] = ()  # given keys of `teacher` that say how one is trained
    of_kind: tuple[str, ...] = ()  # given keys of `teacher` that are of one kind of teacher.from
    taught: tuple[str, ...] = ()  # the methods that read a teacher
    probabilities: tuple[str, ...] = ()  # given keys of `student` that say what is read of a teacher's probabilities
    decoding: tuple[str, ...] = ()  # given keys of `seqkd` that say how a teacher translates
    engine: str = "ctranslate2"  # of seqkd
    plain: bool = True
    utility: str = "chrf"  # of seqkd
    aggregate: bool = False
    scores: tuple[str, ...] = ()  # given keys of `seqkd` that say where scores of candidates come from
    drops: tuple[str, ...] = ()  # and those that drop candidates by them
    monolingual: bool = False  # whether seqkd.monolingual is given
    translated: bool = False  # whether its translations are
    init: bool = False  # whether student.init is given
    begins: tuple[str, ...] = ()  # given flags of `train` that name a checkpoint to start from

    @property
    def several(self) -> str:
        """The first way to choose among several hypotheses of a sentence; empty without one."""
        return next((way for way in self.hypotheses if way != "beam"), "")

    @property
    def of_scores(self) -> str:
        """The first key whose value reads scores of candidates; empty without one."""
        by_score = next((name for name in self.hypotheses if name.startswith("best-score")), "")
        found = f"student.hypotheses has {by_score}" if by_score else ""
        return found or next((f"seqkd.{name} is given" for name in self.drops), "")

    @property
    def above_word(self) -> bool:
        """Whether students learn the teacher's translations."""
        return set(self.kd_level) != {"word"}

    @property
    def gives_text(self) -> bool:
        """Whether the teacher gives translations and no probabilities."""
        return self.origin in ("hf", "ct2", "translations")

    @property
    def probabilistic_level(self) -> str:
        """The first level of distillation that reads probabilities; empty without one."""
        return next((level for level in self.kd_level if level != "sequence"), "")

    @property
    def stray(self) -> str:
        """The first key of another kind of teacher than the one that is given; empty without one."""
        own = {"fairseq": ("data",), "hf": OF_TEXT, "ct2": (*OF_TEXT, "tokenizer")}.get(self.origin, ())
        return next((name for name in self.of_kind if name not in own), "")


OF_TEXT = (
    "source_lang",
    "target_lang",
    "prefix",
    "prompt",
)  # keys of `teacher` for Hugging Face's and CTranslate2's models


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
        lambda s: s.above_word and bool(s.several) and s.nbest == 1 and s.origin not in ("translations", "none"),
        "student.hypotheses has {0.several}, and seqkd.nbest is 1: decode more hypotheses",
    ),
    Rule(
        "best-and-nbest",
        ("student.hypotheses", "seqkd.nbest"),
        "No more can be chosen than are decoded.",
        lambda s: s.above_word and 1 < s.nbest < s.most and s.origin != "translations",
        "student.hypotheses asks for the {0.most} best, and seqkd.nbest is {0.nbest}: decode more hypotheses",
    ),
    Rule(
        "aggregate-and-utility",
        ("seqkd.aggregate", "seqkd.utility"),
        "Counts are aggregated for chrF.",
        lambda s: s.aggregate and s.utility != "chrf",
        "seqkd.aggregate is true, and seqkd.utility is {0.utility}: use chrf, or remove one",
    ),
    Rule(
        "scores-lacking",
        ("student.hypotheses", "seqkd.drop_worst", "seqkd.min_score", "seqkd.scores", "seqkd.score_command"),
        "Candidates are chosen, or dropped, by scores that somebody gives.",
        lambda s: bool(s.of_scores) and not s.scores,
        "{0.of_scores}, and there are no scores: name a file as seqkd.scores, or give seqkd.score_command",
    ),
    Rule(
        "scores-unread",
        ("seqkd.scores", "seqkd.score_command", "student.hypotheses"),
        "Scores choose or drop candidates.",
        lambda s: bool(s.scores) and not s.of_scores,
        "seqkd.{0.scores[0]} is given, and nothing reads scores: take student.hypotheses best-score, "
        "seqkd.drop_worst or seqkd.min_score",
    ),
    Rule(
        "scores-twice",
        ("seqkd.scores", "seqkd.score_command"),
        "A candidate has one score.",
        lambda s: len(s.scores) > 1,
        "seqkd.scores and seqkd.score_command are both given: remove one",
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
    Rule(
        "from-and-training",
        ("teacher.from", "teacher.arch", "teacher.label_smoothing", "teacher.run", "teacher.train"),
        "A teacher that is there already is not trained, and its label smoothing is its own.",
        lambda s: bool(s.origin and s.trained),
        "teacher.from is {0.origin}, which is not trained: remove teacher.{0.trained[0]}",
    ),
    Rule(
        "from-and-its-keys",
        ("teacher.from", "teacher.data", "teacher.source_lang", "teacher.target_lang", "teacher.prompt"),
        "A checkpoint of fairseq may need its dictionaries, and other models the names of languages, or a prompt.",
        lambda s: bool(s.stray),
        "teacher.{0.stray} is given, which does not go with teacher.from {0.origin}: remove it",
    ),
    Rule(
        "translations-and-level",
        ("teacher.from", "student.kd_level"),
        "Of hf:, ct2: and translations: there is text alone: no probabilities of the student's symbols.",
        lambda s: s.gives_text and not s.methods and bool(s.probabilistic_level),
        "student.kd_level is {0.probabilistic_level}, and teacher.from {0.origin} gives no probabilities: "
        "set student.kd_level: sequence",
    ),
    Rule(
        "translations-and-methods",
        ("teacher.from", "student.methods"),
        "Methods read probabilities, which hf:, ct2: and translations: do not give, nor does none.",
        lambda s: (s.gives_text or s.origin == "none") and bool(s.taught),
        "student.methods has {0.taught[0]}, which reads a teacher's probabilities, and teacher.from is {0.origin}: "
        "take methods without a teacher, or a teacher that gives them",
    ),
    Rule(
        "translations-and-probabilities",
        ("teacher.from", "student.temperature", "student.tail", "student.store"),
        "Without probabilities there is no temperature, no tail, and nothing to store.",
        lambda s: (s.gives_text or s.origin == "none") and not s.methods and bool(s.probabilities),
        "student.{0.probabilities[0]} is given, and teacher.from {0.origin} gives no probabilities: remove it",
    ),
    Rule(
        "translations-and-decoding",
        ("teacher.from", "seqkd.beam", "seqkd.engine", "seqkd.nbest"),
        "Translations that are there are not decoded.",
        lambda s: s.origin in ("translations", "none") and bool(s.decoding),
        "seqkd.{0.decoding[0]} is given, and with teacher.from {0.origin} nothing is translated: remove it",
    ),
    Rule(
        "monolingual-and-level",
        ("seqkd.monolingual", "student.kd_level"),
        "Of monolingual text translations are learned.",
        lambda s: s.monolingual and (not s.above_word or s.methods or s.origin == "none"),
        "seqkd.monolingual is given, and no student learns translations: set student.kd_level: sequence, or both",
    ),
    Rule(
        "monolingual-and-interpolate",
        ("seqkd.monolingual", "student.hypotheses"),
        "Monolingual text has no reference to be close to.",
        lambda s: s.monolingual and "interpolate" in s.hypotheses,
        "student.hypotheses has interpolate, and seqkd.monolingual has no references: use beam, multi or mbr",
    ),
    Rule(
        "monolingual-and-translations",
        ("seqkd.monolingual.translations", "teacher.from"),
        "Who gives translations alone translates nothing else, and a teacher that translates needs none.",
        lambda s: s.monolingual and s.translated != (s.origin == "translations"),
        "seqkd.monolingual.translations goes with teacher.from translations: give both, or neither",
    ),
    Rule(
        "monolingual-and-store",
        ("seqkd.monolingual", "student.kd_level", "seqkd.sampling"),
        "A store is of the references.",
        lambda s: s.monolingual and s.store != "none",
        "seqkd.monolingual is given, and student.store is {0.store}: use none",
    ),
    Rule(
        "from-and-engine",
        ("teacher.from", "seqkd.engine"),
        "fairseq's generator decodes fairseq's models.",
        lambda s: s.origin in ("hf", "ct2") and s.engine == "fairseq",
        "seqkd.engine is fairseq, and teacher.from is {0.origin}: remove it",
    ),
    Rule(
        "init-and-origin",
        ("student.init", "teacher.from"),
        "Layers are taken of a model of fairseq; lskd import-teacher makes one of Hugging Face's.",
        lambda s: s.init and (s.gives_text or s.origin == "none"),
        "student.init is given, and teacher.from is {0.origin}, which has no layers of fairseq's: remove it",
    ),
    Rule(
        "init-and-methods",
        ("student.init", "student.methods"),
        "Students without a teacher start at random.",
        lambda s: s.init and s.methods and not s.taught,
        "student.init is given, and no method reads a teacher: remove it",
    ),
    Rule(
        "init-and-finetune",
        ("student.init", "train.finetune-from-model"),
        "A training starts from one checkpoint.",
        lambda s: s.init and bool(s.begins),
        "student.init and train.{0.begins[0]} are both given: remove one",
    ),
    Rule(
        "no-teacher",
        ("teacher", "student.kd_level", "student.kd_weight", "student.hypotheses"),
        "Without a teacher there are plain students, and methods that read none.",
        lambda s: s.origin == "none" and not s.methods and bool(s.axes),
        "student.{0.axes[0]} is given, and teacher is none: remove it, or name methods without a teacher",
    ),
    Rule(
        "nothing-to-train",
        ("teacher", "student.plain", "student.methods"),
        "A run trains something.",
        lambda s: s.origin == "none" and not s.methods and not s.plain,
        "teacher is none, student.plain is false, and no student.methods are given: nothing is left to train",
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
