"""Generated tables without any difference: how often a family of tests finds one all the same. For a benchmark, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from lskd_nmt.evaluate import bootstrap, contrasts
from lskd_nmt.evaluate.records import Estimate, Pool

SENTENCES = 60


@cache
def resampling(resamples: int) -> bootstrap.Array:
    """The share of each sentence in each resample.   -> (R, S)"""
    return bootstrap.counts(SENTENCES, SENTENCES, resamples, np.random.default_rng(1)) / SENTENCES


@dataclass(frozen=True)
class Table:
    """Rows that differ in nothing but chance; the first is the baseline."""

    rows: int = 11
    seeds: int = 3
    by_sentences: float = 0.0  # how much a row's score varies by its sentences, over what it varies by a seed
    deviations: Sequence[float] = ()  # of the seeds of each row; 1 in all if not given
    resamples: int = 2000

    def draw(self, generator: np.random.Generator) -> dict[str, bootstrap.Term]:
        """The terms of each row, with an additive score in BLEU's place: sentences have means, and means are resampled.

        Each row has an effect of its own on each sentence, the same for all of its seeds, and each seed one on all.
        """
        wide = np.array(self.deviations or np.ones(self.rows))
        of_seeds = generator.normal(size=(self.rows, self.seeds)) * wide[:, None]
        of_sentences = generator.normal(size=(self.rows, SENTENCES)) * self.by_sentences * SENTENCES**0.5
        scores = of_seeds + of_sentences.mean(1, keepdims=True)
        resampled = of_seeds[..., None] + (resampling(self.resamples) @ of_sentences.T).T[:, None]  # (rows, seeds, R)
        seeds = tuple(range(self.seeds))
        return {
            f"row{number}": bootstrap.Term(1, seeds, scores[number], resampled[number]) for number in range(self.rows)
        }


def corrected(terms: Mapping[str, bootstrap.Term], always: bool = False) -> list[float | None]:
    """Holm-corrected p-values of every row against the first, by the rule of `lskd table`."""
    models = {name: [f"{name}-{seed}" for seed in term.seeds] for name, term in terms.items()}
    scores = {
        model: value for name, term in terms.items() for model, value in zip(models[name], term.scores, strict=True)
    }
    shared = contrasts.Shared(Pool("students", tuple(map(tuple, models.values())), always), scores)
    base, *others = terms
    found: list[Estimate] = []
    for name in others:
        term, other = terms[name], terms[base]
        pair = [term, bootstrap.Term(-1, other.seeds, other.scores, other.resampled)]
        found.append(shared.contrast(pair, [models[name], models[base]]))
    return bootstrap.holm([each.p for each in found])


def family_error(table: Table, tables: int, always: bool = False, seed: int = 1) -> dict[str, float]:
    """The share of tables with any p below 0.05, and the share of rows that have a p at all."""
    generator, wrong, shown = np.random.default_rng(seed), 0, 0
    for _ in range(tables):
        known = [p for p in corrected(table.draw(generator), always) if p is not None]
        wrong += bool(known) and min(known) < 0.05
        shown += len(known)
    return {"error": wrong / tables, "shown": shown / tables / (table.rows - 1)}
