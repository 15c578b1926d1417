"""The test set decoded with CTranslate2, as fairseq-generate would, or a reason why that cannot be done.

A model is converted without fairseq. The first model of each architecture in a run is held against fairseq's own
generator on a part of the test set first; later ones rest on that.
"""

import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from zipfile import is_zipfile

from lskd_nmt import fairseq_io
from lskd_nmt.decode_settings import MOST, DecodeSettings
from lskd_nmt.decode_settings import batches as source_batches
from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.experiment.decoding_batches import EvalText, batches, read_text
from lskd_nmt.experiment.records import DecodeRecord, PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.fairseq_io.known_flags import given
from lskd_nmt.fairseq_io.transformer_parts import TransformerParts, transformer_parts
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import engines
from lskd_nmt.seqkd.conversion import write_model
from lskd_nmt.seqkd.engine_check import EngineCheck, compare
from lskd_nmt.storage.provenance import versions
from lskd_nmt.storage.typed import read_record
from lskd_nmt.teacher.source import Hypothesis

CHECKS = "engine-checks"  # in the run folder
CHECKED = (50, 200)  # sentences that are held against fairseq's: a tenth of the test set, within these
MODEL = "ctranslate2.part"  # in the model's folder, while it is decoded
LONGEST = 1024  # subwords of a source with its end that CTranslate2 takes
# flags of fairseq-generate whose meaning is kept here; the first do not change what is searched
KNOWN = {"user-dir", "path", "gen-subset", "source-lang", "target-lang", "log-format", "required-batch-size-multiple"}
KNOWN |= {"cpu", "fp16", "bf16", "max-source-positions", "max-target-positions"}  # --bf16 changes no weights there
KNOWN |= {"beam", "lenpen", "max-len-a", "max-len-b", "max-tokens"}


@dataclass(frozen=True)
class Decoded:
    """Every row's best translation, and what found it."""

    best: list[Hypothesis]
    engine: str
    compute_type: str
    check: EngineCheck
    seconds: float  # of the search alone
    on_gpu: bool


@dataclass(frozen=True)
class Search:
    """What is searched, and where."""

    settings: DecodeSettings
    max_tokens: int  # of a batch of fairseq-generate
    compute_type: str
    device: tuple[str, int]

    def at_most(self, longest: int) -> DecodeSettings:
        """The settings for translations of at most so many subwords."""
        return replace(self.settings, max_len_a=0.0, max_len_b=longest)


def search_of(command: Sequence[str], wish: str) -> Search:
    """The search of a fairseq-generate command; `LskdError` for flags that have no counterpart.

    `wish` is the device: auto, gpu or cpu.
    """
    flags = dict(given(command))
    require(command[:1] == ["fairseq-generate"], f"{' '.join(command[:1])} is not fairseq-generate")
    others = sorted(flags.keys() - KNOWN)
    require(not others, f"--{others[0] if others else ''} has no counterpart in CTranslate2")
    require(flags["gen-subset"] == "test" and flags["required-batch-size-multiple"] == "1", "it is not the usual test")
    kind = "float16" if "fp16" in flags else "float32"
    cpu = wish == "cpu" or "cpu" in flags or os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    device = ("cpu", 0) if cpu else engines.engine_devices("cuda" if wish == "gpu" else wish, "ctranslate2")[0]
    settings = DecodeSettings(
        quantization=kind,
        beam=int(flags["beam"]),
        lenpen=float(flags["lenpen"]),
        max_len_a=float(flags["max-len-a"]),
        max_len_b=int(flags["max-len-b"]),
    )
    return Search(settings, int(flags["max-tokens"]), kind, device)


def limits(test: EvalText, search: Search, parts: TransformerParts) -> list[tuple[list[int], int]]:
    """The rows of each of fairseq-generate's batches with the most subwords of their translations.

    `LskdError` where CTranslate2 would stop at other lengths, or takes no such sentence.
    """
    empty = int((test.source_lengths <= 1).sum())
    require(not empty, f"{empty} source sentences are empty")
    longest, takes = int(test.source_lengths.max(initial=0)), min(parts.max_positions[0], LONGEST)
    require(longest <= takes, f"a source has {longest:,} subwords with its end, and CTranslate2 takes {takes:,}")
    a, b, most = search.settings.max_len_a, search.settings.max_len_b, parts.max_positions[1] - 1
    found = [
        (rows, min(int(a * int(test.source_lengths[rows].max()) + b), most))
        for rows in batches(test, search.max_tokens)
    ]
    top = max((limit for _, limit in found), default=1)
    require(1 <= top <= MOST, f"a translation may have {top:,} subwords, and CTranslate2 stops at {MOST:,}")
    return found


def decode(
    run: Run, model: PlannedModel, command: Sequence[str], wish: str, threads: int, show: Callable[[str], None]
) -> Decoded:
    """The translations of the test set by a trained model; `LskdError` says why CTranslate2 does not make them."""
    search, folder = search_of(command, wish), run.model_folder(model.name)
    data, langs = run.binarised_test, run.plan.data.langs
    file = folder / "model.pt"
    require(is_zipfile(file), f"{file} is nothing that torch.save writes today")
    parts = transformer_parts(fairseq_io.read_checkpoint(str(file), "model", built=False))
    require(parts is not None, f"{model.arch or file.parent.name} is no plain transformer")
    assert parts is not None
    require_dictionaries(data, langs, parts.symbols)
    test = read_text(str(data), langs, parts.symbols)
    groups = limits(test, search, parts)
    converted = folder / MODEL
    try:
        shutil.rmtree(converted, ignore_errors=True)  # left by a process that was killed
        write_model(converted, parts)
        fairseq = partial(engines.FairseqEngine, [str(file)], str(data), langs, *search.device)
        check = checked(run, parts, test, search, converted, fairseq, show)
        return translated(converted, test, groups, search, threads, check, show)
    except ImportError as error:
        raise LskdError(f"CTranslate2 cannot be imported ({reason(error)})") from error
    except (RuntimeError, ValueError) as error:  # CTranslate2 has no errors of its own
        raise LskdError(f"CTranslate2 does not translate with it ({reason(error)})") from error
    finally:
        shutil.rmtree(converted, ignore_errors=True)


def decoded_before(run: Run, name: str) -> str | None:
    """Another model of the run that a version decoded which knew no engine but fairseq; None without one."""
    files = {other.name: run.model_folder(other.name) / "decode.json" for other in run.models if other.name != name}
    return next(
        (
            other
            for other, file in files.items()
            if file.is_file()
            and file.with_name("test.hyp").is_file()
            and read_record(file, DecodeRecord).engine is None
        ),
        None,
    )


def require_dictionaries(data: Path, langs: tuple[str, str], symbols: tuple[Sequence[str], Sequence[str]]) -> None:
    """Refuse data whose dictionaries are not those that the model was trained with, or name a symbol twice."""
    for lang, known in zip(langs, symbols, strict=True):
        file = data / f"dict.{lang}.txt"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        words = [line.rsplit(" ", 1)[0] for line in lines]
        same = words == [*known[4 : 4 + len(words)]] and len({*known}) == len(known)
        require(same, f"{file} is not the model's own dictionary as it is")


def checked(
    run: Run,
    parts: TransformerParts,
    test: EvalText,
    search: Search,
    converted: Path,
    fairseq: Callable[[], engines.FairseqEngine],
    show: Callable[[str], None],
) -> EngineCheck:
    """How far the engines are apart on some of the test set; `LskdError` if it is too far.

    It is measured with one model of each architecture, search and set of versions; another process that measures the
    same is waited for.
    """
    known = {name: version for name, version in versions().items() if name in ("torch", "fairseq-fixed")}
    facts = [parts.structure, search.settings.content(), search.device[0], engine_name(), known]
    file = run.folder / CHECKS / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"
    low, high = CHECKED
    with only_one(file.with_name(f".{file.stem}.lock")):
        compare(
            file,
            partial(engines.EndingEngine, converted, *search.device),
            quietly(fairseq),
            test,
            range(len(test.sources)),
            search.settings,
            show,
            accept=False,
            lang=run.plan.data.target_lang,
            sentences=min(max(low, len(test.sources) // 10), high),
            remedy="it is not used",
        )
    return read_record(file, EngineCheck)


def quietly(make: Callable[[], engines.FairseqEngine]) -> Callable[[], engines.FairseqEngine]:
    """The same maker, without what fairseq says on import."""

    def made() -> engines.FairseqEngine:
        with fairseq_io.quiet():
            return make()

    return made


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is inside with this file; where the file system knows no locks, nobody waits."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def translated(
    converted: Path,
    test: EvalText,
    groups: Sequence[tuple[list[int], int]],
    search: Search,
    threads: int,
    check: EngineCheck,
    show: Callable[[str], None],
) -> Decoded:
    """Translate all rows, several batches at a time on a CPU, which changes no translation."""
    kind, device = search.compute_type, search.device
    engine = engines.EndingEngine(converted, *device, kind, workers=threads if device[0] == "cpu" else 1)
    start, progress = time.monotonic(), Progress(len(test.sources), "sentences", show)
    waiting: list[tuple[list[int], Callable[[], list[list[Hypothesis]]]]] = []
    for rows, longest in groups:
        settings = search.at_most(longest)
        sources = [test.sources[row] for row in rows]
        for part in source_batches(sources, settings.batch_tokens):
            waiting.append(([rows[at] for at in part], engine.begin([sources[at] for at in part], settings)))
    best: dict[int, Hypothesis] = {}
    for rows, wait in waiting:
        best |= {row: found[0] for row, found in zip(rows, wait(), strict=True)}
        if len(best) < len(test.sources):  # the last is said by the step
            progress.add(len(rows))
    seconds = time.monotonic() - start
    in_order = [best[row] for row in range(len(test.sources))]
    return Decoded(in_order, engine_name(), kind, check, seconds, device[0] == "cuda")


def engine_name() -> str:
    """CTranslate2 with its version, as records have it."""
    return f"ctranslate2 {metadata.version('ctranslate2')}"


def log_lines(decoded: Decoded) -> Iterator[str]:
    """The translations as fairseq-generate prints them, with scores to base 2."""
    yield f"# {decoded.engine}, {decoded.compute_type}"
    for row, hypothesis in enumerate(decoded.best):
        pieces = " ".join(piece for piece in hypothesis.pieces.split(" ") if piece not in ("<s>", "</s>"))
        yield f"H-{row}\t{hypothesis.score / math.log(2)}\t{pieces}"
