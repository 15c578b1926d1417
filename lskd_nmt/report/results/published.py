"""Published BLEU of teachers with and without label smoothing and of their students, and how it was made."""

from collections.abc import Sequence

from lskd_nmt.evaluate.metrics import LOWERCASED
from lskd_nmt.report.results.records import RunData, Setting
from lskd_nmt.report.results.rows import title

SOURCE = (
    "Chandrasegaran et al., ICML 2022, Tables 5 and B.2, as in the README of "
    "github.com/sutd-visual-computing-group/LS-KD-compatibility"
)
# language pair -> (label smoothing of the teacher, temperature; None: the teacher itself) -> BLEU
BLEU: dict[str, dict[tuple[float | None, float | None], float]] = {
    "en-de": {
        (0.0, None): 26.461,
        (0.0, 1.0): 24.914,
        (0.0, 2.0): 23.103,
        (0.0, 3.0): 21.999,
        (0.0, 64.0): 6.564,
        (0.1, None): 26.750,
        (0.1, 1.0): 25.085,
        (0.1, 2.0): 23.421,
        (0.1, 3.0): 22.076,
        (0.1, 64.0): 6.461,
    },
    "en-ru": {
        (0.0, None): 16.718,
        (0.0, 1.0): 16.140,
        (0.0, 2.0): 14.977,
        (0.0, 3.0): 13.826,
        (0.0, 64.0): 3.605,
        (0.1, None): 16.976,
        (0.1, 1.0): 16.197,
        (0.1, 2.0): 15.100,
        (0.1, 3.0): 14.106,
        (0.1, 64.0): 3.590,
    },
}
PAIRS = ("none", *BLEU)
# The source says IWSLT and BLEU, no more. What follows is the recipe of the code that it names as its basis,
# github.com/RayeRen/multilingual-kd-pytorch: WIT3 2014-01, Moses-tokenised and lower-cased, joint BPE of 30,000 learned
# on all its languages, BLEU of that text. It has no Russian.
RECIPE: dict[str, dict[str, str]] = {
    "en-de": {"corpus": "iwslt14_en_de", "form": "fairseq14", "subwords": "bpe", "vocab_size": "30000"}
}
METRIC = LOWERCASED
KINDS = ("bleu", LOWERCASED)  # metrics whose differences may stand beside published ones: kinds of BLEU
ASSUMED = (
    "the source names neither edition, nor subwords, nor kind of BLEU, nor sizes, nor seeds: assumed is the recipe "
    "of the code that it builds on (IWSLT14, tokenised lower-cased BLEU, BPE of 30,000)"
)


def pair_of(wish: str, runs: Sequence[RunData]) -> str | None:
    """The published pair to stand beside these runs; `auto`: that of their languages, none for generated text."""
    if wish != "auto":
        return None if wish == "none" else wish
    pairs = {f"{run.source_lang}-{run.target_lang}" for run in runs}
    is_generated = any(run.corpus == "toy" for run in runs)
    pair = next(iter(pairs))
    return pair if len(pairs) == 1 and pair in BLEU and not is_generated else None


def bleu(pair: str | None, setting: Setting) -> float | None:
    """The published BLEU of a setting: of teachers, and of students of word-level distillation without a method.

    They start at random.
    """
    if pair is None or title(setting) not in ("teacher", "student") or setting.kd_level not in (None, "word"):
        return None
    if setting.init is not None:
        return None
    return BLEU[pair].get((setting.label_smoothing, setting.temperature))


def obstacles(pair: str, runs: Sequence[RunData]) -> list[str]:
    """Why BLEU of these runs cannot be held against the published number; none if it can."""
    if pair not in RECIPE:
        return [f"how the published {pair} data were made is not known"]
    names = {"corpus": "corpus", "form": "text form", "subwords": "subwords", "vocab_size": "vocabulary size"}
    found = []
    for name, wanted in RECIPE[pair].items():
        values = [getattr(run, name) for run in runs]
        ours = {"unknown" if value is None else str(value) for value in values}
        if ours != {wanted}:
            found.append(f"{names[name]} {' and '.join(sorted(ours))}, not {wanted}")
    languages = {f"{run.source_lang}-{run.target_lang}" for run in runs}
    return found + ([f"languages {' and '.join(sorted(languages))}, not {pair}"] if languages != {pair} else [])
