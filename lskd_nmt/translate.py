"""Text in, text out, with an exported CTranslate2 model: in order, line by line, empty and very long lines included."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from lskd_nmt.errors import require
from lskd_nmt.subwords import Subwords

LONGEST = (
    200  # subwords that are translated in one piece; longer lines are cut, at the end of a sentence if there is one
)
BATCH = 64  # lines
ENDS = (".", "!", "?", "…", "。")


class Translation(NamedTuple):
    """A line's translation and its score, the mean log-probability of its subwords."""

    text: str
    score: float


def segments(pieces: Sequence[str], longest: int = LONGEST) -> list[list[str]]:
    """A line in parts of at most `longest` subwords: cut after a sentence, else before a word, else anywhere."""
    rest, parts = list(pieces), []
    while len(rest) > longest:
        ends = [at for at in range(1, longest + 1) if rest[at - 1].endswith(ENDS)]
        words = [at for at in range(1, longest + 1) if rest[at].startswith("▁")]
        cut = (ends or words or [longest])[-1]
        parts.append(rest[:cut])
        rest = rest[cut:]
    return [*parts, rest] if rest else parts


class Translator:
    """A folder that `lskd export --to ctranslate2` made."""

    def __init__(self, model: Path, threads: int = 0) -> None:
        """`threads` is of one batch; 0 leaves it to CTranslate2."""
        import ctranslate2

        for name in ("model.bin", "spm.model"):
            require((model / name).is_file(), f"{model} has no {name}: give a folder of lskd export --to ctranslate2")
        self.subwords = Subwords(model / "spm.model")
        self.model: Any = ctranslate2.Translator(str(model), device="cpu", intra_threads=threads)

    def translate(self, lines: Iterable[str], beam: int = 5, nbest: int = 1) -> Iterator[list[Translation]]:
        """The `nbest` best translations of each line, in order, as soon as its batch is done."""
        require(1 <= nbest <= beam, f"--nbest is {nbest} and --beam is {beam}: give 1 to {beam}")
        source = iter(lines)
        while batch := list(islice(source, BATCH)):
            parts = [segments(line.split()) for line in self.subwords.encode(batch)]
            flat = [part for line in parts for part in line]
            results = iter(self.model.translate_batch(flat, beam_size=beam, num_hypotheses=nbest, return_scores=True,
                                                      max_batch_size=1024, batch_type="tokens"))  # fmt: skip
            for line in parts:
                yield self.joined(list(islice(results, len(line))), nbest)

    def joined(self, results: Sequence[Any], nbest: int) -> list[Translation]:
        """The parts of a line put together again; of an empty line, nothing."""
        if not results:
            return [Translation("", 0.0)] * nbest
        best = []
        for rank in range(nbest):
            texts = self.subwords.decode(" ".join(result.hypotheses[rank]) for result in results)
            best.append(Translation(" ".join(texts), sum(result.scores[rank] for result in results) / len(results)))
        return best
