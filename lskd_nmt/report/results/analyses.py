"""What the page and the figures read of analyses, as types: the files of `lskd calibrate`, `confidence`, and the like.

Each class names what it needs of RUN/analysis/*.json and leaves the rest aside; `Json` is what tables show as it is.
"""

from dataclasses import field
from typing import TypeAlias

from lskd_nmt.storage.typed import AnyFloat, Json, record

Real: TypeAlias = int | AnyFloat


@record
class Estimate:
    """A value and its 95 % interval; beside a baseline, what it is less the baseline's."""

    value: Real
    low: Real | None  # None: too little data for an interval
    high: Real | None
    difference: "Estimate | None" = None


@record
class Interval(Estimate):
    """An estimate that has an interval."""

    low: Real
    high: Real


Value: TypeAlias = Estimate | int | AnyFloat | str | None


@record
class Bins:
    """Tokens in bins of the model's confidence: their number, mean confidence and accuracy in each bin."""

    count: tuple[Real, ...]
    confidence: tuple[Real | None, ...]  # None: the bin is empty
    accuracy: tuple[Real | None, ...]

    @property
    def filled(self) -> list[tuple[float, float, float]]:
        """Count, confidence and accuracy of the bins that are not empty."""
        bins = zip(self.count, self.confidence, self.accuracy, strict=True)
        return [(n, sure, right) for n, sure, right in bins if n and sure is not None and right is not None]


@record
class Histogram:
    """How many tokens lie between each pair of neighbouring edges."""

    edges: tuple[Real, ...]
    count: tuple[Real, ...]


@record
class CalibrationLevel:
    """The calibration of tokens or of words."""

    units: int  # how many were measured
    numbers: dict[str, Estimate | None]  # by measure, such as `ece_15`
    reliability: dict[str, Bins]  # by measure


@record
class FittedTemperature:
    """The temperature that makes a model's log-likelihood on held-out tokens the highest."""

    value: Real


@record
class Calibration:
    """Whether a model is right as often as it says."""

    decoding: str  # teacher-forced or own output
    entropy_histogram: Histogram
    token: CalibrationLevel | None = None
    word: CalibrationLevel | None = None
    token_all: CalibrationLevel | None = None
    temperature: FittedTemperature | None = None


@record
class Agreement:
    """How far a model follows its teacher."""

    top_1: Estimate | None = None  # share of tokens with the same most probable symbol
    kl: Estimate | None = None  # KL(teacher ‖ model), nats


Bucket = dict[str, Value]  # the means of the tokens in a bucket, by measure


@record
class ConfidentModel:
    """How sure a model is of the reference's tokens: of all, and of those in each bucket."""

    entropy_histogram: Histogram
    all: tuple[Bucket, ...] = ()
    frequency: tuple[Bucket, ...] = ()
    position: tuple[Bucket, ...] = ()
    agreement: Agreement | None = None


@record
class ConfidenceSettings:
    """How confidences were compared."""

    baseline: str  # the model that differences are to


@record
class Confidence:
    """How sure several models are of the same tokens."""

    models: dict[str, ConfidentModel]
    settings: ConfidenceSettings


Point = tuple[Real, Real]
Triple = tuple[Real, Real, Real]


@record
class ProjectedSplit:
    """Decoder states of three words in their plane; distances are first to second, first to third, second to third."""

    points: tuple[tuple[Point, ...], ...]  # of each word
    centroids: tuple[Point, ...]
    spreads: Triple
    distances: Triple


@record
class ProjectedModel:
    """A model's plane: by split, and the shares of the variance that its two axes have."""

    splits: dict[str, ProjectedSplit]
    explained_variance: tuple[Real, ...]


@record
class Projection:
    """The plane of three words in several models."""

    tokens: tuple[str, str, str]
    models: dict[str, ProjectedModel]
    occurrences: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by split, of each word
    proposed: tuple[dict[str, Json], ...] = ()


@record
class ClassIndex:
    """The diffusion index of one word."""

    similar: Real
    others: Real


@record
class DiffusionIndex:
    """The diffusion index at one temperature: of similar words, of all others, and their difference."""

    similar: Interval
    others: Interval
    margin: Interval
    seeds: int
    verdict: str
    by_class: dict[str, ClassIndex] = field(default_factory=dict)


Arm = dict[str, DiffusionIndex]  # by temperature


@record
class Diffusion:
    """The diffusion index of a teacher's students, and of those of a teacher without label smoothing."""

    students: Arm
    control: Arm | None = None
    difference: Arm | None = None  # students less control
    occurrences: dict[str, int] = field(default_factory=dict)  # of each word
    similar: dict[str, tuple[str, ...]] = field(default_factory=dict)  # words, the most similar first

    @property
    def arms(self) -> dict[str, Arm]:
        """Students, control and difference by these names, as far as they are there."""
        arms = {"students": self.students, "control": self.control, "difference": self.difference}
        return {name: arm for name, arm in arms.items() if arm is not None}


@record
class Beyond:
    """The teacher's probability outside of its top k: how much, and how evenly it is spread (1: all symbols alike)."""

    mass: Real
    evenness: Real


@record
class TailAtTemperature:
    """The teacher's tail at one temperature."""

    entropy: Real  # nats
    tail: dict[str, Beyond]  # by k


@record
class TailModel:
    """The teacher whose features were read."""

    label_smoothing: Real | None


@record
class TailData:
    """Which tokens the teacher was asked about."""

    split: str


@record
class TailFeatures:
    """What the tail was computed from."""

    model: TailModel
    data: TailData


@record
class TailSettings:
    """How many tokens were taken."""

    tokens: int


@record
class TeacherTail:
    """What a teacher says beyond its most probable symbols."""

    temperatures: dict[str, TailAtTemperature]
    symbols: int  # of the vocabulary
    features: TailFeatures
    settings: TailSettings


@record
class Sides:
    """The scores of teacher and student in one metric."""

    teacher: Real
    student: Real


@record
class SentenceGroup:
    """Sentences of one kind, as teacher and student translate them."""

    sentences: int
    chrf: Sides
    difference: Estimate  # chrF, teacher less student
    teacher_right_student_wrong: int
    student_right_teacher_wrong: int
    bleu: Sides | None = None


@record
class LostTranslations:
    """Where the teacher is right and the student wrong."""

    groups: dict[str, SentenceGroup]  # by kind of sentence
    words: dict[str, dict[str, Json]] = field(default_factory=dict)
    examples: tuple[dict[str, Json], ...] = ()


@record
class Diagnosis:
    """A teacher's tail, and what its student lost, as far as a file has them."""

    tail: TeacherTail | None = None
    sentences: LostTranslations | None = None
