"""Whether CTranslate2 and fairseq translate alike: asked on a few sentences before a long run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lskd_nmt.data.subwords import joined
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import require
from lskd_nmt.evaluate.scoring import available_tokenizer, corpus_bleu
from lskd_nmt.seqkd.engines import best, translate_all
from lskd_nmt.storage.arrays import Rows
from lskd_nmt.storage.typed import record, write_record
from lskd_nmt.teacher.source import TranslationSource

CHECKED = 200  # sentences
BLEU_APART = 1.0  # at most, between fairseq and either type of CTranslate2's numbers
IDENTICAL = 0.85  # share of CTranslate2's float32 translations that are fairseq's, at least
REMEDY = "use --engine fairseq, or --accept-difference"


class Bitext(Protocol):
    """Sentence pairs in subwords; `seqkd.corpus.Corpus` is one."""

    @property
    def sources(self) -> Sequence[Sequence[str]]:
        """Each source sentence's subwords."""

    @property
    def references(self) -> Sequence[str]:
        """Each target sentence's subwords, with spaces between."""


@record
class EngineCheck:
    """`check.json`: how far the engines are apart on a few sentences."""

    sentences: int
    bleu: dict[str, float]  # against the references: fairseq's, and that of each type of CTranslate2's numbers
    identical: dict[str, float]  # for each of these types, the share of translations that are fairseq's


def compare(
    file: Path,
    ctranslate2: Callable[..., TranslationSource],
    fairseq: Callable[[], TranslationSource],
    corpus: Bitext,
    rows: Sequence[int] | Rows,
    settings: DecodeSettings,
    show: Callable[[str], None],
    accept: bool,
    lang: str,
    sentences: int = CHECKED,
    remedy: str = REMEDY,
) -> None:
    """Translate so many of the rows with both engines, write how far they are apart to `file`, stop if it is too far.

    BLEU is counted with the tokeniser of `lang`, the target language.
    """
    if file.is_file():
        return
    rows = [int(rows[at]) for at in sorted({number * len(rows) // sentences for number in range(sentences)})]
    show(f"comparing CTranslate2 with fairseq on {len(rows)} sentences")
    chosen, truth = [corpus.sources[row] for row in rows], [joined(corpus.references[row]) for row in rows]
    search = replace(settings, sampling=False, temperature=1.0, sampling_topk=0, nbest=1)
    found = {"fairseq": best(translate_all(fairseq(), chosen, search))}
    for kind in dict.fromkeys(("float32", settings.quantization)):
        found[kind] = best(translate_all(ctranslate2(compute_type=kind), chosen, search))
    check = checked(found, truth, lang)
    show(in_words(check))
    require_alike(check, accept, remedy)
    write_record(file, check)


def checked(found: Mapping[str, Sequence[str]], truth: Sequence[str], lang: str) -> EngineCheck:
    """How far translations in subwords are apart: those of `fairseq`, and of each type of CTranslate2's numbers."""
    tokenizer = available_tokenizer(lang)
    scores = {
        name: corpus_bleu([joined(line) for line in lines], truth, lang, tokenizer) for name, lines in found.items()
    }
    alike = {
        kind: sum(a == b for a, b in zip(found["fairseq"], lines, strict=True)) / len(lines)
        for kind, lines in found.items()
        if kind != "fairseq"
    }
    return EngineCheck(len(truth), scores, alike)


def in_words(check: EngineCheck) -> str:
    """The check as a line for people."""
    kinds = (f"{kind} {check.bleu[kind]:.2f} ({100 * same:.1f} % identical)" for kind, same in check.identical.items())
    return f"BLEU against the references: fairseq {check.bleu['fairseq']:.2f}, CTranslate2 {', '.join(kinds)}"


def require_alike(check: EngineCheck, accept: bool, remedy: str = REMEDY) -> None:
    """Refuse engines that are too far apart, unless that is accepted."""
    apart = max(abs(check.bleu[kind] - check.bleu["fairseq"]) for kind in check.identical)
    near = apart <= BLEU_APART and check.identical["float32"] >= IDENTICAL
    require(
        near or accept,
        f"CTranslate2 and fairseq are {apart:.2f} BLEU apart and {100 * check.identical['float32']:.1f} % of "
        f"the float32 translations are identical (at most {BLEU_APART}, at least "
        f"{100 * IDENTICAL:.0f} %): {remedy}",
    )
