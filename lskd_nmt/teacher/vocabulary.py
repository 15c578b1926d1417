"""Teacher and student must agree on every symbol: the proof, or one clear error."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import SYMBOLS_KEY, DictionaryPair, read_symbols, section
from lskd_nmt.storage.header import StoredSymbols

Checkpoint = Mapping[str, Any]  # what fairseq pickled: its own dictionaries of settings, tensors and states
SHOWN = 3  # differences that an error spells out
TWO_DICTIONARIES = "a stock arch that keeps two embeddings, such as --arch transformer_iwslt_de_en"


def differences(teacher: Sequence[str], student: Sequence[str]) -> list[int]:
    """The indices at which the two lists of symbols differ; past the end of the shorter one all do."""
    longest = max(len(teacher), len(student))
    return [i for i in range(longest) if list(teacher[i : i + 1]) != list(student[i : i + 1])]


def require_equal(teacher: DictionaryPair, student: DictionaryPair, path: str) -> None:
    """Refuse a teacher whose source or target dictionary is not the student's, symbol by symbol."""
    if teacher.source != student.source and teacher.source == student.target and teacher.target == student.source:
        source, target = student.langs
        raise LskdError(
            f"teacher {path} translates {target} to {source}, and the data are read as {source}-{target}: "
            f"read them the other way, with -s {target} -t {source}"
        )
    complaints = []
    for side in ("source", "target"):
        ours: list[str] = getattr(student, side)
        theirs: list[str] = getattr(teacher, side)
        where = differences(theirs, ours)
        if where:
            shown = ", ".join(
                f"{i}: {(theirs[i : i + 1] or ['nothing'])[0]!r} / {(ours[i : i + 1] or ['nothing'])[0]!r}"
                for i in where[:SHOWN]
            )
            complaints.append(
                f"{side} dictionaries differ at {len(where)} indices "
                f"(teacher {len(theirs)} symbols, student {len(ours)}; teacher / student at {shown})"
            )
    if complaints:
        advice = "binarise the student's data with the teacher's dictionary (--srcdict, --tgtdict)"
        if teacher.source != teacher.target:
            advice = f"{advice.replace('dictionary', 'dictionaries')}, which are two, and train {TWO_DICTIONARIES}"
        raise LskdError(f"teacher {path}: {'; '.join(complaints)}: {advice}")


def header_symbols(stored: StoredSymbols) -> DictionaryPair:
    """The dictionaries that a store's header holds."""
    source, target = stored.langs or ("", "")
    return DictionaryPair(stored.source, stored.target, (source, target))


def stored_as(symbols: DictionaryPair) -> StoredSymbols:
    """The dictionaries as a store's header holds them."""
    return StoredSymbols(symbols.source, symbols.target, list(symbols.langs))


def stored_symbols(state: Checkpoint, langs: tuple[str, str]) -> DictionaryPair | None:
    """The symbols that `kd_ls` stored in its checkpoint."""
    stored = (state.get("task_state") or {}).get(SYMBOLS_KEY)
    return DictionaryPair(list(stored["source"]), list(stored["target"]), langs) if stored else None


def recorded_data(state: Checkpoint) -> str:
    """The first data folder that a checkpoint records, or nothing; older ones record a list of paths."""
    data = section(state, "task").get("data") or ""
    return str(data[0] if isinstance(data, list) and data else data).split(":")[0]


def folder_symbols(state: Checkpoint, path: str, langs: tuple[str, str]) -> DictionaryPair | None:
    """The symbols of the dictionaries beside a checkpoint, or in the data folder that it records as absolute.

    (A relative one may by now be somebody else's.)
    """
    recorded = recorded_data(state)
    folders = [str(Path(path).parent), *([recorded] if Path(recorded).is_absolute() else [])]
    return next(filter(None, (read_symbols(folder, langs) for folder in folders)), None)


def teacher_symbols(
    state: Checkpoint, path: str, student_langs: tuple[str, str], teacher_data: str | None
) -> DictionaryPair:
    """The symbols a teacher was trained with, from the first of four sources that has them.

    In this order: the checkpoint itself; `teacher_data`; the checkpoint's folder; the data folder recorded in it.
    None of them: `LskdError`.
    The teacher's languages name the files; a checkpoint whose training inferred them does not say, and the
    student's are taken, as they are where `teacher_data` has no files of the teacher's.
    """
    task = section(state, "task")
    langs = task.get("source_lang") or student_langs[0], task.get("target_lang") or student_langs[1]
    stored = stored_symbols(state, langs)
    if stored is not None:
        return stored
    if teacher_data is not None:
        named = read_symbols(teacher_data, langs) or read_symbols(teacher_data, student_langs)
        if named is None:
            raise LskdError(
                f"--teacher-data {teacher_data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
                "give the binarised folder that the teacher was trained on"
            )
        return named
    found = folder_symbols(state, path, langs)
    if found is not None:
        return found
    recorded = recorded_data(state)
    relative = bool(recorded) and not Path(recorded).is_absolute()
    hint = f" (its settings name {recorded}, a relative path, which may lead elsewhere by now)" if relative else ""
    raise LskdError(
        f"teacher {path} was not trained by kd_ls, so its dictionaries cannot be proved equal to the "
        f"student's: give --teacher-data, the folder with its dict.{langs[0]}.txt and dict.{langs[1]}.txt{hint}"
    )
