"""A folder of fairseq-preprocess as the data of a run: its text made of its subwords, and what it cannot prove said."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt import __version__, fairseq_io
from lskd_nmt.data.bitext import written
from lskd_nmt.data.subwords import SPLITS, Subwords, joined
from lskd_nmt.errors import require
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import read_lines, sha256, write_json
from lskd_nmt.storage.typed import Json

if TYPE_CHECKING:
    from lskd_nmt.storage.arrays import Ids

CORPUS, WHAT = "stock", "lskd adopt-data"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # of fairseq's dictionaries, before the words of the file
PAIR = re.compile(r"train\.(.+)-(.+)\.(.+)\.idx")
NO_TEXT = "train, valid and test were not compared: sentences may stand in several, and scores be too high"
NOT_PROVED = "nothing proves that it is what was binarised: tokens and case stay as they are, unknown words are <unk>"


def is_stock(folder: Path) -> bool:
    """Whether a folder is the output of fairseq-preprocess."""
    return any(folder.glob("dict.*.txt")) and any(folder.glob("train.*.idx"))


def languages(folder: Path, source: str | None, target: str | None) -> tuple[str, str]:
    """Source and target of the folder's files, or those that are given; they must be of these files."""
    found = {(match[1], match[2]) for file in folder.glob("train.*.idx") if (match := PAIR.fullmatch(file.name))}
    require(len(found) == 1, f"data.dir {folder} holds no train.SRC-TGT files of one pair: name another folder")
    pair = found.pop()
    wished = (source or pair[0], target or pair[1])
    require(
        wished in (pair, pair[::-1]),
        f"data.dir {folder} is of {'-'.join(pair)}, and the config says {'-'.join(wished)}: correct one",
    )
    lacking = [lang for lang in pair if not (folder / f"dict.{lang}.txt").is_file()]
    require(
        not lacking, f"data.dir {folder} lacks dict.{(lacking or [''])[0]}.txt: name the output of fairseq-preprocess"
    )
    return wished


def words(folder: Path, lang: str) -> list[str]:
    """The symbols of a dictionary in index order."""
    return [*SPECIAL, *(line.rsplit(" ", 1)[0] for line in read_lines(folder / f"dict.{lang}.txt"))]


def subwords_of(folder: Path, lang: str) -> str | None:
    """What joins the subwords of a dictionary, as fairseq calls it: sentencepiece, subword_nmt, or None for words."""
    known = words(folder, lang)[len(SPECIAL) :]
    if any(word.startswith("▁") for word in known):
        return "sentencepiece"
    return "subword_nmt" if any(word.endswith("@@") for word in known) else None


def unproved(subwords: str | None, has_model: bool) -> list[str]:
    """What nobody can prove of such data."""
    how = {"sentencepiece": "joined at ▁", "subword_nmt": "joined at @@ "}.get(subwords or "", "as it is")
    text = "the sentencepiece model that was given puts it together" if has_model else f"the subwords are {how}"
    return [f"stock data-bin: {NO_TEXT}", f"stock data-bin: BLEU is of text as the data have it ({text}); {NOT_PROVED}"]


def adopt(
    out: Path, folder: Path, langs: tuple[str, str], spm: Path | None, form: str, show: Callable[[str], None]
) -> dict[str, Json]:
    """Make `out` the data folder of a run: a link to the binarised data, and their text; prep.json is written last."""
    require(is_stock(folder), f"--bin {folder} is no output of fairseq-preprocess: give the folder with dict.*.txt")
    known = words(folder, langs[0]), words(folder, langs[1])
    model = None if spm is None else Subwords(spm)
    sizes = len(known[0]), len(known[1])
    sides = {split: fairseq_io.split_ids(str(folder), split, langs, sizes) for split in SPLITS}
    counts: dict[str, Json] = {split: len(both[0]) for split, both in sides.items()}
    with folders.hold(out, WHAT):
        (out / "clean").mkdir(parents=True, exist_ok=True)
        if spm is not None:
            (out / "spm").mkdir(exist_ok=True)
            shutil.copyfile(spm, out / "spm" / "spm.model")
        link = out / "bin"
        require(link.is_symlink() or not link.exists(), f"--out {out} has data of its own: give another folder")
        link.unlink(missing_ok=True)
        link.symlink_to(folder.resolve())
        for split, both in sides.items():
            for lang, symbols, rows in zip(langs, known, both, strict=True):
                write_text(out / "clean" / f"{split}.{lang}", rows, symbols, model)
        files = [f"clean/{split}.{lang}" for split in SPLITS for lang in langs]
        missing = unproved(subwords_of(folder, langs[1]), spm is not None)
        content: dict[str, Json] = {
            "corpus": CORPUS,
            "form": form,
            "source_lang": langs[0],
            "target_lang": langs[1],
            "settings": {},
            "pairs": counts,
            "unproved": list(missing),
            "sha256": {name: sha256(out / name) for name in files},
            "lskd_nmt": __version__,
        }
        write_json(out / "prep.json", content)
    for line in missing:
        show(line)
    return content


def write_text(file: Path, rows: "Sequence[Ids]", symbols: Sequence[str], model: Subwords | None) -> None:
    """Write a side of a split as text, a line for each row of ids that ends with the end symbol."""
    with written(file) as stream:
        for ids in rows:
            pieces = " ".join(symbols[i] for i in ids[:-1])
            line = joined(pieces) if model is None else model.decode([pieces])[0]
            stream.write(f"{line}\n".encode())
