"""Differences between trained models' translations with intervals and p-values, measured once and kept as JSON."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from lskd_nmt.errors import require
from lskd_nmt.evaluate import bootstrap, scoring
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_json, read_lines, sha256, write_json


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
    tokenizer: str = scoring.USUAL  # of its BLEU


# name -> a weighted sum of groups' mean BLEU; a group is the models of one cell, by their names among the outputs
Wanted = Mapping[str, Mapping[str, Any]]


def wanted(terms: Sequence[tuple[float, Sequence[str]]], family: str = "score", metric: str = "bleu") -> dict[str, Any]:
    """One contrast. Those of a family are corrected together; those of `baseline…` are also tested seed by seed."""
    return {"family": family, "metric": metric, "terms": [[weight, list(group)] for weight, group in terms]}


@dataclass(frozen=True)
class Pool:
    """Rows whose seeds say together how seeds scatter, in contrasts of these rows alone.

    It makes the p-value of contrasts with a row of fewer than four seeds; `always`: p-value and interval of all. Rows
    that scatter more than the others are left out, unless it is `always` used: the user says that all scatter alike.
    """

    name: str  # in the plural
    groups: Sequence[Sequence[str]]
    always: bool = False


def measure(
    outputs: Mapping[str, Output],
    contrasts: Wanted,
    file: Path,
    show: Callable[[str], None],
    pools: Sequence[Pool] | None = None,
) -> dict[str, Any]:
    """What `file` holds if nothing changed since; else every contrast is measured anew and written there.

    Contrasts of models whose text is not there are left out. Where no `pools` are given, all groups are in one.
    """
    texts = {name: output for name, output in outputs.items() if output.file.is_file() and output.reference.is_file()}
    possible = {
        name: contrast
        for name, contrast in contrasts.items()
        if all(model in texts for _, group in contrast["terms"] for model in group)
    }
    used = sorted({model for contrast in possible.values() for _, group in contrast["terms"] for model in group})
    facts = {
        "settings": settings(),
        "contrasts": dict(possible),
        "models": {name: described(texts[name]) for name in used},
        "without_text": sorted(set(outputs) - set(texts)),
    }
    if pools is None:
        pools = [Pool("rows", [group for contrast in possible.values() for _, group in contrast["terms"]])]
    there = [
        Pool(pool.name, [list(group) for group in pool.groups if set(group) <= set(used)], pool.always)
        for pool in pools
    ]
    if any(pool.always for pool in there):
        facts |= {"settings": settings() | {"method": bootstrap.POOLED}}
    facts |= {"pools": [asdict(pool) for pool in there]}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    if file.is_file():
        kept = read_json(file)
        if kept.get("key") == key:
            return kept
    found, spreads = results(texts, possible, show, there)
    content = {"key": key, **facts, "spreads": spreads, "results": found}
    write_json(file, content)
    return content


def settings() -> dict[str, Any]:
    """Everything that decides the draws, and what BLEU is."""
    versions = {name: metadata.version(name) for name in ("sacrebleu", "sacremoses")}
    return {
        "method": bootstrap.METHOD,
        "resamples": bootstrap.RESAMPLES,
        "trials": bootstrap.TRIALS,
        "seed": bootstrap.SEED,
        "interval": bootstrap.LEVEL,
        **versions,
    }


def described(output: Output) -> dict[str, Any]:
    """The hashes and the facts on which its statistics depend."""
    found = sha256(output.file)
    require(
        output.scored in (None, found),
        f"{output.file} has changed since it was scored: "
        "remove metrics.json beside it and run experiments/steps/score.sh",
    )
    reference = sha256(output.reference)
    require(
        output.scored_against in (None, reference),
        f"{output.reference} has changed since {output.file} was "
        "scored: put it back, or remove metrics.json beside that and run experiments/steps/score.sh",
    )
    return {
        "hypotheses": found,
        "reference": reference,
        "lang": output.lang,
        "form": output.form,
        "seed": output.seed,
        "tokenizer": output.tokenizer,
    }


def results(
    outputs: Mapping[str, Output], contrasts: Wanted, show: Callable[[str], None], pools: Sequence[Pool]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Value, interval and p-value of each contrast, and sacreBLEU's p-value of each pair of one seed.

    Beside them, how seeds scatter in the pools that were used, by metric and name.
    """
    found, spreads = dict[str, Any](), dict[str, Any]()
    for metric in dict.fromkeys(contrast["metric"] for contrast in contrasts.values()):
        mine = {name: contrast for name, contrast in contrasts.items() if contrast["metric"] == metric}
        models = dict.fromkeys(model for each in mine.values() for _, group in each["terms"] for model in group)
        statistics = collect(metric, {name: outputs[name] for name in models}, show)
        show(f"{bootstrap.RESAMPLES:,} resamples of {len(statistics)} models")
        drawn = bootstrap.resampled(list(statistics.values()))
        scores = {
            name: (bootstrap.bleu(each.sum(0)), samples)
            for (name, each), samples in zip(statistics.items(), drawn, strict=True)
        }

        def term(weight: float, group: Sequence[str], known: Mapping[str, Any] = scores) -> bootstrap.Term:
            ordered = sorted(group, key=lambda name: outputs[name].seed)  # equal seeds meet in pairs
            seeds = tuple(outputs[name].seed for name in ordered)
            values, resampled = zip(*(known[name] for name in ordered), strict=True)
            return bootstrap.Term(weight, seeds, np.array(values), np.array(resampled))

        shared = [Shared(pool, {name: values for name, (values, _) in scores.items()}) for pool in pools]
        for name, contrast in mine.items():
            groups = [group for _, group in contrast["terms"]]
            terms = [term(*each) for each in contrast["terms"]]
            one = next((one for one in shared if one.is_of(groups)), None)
            found[name] = one.contrast(terms, groups) if one else bootstrap.contrast(terms)
            found[name] |= {"seeds": min(map(len, groups)), "pool": one.pool.name if one and one.spread else None}
        of_rows = {name: contrast for name, contrast in mine.items() if contrast["family"] != "score"}
        used = {found[name]["pool"] for name in of_rows} | {one.pool.name for one in shared if one.leaves_out(of_rows)}
        spreads[metric] = {one.pool.name: one.facts() for one in shared if one.pool.name in used}
        by_seed(found, mine, outputs, statistics)
    for family in dict.fromkeys(contrast["family"] for contrast in contrasts.values()):
        names = [name for name, contrast in contrasts.items() if contrast["family"] == family]
        for name, p in zip(names, bootstrap.holm([found[name]["p"] for name in names]), strict=True):
            found[name]["p_holm"] = p
    return found, spreads


class Shared:
    """How the seeds of a pool's rows scatter, and which rows scatter so; `scores` are those of each model."""

    def __init__(self, pool: Pool, scores: Mapping[str, Any]) -> None:
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

    def contrast(self, terms: Sequence[bootstrap.Term], groups: Sequence[Sequence[str]]) -> dict[str, Any]:
        """A contrast of these groups, with this scatter where it is needed and known."""
        if not self.is_of(groups):
            return bootstrap.contrast(terms)
        return bootstrap.contrast(terms, *((self.spread, None) if self.pool.always else (None, self.spread)))

    def leaves_out(self, contrasts: Wanted) -> bool:
        """Whether one of these lacks a p-value, as a row of it scatters more than the others."""
        groups = [[tuple(group) for _, group in contrast["terms"]] for contrast in contrasts.values()]
        return any(set(each) & set(self.unlike) and min(map(len, each)) < bootstrap.ENOUGH_SEEDS for each in groups)

    def facts(self) -> dict[str, Any]:
        """The pooled scatter, and that of single rows."""
        alone = [float(row.std(ddof=1)) for row in self.rows]
        known = (
            {}
            if self.spread is None
            else {**asdict(self.spread), "rows": len(self.rows), "smallest": min(alone), "largest": max(alone)}
        )
        return known | {"always": self.pool.always, "unlike": [list(group) for group in self.unlike]}


def collect(metric: str, outputs: Mapping[str, Output], show: Callable[[str], None]) -> dict[str, bootstrap.Array]:
    """The sufficient statistics of each model's sentences."""
    progress, scorers, found = Progress(len(outputs), "models compared", show), {}, {}
    for name, output in outputs.items():
        if output.reference not in scorers:
            references = scoring.text_for(metric, read_lines(output.reference), output.lang, output.form)
            scorers[output.reference] = scoring.metric(metric, output.lang, output.tokenizer, references)
        hyps = scoring.text_for(metric, read_lines(output.file), output.lang, output.form)
        lines = len(read_lines(output.reference))
        require(len(hyps) == lines, f"{output.file} has {len(hyps)} lines and the test set {lines}: decode it again")
        scorer = scorers[output.reference]
        assert isinstance(scorer, BLEU)
        found[name] = bootstrap.statistics(scorer, hyps)
        progress.add(1)
    return found


def by_seed(
    found: dict[str, Any],
    contrasts: Wanted,
    outputs: Mapping[str, Output],
    statistics: Mapping[str, bootstrap.Array],
) -> None:
    """Add `p_by_seed` to what was found of each contrast that wants it."""
    pairs = []
    for name, contrast in contrasts.items():
        if contrast["family"].startswith("baseline"):
            (_, systems), (_, bases) = contrast["terms"]
            base_of = {outputs[base].seed: base for base in bases}
            pairs += [
                (name, outputs[system].seed, base_of[outputs[system].seed], system)
                for system in systems
                if outputs[system].seed in base_of
            ]
    values = bootstrap.randomisation([(statistics[base], statistics[system]) for *_, base, system in pairs])
    for (name, seed, *_), p in zip(pairs, values, strict=True):
        found[name].setdefault("p_by_seed", {})[str(seed)] = p
