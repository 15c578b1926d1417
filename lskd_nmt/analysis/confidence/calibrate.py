"""A model's calibration from its features: numbers with intervals over sentences, reliability diagrams, T*."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass

import numpy as np

from lskd_nmt.analysis import intervals
from lskd_nmt.analysis.confidence import calibration, temperature_scaling
from lskd_nmt.analysis.confidence.calibration import Reliability
from lskd_nmt.analysis.confidence.tokens_or_words import Confidences, levels
from lskd_nmt.analysis.features import sentence_spans
from lskd_nmt.analysis.features.distribution import Histogram, entropy_histogram
from lskd_nmt.analysis.features.folder import Described, Features, described
from lskd_nmt.analysis.intervals import Interval
from lskd_nmt.errors import require
from lskd_nmt.evaluate.bootstrap import SEED
from lskd_nmt.storage.arrays import Float64s
from lskd_nmt.storage.typed import Json, absent, record, to_json


@dataclass(frozen=True)
class CalibrationSettings:
    """How calibration is measured."""

    bins: tuple[int, ...] = (15, 20)
    tokens: int = 20_000  # of the temperature: half to fit it, half to see what it does
    seed: int = 1  # of their draw

    def __post_init__(self) -> None:
        bad = [bins for bins in self.bins if bins < 1]
        what = f"--bins holds {bad or 'nothing'}"
        require(bool(self.bins) and not bad, f"{what}: give whole numbers from 1, such as 15,20")
        require(self.tokens > 1, f"--temperature-tokens is {self.tokens}: give a number above 1")
        require(self.seed >= 0, f"--seed is {self.seed}: give a whole number from 0")


@record
class Measured:
    """The calibration of tokens or words."""

    units: int  # how many
    numbers: dict[str, Interval]
    reliability: dict[str, Reliability]


@record
class FittedTemperature:
    """The temperature T* that calibrates a model afterwards, and what it does on other sentences."""

    value: float | None
    reason: str | None = absent()  # why there is none
    fitted_on_tokens: int | None = absent()
    measured_on_tokens: int | None = absent()
    before: dict[str, float] | None = absent()  # NLL and ECE at T = 1
    after: dict[str, float] | None = absent()  # and at T*


@record
class Calibration:
    """What `lskd calibrate` writes."""

    analysis: str
    decoding: str
    equations: dict[str, str]
    settings: dict[str, Json]
    features: Described
    token: Measured
    word: Measured | None = absent()
    token_all: Measured | None = absent()  # of the model's own translations, unaligned tokens being wrong
    _: KW_ONLY
    entropy_histogram: Histogram
    temperature: FittedTemperature | None


def measure(measured: Confidences, bins: tuple[int, ...]) -> Measured:
    """Numbers with intervals over sentences, and the reliability diagrams behind them."""
    group = np.unique(measured.sentence, return_inverse=True)[1]
    edges = {f"ece_{m}": calibration.equal_width(m) for m in bins}
    edges |= {f"ece_mass_{m}": calibration.equal_mass(measured.confidence, m) for m in bins}
    means = {**measured.means, "confidence": measured.confidence, "accuracy": measured.right.astype(np.float64)}
    flat = sentence_spans.by_sentence(measured.sentence, np.stack([np.ones(len(group)), *means.values()], axis=1))
    tables = {
        name: calibration.binned(measured.confidence, measured.right, edge, group) for name, edge in edges.items()
    }
    sums = np.concatenate([flat, *(table.reshape(len(flat), -1) for table in tables.values())], axis=1)
    sizes = {name: len(edge) - 1 for name, edge in edges.items()}
    values, draws = (numbers(each, list(means), sizes) for each in (sums.sum(0), intervals.resampled(sums)))
    return Measured(
        len(group),
        {name: intervals.with_interval(float(values[name]), draws[name]) for name in values},
        {name: calibration.reliability(tables[name].sum(0), edge) for name, edge in edges.items()},
    )


def numbers(sums: Float64s, means: Sequence[str], bins: Mapping[str, int]) -> dict[str, Float64s]:
    """All numbers, from a count, the sums of `means`, and the tables of each error's bins.   (…, K) -> (…) each"""
    found = {name: sums[..., k] / sums[..., 0] for k, name in enumerate(means, start=1)}
    found["overconfidence"] = found["confidence"] - found["accuracy"]
    at = 1 + len(means)
    for name, size in bins.items():
        table = sums[..., at : at + 3 * size].reshape(*sums.shape[:-1], 3, -1)
        found[name], at = calibration.ece(table), at + 3 * size
        if "mass" not in name:
            found[name.replace("ece", "mce")] = calibration.mce(table)
    return found


def post_hoc(features: Features, settings: CalibrationSettings) -> FittedTemperature:
    """T* of one half of the drawn sentences, and NLL and ECE of the other half without and with it."""
    drawn = sentence_spans.drawn(features.sentence, settings.tokens, settings.seed)
    halves = [sentence_spans.rows_of(features.sentence, half) for half in (drawn[::2], drawn[1::2])]
    if any(len(half) == 0 for half in halves):
        return FittedTemperature(None, "fewer than two sentences")
    model = features.projection, features.bias
    fitted = temperature_scaling.fit(features.state[halves[0]], *model, features.target[halves[0]])

    def errors(temperature: float) -> dict[str, float]:
        scored = temperature_scaling.score(features.state[halves[1]], *model, features.target[halves[1]], temperature)
        confidence, together = np.exp(scored.top_log_prob), np.zeros(len(scored.right), dtype=np.intp)
        found = {"nll": -float(scored.log_prob.mean())}
        for bins in settings.bins:
            table = calibration.binned(confidence, scored.right, calibration.equal_width(bins), together)
            found[f"ece_{bins}"] = float(calibration.ece(table[0]))
        return found

    return FittedTemperature(fitted, None, len(halves[0]), len(halves[1]), errors(1.0), errors(fitted))


def calibrate(features: Features, settings: CalibrationSettings, show: Callable[[str], None]) -> Calibration:
    """Everything that is measured of a features folder."""
    found = {}
    for level, measured in levels(features).items():
        some = len(measured.right) > 0
        require(some, f"the features have no {level} to measure: run lskd features on more sentences")
        found[level] = measure(measured, settings.bins)
        show(f"{level}: {len(measured.right):,} measured")
    fitted = None
    if features.edit is None:
        show(f"fitting the temperature on {min(settings.tokens, features.tokens) // 2:,} tokens")
        fitted = post_hoc(features, settings)
    return Calibration(
        "calibration",
        "teacher-forced" if features.edit is None else "own output",
        calibration.EQUATIONS,
        {**to_json(asdict(settings)), "resamples": intervals.RESAMPLES, "bootstrap_seed": SEED},
        described(features),
        **found,
        entropy_histogram=entropy_histogram(features.entropy, len(features.projection)),
        temperature=fitted,
    )
