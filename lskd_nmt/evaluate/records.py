"""What a model's metrics.json and a table's significance.json hold, as types."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import LOWERCASED, METRICS
from lskd_nmt.storage.files import hash_of_hashes, write_json
from lskd_nmt.storage.records import AGAIN, load
from lskd_nmt.storage.typed import Json, absent, from_json, record, to_json

T = TypeVar("T")

ALWAYS = ("bleu", "chrf", LOWERCASED)  # the metrics that every version has written


@record
class Score:
    """A corpus' score by one metric."""

    score: float  # in percent, as sacreBLEU gives it, or in the metric's own unit
    signature: str
    text: str = ""  # which text was scored: raw, or how it was tokenised or detokenised
    tokenizer: str | None = None  # of BLEU; scores of older versions do not say it and have sacreBLEU's 13a
    lower_is_better: bool | None = None  # True: the user's program said so of its metric


@record
class ScoringFacts:
    """What metrics.json holds beside the scores."""

    sentences: int
    name: str = ""
    references_changed_by_subwords: int | None = None
    hyp_sha256: str | None = None
    ref_sha256: str | None = None
    decode: dict[str, Json] | None = None
    commit: str | None = None
    other_refs_sha256: tuple[str, ...] | None = absent()  # of further references of each sentence

    @property
    def references(self) -> str | None:
        """The hash of all references."""
        return None if self.ref_sha256 is None else hash_of_hashes([self.ref_sha256, *(self.other_refs_sha256 or ())])


@dataclass(frozen=True)
class Metrics:
    """The scores of a model's translations of the test set, by metric, and what they are of."""

    scores: dict[str, Score]
    facts: ScoringFacts


def read_metrics(file: Path) -> Metrics:
    """A metrics.json; every object with a score and a signature is one by a metric, whatever its name."""
    content = load(file, dict)
    for name in ALWAYS:
        require(name in content, f"{file} lacks '{name}': {AGAIN}")
    found = {name: each for name, each in content.items() if name in METRICS or is_score(each)}
    scores = from_json(dict[str, Score], in_order(found), str(file))
    return Metrics(scores, from_json(ScoringFacts, content, str(file)))


def is_score(value: object) -> bool:
    """Whether a value of a metrics.json is a score by a metric that the registry does not know."""
    return isinstance(value, dict) and {"score", "signature"} <= {*value}


def in_order(scores: dict[str, T]) -> dict[str, T]:
    """Scores by metric: those of the registry in its order, then the others."""
    return {name: scores[name] for name in [*METRICS, *scores] if name in scores}


def write_metrics(file: Path, metrics: Metrics) -> None:
    """Write a metrics.json."""
    facts = to_json(metrics.facts)
    first = {name: facts.pop(name) for name in ("name", "sentences")}
    write_json(file, first | scores_json(metrics.scores) | facts)


def scores_json(scores: dict[str, Score]) -> dict[str, Json]:
    """Scores by metric as metrics.json has them: tokeniser and direction only where they are said."""
    return {name: without_none(to_json(score), "tokenizer", "lower_is_better") for name, score in scores.items()}


def without_none(content: dict[str, Json], *names: str) -> dict[str, Json]:
    """A JSON object without those of the named keys whose value is null."""
    return {name: value for name, value in content.items() if name not in names or value is not None}


@record
class Contrast:
    """A weighted sum of the mean scores of groups of models: a difference is (1, ours), (-1, theirs).

    p-values of one family are corrected together; those of a family `baseline…` are also tested seed by seed.
    """

    family: str
    metric: str
    terms: tuple[tuple[float, tuple[str, ...]], ...]  # the weight, and the names of the group's models


@record
class Uncertainty:
    """What makes a difference's interval as wide as it is, in the metric's unit.

    With n seeds of each group the squared standard error is sentences² + seeds² / n (see `power`).
    """

    sentences: float  # standard error by the sentences of the test set, which no number of seeds makes smaller
    seeds: float | None  # standard deviation of the difference of one seed of each group; None: it was not seen
    groups: float = 1.0  # n seeds have this times (n - 1) degrees of freedom: 1 where they are paired, else Welch's
    degrees: float | None = None  # of a scatter that is pooled over rows in intervals, too; None: those of n seeds


@record
class Estimate:
    """A contrast's value, its 95 % interval, and the p-value of its being 0."""

    value: float
    low: float
    high: float
    p: float | None  # None: too few seeds for a test
    seeds: int = 1  # of the smallest group
    pool: str | None = None  # the name of the pool of rows whose scatter of seeds was used
    p_by_seed: dict[str, float] | None = None  # of approximate randomisation, uncorrected, by seed
    p_holm: float | None = None  # corrected for the size of the family (Holm 1979)
    uncertainty: Uncertainty | None = None  # of differences; older versions did not keep it


@record
class Needed:
    """What would decide an open question, at the value and the scatter that were seen, and what is bounded already."""

    seeds: int | None  # of each row, in all; None: no number of them, or it is not known how they scatter
    test_set: float | None  # how many times as many sentences at least, where no number of seeds is enough
    within: float | None  # the 95 % interval lies within ±this; None: it is of one seed, and bounds nothing
    teachers: int | None = None  # where seeds say nothing of other teachers, and teachers are to be trained


@record
class PoolScatter:
    """How the scores of a pool's seeds scatter. Without a row of two seeds that scatters as the others do: None."""

    deviation: float | None = None
    degrees: int | None = None  # of freedom: seeds less rows
    rows: int | None = None
    smallest: float | None = None  # deviation of a single row
    largest: float | None = None
    always: bool = False  # the user said that all rows scatter alike
    unlike: tuple[tuple[str, ...], ...] = ()  # groups that scatter more than the others, and are left out


@record
class Settings:
    """Everything that decides the draws, and what the metrics are."""

    method: str
    resamples: int  # of the bootstrap
    trials: int  # of approximate randomisation
    seed: int
    interval: float
    sacrebleu: str
    sacremoses: str


@record
class ComparedModel:
    """Hashes of a model's translations and of the references, and how they are scored."""

    hypotheses: str
    reference: str
    lang: str
    form: str
    seed: int
    tokenizer: str


@record
class Pool:
    """Rows whose seeds say together how seeds scatter, in contrasts of these rows alone.

    It makes the p-value of contrasts with a row of fewer than four seeds; `always`: p-value and interval of all. Rows
    that scatter more than the others are left out, unless it is `always` used: the user says that all scatter alike.
    """

    name: str  # in the plural
    groups: tuple[tuple[str, ...], ...]
    always: bool = False


@record
class Significance:
    """Every contrast that a table asks for, with its estimate: significance.json."""

    key: str  # hash of all that decides the results: all fields but `spreads` and `results`
    settings: Settings
    contrasts: dict[str, Contrast]
    models: dict[str, ComparedModel]
    without_text: tuple[str, ...]  # models whose translations are not there
    pools: tuple[Pool, ...]
    spreads: dict[str, dict[str, PoolScatter]]  # by metric and pool
    results: dict[str, Estimate]
    packages: dict[str, str] | None = None  # versions behind metrics that are not sacreBLEU's


def significance_json(content: Significance) -> dict[str, Json]:
    """What significance.json holds: keys without a value are left out where older versions knew none."""
    found: dict[str, Json] = without_none(to_json(content), "packages")
    results: dict[str, Json] = {
        name: without_none(to_json(each), "p_by_seed", "uncertainty") for name, each in content.results.items()
    }
    of_rows = ("deviation", "degrees", "rows", "smallest", "largest")
    spreads: dict[str, Json] = {
        metric: {pool: without_none(to_json(each), *of_rows) for pool, each in pools.items()}
        for metric, pools in content.spreads.items()
    }
    return {**found, "spreads": spreads, "results": results}
