"""In which direction binarised data are read: as asked, else as the model was trained, else as the files are named.

fairseq reads a folder of en-de as de-en, too. With two dictionaries a model of the other direction does not fit; with
one it does, and would translate the wrong side.
"""

from collections.abc import Callable, Sequence

from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io.checkpoints import read_checkpoint, section
from lskd_nmt.fairseq_io.data import language_pair

Wished = tuple[str | None, str | None]  # --source-lang and --target-lang


def trained_direction(path: str) -> tuple[str, str] | None:
    """Source and target language of a checkpoint's training; None if it does not say, or cannot be read."""
    try:
        task = section(read_checkpoint(path, "model", built=False), "task")
    except (LskdError, OSError):
        return None  # whatever reads it next says why
    source, target = task.get("source_lang"), task.get("target_lang")
    return (source, target) if isinstance(source, str) and isinstance(target, str) else None


def direction(
    folder: str,
    wished: Wished,
    name: object = None,
    its: Sequence[str] | None = None,
    show: Callable[[str], None] = lambda line: None,
) -> tuple[str, str]:
    """Source and target language in which a folder is read for what `name` says, whose own direction is `its`.

    A wish for one language alone is enough if it is the folder's. A line says so where the order is not the files'.
    """
    own = tuple(its or ())
    if wished[0] and wished[1]:
        langs = wished[0], wished[1]
        if own == langs[::-1]:
            show(f"{name} is of {'-'.join(own)}, and the data are read as {'-'.join(langs)}")
        return langs
    pair = language_pair(folder)
    for flag, lang, at in (("--source-lang", wished[0], 0), ("--target-lang", wished[1], 1)):
        if lang:
            require(
                lang in pair, f"{flag} is {lang}, and data folder {folder} is of {'-'.join(pair)}: give one of them"
            )
            return pair if pair[at] == lang else pair[::-1]
    if own == pair[::-1]:
        show(f"{name} is of {'-'.join(own)}: data folder {folder} is read in that direction")
        return pair[::-1]
    return pair
