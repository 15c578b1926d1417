"""A model with the part of its vocabulary that a text needs: checkpoint, dictionaries and subwords.

`data.fewer_pieces` says which symbols are kept. Source and target with equal dictionaries keep equal ones, so that
they can share embeddings; a sentencepiece model is cut once where both sides have the same and equal dictionaries.

The folder appears whole or not at all, after every line of the text was cut as before and the logits were those of
the full model's kept symbols. It is what `lskd import-teacher` writes: data are prepared with it (`--dictionary`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.fewer_pieces import Pieces
from lskd_nmt.data.given import Given
from lskd_nmt.deploy.export import stock_state
from lskd_nmt.deploy.trim_proof import proved_cuts, proved_logits
from lskd_nmt.deploy.trim_sides import Kept, Side, Size
from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.fairseq_io.types import CheckpointState
from lskd_nmt.progress import Progress
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import sha256, write_bytes, write_json, write_text
from lskd_nmt.storage.typed import record, to_json
from lskd_nmt.teacher.vocabulary import recorded_data, stored_symbols

WHAT = "lskd trim"
CHECKPOINT, PROOF = "checkpoint.pt", "trim.json"
SPECIAL = 4  # symbols of fairseq's that come first
MOST_UNKNOWN = 0.5  # of the symbols of the text, else the files belong to another model
TABLES = {
    "encoder.embed_tokens.weight": 0,
    "decoder.embed_tokens.weight": 1,
    "decoder.output_projection.weight": 1,
    "decoder.output_projection.bias": 1,
}  # the weights with a row for each symbol: of the source, or of the target
Show = Callable[[str], None]


@record
class Trimmed:
    """What trim.json says: what is left of a model, and what was proved of it."""

    checkpoint: str
    source_symbols: Size
    target_symbols: Size
    pieces: dict[str, Size]  # that text is cut into, by the file of a sentencepiece model
    parameters: Size
    bytes: dict[str, Size]  # of the files; a checkpoint of a training holds its optimizer's state, too
    lines: int
    unknown: int  # symbols of the text that the full model does not know either
    sentences: int  # pairs of lines whose logits were compared
    difference: float  # the largest between two logits
    precision: str  # of both computations: float32, or float64 where rounding alone was beyond the tolerance
    sha256: str  # of the checkpoint


class Left(TypedDict):
    """The keys of `Trimmed` that say what is left."""

    source_symbols: Size
    target_symbols: Size
    pieces: dict[str, Size]
    parameters: Size
    bytes: dict[str, Size]


def trim(
    checkpoint: Path, data: Path, langs: tuple[str, str], sides: tuple[Side, Side], out: Path, show: Show
) -> Trimmed:
    """Write the folder `out` and prove it; what was proved."""
    state = fairseq_io.read_checkpoint(str(checkpoint), "model")
    fairseq_io.require_finite(state, str(checkpoint), "model")
    require_own(state, checkpoint, data, sides, langs)
    with folders.hold(out, WHAT) as held:
        require(not out.exists(), f"--out {out} is there already: give a new folder")
        used, lines, unknown = read(sides, show)
        kept = kept_of(sides, used)
        with folders.part_of(out, WHAT, held) as part:
            new = part / "model"
            folders.mark(new, WHAT)
            write_vocabulary(kept, sides, data, new)
            try:
                torch.save(trimmed(state, kept, langs), new / CHECKPOINT)
            except RuntimeError as error:  # torch's word for a full disk
                raise LskdError(f"{out} cannot be written ({str(error).strip().splitlines()[0]})") from error
            pairs = proved_cuts(sides, kept, new, fairseq_io.positions(state), show)
            models = [
                fairseq_io.load_model(str(file), fairseq_io.of_data(str(folder), langs))
                for file, folder in ((checkpoint, data), (new / CHECKPOINT, new))
            ]
            difference, precision = proved_logits(models, sides, kept, pairs)
            found = Trimmed(
                checkpoint=checkpoint.name,
                **left(new, checkpoint, state, sides, kept),
                lines=lines,
                unknown=unknown,
                sentences=len(pairs),
                difference=difference,
                precision=precision,
                sha256=sha256(new / CHECKPOINT),
            )
            write_json(new / PROOF, to_json(found))
            new.replace(out)
    return found


def left(
    folder: Path, checkpoint: Path, state: CheckpointState, sides: tuple[Side, Side], kept: tuple[Kept, Kept]
) -> Left:
    """How much is left of a model in its new folder."""
    own = fairseq_io.read_checkpoint(str(folder / CHECKPOINT), "model")
    files = {CHECKPOINT: checkpoint, given.MODEL: sides[1].spm, given.source_model(sides[0].lang): sides[0].spm}
    return {
        "source_symbols": Size(len(kept[0].symbols), len(sides[0].symbols)),
        "target_symbols": Size(len(kept[1].symbols), len(sides[1].symbols)),
        "pieces": {name: one.pieces for name, one in spm_names(kept, (sides[0].lang, sides[1].lang)).items()},
        "parameters": Size(fairseq_io.parameter_count(own), fairseq_io.parameter_count(state)),
        "bytes": {
            name: Size((folder / name).stat().st_size, file.stat().st_size)
            for name, file in files.items()
            if (folder / name).is_file()
        },
    }


def require_own(
    state: CheckpointState, checkpoint: Path, data: Path, sides: tuple[Side, Side], langs: tuple[str, str]
) -> None:
    """Refuse dictionaries that are not those of the model."""
    task = fairseq_io.section(state, "task")
    says = task.get("source_lang"), task.get("target_lang")
    require(
        says != langs[::-1],
        f"{checkpoint} translates {says[0]} to {says[1]}, and --data {data} is read as {'-'.join(langs)}",
    )
    stored = stored_symbols(state, langs)
    ours = DictionaryPair(sides[0].symbols, sides[1].symbols, langs)
    if stored is not None:
        same = (stored.source, stored.target) == (ours.source, ours.target)
        beside = f"give the data that it was trained on ({recorded_data(state) or 'it does not say which'})"
        require(same, f"{checkpoint} has other symbols than --data {data}: {beside}")
    for name, side in TABLES.items():
        table = state["model"].get(name)
        if name.endswith("weight") and table is None and not name.startswith("decoder.output"):
            raise LskdError(f"{checkpoint} has no {name}: lskd trim takes fairseq's transformers")
        rows, symbols = (len(sides[side].symbols) if table is None else len(table)), len(sides[side].symbols)
        lang = langs[side]
        require(
            rows == symbols, f"{checkpoint} has {rows} symbols of {lang}, and --data {data} {symbols}: give its own"
        )


def read(sides: tuple[Side, Side], show: Show) -> tuple[tuple[set[str], set[str]], int, int]:
    """The symbols that the text of each side is cut into, the number of lines, and of symbols without a name."""
    progress = Progress(float("inf"), "lines read", show)
    found: list[set[str]] = []
    lines = unknown = 0
    for side in sides:
        cutter, known, used, count, lost = side.subwords, {*side.symbols}, set[str](), 0, 0
        for line in side.lines():
            pieces = cutter.pieces(line)
            used.update(pieces)
            count += len(pieces)
            lost += len(pieces) - sum(piece in known for piece in pieces)
            lines += 1
            progress.add(1)
        fits = lost <= MOST_UNKNOWN * count
        what = f"{side.spm} cuts the text of {side.lang} into {count} symbols, {lost} of which the dictionary lacks"
        require(fits, f"{what}: they are of two models, or the text is in another language")
        found.append(used)
        unknown += lost
    return (found[0], found[1]), lines, unknown


def kept_of(sides: tuple[Side, Side], used: tuple[set[str], set[str]]) -> tuple[Kept, Kept]:
    """What is kept of both sides; equal dictionaries stay equal."""
    one_dictionary = sides[0].symbols == sides[1].symbols
    one_model = one_dictionary and sides[0].spm.read_bytes() == sides[1].spm.read_bytes()
    pieces = [Pieces(side.spm) for side in sides]
    needs = [used[0] | used[1]] * 2 if one_model else [*used]
    stays = [each.kept(side.symbols, need) for each, side, need in zip(pieces, sides, needs, strict=True)]
    prefixes = {side.prefix for side in sides}
    found = []
    for side, each, own in zip(sides, pieces, stays, strict=True):
        wanted = (stays[0] | stays[1] if one_dictionary else own) | prefixes
        ids = [at for at, symbol in enumerate(side.symbols) if at < SPECIAL or symbol in wanted]
        symbols = [side.symbols[at] for at in ids]
        count = Size(len(own & (each.normal | each.fixed)), len(each))
        found.append(Kept(symbols, ids, each.model(own).SerializeToString(deterministic=True), count))
    return found[0], found[1]


def spm_names(kept: tuple[Kept, Kept], langs: tuple[str, str]) -> dict[str, Kept]:
    """The sides whose sentencepiece model is in a file of its own, by the file's name."""
    own = {} if kept[0].spm == kept[1].spm else {given.source_model(langs[0]): kept[0]}
    return {given.MODEL: kept[1], **own}


def write_vocabulary(kept: tuple[Kept, Kept], sides: tuple[Side, Side], data: Path, folder: Path) -> None:
    """Dictionaries with their counts, subwords and dictionary.json; the dictionaries are read again."""
    langs = sides[0].lang, sides[1].lang
    for side, full in zip(range(2), fairseq_io.dictionaries(str(data), langs), strict=True):
        rows = (f"{full.symbols[at]} {full.count[at]}\n" for at in kept[side].ids[SPECIAL:])
        write_text(folder / f"dict.{langs[side]}.txt", "".join(rows))
    read_again = fairseq_io.read_symbols(str(folder), langs)
    whole = read_again is not None and (read_again.source, read_again.target) == (kept[0].symbols, kept[1].symbols)
    require(whole, f"--data {data}: fairseq does not read its symbols as they are: not trimmed")
    for name, one in spm_names(kept, langs).items():
        write_bytes(folder / name, one.spm)
    kind = given.kind(data) or "fairseq"
    hashes = {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.name != folders.MARK}
    write_json(folder / given.NAME, to_json(Given(kind, *langs, sides[0].prefix, sides[1].prefix, hashes)))


def trimmed(state: CheckpointState, kept: tuple[Kept, Kept], langs: tuple[str, str]) -> dict[str, object]:
    """A stock checkpoint with the rows of the kept symbols, and their names; what was one tensor stays one."""
    weights: dict[str, Tensor] = dict(state["model"])
    cut: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    for name, side in TABLES.items():
        if name in weights:
            table, ids = weights[name], kept[side].ids
            place = table.data_ptr(), tuple(ids)
            weights[name] = cut.setdefault(place, table[torch.tensor(ids)].clone())
    symbols = {"source": kept[0].symbols, "target": kept[1].symbols}
    stock = stock_state({**state, "model": weights, "extra_state": {"train_iterator": {"epoch": 1}}}, langs)
    return {**stock, "task_state": {fairseq_io.SYMBOLS_KEY: symbols}}
