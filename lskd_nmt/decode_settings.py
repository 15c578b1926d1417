"""How translations are decoded: what the teacher and the engines are told, and its bounds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from lskd_nmt.errors import require

ENGINES = ("ctranslate2", "fairseq", "transformers")
QUANTIZATIONS = ("float32", "float16", "int8", "int8_float16", "int8_float32")
AS_CONVERTED = "default"  # CTranslate2's word for the type of numbers that a model was converted in
MOST = 1000  # subwords of a translation: CTranslate2 stops where a model has no positions left, which is at 1,024
WIDEST = 1000  # hypotheses of a beam: more find nothing better, and take hours and memory
Pieces = Sequence[str]  # a sentence in subwords


@dataclass(frozen=True)
class DecodeSettings:
    """How the teacher decodes; all of it may decide the translations."""

    engine: str = "ctranslate2"
    quantization: str = "float32"
    beam: int = 5
    nbest: int = 1
    lenpen: float = 1.0
    max_len_a: float = 1.5  # at most a · source length + b subwords, with the source's end
    max_len_b: int = 20
    sampling: bool = False
    temperature: float = 1.0
    sampling_topk: int = 0  # draw among so many; 0: among all
    seed: int = 1
    batch_tokens: int = 1024  # padded source subwords of a batch, with their ends
    shard_sentences: int = 1000

    def __post_init__(self) -> None:
        require(self.engine in ENGINES, f"--engine is {self.engine}: one of {', '.join(ENGINES)}")
        require(
            self.quantization in (*QUANTIZATIONS, AS_CONVERTED),
            f"--quantization is {self.quantization}: one of {', '.join(QUANTIZATIONS)}",
        )
        require(
            self.engine == "ctranslate2" or self.quantization == "float32",
            f"--quantization is {self.quantization} and --engine is {self.engine}: it is of ctranslate2",
        )
        for name in ("beam", "nbest", "batch_tokens", "shard_sentences"):
            value = getattr(self, name)
            require(value > 0, f"--{name.replace('_', '-')} is {value}: give a number above 0")
        require(self.beam <= WIDEST, f"--beam is {self.beam}: give 1 to {WIDEST}")
        require(self.nbest <= 10 * WIDEST, f"--nbest is {self.nbest}: give 1 to {10 * WIDEST}")
        require(
            self.sampling or self.nbest <= self.beam,
            f"--nbest is {self.nbest} and --beam is {self.beam}: give 1 to {self.beam}",
        )
        require(0 < self.temperature < float("inf"), f"--temperature is {self.temperature}: give a number above 0")
        require(
            self.sampling or self.temperature == 1,
            f"--temperature is {self.temperature:g} without --sampling: beam search has none",
        )
        require(
            self.sampling_topk == 0 or self.sampling_topk > 1,
            f"--sampling-topk is {self.sampling_topk}: give a number above 1, or 0 for all",
        )
        require(
            self.sampling or not self.sampling_topk,
            f"--sampling-topk is {self.sampling_topk} without --sampling: beam search draws nothing",
        )
        require(
            0 <= self.max_len_a < math.inf and self.max_len_b > 0,
            f"--max-len-a is {self.max_len_a:g} and --max-len-b is {self.max_len_b}: "
            "give a number from 0, and one above 0",
        )
        require(abs(self.lenpen) <= 100, f"--lenpen is {self.lenpen:g}: give a number from -100 to 100")
        require(0 <= self.seed < 1 << 31, f"--seed is {self.seed}: give a number from 0 to {(1 << 31) - 1}")

    def content(self) -> dict[str, object]:
        """The settings as JSON, for a decoding's plan."""
        return asdict(self)

    def longest(self, batch: Sequence[Pieces]) -> int:
        """The most subwords a translation of this batch may have, as fairseq counts them."""
        return max(1, int(self.max_len_a * (max(map(len, batch)) + 1) + self.max_len_b))


def batches(sentences: Sequence[Pieces], tokens: int) -> Iterator[list[int]]:
    """Positions of sentences of similar length, long ones first, at most so many padded subwords a batch."""
    batch: list[int] = []
    longest = 0
    for at in sorted(range(len(sentences)), key=lambda at: (-len(sentences[at]), at)):
        longest = longest or len(sentences[at]) + 1
        if batch and longest * (len(batch) + 1) > tokens:
            yield batch
            batch, longest = [], len(sentences[at]) + 1
        batch.append(at)
    if batch:
        yield batch
