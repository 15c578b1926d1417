"""What becomes of translations when their sources change a little: numbers of each sentence, and the score of sums."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU

from lskd_nmt.evaluate.defects import Counts, flagged, shares
from lskd_nmt.evaluate.hallucination import is_hallucination, is_said_twice
from lskd_nmt.evaluate.metrics import EvaluationSet, scorer
from lskd_nmt.evaluate.perturbations import Perturbation
from lskd_nmt.evaluate.words import units

Sums = NDArray[np.float64]
Answers = Sequence[str | None]  # None: the source was too long for the model


@dataclass(frozen=True)
class Numbers:
    """A measure's numbers of each sentence (S, K), and what it is of their sum: (…, K) -> (…), in percent."""

    rows: Sums
    score: Callable[[Sums], Sums]
    is_share: bool = False  # numerator and denominator

    @property
    def is_of_sentences(self) -> bool:
        """Whether each sentence has the defect or not."""
        return self.is_share and bool((self.rows[:, 1] <= 1).all())


@dataclass(frozen=True)
class Measure:
    """What is measured of translations of changed sources; `about` defines it in words."""

    title: str
    about: str
    higher_is_better: bool = False


MEASURES: dict[str, Measure] = {
    "chrf_to_clean": Measure(
        "chrF to the clean translation",
        "corpus chrF2 of the translations of the changed sources against those of the sources as they are",
        higher_is_better=True,
    ),
    "hallucinations": Measure(
        "hallucinations",
        "of sentences whose clean translation has adjusted BLEU above 0.09 against the reference, those whose "
        "translation after the change has adjusted BLEU below 0.01 against the clean one (Lee et al. 2018)",
    ),
    "bleu": Measure("BLEU", "corpus BLEU against the references, of the same sentences", higher_is_better=True),
    "chrf": Measure("chrF", "corpus chrF2 against the references, of the same sentences", higher_is_better=True),
    "said_twice": Measure("said twice", "answers that are nothing but the same words two or more times"),
    "too_long": Measure("too long", "answers of more than 2n + 2 words to an input of n words"),
    "replicated": Measure(
        "replicated",
        "training sources that are translated by the words of their training target (Dankers & Raunak 2025)",
    ),
    "extracted": Measure(
        "extracted",
        "training sources of which the first 75 % of the words are translated by the words of the whole training "
        "target: extractive memorisation (Raunak & Menezes 2022); shorter beginnings, which count there, too, are "
        "not tried",
    ),
}


def share(sums: Sums) -> Sums:
    """In percent; nan where there is nothing to divide by.   (…, 2) -> (…)"""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(100 * sums[..., 0] / sums[..., 1])


def share_of(counts: Counts) -> Numbers:
    """Counts as numbers of a share."""
    return Numbers(counts.astype(np.float64), share, is_share=True)


@dataclass(frozen=True)
class Target:
    """How the target side of a test set is scored."""

    lang: str
    form: str
    tokenizer: str  # of BLEU


def under(
    how: Perturbation, clean: Answers, changed: Answers, references: Sequence[str], target: Target
) -> dict[str, Numbers]:
    """The measures of a perturbation, of the sentences that it changes: clean and changed translations, references.

    Clean translations and references are what the perturbation makes of them (twice for a sentence twice), and are
    compared without case where only case was changed.
    """

    def texts(lines: Answers, expected: bool) -> list[str]:
        made = [how.expected(line or "", target.lang) if expected else line or "" for line in lines]
        return made if how.cased else [line.casefold() for line in made]

    answered = np.array([None not in pair for pair in zip(clean, changed, strict=True)])
    ours, wanted, truth = texts(changed, False), texts(clean, True), texts(references, True)
    found = {
        "chrf_to_clean": scored("chrf", ours, wanted, target),
        "hallucinations": share_of(hallucinations(wanted, ours, truth, target)),
        "bleu": scored("bleu", ours, truth, target),
        "chrf": scored("chrf", ours, truth, target),
    }
    return {name: answered_only(each, answered) for name, each in found.items()}


def as_they_are(clean: Answers, references: Sequence[str], target: Target) -> dict[str, Numbers]:
    """The scores of the translations of sources as they are."""
    lines, answered = [line or "" for line in clean], np.array([line is not None for line in clean])
    found = {name: scored(name, lines, references, target) for name in ("bleu", "chrf")}
    return {name: answered_only(each, answered) for name, each in found.items()}


def answered_only(numbers: Numbers, answered: NDArray[np.bool_]) -> Numbers:
    """The same without the sentences that the model could not take."""
    return Numbers(numbers.rows * answered[:, None], numbers.score, numbers.is_share)


def scored(metric: str, lines: Sequence[str], references: Sequence[str], target: Target) -> Numbers:
    """The sufficient statistics of BLEU or chrF."""
    at_work = scorer(metric, EvaluationSet(references, target.lang, target.form, target.tokenizer))
    return Numbers(at_work.statistics(lines), at_work.score)


def hallucinations(clean: Sequence[str], changed: Sequence[str], references: Sequence[str], target: Target) -> Counts:
    """Of the sentences that were translated well, those that are hallucinations once the source is changed."""
    tokenize = BLEU(tokenize=target.tokenizer).tokenizer
    sides = ([tokenize(line.casefold()).split() for line in lines] for lines in (clean, changed, references))
    found = [is_hallucination(*row) for row in zip(*sides, strict=True)]
    return shares([(each is True, each is not None) for each in found])


def short_answers(inputs: Sequence[str], answers: Answers, langs: tuple[str, str]) -> dict[str, Numbers]:
    """The measures of inputs of one or two words."""
    twice, lengthy = [], []
    for source, answer in zip(inputs, answers, strict=True):
        known, asked, said = answer is not None, units(source, langs[0]), units(answer or "", langs[1])
        twice.append((is_said_twice(said) and not is_said_twice(asked), known))
        lengthy.append((len(said) > 2 * len(asked) + 2, known))
    return {"said_twice": share_of(shares(twice)), "too_long": share_of(shares(lengthy))}


def by_heart(whole: Answers, beginnings: Answers, targets: Sequence[str], lang: str) -> dict[str, Numbers]:
    """The measures of training sources, whole and without their end."""
    wanted = [units(line, lang) for line in targets]
    same = (
        [answer is not None and units(answer, lang) == target for answer, target in zip(side, wanted, strict=True)]
        for side in (whole, beginnings)
    )
    return {name: share_of(flagged(flags)) for name, flags in zip(("replicated", "extracted"), same, strict=True)}
