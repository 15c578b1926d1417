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

from lskd_nmt import scoring, significance
from lskd_nmt.errors import require
from lskd_nmt.progress import Progress
from lskd_nmt.runs import read_json, read_lines, sha256, write_json


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


def measure(
    outputs: Mapping[str, Output], contrasts: Wanted, file: Path, show: Callable[[str], None],
    pool: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:  # fmt: skip
    """What `file` holds if nothing changed since; else every contrast is measured anew and written there.

    Contrasts of models whose text is not there are left out. The seeds of the groups in `pool` say together how seeds
    scatter, in contrasts of these groups alone; elsewhere those of each group say it of their own.
    """
    texts = {name: output for name, output in outputs.items() if output.file.is_file() and output.reference.is_file()}
    possible = {name: contrast for name, contrast in contrasts.items()
                if all(model in texts for _, group in contrast["terms"] for model in group)}  # fmt: skip
    used = sorted({model for contrast in possible.values() for _, group in contrast["terms"] for model in group})
    facts = {"settings": settings(), "contrasts": dict(possible),
             "models": {name: described(texts[name]) for name in used},
             "without_text": sorted(set(outputs) - set(texts))}  # fmt: skip
    rows = [list(group) for group in pool if set(group) <= set(used)]
    if rows:
        facts |= {"settings": settings() | {"method": significance.POOLED}, "pool": rows}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    if file.is_file():
        kept = read_json(file)
        if kept.get("key") == key:
            return kept
    found, spread = results(texts, possible, show, rows)
    content = {"key": key, **facts, **({"spread": spread} if rows else {}), "results": found}
    write_json(file, content)
    return content


def settings() -> dict[str, Any]:
    """Everything that decides the draws, and what BLEU is."""
    versions = {name: metadata.version(name) for name in ("sacrebleu", "sacremoses")}
    return {"method": significance.METHOD, "resamples": significance.RESAMPLES, "trials": significance.TRIALS,
            "seed": significance.SEED, "interval": significance.LEVEL, **versions}  # fmt: skip


def described(output: Output) -> dict[str, Any]:
    """The hashes and the facts on which its statistics depend."""
    found = sha256(output.file)
    require(output.scored in (None, found), f"{output.file} has changed since it was scored: "
            "remove metrics.json beside it and run experiments/steps/score.sh")  # fmt: skip
    reference = sha256(output.reference)
    require(output.scored_against in (None, reference), f"{output.reference} has changed since {output.file} was "
            "scored: put it back, or remove metrics.json beside that and run experiments/steps/score.sh")  # fmt: skip
    return {"hypotheses": found, "reference": reference, "lang": output.lang,
            "form": output.form, "seed": output.seed, "tokenizer": output.tokenizer}  # fmt: skip


def results(
    outputs: Mapping[str, Output], contrasts: Wanted, show: Callable[[str], None], pool: Sequence[Sequence[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Value, interval and p-value of each contrast, and sacreBLEU's p-value of each pair of one seed.

    Beside them, how seeds scatter in the groups of `pool`, by metric.
    """
    found, spreads = dict[str, Any](), dict[str, Any]()
    for metric in dict.fromkeys(contrast["metric"] for contrast in contrasts.values()):
        mine = {name: contrast for name, contrast in contrasts.items() if contrast["metric"] == metric}
        used = dict.fromkeys(model for each in mine.values() for _, group in each["terms"] for model in group)
        statistics = collect(metric, {name: outputs[name] for name in used}, show)
        show(f"{significance.RESAMPLES:,} resamples of {len(statistics)} models")
        drawn = significance.resampled(list(statistics.values()))
        scores = {name: (significance.bleu(each.sum(0)), samples)
                  for (name, each), samples in zip(statistics.items(), drawn, strict=True)}  # fmt: skip

        def term(weight: float, group: Sequence[str], known: Mapping[str, Any] = scores) -> significance.Term:
            ordered = sorted(group, key=lambda name: outputs[name].seed)  # equal seeds meet in pairs
            seeds = tuple(outputs[name].seed for name in ordered)
            values, resampled = zip(*(known[name] for name in ordered), strict=True)
            return significance.Term(weight, seeds, np.array(values), np.array(resampled))

        alike = [group for group in pool if set(group) <= set(scores)]
        rows = [np.array([scores[name][0] for name in group]) for group in alike if len(group) > 1]
        spread = significance.pooled(rows) if rows else None
        if spread:
            alone = [float(row.std(ddof=1)) for row in rows]
            spreads[metric] = {**asdict(spread), "rows": len(rows), "smallest": min(alone), "largest": max(alone)}
        for name, contrast in mine.items():
            terms = [term(weight, group) for weight, group in contrast["terms"]]
            is_alike = all(group in alike for _, group in contrast["terms"])
            found[name] = significance.contrast(terms, spread if is_alike else None)
            found[name]["seeds"] = min(len(group) for _, group in contrast["terms"])
        by_seed(found, mine, outputs, statistics)
    for family in dict.fromkeys(contrast["family"] for contrast in contrasts.values()):
        names = [name for name, contrast in contrasts.items() if contrast["family"] == family]
        for name, p in zip(names, significance.holm([found[name]["p"] for name in names]), strict=True):
            found[name]["p_holm"] = p
    return found, spreads


def collect(metric: str, outputs: Mapping[str, Output], show: Callable[[str], None]) -> dict[str, significance.Array]:
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
        found[name] = significance.statistics(scorer, hyps)
        progress.add(1)
    return found


def by_seed(
    found: dict[str, Any], contrasts: Wanted, outputs: Mapping[str, Output],
    statistics: Mapping[str, significance.Array],
) -> None:  # fmt: skip
    """Add `p_by_seed` to what was found of each contrast that wants it."""
    pairs = []
    for name, contrast in contrasts.items():
        if contrast["family"].startswith("baseline"):
            (_, systems), (_, bases) = contrast["terms"]
            base_of = {outputs[base].seed: base for base in bases}
            pairs += [(name, outputs[system].seed, base_of[outputs[system].seed], system) for system in systems
                      if outputs[system].seed in base_of]  # fmt: skip
    values = significance.randomisation([(statistics[base], statistics[system]) for *_, base, system in pairs])
    for (name, seed, *_), p in zip(pairs, values, strict=True):
        found[name].setdefault("p_by_seed", {})[str(seed)] = p
