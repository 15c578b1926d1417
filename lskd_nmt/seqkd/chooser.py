"""How hypotheses are chosen: the best, the closest to the reference or to all, or several; and what is dropped."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeVar

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt.data.bitext import Pair
from lskd_nmt.data.filters.screen import DUPLICATES, EXAMPLES, Examples, Screen, versions_of
from lskd_nmt.data.subwords import joined
from lskd_nmt.errors import require
from lskd_nmt.evaluate.metrics import USUAL
from lskd_nmt.evaluate.scoring import bleu_tokenizer, sentence_bleu
from lskd_nmt.seqkd.mbr import TIE, Utility, best, with_utilities
from lskd_nmt.seqkd.quality import NO_SCORES, Quality, Scoring
from lskd_nmt.seqkd.store import Selection
from lskd_nmt.teacher.source import Hypothesis

METHODS = ("beam", "interpolate", "multi", "mbr", "best-score")
RANKED = ("mbr", "best-score")  # by a number: the best of these is chosen, or the `hypotheses` best
OF_SEVERAL = ("multi", *RANKED)
SIMILARITIES = ("bleu", "chrf")
EMPTY, SCORE = "empty", "score"  # why a translation is dropped: it is no text, or its score is too low
WORST_REVERSE = 0.05
T = TypeVar("T")


@dataclass(frozen=True)
class SelectSettings:
    """How hypotheses are chosen."""

    method: str = "beam"
    hypotheses: int = 0  # the first of `multi`, where 0 is all; the best of the `RANKED`, where 0 is one
    similarity: str = "bleu"  # of `interpolate`: smoothed sentence BLEU, or chrF
    max_ratio: float = 0.0  # of the lengths of source and hypothesis in subwords; 0: any
    drop_copies: bool = False
    tokenize: str | None = None  # of the smoothed sentence BLEU, instead of the target language's own
    utility: str = "chrf"  # of `mbr`, or bleu
    aggregate: bool = False  # of `mbr`, in time linear in the candidates: see `mbr.Utility`
    drop_worst: float = 0.0  # the share of all candidates with the lowest scores, see `quality`
    min_score: float | None = None
    filters: tuple[str, ...] = ()  # see `data/filters/screen.py`
    examples: int = EXAMPLES  # of each reason, that are kept of what `filters` drop
    reverse_model: str | None = None  # a checkpoint of the other direction, see `reverse.py`
    drop_worst_reverse: float = WORST_REVERSE  # the share that goes by it
    forward_model: str | None = None  # one of the data's direction: the share goes by the dual cross-entropy of both

    def __post_init__(self) -> None:
        require(self.method in METHODS, f"--method is {self.method}: one of {', '.join(METHODS)}")
        require(self.similarity in SIMILARITIES, f"--similarity is {self.similarity}: one of {', '.join(SIMILARITIES)}")
        require(self.examples >= 0, f"--examples is {self.examples}: give a number above 0, or 0 for none")
        self.require_read()
        require(self.hypotheses >= 0, f"--hypotheses is {self.hypotheses}: give a number above 0, or 0 for all")
        require(
            self.method in OF_SEVERAL or not self.hypotheses,
            f"--hypotheses is {self.hypotheses} and --method is {self.method}: it is of {', '.join(OF_SEVERAL)}",
        )
        require(
            self.method == "mbr" or not self.aggregate,
            f"--aggregate is given and --method is {self.method}: it is of mbr",
        )
        Utility(self.utility, self.aggregate)  # refuses what it does not know
        require(0 <= self.drop_worst < 1, f"--drop-worst is {self.drop_worst:g}: give a share from 0 to below 1")
        require(
            self.min_score is None or math.isfinite(self.min_score),
            f"--min-score is {self.min_score}: give a finite number",
        )
        require(
            self.max_ratio == 0 or self.max_ratio >= 1,
            f"--max-ratio is {self.max_ratio:g}: give at least 1, or 0 for any",
        )
        require(
            0 < self.drop_worst_reverse < 1,
            f"--drop-worst-reverse is {self.drop_worst_reverse:g}: give a share between 0 and 1",
        )
        require(
            self.reverse_model is not None or self.drop_worst_reverse == WORST_REVERSE,
            f"--drop-worst-reverse is {self.drop_worst_reverse:g}, and no --reverse-model is given: give one, or leave "
            "it out",
        )
        require(
            self.reverse_model is not None or self.forward_model is None,
            f"--forward-model is {self.forward_model}, and no --reverse-model is given: the dual cross-entropy needs "
            "both",
        )

    def require_read(self) -> None:
        """Refuse settings that nothing reads; the defaults may be spelled out."""
        unread = f"and --method is {self.method}: it is of"
        require(
            self.method == "interpolate" or self.similarity == SIMILARITIES[0],
            f"--similarity is {self.similarity}, {unread} interpolate",
        )
        require(self.method == "mbr" or self.utility == "chrf", f"--utility is {self.utility}, {unread} mbr")
        require(
            self.tokenize is None or self.reads_bleu,
            f"--tokenize is {self.tokenize}, and nothing computes BLEU: it is of --method interpolate, and of --method "
            "mbr with --utility bleu",
        )
        require(
            self.is_filtered or self.examples == EXAMPLES,
            f"--examples is {self.examples}, and nothing is filtered: give --filters, or leave it out",
        )

    @property
    def reads_bleu(self) -> bool:
        """Whether translations are compared by sentence BLEU."""
        compared = {"interpolate": self.similarity, "mbr": self.utility}
        return compared.get(self.method) == "bleu"

    @property
    def is_filtered(self) -> bool:
        """Whether anything was asked for that keeps examples."""
        return bool(self.filters or self.reverse_model)

    @property
    def reads_scores(self) -> bool:
        """Whether candidates need scores."""
        return self.method == "best-score" or self.drop_worst > 0 or self.min_score is not None

    def require_scores(self, scoring: Scoring) -> None:
        """Refuse scores that nothing reads, and their lack."""
        name = "--method best-score" if self.method == "best-score" else "--drop-worst" * (self.drop_worst > 0)
        require(
            scoring.given or not self.reads_scores,
            f"{name or '--min-score'} needs scores: give --scores FILE.jsonl or --score-command",
        )
        require(
            self.reads_scores or not scoring.given,
            "scores are given, and nothing reads them: choose by --method best-score, or drop by --drop-worst or "
            "--min-score",
        )

    def content(self, lang: str, scoring: Scoring = NO_SCORES) -> Selection:
        """What decides the choice, with the tokeniser of BLEU where it is not the one that was always taken."""
        count = max(self.hypotheses, int(self.method in RANKED))
        found = Selection(self.method, count, self.similarity, self.max_ratio, self.drop_copies)
        found = replace(found, scores=scoring.sha256(), score_command=scoring.command)
        found = replace(found, drop_worst=self.drop_worst or None, min_score=self.min_score)
        if self.method == "mbr":
            found = replace(found, utility=f"{self.utility}, aggregated" if self.aggregate else self.utility)
        found = replace(found, filters=versions_of(self.filters) or None)
        if self.reads_bleu:
            tokenizer = bleu_tokenizer(lang, self.tokenize)
            return replace(found, tokenizer=tokenizer if tokenizer != USUAL else None)
        return found


def fault(hypothesis: Hypothesis, source: Sequence[str], settings: SelectSettings) -> str | None:
    """Why a hypothesis is dropped, or None."""
    lengths = len(hypothesis.pieces.split()), len(source)
    if not lengths[0]:
        return EMPTY
    if settings.max_ratio and max(lengths) > settings.max_ratio * min(lengths):
        return "ratio"
    if settings.drop_copies and joined(hypothesis.pieces) == joined(" ".join(source)):
        return "copy"
    return None


class Candidates(NamedTuple):
    """What there is to choose from for one source sentence."""

    row: int
    pairs: Sequence[Pair]  # source and each hypothesis as text
    hypotheses: Sequence[Hypothesis]
    reference: str  # in subwords; empty where there is none
    kept: list[int]  # the positions of those that no filter dropped
    scores: Sequence[float] = ()  # of each, where a program gave some

    @property
    def texts(self) -> list[str]:
        """Those that are kept, as text."""
        return [self.pairs[at][1] for at in self.kept]


class ReverseScreen(Protocol):
    """What knows a model of the other direction; it is `reverse.ReverseFilter`."""

    limit: float
    reason: str

    def look(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Look at the pairs of a block together, sources and translations in subwords."""

    def reasons(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Why each goes, or nothing."""


class Chooser:
    """Filters and chooses, and counts what it dropped; `lang` is the target language."""

    def __init__(
        self,
        settings: SelectSettings,
        lang: str = "en",
        workers: int = 1,
        quality: Quality | None = None,
        screen: Screen | None = None,
    ) -> None:
        """`workers` are the processes of `mbr`, 0: one for each core; `quality` has the scores of all candidates.

        `screen` has the filters that were asked for.
        """
        self.settings, self.lang, self.workers, self.quality, self.screen = settings, lang, workers, quality, screen
        self.reverse: ReverseScreen | None = None
        interpolates = settings.method == "interpolate" and settings.similarity == "bleu"
        self.similarity: BLEU | CHRF = sentence_bleu(lang, settings.tokenize) if interpolates else CHRF()
        self.utility = Utility(settings.utility, settings.aggregate, lang, settings.tokenize)
        self.dropped: Counter[str] = Counter()
        self.examples = Examples(settings.examples if settings.is_filtered else 0)
        self.without: list[int] = []  # rows that have no hypothesis left

    def apart(self) -> "Chooser":
        """One that goes on by itself: what it drops is not counted here."""
        screen = None if self.screen is None else self.screen.apart()
        found = Chooser(self.settings, self.lang, self.workers, self.quality, screen)
        found.reverse = self.reverse
        return found

    def filtered(self, row: int, hypotheses: Sequence[Hypothesis], source: Sequence[str], reference: str) -> Candidates:
        """What is left to choose from; what is dropped is counted.   `source` and `reference` in subwords"""
        pairs = pairs_of(source, hypotheses)
        faults = [fault(each, source, self.settings) for each in hypotheses]
        faults = [reason or (None if text else EMPTY) for reason, (_, text) in zip(faults, pairs, strict=True)]
        if self.screen is not None:
            faults = [reason or self.screen.reason(pair) for reason, pair in zip(faults, pairs, strict=True)]
        if self.reverse is not None:
            left = [at for at, reason in enumerate(faults) if not reason]
            cut = [(" ".join(source), hypotheses[at].pieces) for at in left]
            for at, found in zip(left, self.reverse.reasons(cut), strict=True):
                faults[at] = found
        scores: list[float] = []
        if self.quality is not None:
            scores = self.quality.of(joined(" ".join(source)), [text for _, text in pairs])
            low = [SCORE if score < self.quality.lowest else None for score in scores]
            faults = [one or other for one, other in zip(faults, low, strict=True)]
        for reason, pair in zip(faults, pairs, strict=True):
            self.drop(reason, row, pair)
        kept = [at for at, reason in enumerate(faults) if not reason]
        if not kept:
            self.without.append(row)
        return Candidates(row, pairs, hypotheses, reference, kept, scores)

    def drop(self, reason: str | None, row: int, pair: Pair) -> None:
        """Count a hypothesis that goes for a reason."""
        if reason:
            self.dropped[reason] += 1
            self.examples.add(reason, row, pair)

    def chosen(self, sentences: Iterable[tuple[T, Candidates]]) -> Iterator[tuple[T, Candidates, list[int]]]:
        """The positions of those chosen of each sentence, in the order of the sentences; something goes along."""
        for about, candidates, positions in self.picked(sentences):
            yield about, candidates, self.settled(candidates, positions)

    def settled(self, candidates: Candidates, positions: list[int]) -> list[int]:
        """Those of the chosen that nearly equal none that was chosen before, if that filter was asked for."""
        if self.screen is None:
            return positions
        again = [at for at in positions if self.screen.is_again(candidates.pairs[at])]
        for at in again:
            self.drop(DUPLICATES, candidates.row, candidates.pairs[at])
        left = [at for at in positions if at not in again]
        if positions and not left:
            self.without.append(candidates.row)
        return left

    def picked(self, sentences: Iterable[tuple[T, Candidates]]) -> Iterator[tuple[T, Candidates, list[int]]]:
        """The positions of those chosen of each sentence, in their order, before near-duplicates go."""
        if self.settings.method != "mbr":
            yield from ((about, candidates, self.take(candidates)) for about, candidates in sentences)
            return
        texts = ((sentence, sentence[1].texts) for sentence in sentences)
        count = self.settings.hypotheses or 1
        for (about, candidates), values in with_utilities(texts, self.utility, self.workers):
            positions = best(values, candidates.texts, count, TIE)
            yield about, candidates, [candidates.kept[at] for at in positions]

    def take(self, candidates: Candidates) -> list[int]:
        """The positions of those that are chosen by looking at one sentence at a time."""
        hypotheses, kept = candidates.hypotheses, candidates.kept
        if not kept:
            return []
        if self.settings.method == "best-score":
            found = best([candidates.scores[at] for at in kept], candidates.texts, self.settings.hypotheses or 1)
            return [kept[at] for at in found]
        if self.settings.method == "beam":
            return [max(kept, key=lambda at: rank(hypotheses[at].score))]
        if self.settings.method == "interpolate":
            truth = [joined(candidates.reference)]
            return [
                max(kept, key=lambda at: self.similarity.sentence_score(joined(hypotheses[at].pieces), truth).score)
            ]
        return kept[: self.settings.hypotheses or len(kept)]

    def choose(self, row: int, hypotheses: Sequence[Hypothesis], source: Sequence[str], reference: str) -> list[int]:
        """The positions of those chosen of one sentence alone; see `filtered` and `chosen`."""
        candidates = self.filtered(row, hypotheses, source, reference)
        return next(positions for _, _, positions in self.chosen([(None, candidates)]))


def pairs_of(source: Sequence[str], hypotheses: Iterable[Hypothesis]) -> list[Pair]:
    """The source and each hypothesis as text."""
    text = joined(" ".join(source))
    return [(text, joined(hypothesis.pieces)) for hypothesis in hypotheses]


def rank(score: float) -> float:
    """A score to compare; where none is known (NaN), the translator's order counts, as the first of equals is taken."""
    return -math.inf if math.isnan(score) else score
