"""Contrasts between trained models' translations with intervals and p-values, measured once and kept as JSON."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from lskd_nmt.errors import require
from lskd_nmt.evaluate import bootstrap, power
from lskd_nmt.evaluate.formulas import Array
from lskd_nmt.evaluate.kept_statistics import Reading
from lskd_nmt.evaluate.metrics import USUAL, EvaluationSet, Statistics, described
from lskd_nmt.evaluate.records import (
    ComparedModel,
    Contrast,
    Estimate,
    Pool,
    PoolScatter,
    Settings,
    Significance,
    Uncertainty,
    significance_json,
)
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import hash_of_hashes, read_lines, sha256, write_json
from lskd_nmt.storage.records import load
from lskd_nmt.storage.typed import from_json

Show = Callable[[str], None]
Contrasts = Mapping[str, Contrast]


@dataclass(frozen=True)
class Output:
    """What one model made of the test set."""

    file: Path
    reference: Path
    lang: str
    form: str
    seed: int
    scored: str | None  # the hash of the text that has its scores
    scored_against: str | None = None  # that of the reference then
    tokenizer: str = USUAL  # of its BLEU
    source: Path | None = None  # for metrics that need it
    signatures: Mapping[str, str] = field(default_factory=dict)  # of its scores, by metric
    others: tuple[Path, ...] = ()  # further references


@dataclass(frozen=True)
class Scores:
    """The scores of one metric: of each model, and of each model on each resample of the sentences."""

    corpus: dict[str, float]
    resampled: dict[str, Array]  # (R,) each

    def term(self, weight: float, group: Sequence[str], outputs: Mapping[str, Output]) -> bootstrap.Term:
        """A group of models with its weight; in the order of their seeds, so that equal seeds meet in pairs."""
        ordered = sorted(group, key=lambda name: outputs[name].seed)
        seeds = tuple(outputs[name].seed for name in ordered)
        values, resampled = ([of[name] for name in ordered] for of in (self.corpus, self.resampled))
        return bootstrap.Term(weight, seeds, np.array(values), np.array(resampled))


def wanted(terms: Sequence[tuple[float, Sequence[str]]], family: str = "score", metric: str = "bleu") -> Contrast:
    """A contrast of groups of models, each of one row of a table, by their names among the outputs."""
    return Contrast(family, metric, tuple((weight, tuple(group)) for weight, group in terms))


def measure(
    outputs: Mapping[str, Output], contrasts: Contrasts, file: Path, show: Show, pools: Sequence[Pool] | None = None
) -> Significance:
    """What `file` holds if nothing changed since; else every contrast is measured anew and written there.

    Contrasts of models whose text is not there are left out. Where no `pools` are given, all groups are in one.
    """
    asked = question(outputs, contrasts, pools)
    return kept(asked, file, lambda: results(partial(scored, outputs), outputs, asked.contrasts, show, asked.pools))


Results = tuple[dict[str, Estimate], dict[str, dict[str, PoolScatter]]]


def kept(asked: Significance, file: Path, results: Callable[[], Results]) -> Significance:
    """What `file` holds if it answers the same question; else the results, which are written there."""
    content = significance_json(asked)
    facts = {name: content[name] for name in content if name not in ("key", "spreads", "results")}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    if file.is_file():
        kept = load(file, dict)
        if kept.get("key") == key:
            known = from_json(Significance, kept, str(file))
            if has_uncertainty(known):
                return known
    found, spreads = results()
    measured = replace(asked, key=key, spreads=spreads, results=found)
    write_json(file, significance_json(measured))
    return measured


def has_uncertainty(known: Significance) -> bool:
    """Whether all differences say what makes their intervals wide, which older versions did not keep."""
    differences = [name for name, contrast in known.contrasts.items() if len(contrast.terms) > 1]
    return all(known.results[name].uncertainty is not None for name in differences if name in known.results)


def question(outputs: Mapping[str, Output], contrasts: Contrasts, pools: Sequence[Pool] | None) -> Significance:
    """What is to be measured, without results: contrasts and pools of the models whose text is there."""
    texts = {name: output for name, output in outputs.items() if output.file.is_file() and output.reference.is_file()}
    possible = {name: contrast for name, contrast in contrasts.items() if set(models_of([contrast])) <= set(texts)}
    used = sorted(models_of(possible.values()))
    if pools is None:
        pools = [Pool("rows", tuple(group for contrast in possible.values() for _, group in contrast.terms))]
    there = [replace(pool, groups=tuple(group for group in pool.groups if set(group) <= set(used))) for pool in pools]
    return Significance(
        "",
        settings(any(pool.always for pool in there)),
        possible,
        {name: compared(texts[name]) for name in used},
        tuple(sorted(set(outputs) - set(texts))),
        tuple(there),
        {},
        {},
        packages(possible, texts) or None,
    )


def models_of(contrasts: Iterable[Contrast]) -> dict[str, None]:
    """The names of all models in these contrasts, each once, in their order."""
    return dict.fromkeys(model for contrast in contrasts for _, group in contrast.terms for model in group)


def settings(always: bool = False) -> Settings:
    """Everything that decides the draws; `always`: the scatter of seeds is pooled in all contrasts."""
    method = bootstrap.POOLED if always else bootstrap.METHOD
    versions = (metadata.version(name) for name in ("sacrebleu", "sacremoses"))
    numbers = (bootstrap.RESAMPLES, bootstrap.TRIALS, bootstrap.SEED, bootstrap.LEVEL)
    return Settings(method, *numbers, *versions)


def packages(contrasts: Contrasts, outputs: Mapping[str, Output]) -> dict[str, str]:
    """The versions of the packages behind metrics that are not sacreBLEU's, whose versions are among the settings.

    Of metrics that programs computed it is what these said of themselves: their signatures.
    """
    asked = {contrast.metric: described(contrast.metric) for contrast in contrasts.values()}
    names = {package for entry in asked.values() for package in entry.packages} - {"sacrebleu", "sacremoses"}
    programs = [name for name, entry in asked.items() if entry.by_program]
    said = {name: "; ".join(sorted({each.signatures.get(name, "") for each in outputs.values()})) for name in programs}
    return {name: metadata.version(name) for name in sorted(names)} | said


def compared(output: Output) -> ComparedModel:
    """The hashes and the facts on which a model's statistics depend; text that was not scored so is refused."""
    found = sha256(output.file)
    require(
        output.scored in (None, found),
        f"{output.file} has changed since it was scored: "
        "remove metrics.json beside it and run experiments/steps/score.sh",
    )
    reference = hash_of_hashes([sha256(file) for file in (output.reference, *output.others)])
    require(
        output.scored_against in (None, reference),
        f"{output.reference} has changed since {output.file} was "
        "scored: put it back, or remove metrics.json beside that and run experiments/steps/score.sh",
    )
    return ComparedModel(found, reference, output.lang, output.form, output.seed, output.tokenizer)


PBySeed = dict[str, dict[str, float]]  # of each contrast, by seed
Scored = Callable[[str, Contrasts, Show], tuple[Scores, PBySeed]]  # of a metric, and contrasts of it


def results(
    scored: Scored, outputs: Mapping[str, Output], contrasts: Contrasts, show: Show, pools: Sequence[Pool]
) -> Results:
    """Each contrast's estimate, and how seeds scatter in the pools that were used, by metric and pool."""
    found, spreads = dict[str, Estimate](), dict[str, dict[str, PoolScatter]]()
    for name in dict.fromkeys(contrast.metric for contrast in contrasts.values()):
        mine = {key: contrast for key, contrast in contrasts.items() if contrast.metric == name}
        estimates, spreads[name] = results_by(*scored(name, mine, show), outputs, mine, pools)
        found |= estimates
    for family in dict.fromkeys(contrast.family for contrast in contrasts.values()):
        names = [name for name, contrast in contrasts.items() if contrast.family == family]
        for name, p in zip(names, bootstrap.holm([found[name].p for name in names]), strict=True):
            found[name] = replace(found[name], p_holm=p)
    return found, spreads


def scored(outputs: Mapping[str, Output], metric: str, contrasts: Contrasts, show: Show) -> tuple[Scores, PBySeed]:
    """The scores of all models of these contrasts by one metric, and p-values seed by seed."""
    statistics, formula = collect(metric, {name: outputs[name] for name in models_of(contrasts.values())}, show)
    show(f"{bootstrap.RESAMPLES:,} resamples of {len(statistics)} models")
    return scores_of(statistics, formula), p_by_seed(contrasts, outputs, statistics, formula)


def scores_of(
    statistics: Mapping[str, Statistics],
    formula: Callable[[Array], Array],
    seed: int | Sequence[int] = bootstrap.SEED,
) -> Scores:
    """The scores of models from their sentences' statistics; `seed` is that of the resamples."""
    resampled = bootstrap.resampled(list(statistics.values()), formula, seed)
    corpus = {name: float(formula(each.sum(0, dtype=np.float64))) for name, each in statistics.items()}
    return Scores(corpus, dict(zip(statistics, resampled, strict=True)))


def results_by(
    scores: Scores, by_seed: PBySeed, outputs: Mapping[str, Output], contrasts: Contrasts, pools: Sequence[Pool]
) -> tuple[dict[str, Estimate], dict[str, PoolScatter]]:
    """The estimates of contrasts of one metric, without Holm's correction, and the scatter in pools that were used."""
    shared = [Shared(pool, scores.corpus) for pool in pools]
    found = {}
    for name, contrast in contrasts.items():
        groups = [group for _, group in contrast.terms]
        terms = [scores.term(*term, outputs) for term in contrast.terms]
        one = next((one for one in shared if one.is_of(groups)), None)
        found[name] = replace(
            one.contrast(terms, groups) if one else bootstrap.contrast(terms),
            seeds=min(map(len, groups)),
            pool=one.pool.name if one and one.spread else None,
            p_by_seed=by_seed.get(name),
            uncertainty=(one.uncertainty(terms) if one else power.uncertainty(terms)) if len(terms) > 1 else None,
        )
    of_rows = {name: contrast for name, contrast in contrasts.items() if contrast.family != "score"}
    used = {found[name].pool for name in of_rows} | {one.pool.name for one in shared if one.leaves_out(of_rows)}
    return found, {one.pool.name: one.scatter() for one in shared if one.pool.name in used}


class Shared:
    """How the seeds of a pool's rows scatter, and which rows scatter so; `scores` are those of each model."""

    def __init__(self, pool: Pool, scores: Mapping[str, float]) -> None:
        self.pool = pool
        groups = list(dict.fromkeys(tuple(group) for group in pool.groups if set(group) <= set(scores)))
        several = {group: np.array([scores[name] for name in group]) for group in groups if len(group) > 1}
        outside = [] if pool.always else bootstrap.unlike(list(several.values()))
        self.unlike = [list(several)[at] for at in outside]
        self.alike = [group for group in groups if group not in self.unlike]
        self.rows = [several[group] for group in self.alike if group in several]
        self.spread = bootstrap.pooled(self.rows) if self.rows else None

    def is_of(self, groups: Sequence[Sequence[str]]) -> bool:
        """Whether a contrast of these groups takes its scatter from here."""
        is_needed = self.pool.always or min(map(len, groups)) < bootstrap.ENOUGH_SEEDS
        return is_needed and all(tuple(group) in self.alike for group in groups)

    def contrast(self, terms: Sequence[bootstrap.Term], groups: Sequence[Sequence[str]]) -> Estimate:
        """A contrast of these groups, with this scatter where it is needed and known."""
        if not self.is_of(groups):
            return bootstrap.contrast(terms)
        return bootstrap.contrast(terms, *((self.spread, None) if self.pool.always else (None, self.spread)))

    def uncertainty(self, terms: Sequence[bootstrap.Term]) -> Uncertainty:
        """What makes the interval of a contrast of these groups wide: with few seeds their scatter is that of all."""
        return power.uncertainty(terms, self.spread, self.pool.always)

    def leaves_out(self, contrasts: Contrasts) -> bool:
        """Whether one of these lacks a p-value, as a row of it scatters more than the others."""
        groups = [[group for _, group in contrast.terms] for contrast in contrasts.values()]
        return any(set(each) & set(self.unlike) and min(map(len, each)) < bootstrap.ENOUGH_SEEDS for each in groups)

    def scatter(self) -> PoolScatter:
        """The pooled scatter, and that of single rows."""
        empty = PoolScatter(always=self.pool.always, unlike=tuple(self.unlike))
        if self.spread is None:
            return empty
        alone = [float(row.std(ddof=1)) for row in self.rows]
        return replace(empty, **asdict(self.spread), rows=len(self.rows), smallest=min(alone), largest=max(alone))


def collect(
    metric: str, outputs: Mapping[str, Output], show: Show
) -> tuple[dict[str, Statistics], Callable[[Array], Array]]:
    """The sufficient statistics of each model's sentences, and the formula that scores sums of them."""
    progress, found = Progress(len(outputs), "models compared", show), {}
    readings = dict[tuple[tuple[Path, ...], str, str], Reading]()
    for name, output in outputs.items():
        at = ((output.reference, *output.others), output.tokenizer, output.signatures.get(metric, ""))
        if at not in readings:
            sources = read_lines(output.source) if output.source and output.source.is_file() else None
            references = read_lines(output.reference)
            others = [read_lines(file) for file in output.others]
            data = EvaluationSet(references, output.lang, output.form, output.tokenizer, sources, others)
            readings[at] = Reading(metric, data, at[-1])
        found[name] = readings[at].statistics(output.file)
        progress.add(1)
    return found, next(iter(readings.values())).score


def p_by_seed(
    contrasts: Contrasts,
    outputs: Mapping[str, Output],
    statistics: Mapping[str, Statistics],
    formula: Callable[[Array], Array],
) -> dict[str, dict[str, float]]:
    """For contrasts of a family `baseline…`, sacreBLEU's p-value of each pair of models of one seed."""
    pairs = []
    for name, contrast in contrasts.items():
        if contrast.family.startswith("baseline"):
            (_, systems), (_, bases) = contrast.terms
            base_of = {outputs[base].seed: base for base in bases}
            pairs += [
                (name, outputs[system].seed, base_of[outputs[system].seed], system)
                for system in systems
                if outputs[system].seed in base_of
            ]
    values = bootstrap.randomisation([(statistics[base], statistics[system]) for *_, base, system in pairs], formula)
    found = dict[str, dict[str, float]]()
    for (name, seed, *_), p in zip(pairs, values, strict=True):
        found.setdefault(name, {})[str(seed)] = p
    return found
