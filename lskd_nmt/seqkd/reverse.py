"""How well models believe a translation: the reverse cross-entropy, and the dual conditional cross-entropy.

Both are of pairs of a source and its translation, in nats a subword.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from lskd_nmt import fairseq_io
from lskd_nmt.data.filters.screen import SAMPLE
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.candidates import CandidateReader
from lskd_nmt.seqkd.chooser import SelectSettings
from lskd_nmt.seqkd.corpus import read_corpus
from lskd_nmt.seqkd.decodings import Decoded
from lskd_nmt.seqkd.encoder import Encoder
from lskd_nmt.seqkd.engines import CTranslate2Engine, convert
from lskd_nmt.teacher.online import TeacherFacts, check

REVERSE, DUAL = "reverse", "dual"  # why a translation is dropped
BATCH = 2048  # padded subwords that are scored at a time
Cut = tuple[str, str]  # source and translation in subwords


def other_way(symbols: DictionaryPair) -> DictionaryPair:
    """The dictionaries of the other direction."""
    return DictionaryPair(symbols.target, symbols.source, (symbols.langs[1], symbols.langs[0]))


def facts_of(checkpoint: str, symbols: DictionaryPair) -> TeacherFacts:
    """Refuse a reverse model whose dictionaries are not the data's, exchanged, or one of the data's direction."""
    return facts_of_one("--reverse-model", checkpoint, other_way(symbols))


def forward_facts_of(checkpoint: str, symbols: DictionaryPair) -> TeacherFacts:
    """Refuse a forward model whose dictionaries are not the data's, or one of the other direction."""
    return facts_of_one("--forward-model", checkpoint, symbols)


def facts_of_one(flag: str, checkpoint: str, symbols: DictionaryPair) -> TeacherFacts:
    """Refuse a model whose dictionaries are not these, or that translates the other way."""
    facts = check(checkpoint, symbols, None)
    source, target = symbols.langs
    require(
        not facts.reversed,
        f"{flag} {checkpoint} translates {target} to {source}: give one of {source} to {target}",
    )
    return facts


class Scorer(Protocol):
    """What has a cross-entropy for each pair."""

    def cross_entropies(self, pairs: Sequence[Cut]) -> list[float]:
        """In nats a subword; infinite where a pair cannot be scored.   (N,) -> (N,)"""


class ForwardModel:
    """A fairseq model of the data's direction, converted for CTranslate2."""

    def __init__(self, checkpoint: str, data: str, symbols: DictionaryPair) -> None:
        """`data` has the dictionaries; all cores are used."""
        first = data.split(":", maxsplit=1)[0]
        self.longest = fairseq_io.max_source_positions(checkpoint)
        with TemporaryDirectory() as folder:
            convert(Path(folder, "model"), checkpoint, first, symbols.langs)
            self.translator = CTranslate2Engine(Path(folder, "model"), threads=0).translator

    def cross_entropies(self, pairs: Sequence[Cut]) -> list[float]:
        """-log p(second | first) in nats, divided by the second's subwords and its end.   (N,) -> (N,)

        Infinite where a side is empty or has more subwords than the model takes.
        """
        cut = [(given.split(), wanted.split()) for given, wanted in pairs]
        fit = [at for at, sides in enumerate(cut) if all(0 < len(side) < self.longest for side in sides)]
        scored = self.translator.score_batch(
            [cut[at][0] for at in fit],
            [cut[at][1] for at in fit],
            max_batch_size=BATCH,
            batch_type="tokens",
            max_input_length=0,
        )
        found = [math.inf] * len(pairs)
        for at, each in zip(fit, scored, strict=True):
            found[at] = -sum(each.log_probs) / (len(cut[at][1]) + 1)
        return found


class ReverseModel(ForwardModel):
    """A fairseq model of the other direction, converted for CTranslate2."""

    def __init__(self, checkpoint: str, data: str, symbols: DictionaryPair) -> None:
        """`data` has the dictionaries, in which `symbols` are those of the data's direction."""
        super().__init__(checkpoint, data, other_way(symbols))

    def cross_entropies(self, pairs: Sequence[Cut]) -> list[float]:
        """-log p(source | translation), divided by the source's subwords and its end; see `ForwardModel`."""
        return super().cross_entropies([(translation, source) for source, translation in pairs])


class DualModel:
    """Two models that must both believe a pair, and alike."""

    def __init__(self, forward: Scorer, reverse: Scorer) -> None:
        """Of the data's direction, and of the other one."""
        self.forward, self.reverse = forward, reverse

    def cross_entropies(self, pairs: Sequence[Cut]) -> list[float]:
        """See `dual_cross_entropy`; infinite where one of the two is."""
        both = zip(self.forward.cross_entropies(pairs), self.reverse.cross_entropies(pairs), strict=True)
        return [dual_cross_entropy(*each) for each in both]


def dual_cross_entropy(forward: float, reverse: float) -> float:
    """|H(y | x) − H(x | y)| + ½ (H(y | x) + H(x | y)), equations 1 and 2 of Junczys-Dowmunt, 2018 (arXiv 1809.00197).

    The score of a pair is exp(−…) of it, from 0 to 1.
    """
    if math.isinf(forward) or math.isinf(reverse):
        return math.inf
    return abs(forward - reverse) + (forward + reverse) / 2


class ReverseFilter:
    """Says which translations are among the worst by a cross-entropy, the reverse or the dual one."""

    def __init__(self, model: Scorer, worst: float, sample: Iterable[Cut], reason: str = REVERSE) -> None:
        """Those go that are above the 1 - `worst` quantile of a sample, from which a share of `worst` is dropped.

        `reason` is under which they are counted.
        """
        self.model, self.reason = model, reason
        found = [each for each in model.cross_entropies(list(sample)) if not math.isinf(each)]
        self.limit = float(np.quantile(found, 1 - worst)) if found else math.inf
        self.known: dict[Cut, float] = {}  # of the block that was looked at last

    def look(self, pairs: Iterable[Cut]) -> None:
        """Score the pairs of a block together, before they are asked for."""
        given = list(dict.fromkeys(pairs))
        self.known = dict(zip(given, self.model.cross_entropies(given), strict=True))

    def reasons(self, pairs: Sequence[Cut]) -> list[str]:
        """The reason for each pair that goes, or nothing."""
        new = [pair for pair in pairs if pair not in self.known]
        found = self.known | dict(zip(new, self.model.cross_entropies(new), strict=True)) if new else self.known
        return [self.reason if found[pair] > self.limit else "" for pair in pairs]


def filter_of(settings: SelectSettings, reader: CandidateReader) -> ReverseFilter | None:
    """The filter by the models that were given, with the limit of these decodings; None: no model was given."""
    if settings.reverse_model is None:
        return None
    data, symbols = reader.data, reader.symbols
    model: Scorer = ReverseModel(settings.reverse_model, data, symbols)
    reason = REVERSE
    if settings.forward_model is not None:
        model, reason = DualModel(ForwardModel(settings.forward_model, data, symbols), model), DUAL
    sample = sample_of(reader.decodings, data, symbols.langs, reader.split, reader.encoder)
    return ReverseFilter(model, settings.drop_worst_reverse, sample, reason)


def sample_of(
    decoded: Sequence[Decoded], data: str, langs: tuple[str, str], split: str, encoder: Encoder | None
) -> Iterator[Cut]:
    """Sources and translations in subwords of rows that lie evenly apart: about ten thousand pairs of each decoding."""
    for each in decoded:
        every = max(1, each.ledger.hypotheses // SAMPLE)
        corpus = None if each.is_text else read_corpus(data, langs, split)
        own = encoder if each.corpus is None or encoder is None else encoder.of_words()
        for row in ledger.read_rows(each.folder / ledger.ROWS, min(every, max(1, each.ledger.rows))):
            if corpus is not None:
                found, source = row.hypotheses, corpus.pair(row.number).source
            else:
                assert own is not None
                text = row if each.corpus is None else each.as_text(row, each.corpus)
                found, source = own.hypotheses(text), own.source_subwords.pieces(text.source_text or "")
            yield from ((" ".join(source), hypothesis.pieces) for hypothesis in found)
