"""What translates text: CTranslate2's translator or generator, or transformers, with a tokeniser of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lskd_nmt.decode_settings import MOST, DecodeSettings, Pieces, batches
from lskd_nmt.errors import LskdError, reason
from lskd_nmt.hf_io.folders import Described
from lskd_nmt.hf_io.models import Generating
from lskd_nmt.hf_io.tokens import Direction, HuggingFaceTokens
from lskd_nmt.seqkd.answers import translation_of
from lskd_nmt.seqkd.engines import in_order, seeded
from lskd_nmt.seqkd.text_tokens import TextTokens
from lskd_nmt.storage.files import read_json
from lskd_nmt.teacher.source import TextHypothesis

Found = list[TextHypothesis]
Waiting = Sequence[Any]  # CTranslate2's promises


class CTranslate2TextEngine:
    """A folder of CTranslate2 and its tokeniser, as a `TextTranslationSource`."""

    def __init__(
        self,
        model: Path,
        tokens: Callable[[], TextTokens],
        positions: int | None,
        device: str = "cpu",
        index: int = 0,
        compute_type: str = "default",
        threads: int = 1,
        ends: Sequence[str] = (),
        prompted: bool = False,
    ) -> None:
        """`positions` are the symbols that a sentence may have; `ends` those that end an answer of a language model.

        `prompted`: it is a language model. `threads` are those of one batch; `index` is the GPU's.
        """
        self.place = {
            "device": device,
            "compute_type": compute_type,
            "intra_threads": threads,
            "device_index": index,
            "inter_threads": 1,
        }
        self.model, self.tokens, self.prompted = str(model), tokens(), prompted
        self.positions = positions or 10 * MOST
        self.ends = list(ends)
        self.forced = len(self.tokens.start)  # symbols that are written without a choice, and counted
        config = model / "config.json"
        if config.is_file() and read_json(config).get("decoder_start_token", "") is None:
            self.forced = 0  # mBART-25: they are what the decoder is given to begin with
        self.reseed(0)

    def reseed(self, seed: int) -> None:
        """A new translator, because CTranslate2 seeds the threads of one only once."""
        self.search = seeded("Generator" if self.prompted else "Translator", self.model, self.place, seed)

    def translate_text(self, lines: Sequence[str], settings: DecodeSettings) -> list[Found]:
        """See `TextTranslationSource`; an empty line, or one that is too long for the model, has no translation."""
        rows = [self.tokens.encode(line) if line.strip() else [] for line in lines]
        most = longest_of(self.tokens, lines, rows, settings, self.positions, self.prompted)
        fit = [at for at in range(len(lines)) if most[at] > 0]
        groups = grouped([rows[at] for at in fit], settings, self.prompted)
        begun = [self.begin([fit[at] for at in group], rows, most, settings) for group in groups]
        found = in_order(groups, (wait() for wait in begun))
        return answered(lines, fit, found, self.prompted)

    def begin(
        self, group: Sequence[int], rows: Sequence[Pieces], most: Sequence[int], settings: DecodeSettings
    ) -> Callable[[], list[Found]]:
        """Queue the rows of a batch; the call that waits for their translations."""
        search: dict[str, object] = {"beam_size": settings.beam}
        if settings.sampling:
            search = {
                "beam_size": 1,
                "sampling_topk": settings.sampling_topk,
                "sampling_temperature": settings.temperature,
            }
        search |= {"num_hypotheses": settings.nbest, "length_penalty": settings.lenpen, "return_scores": True}
        batch, longest = [list(rows[at]) for at in group], max(most[at] for at in group)
        queue = self.continued if self.prompted else self.translated
        with refusing(self.model):
            waiting = queue(batch, longest, search)

        def wait() -> list[Found]:
            with refusing(self.model):
                results = [each.result() for each in waiting]
            symbols = [each.sequences if self.prompted else each.hypotheses for each in results]
            return [self.hypotheses(rows, each.scores) for rows, each in zip(symbols, results, strict=True)]

        return wait

    def translated(self, batch: list[list[str]], longest: int, search: Mapping[str, object]) -> Waiting:
        """Queue a batch of a translation model, with what its targets begin with."""
        start = self.tokens.start
        waiting: Waiting = self.search.translate_batch(
            batch,
            target_prefix=[start] * len(batch) if start else None,
            min_decoding_length=1 + self.forced,
            max_decoding_length=longest + self.forced,
            max_input_length=0,
            asynchronous=True,
            **search,
        )
        return waiting

    def continued(self, batch: list[list[str]], longest: int, search: Mapping[str, object]) -> Waiting:
        """Queue a batch of prompts."""
        ends = {"end_token": self.ends} if self.ends else {}
        waiting: Waiting = self.search.generate_batch(
            batch, min_length=1, max_length=longest, include_prompt_in_result=False, asynchronous=True, **search, **ends
        )
        return waiting

    def hypotheses(self, found: Sequence[Sequence[str]], scores: Sequence[float]) -> Found:
        """Rows of symbols as text."""
        start = self.tokens.start
        rest = [row[len(start) :] if start and list(row[: len(start)]) == start else row for row in found]
        return [TextHypothesis(self.tokens.decode(row), score) for row, score in zip(rest, scores, strict=True)]


@contextmanager
def refusing(model: str) -> Iterator[None]:
    """What CTranslate2 raises while it translates, as one line."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise LskdError(f"CTranslate2 cannot translate with {model} ({reason(error)}): convert it again") from None


class TransformersEngine:
    """transformers' own `generate` as a `TextTranslationSource`."""

    def __init__(
        self, folder: Path, facts: Described, direction: Direction, device: str = "cpu", index: int = 0
    ) -> None:
        """Load tokeniser and weights of a folder."""
        self.tokens = HuggingFaceTokens(folder, direction)
        self.prompted, self.positions = facts.is_language_model, facts.positions or 10 * MOST
        self.model = Generating(folder, facts, self.tokens, f"cuda:{index}" if device == "cuda" else device)

    def reseed(self, seed: int) -> None:
        """Seed torch's generator, which transformers draws from."""
        import torch

        torch.manual_seed(seed)

    def translate_text(self, lines: Sequence[str], settings: DecodeSettings) -> list[Found]:
        """See `TextTranslationSource`; an empty line, or one that is too long for the model, has no translation."""
        rows = [self.tokens.ids(line) if line.strip() else [] for line in lines]
        most = longest_of(self.tokens, lines, rows, settings, self.positions, self.prompted)
        fit = [at for at in range(len(lines)) if most[at] > 0]
        groups = grouped([list(map(str, rows[at])) for at in fit], settings, self.prompted)
        found = in_order(groups, (self.answers([fit[at] for at in group], rows, most, settings) for group in groups))
        return answered(lines, fit, found, self.prompted)

    def answers(
        self, group: Sequence[int], rows: Sequence[Sequence[int]], most: Sequence[int], settings: DecodeSettings
    ) -> list[Found]:
        """The translations of the rows of a batch."""
        made = self.model.write([rows[at] for at in group], settings, max(most[at] for at in group))
        return [[TextHypothesis(self.tokens.text(each.ids), each.score) for each in of_one] for of_one in made]


def grouped(rows: Sequence[Pieces], settings: DecodeSettings, prompted: bool) -> list[list[int]]:
    """The positions of the rows of each batch, of similar length; of prompts, which are not padded, of the same."""
    groups = list(batches(rows, settings.batch_tokens))
    if not prompted:
        return groups
    split: list[list[int]] = []
    for group in groups:
        for at in group:
            if split and split[-1][0] in group and len(rows[split[-1][0]]) == len(rows[at]):
                split[-1].append(at)
            else:
                split.append([at])
    return split


def longest_of(
    tokens: TextTokens,
    lines: Sequence[str],
    rows: Sequence[Sequence[object]],
    settings: DecodeSettings,
    positions: int,
    prompted: bool,
) -> list[int]:
    """The symbols that each line's translation may have: a · source length + b, and what there are positions for.

    `rows` are what the model reads for each line, the prompt, too. 0 where that alone has too many symbols, or none.
    """
    found = []
    for line, row in zip(lines, rows, strict=True):
        length = tokens.length(line) if prompted and row else len(row)
        wanted = min(max(1, int(settings.max_len_a * length + settings.max_len_b)), MOST)
        left = positions - len(row) if prompted else positions - 2 if len(row) <= positions else 0
        found.append(max(0, min(wanted, left)) if row else 0)
    return found


def answered(lines: Sequence[str], fit: Sequence[int], found: Sequence[Found], prompted: bool) -> list[Found]:
    """The translations of all lines; of those that were not translated none."""
    all_found: list[Found] = [[] for _ in lines]
    for at, hypotheses in zip(fit, found, strict=True):
        all_found[at] = [reduced(each, lines[at]) for each in hypotheses] if prompted else hypotheses
    return all_found


def reduced(answer: TextHypothesis, source: str) -> TextHypothesis:
    """A language model's answer as the translation alone, and what was stripped."""
    text, stripped = translation_of(answer.text, source)
    return TextHypothesis(text, answer.score, stripped)
