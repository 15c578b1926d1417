"""Whether CTranslate2 translates text as transformers does: asked on a few sentences before a long run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import require
from lskd_nmt.evaluate.scoring import available_tokenizer, corpus_bleu
from lskd_nmt.seqkd.engine_check import IDENTICAL
from lskd_nmt.storage.typed import record, write_record
from lskd_nmt.teacher.source import TextTranslationSource


@record
class TextCheck:
    """`check.json`: how far CTranslate2 is from transformers on a few sentences."""

    sentences: int
    bleu: dict[str, float]  # of each type of CTranslate2's numbers, with transformers' translations as references
    identical: dict[str, float]  # for each, the share of translations that are transformers'


def compare_text(
    file: Path,
    ctranslate2: Callable[..., TextTranslationSource],
    transformers: Callable[[], TextTranslationSource],
    lines: Sequence[str],
    settings: DecodeSettings,
    show: Callable[[str], None],
    accept: bool,
    lang: str,
) -> None:
    """Translate the lines with both, write how far they are apart to `file`, stop if it is too far.

    `transformers` has the same beam, length penalty and longest translation. There are no references: BLEU is that of
    one against the other, with the tokeniser of `lang`, the target language.
    """
    if file.is_file():
        return
    show(f"comparing CTranslate2 with transformers on {len(lines)} sentences")
    search = replace(settings, sampling=False, temperature=1.0, sampling_topk=0, nbest=1)
    kinds = dict.fromkeys(("float32", settings.quantization))
    theirs = best(transformers(), lines, replace(search, engine="transformers", quantization="float32"))
    found = {kind: best(ctranslate2(compute_type=kind), lines, search) for kind in kinds}
    check = checked(found, theirs, lang)
    shares = ", ".join(
        f"{kind} {100 * same:.1f} % identical (BLEU {check.bleu[kind]:.2f})" for kind, same in check.identical.items()
    )
    show(f"CTranslate2 against transformers: {shares}")
    require(
        check.identical["float32"] >= IDENTICAL or accept,
        f"{100 * check.identical['float32']:.1f} % of CTranslate2's translations are those of transformers (at least "
        f"{100 * IDENTICAL:.0f} %): use --engine transformers, or --accept-difference",
    )
    write_record(file, check)


def best(engine: TextTranslationSource, lines: Sequence[str], settings: DecodeSettings) -> list[str]:
    """The best translation of each line; nothing for a line without one."""
    return [found[0].text if found else "" for found in engine.translate_text(lines, settings)]


def checked(found: dict[str, list[str]], theirs: Sequence[str], lang: str) -> TextCheck:
    """How far translations are from those of transformers, for each type of numbers."""
    tokenizer = available_tokenizer(lang)
    bleu = {kind: corpus_bleu(lines, theirs, lang, tokenizer) for kind, lines in found.items()}
    same = {
        kind: sum(a == b for a, b in zip(lines, theirs, strict=True)) / len(theirs) for kind, lines in found.items()
    }
    return TextCheck(len(theirs), bleu, same)
