"""What a vocabulary map costs and saves: BLEU and time of a split, with the map and without it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.decode_settings import DecodeSettings, Pieces
from lskd_nmt.deploy.sealed import MAP, Export, MapFacts
from lskd_nmt.deploy.vocabulary_map import MapSettings, VocabularyMap
from lskd_nmt.evaluate.references import references
from lskd_nmt.evaluate.scoring import available_tokenizer, corpus_bleu
from lskd_nmt.seqkd.engines import CTranslate2Engine, best, translate_all

WARM_UP = 32  # sentences


def with_map(
    export: Export,
    model: Path,
    learned: VocabularyMap,
    settings: MapSettings,
    place: tuple[Path, tuple[str, str], str],
) -> Export:
    """The export with what its map costs on a split; `place` is data folder, languages and split."""
    data, langs, split = place
    source, target = ([line.split() for line in side] for side in fairseq_io.piece_lines(str(data), langs, split))
    symbols = fairseq_io.read_symbols(str(data), langs)
    assert symbols is not None  # the map was learned with them
    (without, slow), (used, fast) = (timed(model, source, use_vmap) for use_vmap in (False, True))
    truth, tokenizer = references(data, langs, split).lines, available_tokenizer(langs[1])
    bleu = [corpus_bleu([joined(line) for line in lines], truth, langs[1], tokenizer) for lines in (without, used)]
    covered, allowed = coverage(learned, source, target)
    facts = MapFacts(
        learned_from=learned.learned_from,
        pairs=learned.pairs,
        candidates=settings.candidates,
        common=settings.common,
        always=len(learned.always),
        source_symbols=len(learned.candidates),
        bytes=(model / MAP).stat().st_size,
        covered=covered,
        allowed=allowed,
        target_symbols=len(symbols.target),
        identical=sum(map(str.__eq__, without, used)),
        bleu_without=bleu[0],
        bleu_with=bleu[1],
        cpu_seconds_without=slow,
        cpu_seconds_with=fast,
    )
    return replace(export, vocabulary_map=facts)


def timed(model: Path, source: Sequence[Pieces], use_vmap: bool) -> tuple[list[str], float]:
    """The translations of sentences on one thread, and the seconds that the processor worked for them."""
    engine = CTranslate2Engine(model, use_vmap=use_vmap)
    translate_all(engine, source[:WARM_UP], DecodeSettings())
    begin = time.process_time()
    found = best(translate_all(engine, source, DecodeSettings()))
    return found, max(round(time.process_time() - begin, 3), 0.001)


def coverage(learned: VocabularyMap, source: Sequence[Pieces], target: Sequence[Pieces]) -> tuple[float, float]:
    """The share of the targets' symbols that their sources allow, and how many symbols a source allows on average."""
    sets = [learned.allowed(line) for line in source]
    words = sum(map(len, target))
    found = sum(symbol in allowed for allowed, line in zip(sets, target, strict=True) for symbol in line)
    return round(found / words, 4) if words else 1.0, round(mean(map(len, sets)), 1)
