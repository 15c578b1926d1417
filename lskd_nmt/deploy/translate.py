"""Text in, text out, with an exported CTranslate2 model: in order, line by line, empty and very long lines included.

    from lskd_nmt import Translator

    translator = Translator("student-int8")          # made by lskd export --to ctranslate2
    translator.translate(["A sentence.", "Another line. It has two sentences."])

A line goes the way that the training text went: cleaned by `bitext.normalised`, Moses-tokenised and lower-cased where
the data were. Each of its sentences is translated by itself, a very long one in pieces.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

from lskd_nmt.data import given
from lskd_nmt.data.bitext import normalised
from lskd_nmt.data.bpe import CONTINUES, Bpe
from lskd_nmt.data.sentences import sentences, united
from lskd_nmt.data.text_form import CODES, SPM
from lskd_nmt.data.tokenisation import PREPARED
from lskd_nmt.decode_settings import WIDEST
from lskd_nmt.deploy import attention as attentions
from lskd_nmt.deploy import sealed
from lskd_nmt.deploy.attention import Attention, Words
from lskd_nmt.deploy.benchmark_settings import cores
from lskd_nmt.deploy.document import Framed, framed, lines_of
from lskd_nmt.deploy.in_flight import Flight, Future, Hypotheses, Piece, Ready, always, answered
from lskd_nmt.errors import LskdError, require
from lskd_nmt.storage.records import load

LONGEST = 200  # subwords that are translated in one piece; a longer sentence is cut, between its parts if it has any
MOST = 400  # subwords of a piece's translation
BATCH_TOKENS = 1024  # padded subwords of a batch
ENDS = (".", "!", "?", "…")
WIDE_ENDS = ("。", "！", "？", "｡")  # after which there is no space
POSITIONS = 1024  # of a model whose export does not say
DEVICES = ("cpu", "cuda", "auto")
COMPUTE_TYPES: tuple[str, ...] = ("default", "auto", "float32", "float16", "bfloat16", "int16")
COMPUTE_TYPES += ("int8", "int8_float32", "int8_float16", "int8_bfloat16")
MOST_WORKERS = 1024


class Search(Protocol):
    """What is used of `ctranslate2.Translator`."""

    @property
    def num_translators(self) -> int:
        """How many batches are translated at a time."""

    def translate_batch(
        self,
        source: list[list[str]],
        *,
        asynchronous: bool,
        beam_size: int,
        num_hypotheses: int,
        return_scores: bool,
        return_attention: bool,
        max_decoding_length: int,
        use_vmap: bool,
    ) -> list[Future]:
        """The answers for pieces, in order."""


class Scored(NamedTuple):
    """A text and its score."""

    text: str
    score: float


class Translation(Scored):
    """A line's translation and its score, a pair of both.

    The score of a piece, which most often is a sentence, is the mean log-probability of its subwords with its end; that
    of a line is the mean over its pieces. `attention` has an entry for each piece where it was asked for, else none.
    """

    attention: tuple[Attention, ...]

    def __new__(cls, text: str, score: float, attention: tuple[Attention, ...] = ()) -> "Translation":
        """The attention is no part of the pair, which programs take apart."""
        made = super().__new__(cls, text, score)
        made.attention = attention
        return made

    def words(self) -> Words:
        """The words of source and translation and which belong together, by the attention; without it, none."""
        return attentions.of_line(self.attention)


def begins_word(pieces: Sequence[str], at: int) -> bool:
    """Whether a word begins there, of sentencepiece's subwords."""
    return pieces[at].startswith("▁")


def follows_word(pieces: Sequence[str], at: int) -> bool:
    """The same of subword-nmt's; there is a subword before."""
    return not pieces[at - 1].endswith(CONTINUES)


def segments(
    pieces: Sequence[str], longest: int = LONGEST, begins: Callable[[Sequence[str], int], bool] = begins_word
) -> list[list[str]]:
    """A sentence in parts of at most `longest` subwords: cut after an end, else before a word, else anywhere."""
    begin, parts = 0, []
    while len(pieces) - begin > longest:
        window = range(begin + 1, begin + longest + 1)
        words = [at for at in window if begins(pieces, at)]
        wide = [at for at in window if pieces[at - 1].endswith(WIDE_ENDS)]
        ends = sorted({*wide, *(at for at in words if pieces[at - 1].endswith(ENDS))})
        cut = (ends or words or [begin + longest])[-1]
        parts.append(list(pieces[begin:cut]))
        begin = cut
    return [*parts, list(pieces[begin:])] if pieces else parts


class Translator:
    """An exported student that translates text: `Translator("student-int8").translate(["A sentence."])`.

    Several threads may call one translator at a time: they share its workers, and each call is answered in its own
    order. Whatever cannot be opened is an `LskdError` of one line. Needs ctranslate2, neither fairseq nor torch.
    """

    def __init__(
        self,
        model: Path | str,
        device: str = "cpu",
        threads: int = 0,
        one_sentence_a_line: bool = False,
        workers: int = 0,
        compute_type: str = "default",
        batch_tokens: int = BATCH_TOKENS,
        vocabulary_map: bool = True,
    ) -> None:
        """Open a folder that `lskd export --to ctranslate2` made.

        `device` is cpu, cuda, or auto, which takes a GPU if there is one. `workers` are the batches that are translated
        at a time, and `threads` those of one batch on the CPU; if neither is given, there is a worker of one thread for
        each core. `compute_type` is CTranslate2's: what the model computes in, as a rule (`default`) what it was
        exported in. A batch has at most `batch_tokens` padded subwords. Lines are split into sentences, each of which
        is translated by itself, unless there is `one_sentence_a_line`. Where the folder was exported with a vocabulary
        map it is used, unless `vocabulary_map` is false.
        """
        require(0 <= workers <= MOST_WORKERS, f"--workers is {workers}: give 1 to {MOST_WORKERS}, or 0 for all cores")
        require(batch_tokens > 0, f"--max-batch-tokens is {batch_tokens}: give a number above 0")
        model = Path(model)
        export = sealed.open_folder(model)
        self.is_sealed = export.is_sealed
        self.source_lang, self.target_lang = export.source_lang, export.target_lang
        self.form = export.form or "raw"  # data of others are translated as they come, if nobody said more
        known = " and ".join(PREPARED)
        require(self.form in PREPARED, f"{model} is of data in the form {self.form}, this version knows {known}")
        ours, text = PREPARED[self.form], export.text
        self.source_form, self.target_form = (ours, ours) if text is None else (text.source, text.target)
        limits = [POSITIONS if each is None else each for each in export.positions]
        require(min(limits) > 1, f"{model / sealed.PROOF}: {limits} are no numbers of positions: {sealed.AGAIN}")
        self.longest, self.most = min(LONGEST, limits[0] - 1), min(MOST, limits[1])  # a source has an end besides
        self.one_sentence_a_line, self.batch_tokens = one_sentence_a_line, batch_tokens
        self.uses_map = vocabulary_map and export.vocabulary_map is not None
        self.prefix = given.prefix(model)
        self.subwords = _open_subwords(model, SPM if text is None else text.subwords)
        self.begins = begins_word if text is None or text.subwords == SPM else follows_word
        self.model = _open_model(model, device, threads, workers, compute_type)

    def translate(self, lines: Iterable[str], beam: int = 5) -> list[str]:
        """The best translation of each line, found by a beam search of width `beam`; that of an empty line is empty."""
        require(not isinstance(lines, str), "translate takes lines, and this is one text: put it into a list")
        return [best[0].text for best in self.translations(lines, beam)]

    def translate_document(self, text: str, beam: int = 5) -> str:
        """A text of any number of lines, translated line by line, with blank lines and white space where they were.

        Each line is a paragraph, whose sentences are translated as `translate` does it. The white space around a line
        stays as it is, and so do the ends of lines, of Windows too, and whether the last line has one.
        """
        require(isinstance(text, str), "translate_document takes one text: join the lines, or use translate")
        return "".join(line for group in self.document_groups(lines_of(text), beam) for line in group)

    def document_groups(self, lines: Iterable[str], beam: int = 5, ready: Ready = always) -> Iterator[list[str]]:
        """The lines of a document, which have their ends, translated, see `translate_document`; as `groups` gives them.

        Joined, all of them are the document.
        """
        frames: deque[Framed] = deque()  # of the lines that are read and not answered

        def texts() -> Iterator[str]:
            for frame in map(framed, lines):
                frames.append(frame)
                yield frame.text

        for group in self.groups(texts(), beam, ready=ready):
            yield [frames.popleft().around(best[0].text) for best in group]

    def translations(
        self, lines: Iterable[str], beam: int = 5, nbest: int = 1, attention: bool = False
    ) -> Iterator[list[Translation]]:
        """The `nbest` best translations of each line with their scores, in order, as soon as they are there.

        Those of a line of several pieces are the best of all combinations of its pieces' `nbest` best. Some thousand
        subwords are read ahead of what is answered. With `attention` each translation tells what it looked at.
        """
        for group in self.groups(lines, beam, nbest, attention=attention):
            yield from group

    def groups(
        self,
        lines: Iterable[str],
        beam: int = 5,
        nbest: int = 1,
        ready: Ready = always,
        attention: bool = False,
    ) -> Iterator[list[list[Translation]]]:
        """As `translations`, with all that are there together; `ready`, of `in_flight.answered`, lets nobody wait."""
        require(1 <= beam <= WIDEST, f"--beam is {beam}: give 1 to {WIDEST}")
        require(1 <= nbest <= beam, f"--nbest is {nbest} and --beam is {beam}: give 1 to {beam}")

        def begin(batch: list[list[str]]) -> Sequence[Future]:
            return self.model.translate_batch(
                batch,
                asynchronous=True,
                beam_size=beam,
                num_hypotheses=nbest,
                return_scores=True,
                return_attention=attention,
                max_decoding_length=self.most,
                use_vmap=self.uses_map,
            )

        flight = Flight(begin, self.model.num_translators, self.batch_tokens)
        for group in answered(lines, self.pieces, flight, ready):
            try:
                found = [(line.pieces, line.results()) for line in group]
            except (RuntimeError, ValueError) as error:  # an old export of a model with few positions
                raise LskdError(
                    f"CTranslate2 cannot translate with this model ({_reason(error)}): {sealed.AGAIN}"
                ) from None
            yield [self.joined(pieces, results, nbest, attention) for pieces, results in found]

    def pieces(self, line: str) -> list[Piece]:
        """What of a line is translated at once."""
        clean = normalised(line)
        parts = [clean] if self.one_sentence_a_line else sentences(clean, self.source_lang)
        parts, longest = self.source_form.words(parts, self.source_lang), self.longest - len(self.prefix)
        cut = [segments(subwords.split(), longest, self.begins) for subwords in self.subwords.encode(parts)]
        return [Piece([*self.prefix, *part], at == len(of_one)) for of_one in cut for at, part in enumerate(of_one, 1)]

    def joined(
        self, pieces: Sequence[Piece], results: Sequence[Hypotheses], nbest: int, attention: bool = False
    ) -> list[Translation]:
        """The pieces of a line put together again; of an empty line, nothing."""
        best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]  # a score for each piece added up; which of its best
        for result in results:
            choices = list(enumerate(result.scores))
            combined = [(total + score, (*before, at)) for total, before in best for at, score in choices]
            best = heapq.nlargest(nbest, combined, key=itemgetter(0))
        texts = [self.subwords.decode(" ".join(each) for each in result.hypotheses) for result in results]
        found = [
            Translation(
                self.text(pieces, [of_one[at] for of_one, at in zip(texts, chosen, strict=True)]),
                total / max(len(results), 1),
                self.attention(pieces, results, chosen) if attention else (),
            )
            for total, chosen in best
        ]
        return found + [found[-1]] * (nbest - len(found))

    def attention(
        self, pieces: Sequence[Piece], results: Sequence[Hypotheses], chosen: Sequence[int]
    ) -> tuple[Attention, ...]:
        """What the chosen hypothesis of each piece looked at; the symbol of a language is no part of the source."""
        begin = len(self.prefix)
        return tuple(
            Attention(piece.subwords[begin:], result.hypotheses[at], [row[begin:] for row in result.attention[at]])
            for piece, result, at in zip(pieces, results, chosen, strict=True)
        )

    def text(self, pieces: Sequence[Piece], texts: Sequence[str]) -> str:
        """Translated pieces as a line."""
        whole: list[str] = []
        begun: list[str] = []  # of the sentence that has not ended
        for piece, text in zip(pieces, texts, strict=True):
            begun.append(text)
            if piece.ends:
                whole.append(united(begun, self.target_lang, whole=False))
                begun = []
        return united(self.target_form.text(whole, self.target_lang), self.target_lang)


def _open_subwords(model: Path, name: str) -> given.BothSides | Bpe:
    """What of the folder cuts words: sentencepiece models of source and target, most often one, or merges."""
    file = model / name
    require(file.is_file(), f"{model} has no {name}: give a folder of lskd export --to ctranslate2")
    require(name in (SPM, CODES), f"{model / sealed.PROOF} names {name} for subwords: {sealed.AGAIN}")
    try:
        return Bpe(file, _vocabulary(model)) if name == CODES else given.BothSides(model)
    except Exception as error:  # sentencepiece has no error of its own
        what = "sentencepiece model" if name == SPM else "file of BPE codes"
        raise LskdError(f"{file} is no {what} ({_reason(error)}): {sealed.AGAIN}") from None


def _vocabulary(model: Path) -> list[str]:
    """The source symbols of the folder, if it names them."""
    files = (model / f"{kind}_vocabulary.json" for kind in ("source", "shared"))
    return next((load(file, list) for file in files if file.is_file()), [])


def _open_model(model: Path, device: str, threads: int, workers: int, compute_type: str) -> Search:
    """The folder as CTranslate2's translator."""
    import ctranslate2

    require(device in DEVICES, f"the device is '{device}': one of {', '.join(DEVICES)}")
    require(compute_type in COMPUTE_TYPES, f"--compute-type is '{compute_type}': one of {', '.join(COMPUTE_TYPES)}")
    gpus = 0 if device == "cpu" else int(ctranslate2.get_cuda_device_count())
    require(device != "cuda" or gpus > 0, "the device is 'cuda', and CTranslate2 sees no GPU: take cpu, or auto")
    device = "cuda" if gpus else "cpu"
    able = ("default", "auto", *sorted(ctranslate2.get_supported_compute_types(device)))
    require(compute_type in able, f"--compute-type is {compute_type}, which this {device} cannot: {', '.join(able)}")
    if not gpus and not threads:
        workers, threads = workers or cores(), 1
    settings = {"inter_threads": workers or 1, "intra_threads": threads, "compute_type": compute_type}
    try:
        search: Search = ctranslate2.Translator(str(model), device=device, **settings)
        return search
    except Exception as error:  # of many kinds, whatever is damaged
        raise LskdError(f"CTranslate2 cannot load {model} ({_reason(error)}): {sealed.AGAIN}") from None


def _reason(error: Exception) -> str:
    """What another library says, on one line."""
    words = " ".join(str(error).split())
    return "".join(c if c.isprintable() else "?" for c in words)[:200] or type(error).__name__
