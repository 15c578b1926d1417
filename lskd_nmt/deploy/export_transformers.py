"""A trained student as a folder of Hugging Face's transformers, published once it computes and translates as fairseq.

Three proofs on the validation set come before: the tokeniser cuts text as the data are cut, the logits of every target
are fairseq's, and greedy and beam search, as the folder itself proposes them, find fairseq's translations.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.subwords import SYMBOLS, joined
from lskd_nmt.decode_settings import DecodeSettings, batches
from lskd_nmt.deploy.candidates import examine
from lskd_nmt.deploy.export import WHAT, require_own_subwords, stock_state
from lskd_nmt.deploy.model_card import model_card
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io.transformer_parts import UNUSUAL
from lskd_nmt.hf_io import students
from lskd_nmt.hf_io.students import BEAM, EOS, INSTEAD, KIND_NAMES, PAD, Opened, Student
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.engines import FairseqEngine
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import read_json, sha256, write_json, write_text
from lskd_nmt.storage.typed import record, to_json

PROOF, CARD = "export.json", "README.md"
TOLERANCE = (
    1e-4  # between two logits: of float32's rounding a hundredth; a setting that is wrong makes a hundred times more
)
TIES = 1000  # sentences of which one may differ: rounding decides between two equally good translations
Ids = list[int]
Show = Callable[[str], None]


@record
class TransformersExport:
    """What export.json says of a folder for transformers: what was proved on the split, and by what."""

    to: str
    kind: str  # FSMT or M2M100
    sentences: int
    tokenised: int  # lines that the tokeniser cuts as sentencepiece does: all that hold no special symbol
    difference: float  # the largest between two logits
    greedy: int  # sentences whose translation is fairseq's
    beam: int
    cut: int  # sentences that either stopped at the length limit, where the two score unfinished translations otherwise
    source_lang: str
    target_lang: str
    versions: dict[str, str]
    parameters: int = 0
    sha256: dict[str, str] = field(default_factory=dict)  # of every other file of the folder


class Translated(NamedTuple):
    """How many sentences fairseq and transformers translate alike, and which not, without those that were cut."""

    identical: int
    different: int
    cut: int


@dataclass(frozen=True)
class Proof:
    """What the student is in fairseq, and the sentences that it is proved on."""

    engine: FairseqEngine
    sentences: list[tuple[list[str], list[str]]]  # subwords of source and target
    split: str
    show: Show

    def pairs(self) -> list[tuple[Ids, Ids]]:
        """The sentences as ids with their ends."""
        sides = self.engine.source, self.engine.target
        return [
            ([*map(sides[0].index, source), EOS], [*map(sides[1].index, target), EOS])
            for source, target in self.sentences
        ]


def export_transformers(
    checkpoint: Path, data: Path, langs: tuple[str, str], out: Path, show: Show, split: str = "valid"
) -> TransformersExport:
    """Write the folder `out` for transformers, once it is proved; what was proved."""
    state = fairseq_io.read_checkpoint(str(checkpoint), "student")
    fairseq_io.require_finite(state, str(checkpoint), "student")
    require_plain_text(data)
    require_transformer(checkpoint, fairseq_io.section(state, "model"))
    with folders.hold(out, WHAT) as held:
        require(not out.exists(), f"--out {out} is there already: give a new folder")
        source, target = fairseq_io.piece_lines(str(data), langs, split)
        require_own_subwords(data, (source, target), split)
        symbols = fairseq_io.read_symbols(str(data), langs)
        if symbols is None:
            raise LskdError(f"--data {data} lacks a dictionary: give the output folder of fairseq-preprocess")
        examine("student", checkpoint, symbols)
        engine = FairseqEngine([str(checkpoint)], str(data), langs)
        is_plain = fairseq_io.own_transformer(engine.models[0]) is not None
        require(is_plain, f"{checkpoint} is no plain transformer of fairseq's: {INSTEAD}")
        settings = fairseq_io.section(stock_state(state, langs), "model")
        student = Student(settings, learned(engine), (symbols.source, symbols.target), langs, given.models(data))
        students.require_carried(student)
        sentences = [(one.split(), two.split()) for one, two in zip(source, target, strict=True)]
        with folders.part_of(out, WHAT, held) as folder:
            new = folder / "model"
            new.mkdir()
            students.write(student, new)
            found = proved(Proof(engine, sentences, split, show), student, Opened(new))
            found = replace(found, parameters=fairseq_io.parameter_count(state))
            write_text(new / CARD, model_card(checkpoint, data, student, found.parameters, said(found, split)))
            found = sealed(found, new)
            write_json(new / PROOF, to_json(found))
            new.replace(out)
    return found


def require_transformer(checkpoint: Path, settings: Mapping[str, object]) -> None:
    """Refuse what is no transformer, or one that computes more than transformers has."""
    arch = str(settings.get("arch"))
    is_known = arch.startswith(("ls_transformer_", "transformer"))
    require(is_known, f"{checkpoint} is of --arch {arch}: give a transformer, such as one of an ls_transformer_* arch")
    for name in UNUSUAL:
        unusual = settings.get(name)
        require(not unusual, f"{checkpoint} has {name} = {unusual}, which no model of transformers computes: {INSTEAD}")


def said(found: TransformersExport, split: str) -> list[str]:
    """What was proved, for people."""
    count, versions = found.sentences, ", ".join(f"{name} {version}" for name, version in found.versions.items())
    cut = f"; {found.cut} differ that stopped at the limit of their length" if found.cut else ""
    return [
        f"the tokeniser makes all {found.tokenised} lines of {split} as sentencepiece does",
        f"the logits of {count} sentences are fairseq's, to {found.difference:.1e}",
        f"fairseq's translation is found of {found.greedy} of {count} sentences by greedy search, of {found.beam} by a "
        f"beam of {BEAM}{cut}",
        f"by {versions}",
    ]


def require_plain_text(data: Path) -> None:
    """Refuse data whose text is more than sentencepiece's pieces: Marian's tokeniser does nothing else."""
    prep = data.resolve().parent / "prep.json"
    form = read_json(prep).get("form", "raw") if prep.is_file() else "raw"
    require(form == "raw", f"--data {data} is of text in the form {form}, which is more than sentencepiece: {INSTEAD}")
    require(
        (data / given.MODEL).is_file() and not given.has_merges(data),
        f"--data {data} has no {given.MODEL}, and --to transformers carries sentencepiece alone: {INSTEAD}",
    )
    prefix = next(filter(None, given.prefixes(data)), None)
    require(prefix is None, f"--data {data} begins its lines with {prefix}, which the tokeniser does not: {INSTEAD}")


def learned(engine: FairseqEngine) -> dict[str, torch.Tensor]:
    """The weights of the model as fairseq of today names them, without its buffers."""
    state = engine.models[0].state_dict()
    return {name: tensor for name, tensor in state.items() if not name.endswith((".version", "._float_tensor"))}


def proved(proof: Proof, student: Student, opened: Opened) -> TransformersExport:
    """All proofs, or `LskdError`."""
    tokenised = require_tokenised(proof, student, opened)
    difference = require_logits(proof, opened)
    greedy, beam = (require_translations(proof, opened, width) for width in (1, BEAM))
    return TransformersExport(
        to="transformers",
        kind=KIND_NAMES[student.kind],
        sentences=len(proof.sentences),
        tokenised=tokenised,
        difference=difference,
        greedy=greedy.identical,
        beam=beam.identical,
        cut=greedy.cut + beam.cut,
        source_lang=student.langs[0],
        target_lang=student.langs[1],
        versions={name: metadata.version(name) for name in ("transformers", "torch", "fairseq-fixed")},
    )


def require_tokenised(proof: Proof, student: Student, opened: Opened) -> int:
    """Refuse a tokeniser that cuts or joins a line otherwise than the student's subwords; how many lines were held."""
    cutter, joiner = given.of_folder(student.subwords[1].parent)
    lines = [joined(" ".join(pieces)) for pieces, _ in proof.sentences]
    lines = [line for line in lines if not any(symbol in line for symbol in SYMBOLS)]  # text in ours, symbols in theirs
    expected = [[*map(proof.engine.source.index, cutter.pieces(line)), EOS] for line in lines]
    different = sum(map(list.__ne__, expected, opened.ids(lines)))
    targets = [" ".join(pieces) for _, pieces in proof.sentences if SYMBOLS.isdisjoint(pieces)]
    texts = [opened.text([*map(proof.engine.target.index, line.split()), EOS]) for line in targets]
    different += sum(map(str.__ne__, joiner.decode(targets), texts))
    require(different == 0, f"transformers' tokeniser makes {different} lines of {proof.split} otherwise: not exported")
    return len(lines)


def require_logits(proof: Proof, opened: Opened) -> float:
    """Refuse a model whose logits are not fairseq's; the largest difference, over all targets of the split."""
    pairs, model = proof.pairs(), proof.engine.models[0]
    order = list(batches([source for source, _ in proof.sentences], DecodeSettings.batch_tokens))
    progress, worst = Progress(len(pairs), "sentences computed by fairseq and transformers", proof.show), 0.0
    for some in ([pairs[at] for at in batch] for batch in order):
        rows = [(torch.tensor(source), torch.tensor(target)) for source, target in some]
        net_input, _ = fairseq_io.net_input(rows, PAD, EOS)
        with torch.inference_mode():
            ours = model(**net_input)[0]
        for one, theirs in zip(ours, opened.logits(some), strict=True):
            apart = float((one[: len(theirs)] - theirs).abs().max())
            worst = max(worst, math.inf if math.isnan(apart) else apart)
        progress.add(len(some))
    require(
        worst <= TOLERANCE,
        f"transformers' logits are up to {worst:.1e} from fairseq's, and {TOLERANCE:g} is allowed: not exported; "
        f"{INSTEAD}",
    )
    return worst


def require_translations(proof: Proof, opened: Opened, beam: int) -> Translated:
    """Refuse a model that translates the split otherwise than fairseq, by a search of this width."""
    how = f"a beam of {beam}" if beam > 1 else "greedy search"
    progress = Progress(len(proof.sentences), f"sentences translated by both with {how}", proof.show)
    settings = DecodeSettings(engine="fairseq", beam=beam)
    pairs, sources = proof.pairs(), [source for source, _ in proof.sentences]
    identical = different = cut = 0
    for batch in batches(sources, settings.batch_tokens):
        some, most = [sources[at] for at in batch], settings.longest([sources[at] for at in batch])
        ours = [best[0].pieces.split() for best in proof.engine.translate(some, settings)]
        theirs = opened.translate([pairs[at][0] for at in batch], beam, most)
        for one, two in zip(ours, theirs, strict=True):
            same, is_cut = [*map(proof.engine.target.index, one)] == two, max(len(one), len(two)) >= most
            identical += same
            cut += is_cut and not same
            different += not (same or is_cut)
        progress.add(len(batch))
    require(
        different <= len(sources) // TIES,
        f"{different} of {len(sources)} translations of {proof.split} by {how} differ from fairseq's: not exported",
    )
    return Translated(identical, different, cut)


def sealed(export: TransformersExport, folder: Path) -> TransformersExport:
    """The export with the hash of every file of the folder."""
    files = sorted(file for file in folder.iterdir() if file.name != PROOF)
    return replace(export, sha256={file.name: sha256(file) for file in files})
