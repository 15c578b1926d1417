"""A model's calibration from its features: numbers with intervals over sentences, reliability diagrams, T*."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lskd_nmt.analysis import intervals
from lskd_nmt.analysis.confidence import calibration, temperature_scaling
from lskd_nmt.analysis.confidence.tokens_or_words import Units, levels
from lskd_nmt.analysis.features import distribution, sentence_spans
from lskd_nmt.analysis.features.folder import Features, described
from lskd_nmt.errors import require
from lskd_nmt.evaluate.bootstrap import SEED

Array = NDArray[np.float64]


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


def measure(units: Units, bins: tuple[int, ...]) -> dict[str, Any]:
    """Numbers with intervals over sentences, and the reliability diagrams behind them."""
    group = np.unique(units.sentence, return_inverse=True)[1]
    edges = {f"ece_{m}": calibration.equal_width(m) for m in bins}
    edges |= {f"ece_mass_{m}": calibration.equal_mass(units.confidence, m) for m in bins}
    means = {**units.means, "confidence": units.confidence, "accuracy": units.right.astype(np.float64)}
    flat = sentence_spans.by_sentence(units.sentence, np.stack([np.ones(len(group)), *means.values()], axis=1))
    tables = {name: calibration.binned(units.confidence, units.right, edge, group) for name, edge in edges.items()}
    sums = np.concatenate([flat, *(table.reshape(len(flat), -1) for table in tables.values())], axis=1)

    def numbers(total: Array) -> dict[str, Array]:
        """(…, K) sums -> (…) each."""
        found = {name: total[..., k] / total[..., 0] for k, name in enumerate(means, start=1)}
        found["overconfidence"] = found["confidence"] - found["accuracy"]
        at = 1 + len(means)
        for name, edge in edges.items():
            size = 3 * (len(edge) - 1)
            table = total[..., at : at + size].reshape(*total.shape[:-1], 3, -1)
            found[name], at = calibration.ece(table), at + size
            if "mass" not in name:
                found[name.replace("ece", "mce")] = calibration.mce(table)
        return found

    values, draws = numbers(sums.sum(0)), numbers(intervals.resampled(sums))
    return {
        "units": len(group),
        "numbers": {name: intervals.with_interval(float(values[name]), draws[name]) for name in values},
        "reliability": {name: calibration.reliability(tables[name].sum(0), edge) for name, edge in edges.items()},
    }


def post_hoc(features: Features, settings: CalibrationSettings) -> dict[str, Any]:
    """T* of one half of the drawn sentences, and NLL and ECE of the other half without and with it."""
    drawn = sentence_spans.drawn(features.sentence, settings.tokens, settings.seed)
    halves = [sentence_spans.rows_of(features.sentence, half) for half in (drawn[::2], drawn[1::2])]
    if any(len(half) == 0 for half in halves):
        return {"value": None, "reason": "fewer than two sentences"}
    model = features.projection, features.bias
    fitted = temperature_scaling.fit(features.state[halves[0]], *model, features.target[halves[0]])
    result: dict[str, Any] = {"value": fitted, "fitted_on_tokens": len(halves[0]), "measured_on_tokens": len(halves[1])}
    for name, at in (("before", 1.0), ("after", fitted)):
        scored = temperature_scaling.score(features.state[halves[1]], *model, features.target[halves[1]], at)
        together = np.zeros(len(scored.right), dtype=np.intp)
        result[name] = {"nll": -float(scored.log_prob.mean())}
        for bins in settings.bins:
            table = calibration.binned(
                np.exp(scored.top_log_prob), scored.right, calibration.equal_width(bins), together
            )
            result[name][f"ece_{bins}"] = float(calibration.ece(table[0]))
    return result


def calibrate(features: Features, settings: CalibrationSettings, show: Callable[[str], None]) -> dict[str, Any]:
    """All of it, as JSON."""
    found = {}
    for level, units in levels(features).items():
        require(len(units.right) > 0, f"the features have no {level} to measure: run lskd features on more sentences")
        found[level] = measure(units, settings.bins)
        show(f"{level}: {len(units.right):,} measured")
    fitted = None
    if features.edit is None:
        show(f"fitting the temperature on {min(settings.tokens, features.tokens) // 2:,} tokens")
        fitted = post_hoc(features, settings)
    return {
        "analysis": "calibration",
        "decoding": "teacher-forced" if features.edit is None else "own output",
        "equations": calibration.EQUATIONS,
        "settings": {**asdict(settings), "resamples": intervals.RESAMPLES, "bootstrap_seed": SEED},
        "features": described(features),
        **found,
        "entropy_histogram": distribution.entropy_histogram(features.entropy, len(features.projection)),
        "temperature": fitted,
    }
