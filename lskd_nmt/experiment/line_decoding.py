"""Other lines than the test set, translated by a model of a run as it translates its test set.

Text becomes subwords as in the data folder, which is proved on the test set. CTranslate2 translates, or fairseq where
CTranslate2 does not, as `decode.engine` says.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.subwords import Subwords
from lskd_nmt.decode_settings import DecodeSettings, Pieces, batches
from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.experiment import ctranslate2_decoding as usual
from lskd_nmt.experiment.decoding_batches import read_text
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.fairseq_io.transformer_parts import TransformerParts, transformer_parts
from lskd_nmt.seqkd import engines
from lskd_nmt.seqkd.conversion import write_model
from lskd_nmt.storage.files import read_lines
from lskd_nmt.storage.provenance import versions
from lskd_nmt.teacher.source import Hypothesis

UNKNOWN = "<unk>"
Show = Callable[[str], None]
Done = Callable[[int], None]  # told how many sentences more are done
Best = Callable[[list[Pieces], Done], list[str]]  # sentences in subwords -> the best translations in subwords
Wait = Callable[[], list[list[Hypothesis]]]


@dataclass(frozen=True)
class LineTranslator:
    """A model that is open: lines of the source in, lines of the target out."""

    source: Subwords
    spm: Path
    lang: str  # of the target
    longest: int  # subwords that a source may have, with its end
    engine: str
    best: Best

    def translate(self, lines: Sequence[str], done: Done = lambda sentences: None) -> list[str | None]:
        """The best translation of each line; None of a line without subwords, or with more than the model takes."""
        pieces = [self.source.pieces(line) for line in lines]
        fit = [at for at, each in enumerate(pieces) if each and len(each) < self.longest]
        found = self.best([pieces[at] for at in fit], done)
        texts = given.text_of(self.spm, self.lang, found) if found else []
        answers = dict(zip(fit, texts, strict=True))
        return [answers.get(at) for at in range(len(lines))]


def require_decodable(model: PlannedModel) -> None:
    """Refuse a model that is no checkpoint of fairseq's, and say why it can be asked nothing."""
    kinds = {
        "adopted-text": "it is translations that were made elsewhere",
        "translations": "it is translations that were made elsewhere",
    }
    why = kinds.get(model.kind, f"it is a translator of others ({model.kind}), whose text goes by its own tokens")
    require(model.published == "model.pt", why)
    require(bool(model.decode_command), "its plan has no decoding")


@contextmanager
def opened(
    run: Run, model: PlannedModel, converted: Path, wish: str, threads: int, show: Show
) -> Iterator[LineTranslator]:
    """A trained model of a run; `LskdError` says why it translates no lines.

    `converted` is where it lies for CTranslate2 meanwhile; `wish` is the device: auto, gpu or cpu.
    """
    require_decodable(model)
    file = run.model_folder(model.name) / "model.pt"
    state = fairseq_io.read_checkpoint(str(file), model.name, built=False)
    parts = transformer_parts(state)
    source = source_subwords(run, parts)
    how = run.plan.decode.engine
    shutil.rmtree(converted, ignore_errors=True)  # left by a process that was killed
    best, engine, why = None, "", ""
    try:
        if how != "fairseq":
            try:
                best, engine = with_ctranslate2(run, model, parts, converted, wish, threads, show)
            except LskdError as error:
                why = str(error)
                require(how == "auto", f"decode.engine is ctranslate2, which does not translate with it ({why})")
        if best is None:
            if why:
                show(f"{model.name} translates with fairseq: {why}")
            best, engine = with_fairseq(run, file, wish)
        longest = min((parts.max_positions[0] if parts else usual.LONGEST), usual.LONGEST)
        yield LineTranslator(source, run.data / "spm", run.plan.data.target_lang, longest, engine, best)
    finally:
        shutil.rmtree(converted, ignore_errors=True)


def source_subwords(run: Run, parts: TransformerParts | None) -> Subwords:
    """What cuts the source in the run's data; refused unless it cuts the test set as it is in the binarised data."""
    spm = run.data / "spm"
    no_model = given.has_merges(spm) or not (spm / given.MODEL).is_file()
    require(not no_model, f"{spm} has no sentencepiece model, by which other text would become subwords")
    source = given.of_folder(spm)[0]
    if parts is not None:
        data, langs = run.data / "bin", run.plan.data.langs
        usual.require_dictionaries(data, langs, parts.symbols)
        binarised = read_text(str(data), langs, parts.symbols).sources
        lines = read_lines(run.text("test", "source"))
        same = len(binarised) == len(lines) and all(
            is_cut_alike(source.pieces(line), pieces) for line, pieces in zip(lines, binarised, strict=True)
        )
        require(same, f"{spm / given.MODEL} does not cut the test set as it is cut in {data}: prepare the data again")
    return source


def is_cut_alike(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether subwords are those of binarised data, where some may be unknown."""
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(theirs in (ours, UNKNOWN) for ours, theirs in pairs)


def with_ctranslate2(
    run: Run, model: PlannedModel, parts: TransformerParts | None, folder: Path, wish: str, threads: int, show: Show
) -> tuple[Best, str]:
    """The model as CTranslate2 has it, once it was held against fairseq as the test set's decoding is."""
    search = usual.search_of(list(model.decode_command), wish)
    require(parts is not None, f"{model.arch or model.name} is no plain transformer")
    assert parts is not None
    data, langs = run.data / "bin", run.plan.data.langs
    file = run.model_folder(model.name) / "model.pt"
    try:
        write_model(folder, parts)
        fairseq = partial(engines.FairseqEngine, [str(file)], str(data), langs, *search.device)
        usual.checked(run, parts, read_text(str(data), langs, parts.symbols), search, folder, fairseq, show)
        workers = threads if search.device[0] == "cpu" else 1
        engine = engines.EndingEngine(folder, *search.device, search.compute_type, workers=workers)
    except ImportError as error:
        raise LskdError(f"CTranslate2 cannot be imported ({reason(error)})") from error
    except (RuntimeError, ValueError) as error:  # CTranslate2 has no errors of its own
        raise LskdError(f"CTranslate2 does not translate with it ({reason(error)})") from error
    most = parts.max_positions[1] - 1

    def begin(batch: list[Pieces]) -> Wait:
        return engine.begin(batch, search.at_most(min(search.settings.longest(batch), most)))

    return partial(batch_by_batch, begin, search.settings.batch_tokens), usual.engine_name()


def with_fairseq(run: Run, file: Path, wish: str) -> tuple[Best, str]:
    """The model as fairseq has it."""
    decode, device = run.plan.decode, ("cpu", 0)
    if wish != "cpu":
        device = engines.engine_devices("cuda" if wish == "gpu" else wish, "fairseq")[0]
    settings = DecodeSettings(
        engine="fairseq",
        beam=decode.beam,
        lenpen=decode.lenpen,
        max_len_a=decode.max_len_a,
        max_len_b=decode.max_len_b,
    )
    with fairseq_io.quiet():
        engine = engines.FairseqEngine([str(file)], str(run.data / "bin"), run.plan.data.langs, *device)

    def begin(batch: list[Pieces]) -> Wait:
        return lambda: engine.translate(batch, settings)

    return partial(
        batch_by_batch, begin, settings.batch_tokens
    ), f"fairseq {versions().get('fairseq-fixed', '')}".strip()


def batch_by_batch(
    begin: Callable[[list[Pieces]], Wait], batch_tokens: int, sentences: list[Pieces], done: Done
) -> list[str]:
    """The best translations in subwords: all batches are begun, then waited for one after the other."""
    groups = list(batches(sentences, batch_tokens))
    begun = [begin([sentences[at] for at in group]) for group in groups]

    def waited() -> Iterator[list[list[Hypothesis]]]:
        for group, wait in zip(groups, begun, strict=True):
            yield wait()
            done(len(group))

    found: list[list[Hypothesis]] = engines.in_order(groups, waited())
    return [without_ends(line) for line in engines.best(found)]


def without_ends(pieces: str) -> str:
    """Subwords without the symbols of beginning and end that a model may write."""
    return " ".join(piece for piece in pieces.split(" ") if piece not in ("<s>", "</s>"))
