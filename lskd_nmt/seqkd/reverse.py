"""How well a model of the other direction finds the source again in a translation: the reverse cross-entropy."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lskd_nmt import fairseq_io
from lskd_nmt.data.filters.screen import SAMPLE
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.corpus import read_corpus
from lskd_nmt.seqkd.decodings import Decoded
from lskd_nmt.seqkd.encoder import Encoder
from lskd_nmt.seqkd.engines import CTranslate2Engine, convert
from lskd_nmt.teacher.online import TeacherFacts, check

REVERSE = "reverse"  # why a translation is dropped
BATCH = 2048  # padded subwords that are scored at a time
Cut = tuple[str, str]  # source and translation in subwords


def other_way(symbols: DictionaryPair) -> DictionaryPair:
    """The dictionaries of the other direction."""
    return DictionaryPair(symbols.target, symbols.source, (symbols.langs[1], symbols.langs[0]))


def facts_of(checkpoint: str, symbols: DictionaryPair) -> TeacherFacts:
    """Refuse a model whose dictionaries are not the data's, exchanged, or that was trained in the data's direction."""
    facts = check(checkpoint, other_way(symbols), None)
    source, target = symbols.langs
    require(
        not facts.reversed,
        f"--reverse-model {checkpoint} translates {source} to {target}: give one of {target} to {source}",
    )
    return facts


class ReverseModel:
    """A fairseq model of the other direction, converted for CTranslate2."""

    def __init__(self, checkpoint: str, data: str, symbols: DictionaryPair) -> None:
        """`data` has the dictionaries; all cores are used."""
        first = data.split(":", maxsplit=1)[0]
        self.longest = fairseq_io.max_source_positions(checkpoint)
        with TemporaryDirectory() as folder:
            convert(Path(folder, "model"), checkpoint, first, other_way(symbols).langs)
            self.translator = CTranslate2Engine(Path(folder, "model"), threads=0).translator

    def cross_entropies(self, pairs: Sequence[Cut]) -> list[float]:
        """-log p(source | translation) in nats, divided by the source's subwords and its end.

        Infinite where a side is empty or has more subwords than the model takes.
        """
        cut = [(source.split(), target.split()) for source, target in pairs]
        fit = [at for at, sides in enumerate(cut) if all(0 < len(side) < self.longest for side in sides)]
        scored = self.translator.score_batch(
            [cut[at][1] for at in fit],
            [cut[at][0] for at in fit],
            max_batch_size=BATCH,
            batch_type="tokens",
            max_input_length=0,
        )
        found = [math.inf] * len(pairs)
        for at, each in zip(fit, scored, strict=True):
            found[at] = -sum(each.log_probs) / (len(cut[at][0]) + 1)
        return found


class ReverseFilter:
    """Says which translations are among the worst by the reverse cross-entropy."""

    def __init__(self, model: ReverseModel, worst: float, sample: Iterable[Cut]) -> None:
        """Those go that are above the 1 - `worst` quantile of a sample, from which a share of `worst` is dropped."""
        self.model = model
        found = [each for each in model.cross_entropies(list(sample)) if not math.isinf(each)]
        self.limit = float(np.quantile(found, 1 - worst)) if found else math.inf
        self.known: dict[Cut, float] = {}  # of the block that was looked at last

    def look(self, pairs: Iterable[Cut]) -> None:
        """Score the pairs of a block together, before they are asked for."""
        given = list(dict.fromkeys(pairs))
        self.known = dict(zip(given, self.model.cross_entropies(given), strict=True))

    def reasons(self, pairs: Sequence[Cut]) -> list[str]:
        """`reverse` for each pair that goes, or nothing."""
        new = [pair for pair in pairs if pair not in self.known]
        found = self.known | dict(zip(new, self.model.cross_entropies(new), strict=True)) if new else self.known
        return [REVERSE if found[pair] > self.limit else "" for pair in pairs]


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
