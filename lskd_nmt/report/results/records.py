"""What table.json and compare.json hold, as types: scored models, means over their seeds, effects, and their tests.

Words: a *setting* is what models share that differ in nothing but their seed; a *row* (`rows` in the file) is one
scored model; a *cell* (`cells`) is one line of the printed table, the mean over the seeds of one setting.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias

from lskd_nmt.evaluate.metrics import USUAL, described
from lskd_nmt.evaluate.records import Estimate, Needed, Settings
from lskd_nmt.storage.typed import Json, record

Number: TypeAlias = int | float  # as it was written: 1 stays 1 and 1.0 stays 1.0


@record
class Setting:
    """What a model is, its seed aside; models of equal settings and equal signatures are the seeds of one cell."""

    role: str  # teacher or student
    label_smoothing: Number | None  # of the teacher itself, or of the student's teacher; None: a student without one
    kd_level: str | None  # word, sequence or both: what a student learns of its teacher
    hypotheses: str | None  # which of the teacher's translations a student learns, such as beam
    tail: str | None  # what becomes of the teacher's less probable symbols: dense, bucket or renormalise
    top_k: int | None  # how many symbols of the teacher are kept; 0: all
    kd_weight: Number
    temperature: Number | None
    method: str | None = None  # the name of a method of distillation; None: the loss of the other fields
    hypotheses_drawn: int | None = None  # how many of these translations at an update; None: all
    init: str | None = None  # the teacher's layers that a student starts from: encoder + decoder; None: random weights


@record
class MeanScore:
    """The mean of a metric over seeds, and its standard deviation if there are several."""

    mean: float
    deviation: float | None


@record
class TableRow:
    """One scored model: what it is, its scores, and what its training cost."""

    run: str
    name: str
    teacher: str | None
    arch: str
    seed: int
    setting: Setting
    scores: dict[str, Number]  # by metric
    sentences: int
    _: KW_ONLY
    tokenizer: str = USUAL  # of BLEU
    references_changed_by_subwords: int | None = None  # None: the version that scored it did not count
    parameters: int | None
    epochs: int
    best_valid_bleu: Number | None
    not_converged: bool
    cpu_hours: Number | None
    wall_hours: Number | None
    gpu_hours: Number | None = None
    peak_memory_mb: Number | None = None
    peak_gpu_memory_mb: Number | None = None
    words_per_second: Number | None = None
    updates_per_second: Number | None = None
    commit: str | None = None
    translations: str | None = None  # the hash of its translations of the test set
    signature: str

    @property
    def member(self) -> str:
        """RUN/MODEL, by which cells name their models."""
        return f"{self.run}/{self.name}"


@record
class StepCost:
    """How much longer an update takes than that of a student without KD in the same run; None where it is unknown."""

    step_cost: float | None


@record
class OverBaseline:
    """The name of a cell's baseline, and the difference to it in the main metric; None where it has no baseline."""

    baseline: str | None
    difference: Estimate | None
    needed: Needed | None = None  # where the interval holds 0


@record
class BesidePublished:
    """A cell beside the number that others published for its setting."""

    value: float
    ours: float
    difference: float
    interval: tuple[float, float] | None
    verdict: str | None


@record
class Cell:
    """One line of the table: a setting, the mean of its seeds' scores, and what was found by comparing it."""

    name: str
    setting: Setting
    seeds: tuple[int, ...]
    _: KW_ONLY
    teachers: tuple[str, ...] = ()
    members: tuple[str, ...]  # RUN/MODEL of each seed
    runs: tuple[str, ...]
    scores: dict[str, MeanScore]  # by metric
    parameters: int | None
    epochs: float
    not_converged: tuple[int, ...]  # seeds whose last validation loss is their lowest
    cpu_hours: Number | None  # hours are sums over seeds, memory is the largest, speed the mean
    gpu_hours: Number | None
    peak_memory_mb: Number | None
    peak_gpu_memory_mb: Number | None
    words_per_second: Number | None
    updates_per_second: Number | None = None
    signature: str
    named_runs: tuple[str, ...] = ()  # its runs, where its title alone does not tell it from another cell
    differs_in: tuple[str, ...] = ()  # from the first cell of its title
    cost: StepCost | None = None  # in tables that have methods
    interval: tuple[float, float] | None = None  # of the mean of the table's main metric
    baseline: str | None = None
    difference: Estimate | None = None
    over: dict[str, OverBaseline] = field(default_factory=dict)  # each baseline, if several were asked for
    published: BesidePublished | None = None
    needed: Needed | None = None  # to decide the difference, where its interval holds 0


@record
class Effect:
    """A weighted sum of cells' mean scores that answers a question, such as what label smoothing gains at T = 2."""

    effect: str
    at: str  # where: the temperature, level, tail and runs
    of: Setting  # that of the first term
    terms: tuple[tuple[Number, str], ...]  # weight, and the cell's name
    _: KW_ONLY
    teachers: int = 0  # how many trained teachers the students of a term have, at least
    published: float | None
    difference: Estimate | None = None
    verdict: str | None = None
    needed: Needed | None = None  # where the verdict is open, or, without one, the interval holds 0


@record
class Method:
    """A method of distillation as the plan has it."""

    about: str | None
    flags: dict[str, Json]


@record
class RunData:
    """The data of a run, and the methods that its students learn by."""

    name: str
    corpus: str | None
    form: str | None
    source_lang: str | None
    target_lang: str | None
    methods: dict[str, Method] = field(default_factory=dict)
    subwords: str | None = None
    vocab_size: str | int | None = None


@record
class Expansion:
    """All that could change a cell but seed, host and commit. Its hash is the cell's signature."""

    train: dict[str, str] = field(default_factory=dict)  # flags of the training
    average: dict[str, int] | None = None  # how checkpoints were averaged
    data: dict[str, str] | None = None  # the hash of each file of the binarised data
    teacher: str | None = None  # the teacher's signature
    hypotheses: list[dict[str, str]] | None = None  # flags of the commands that decoded the teacher's translations
    decode: dict[str, Json] | None = None
    metrics: dict[str, str] = field(default_factory=dict)
    reference: str | None = None  # the hash of the references
    versions: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] | None = None  # hashes of a model or of translations that were there already
    init: dict[str, str] | None = None  # the teacher's layers that a student starts from


@record
class PublishedSource:
    """Whose numbers stand beside ours, and why they are not comparable, if they are not."""

    pair: str | None = None  # of languages; None: no published numbers
    source: str = ""
    obstacles: tuple[str, ...] = ()

    @property
    def is_comparable(self) -> bool:
        """Whether published numbers may be held against ours."""
        return self.pair is not None and not self.obstacles


@record
class Scatter:
    """How the scores of seeds scatter, pooled over cells; the numbers are None where no cell has two seeds."""

    deviation: float | None = None
    degrees: Number | None = None  # of freedom
    rows: int | None = None
    smallest: float | None = None
    largest: float | None = None
    always: bool = False  # used for all cells, as the user wished
    unlike: tuple[str, ...] = ()  # cells that scatter more, and are not pooled


@record
class Tests:
    """How differences were tested."""

    settings: Settings
    without_text: tuple[str, ...] = ()  # models that could not be compared, as their translations are not there
    spread: Scatter | None = None  # that of all students, if the user asked for it
    pooled: dict[str, Scatter] = field(default_factory=dict)


@record
class ResultsTable:
    """The content of table.json; what is not measured yet is empty."""

    name: str
    runs: tuple[RunData, ...]
    signatures: dict[str, str]  # by metric, in the order of the columns; the first is the main one
    rows: tuple[TableRow, ...]
    cells: tuple[Cell, ...]
    not_scored: tuple[str, ...] = ()
    without_folder: tuple[str, ...] = ()  # of these, models whose folder is not in the run
    remarks: tuple[str, ...] = ()  # what a reader must know of the scores
    expansions: dict[str, Expansion] = field(default_factory=dict)  # by signature
    published: PublishedSource = PublishedSource()
    effects: tuple[Effect, ...] = ()
    significance: Tests | None = None
    lower_is_better: tuple[str, ...] = ()  # metrics of the user's own programs, which said so
    main_set: str | None = None  # the name of the test set of this table, where there are others beside it
    sets: "dict[str, ResultsTable]" = field(default_factory=dict)  # the tables of further test sets, by name
    over_sets: "ResultsTable | None" = None  # of the models that are scored on all of them: their mean scores

    def is_better_higher(self, metric: str) -> bool:
        """Whether more is better by this metric."""
        return metric not in self.lower_is_better and described(metric).higher_is_better

    @property
    def main(self) -> str:
        """The metric of intervals, effects, tests and figures: the first of the table's."""
        return next(iter(self.signatures))

    @property
    def axis(self) -> str:
        """What an axis of the main metric is called."""
        return axis(self.main)

    @property
    def tests(self) -> Tests:
        """How differences were tested, in a table of which they were."""
        assert self.significance is not None, "the table's differences are measured first"
        return self.significance


def axis(metric: str) -> str:
    """What an axis of this metric is called: `BLEU (sacreBLEU, test set)`."""
    entry = described(metric)
    return f"{entry.label} ({'sacreBLEU, ' * ('sacrebleu' in entry.packages)}test set)"


@dataclass(frozen=True)
class CellPair:
    """The cells of two tables that have one setting, and what the second is over the first."""

    first: Cell
    second: Cell
    difference: Estimate | None = None


@dataclass(frozen=True)
class EffectPair:
    """One effect in two tables."""

    first: Effect
    second: Effect


@dataclass(frozen=True)
class TwoTables:
    """The content of compare.json."""

    names: tuple[str, str]
    signatures: dict[str, str]
    significance: Tests
    alone: dict[str, tuple[str, ...]]  # by table, the cells that the other lacks
    cells: tuple[CellPair, ...]
    effects: tuple[EffectPair, ...]
    lower_is_better: tuple[str, ...] = ()  # metrics of which less is better
    main_set: str | None = None  # the name of the test set, where there are others
    sets: "dict[str, TwoTables]" = field(default_factory=dict)  # on further test sets that both have, by name

    @property
    def main(self) -> str:
        """The metric of differences: the first of the tables'."""
        return next(iter(self.signatures))
