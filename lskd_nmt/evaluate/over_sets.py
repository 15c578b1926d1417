"""Contrasts of the mean score over several test sets (macro mean: every set counts the same, whatever its size).

Sentences are resampled in each set by themselves: the resample of a mean is the mean of one resample of each set. Draws
of a set depend on its references alone, so that the order of the sets changes nothing. Seeds are paired as in one set:
a seed's score is its mean over the sets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lskd_nmt.evaluate import bootstrap
from lskd_nmt.evaluate.contrasts import (
    Contrasts,
    Output,
    PBySeed,
    Scores,
    Show,
    collect,
    compared,
    kept,
    models_of,
    question,
    results,
    scores_of,
)
from lskd_nmt.evaluate.records import Pool, Significance

Sets = Mapping[str, Mapping[str, Output]]  # by set, then by model
METHOD = "mean over test sets, each resampled by itself; "


def measure(sets: Sets, contrasts: Contrasts, file: Path, show: Show, pools: Sequence[Pool]) -> Significance:
    """As `contrasts.measure`, of the means over the sets of models that have translations of all."""
    first = next(iter(sets.values()))
    for outputs in sets.values():
        contrasts = question(outputs, contrasts, pools).contrasts  # those whose text is there
    asked = question(first, contrasts, pools)
    models = {f"{name}: {model}": compared(outputs[model]) for name, outputs in sets.items() for model in asked.models}
    asked = replace(asked, models=models, settings=replace(asked.settings, method=METHOD + asked.settings.method))
    return kept(asked, file, lambda: results(partial(scored, sets), first, asked.contrasts, show, asked.pools))


def scored(sets: Sets, metric: str, contrasts: Contrasts, show: Show) -> tuple[Scores, PBySeed]:
    """The mean scores over the sets of all models of these contrasts; p-values seed by seed are of single sets."""
    models = models_of(contrasts.values())
    found = []
    for outputs in sets.values():
        statistics, formula = collect(metric, {name: outputs[name] for name in models}, show)
        show(f"{bootstrap.RESAMPLES:,} resamples of {len(statistics)} models")
        found.append(scores_of(statistics, formula, draws_of(outputs[next(iter(models))])))
    corpus = {name: float(np.mean([scores.corpus[name] for scores in found])) for name in models}
    resampled = {name: np.mean([scores.resampled[name] for scores in found], axis=0) for name in models}
    return Scores(corpus, resampled), {}


def draws_of(output: Output) -> list[int]:
    """The seed of a set's resamples: another for each text of references."""
    return [bootstrap.SEED, int(compared(output).reference[:8], 16)]
