"""Teachers of sequences that are no fairseq models, `hf:FOLDER-OR-NAME` and `ct2:FOLDER`: opened, checked, at work."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.hf_io import folders
from lskd_nmt.hf_io.folders import Described
from lskd_nmt.hf_io.models import convert
from lskd_nmt.hf_io.tokens import Direction, HuggingFaceTokens
from lskd_nmt.seqkd.decode import CHECK, MODEL, Place
from lskd_nmt.seqkd.engine_check import CHECKED
from lskd_nmt.seqkd.engines import engine_devices, make_once
from lskd_nmt.seqkd.ledger import TextTeacher
from lskd_nmt.seqkd.text import TextLines
from lskd_nmt.seqkd.text_check import compare_text
from lskd_nmt.seqkd.text_engines import CTranslate2TextEngine, TransformersEngine
from lskd_nmt.seqkd.text_tokens import TextTokens, converted_facts, require_own_tokens, tokens_of
from lskd_nmt.storage.header import Origin
from lskd_nmt.teacher.source import TextTranslationSource

FAIRSEQ, HUGGING_FACE, CTRANSLATE2 = "fairseq", "hf", "ct2"
KINDS = (FAIRSEQ, HUGGING_FACE, CTRANSLATE2)
PLACE = "{source}"
PACKAGES = {HUGGING_FACE: ("transformers", "tokenizers", "sentencepiece"), CTRANSLATE2: ("sentencepiece",)}
Makers = Callable[[TextLines], tuple[Sequence[Callable[[], TextTranslationSource]], bool]]


@dataclass(frozen=True)
class OpenedTeacher:
    """A model on disk that is proved to be a teacher for this direction."""

    kind: str
    name: str  # without folders
    folder: Path
    sha256: str  # of the model's files
    model_type: str | None
    described: Described | None  # of Hugging Face
    positions: int | None
    prompted: bool
    tokens: Callable[[], TextTokens]
    tokenizer_hash: str
    direction: Direction
    has_template: bool
    ends: tuple[str, ...]

    def origin(self) -> Origin:
        """What the ledger says of the model."""
        return Origin(self.name, self.sha256, self.model_type)

    def record(self, engine: str) -> TextTeacher:
        """What else it says."""
        of_engine = ("ctranslate2",) if engine == "ctranslate2" else ("torch",)
        packages = [*PACKAGES[self.kind], *of_engine]
        if self.kind == CTRANSLATE2 and self.uses_hugging_face():
            packages += PACKAGES[HUGGING_FACE]
        direction = self.direction
        return TextTeacher(
            self.kind,
            self.prompted,
            self.tokenizer_hash,
            {name: version_of(name) for name in sorted(set(packages))},
            direction.source,
            direction.target,
            direction.prefix,
            direction.prompt,
            self.has_template,
        )

    def uses_hugging_face(self) -> bool:
        """Whether its tokeniser is one of Hugging Face."""
        return isinstance(self.tokens, partial) and self.tokens.func is HuggingFaceTokens


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def kind_of(teacher: str) -> tuple[str, str]:
    """`hf:NAME` as kind and name."""
    kind, _, name = teacher.partition(":")
    require(
        kind in KINDS and bool(name),
        f"--teacher is {teacher}: give fairseq:CHECKPOINT, hf:FOLDER-OR-NAME or ct2:FOLDER",
    )
    return kind, name


def read_prompt(file: Path) -> str:
    """The prompt in a file, which has a place for the source."""
    require(file.is_file(), f"--prompt {file} is no file: give a text file with {PLACE} where the source is to stand")
    try:
        text = file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise LskdError(f"--prompt {file} is not UTF-8 (byte {error.start}): write it as UTF-8") from None
    require(
        PLACE in text,
        f"--prompt {file} has no {PLACE}: write it where the source sentence is to stand, such as "
        f"'Translate into German: {PLACE}'",
    )
    return text


def open_teacher(teacher: str, tokenizer: str | None, direction: Direction, engine: str) -> OpenedTeacher:
    """The teacher that `hf:…` or `ct2:…` names, its tokeniser read once; `LskdError` for all that it cannot do."""
    kind, name = kind_of(teacher)
    require(engine != "fairseq", f"--engine is fairseq, and --teacher is {teacher}: use ctranslate2")
    if kind == HUGGING_FACE:
        require(tokenizer is None, "--teacher-tokenizer is for ct2: a model of Hugging Face has its own")
        return open_hugging_face(name, direction)
    require(
        engine == "ctranslate2", f"--engine is {engine}, and --teacher is {teacher}: use --engine ctranslate2, or hf:"
    )
    return open_converted(name, tokenizer, direction)


def open_hugging_face(name: str, direction: Direction) -> OpenedTeacher:
    """A model of Hugging Face."""
    folder = folders.found(name)
    described = folders.describe(folder)
    folders.require_weights(folder)
    require_prompt(name, described.is_language_model, direction)
    opened = HuggingFaceTokens(folder, direction)
    return OpenedTeacher(
        HUGGING_FACE,
        folder.resolve().name if Path(name).is_dir() else name,
        folder,
        folders.model_hash(folder),
        described.model_type,
        described,
        described.positions,
        described.is_language_model,
        partial(HuggingFaceTokens, folder, direction),
        folders.tokenizer_hash(folder),
        direction,
        opened.has_template,
        tuple(opened.ends()) if described.is_language_model else (),
    )


def open_converted(name: str, tokenizer: str | None, direction: Direction) -> OpenedTeacher:
    """A folder of CTranslate2."""
    folder = Path(name)
    require(folder.is_dir(), f"--teacher ct2:{name} is no folder: give one that a converter of CTranslate2 made")
    facts = converted_facts(folder)
    same = facts.langs in ((None, None), direction.langs)
    require(
        same,
        f"{folder} translates from {facts.langs[0]} to {facts.langs[1]}, and the languages are "
        f"{direction.langs[0]} and {direction.langs[1]} (-s, -t): give the model of this direction",
    )
    require_prompt(name, facts.is_language_model, direction)
    source = None
    if tokenizer is not None:
        source = Path(tokenizer.removeprefix("hf:"))
        require(source.is_dir(), f"--teacher-tokenizer {tokenizer} is no folder: give hf:FOLDER with a tokenizer")
    tokens = tokens_of(folder, source, direction)
    opened = tokens()
    of_hugging_face = opened if isinstance(opened, HuggingFaceTokens) else None
    return OpenedTeacher(
        CTRANSLATE2,
        folder.resolve().name,
        folder,
        folders.hashed(folder, ("model.bin", "config.json", "*vocabulary*")),
        None,
        None,
        facts.positions,
        facts.is_language_model,
        tokens,
        folders.tokenizer_hash(source or folder),
        direction,
        of_hugging_face is not None and of_hugging_face.has_template,
        tuple(of_hugging_face.ends()) if of_hugging_face and facts.is_language_model else (),
    )


def require_prompt(name: str, is_language_model: bool, direction: Direction) -> None:
    """A language model is given a prompt, and a translation model none."""
    require(
        not is_language_model or direction.prompt is not None,
        f"{name} is a language model: give --prompt FILE with {PLACE} where the source sentence is to stand",
    )
    require(
        is_language_model or direction.prompt is None,
        f"{name} is a translation model, which takes no --prompt: leave it out (T5 takes a --teacher-prefix)",
    )


def makers_of(
    teacher: OpenedTeacher,
    out: Path,
    settings: DecodeSettings,
    place: Place,
    show: Callable[[str], None],
    accept: bool,
    lang: str,
) -> Makers:
    """What makes the translators for lines of text: of transformers, or of CTranslate2, which is compared with it.

    `out` is where a model is converted to; `lang` is the target language, for the BLEU of the comparison.
    """

    def make(lines: TextLines) -> tuple[Sequence[Callable[[], TextTranslationSource]], bool]:
        devices = engine_devices(place.device, settings.engine)
        on_cpu = devices[0][0] == "cpu"
        sample = lines.lines(sorted({number * len(lines) // CHECKED for number in range(CHECKED)}))
        if settings.engine == "transformers":
            with_transformers(teacher)(*devices[0]).translate_text(sample[:1], settings)  # it can be loaded
            return [partial(with_transformers(teacher), *device) for device in devices], on_cpu
        model = teacher.folder
        if teacher.described is None:
            require_own_tokens(model, teacher.tokens(), sample)
            kind = settings.quantization
            with_ctranslate2(teacher, model)(*devices[0], compute_type=kind).translate_text(sample[:1], settings)
        else:
            model = out / f"{MODEL}-{teacher.sha256[:12]}"
            try:
                make_once(model, partial(convert, teacher.folder, facts=teacher.described))
                ours, theirs = with_ctranslate2(teacher, model), with_transformers(teacher)
                ours, theirs = partial(ours, *devices[0]), partial(theirs, *devices[0])
                compare_text(out / CHECK, ours, theirs, sample, settings, show, accept, lang)
            except LskdError:
                shutil.rmtree(model, ignore_errors=True)
                raise
        ours = partial(with_ctranslate2(teacher, model), compute_type=settings.quantization, threads=place.threads)
        return [partial(ours, *device) for device in devices], on_cpu

    return make


def with_transformers(teacher: OpenedTeacher) -> Callable[..., TextTranslationSource]:
    """What makes transformers' engine of the teacher, given a device."""
    assert teacher.described is not None
    return partial(TransformersEngine, teacher.folder, teacher.described, teacher.direction)


def with_ctranslate2(teacher: OpenedTeacher, model: Path) -> Callable[..., TextTranslationSource]:
    """What makes CTranslate2's engine of the teacher, converted to `model`, given a device."""
    made = partial(CTranslate2TextEngine, model, teacher.tokens, teacher.positions)
    return partial(made, ends=teacher.ends, prompted=teacher.prompted)
