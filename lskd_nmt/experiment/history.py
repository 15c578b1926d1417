"""What a model was before it was trained on: its checkpoint, translations and scores in `models/NAME/history/N`."""

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.records import read_metrics
from lskd_nmt.experiment.records import CurvePoint, RunRecord, read_curve
from lskd_nmt.experiment.run_command import together
from lskd_nmt.storage.files import read_json, sha256
from lskd_nmt.storage.typed import Json, read_record, record, write_record

FOLDER, PART, FILE = "history", "part", "earlier.json"
MOVED = ("metrics.json", "test.hyp", "decode.json", "generate.log", "statistics", "sets")  # and model.pt, the last
RESULTS = (*MOVED, "model.pt")
COPIED = ("curve.json", "run.json")  # a training that goes on adds to them
MADE = {  # of a teacher for its students, in folders of these names: files that have its hash
    "store": ("store/plan.json", "store/store.json"),
    "hypotheses": ("hypotheses/decoded/plan.json", "hypotheses/decoded/ledger.json"),
}


@record
class Earlier:
    """`earlier.json`: a model as it was when its training had ended for the first, second, … time."""

    limits: dict[str, str]  # max-epoch, max-update and patience, those that were given
    epochs: int = 0
    updates: int | None = None
    model_sha256: str = ""
    signature: str | None = None  # of its row in the table; None where it was not scored
    scores: dict[str, float] | None = None  # on the main test set, by metric
    wall_seconds: int | float | None = None  # of all its training until then
    cpu_seconds: int | float | None = None


def set_aside(folder: Path, limits: dict[str, str], signature: str | None) -> None:
    """Move a finished model's results into its history, model.pt last; a call that was killed is made good by the next.

    Until model.pt has moved, the model counts as finished; from then on its training goes on.
    """
    settle(folder)
    part, digest = folder / FOLDER / PART, sha256(folder / "model.pt")
    part.mkdir(parents=True, exist_ok=True)
    known = read_record(part / FILE, Earlier) if (part / FILE).is_file() else None
    if known is None or (known.model_sha256, known.limits) != (digest, limits):
        write_record(part / FILE, described(folder, limits, digest, signature))
    for name in COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, part / name)
    for name in RESULTS:
        if (folder / name).exists():
            if (part / name).is_dir():
                shutil.rmtree(part / name)
            (folder / name).replace(part / name)
    settle(folder)


def settle(folder: Path) -> None:
    """Give a complete entry its number, which a killed `set_aside` had no time for."""
    part = folder / FOLDER / PART
    if (part / "model.pt").is_file():
        part.rename(folder / FOLDER / str(1 + max(numbers(folder), default=0)))


def described(folder: Path, limits: dict[str, str], digest: str, signature: str | None) -> Earlier:
    """What a finished model is, for its history."""
    cost = read_record(folder / "run.json", RunRecord) if (folder / "run.json").is_file() else RunRecord()
    curve = curve_of(folder)
    metrics = read_metrics(folder / "metrics.json").scores if (folder / "metrics.json").is_file() else None
    return Earlier(
        limits=limits,
        epochs=curve[-1].epoch if curve else 0,
        updates=curve[-1].updates if curve else None,
        model_sha256=digest,
        signature=signature,
        scores=None if metrics is None else {name: score.score for name, score in metrics.items()},
        wall_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
    )


def curve_of(folder: Path) -> list[CurvePoint]:
    """The learning curve in a folder; empty where there is none."""
    return read_curve(folder / "curve.json") if (folder / "curve.json").is_file() else []


def numbers(folder: Path) -> list[int]:
    """The numbers of a model's complete entries, in order."""
    return sorted(int(each.name) for each in (folder / FOLDER).glob("*") if each.name.isdecimal())


def earlier(folder: Path) -> list[tuple[Earlier, bool]]:
    """A model's history, the oldest first, and whether its training went on from there: it began anew otherwise."""
    now, found = curve_of(folder), []
    for number in numbers(folder):
        place = folder / FOLDER / str(number)
        if (place / FILE).is_file():
            found.append((read_record(place / FILE, Earlier), goes_on(curve_of(place), now)))
    return found


def goes_on(before: Sequence[CurvePoint], now: Sequence[CurvePoint]) -> bool:
    """Whether a learning curve begins with another: of an epoch that was not whole the rest is logged again."""
    if not before or len(now) < len(before) or list(before[:-1]) != list(now[: len(before) - 1]):
        return False
    last, same = before[-1], now[len(before) - 1]
    return last == same or (last.updates or 0) < (same.updates or 0)


def forget_costs(folder: Path) -> None:
    """Leave out of run.json what the history has: a training that begins anew has costs of its own."""
    kept = [folder / FOLDER / str(number) / "run.json" for number in numbers(folder)[-1:]]
    if not (folder / "run.json").is_file() or not all(file.is_file() for file in kept) or not kept:
        return
    before, now = (read_record(file, RunRecord) for file in (*kept, folder / "run.json"))
    count = len(before.attempts)
    if now.attempts[:count] == before.attempts:  # else an earlier call did it
        own = now.attempts[count:]
        write_record(folder / "run.json", replace(now, attempts=own, **vars(together(own))))


def drop_stale(folder: Path, step: str) -> bool:
    """Remove what an earlier state of a teacher made for its students, a step's folder; whether there was any."""
    leaving = folder / f"{step}.part"
    if leaving.is_dir():
        shutil.rmtree(leaving)  # of a call that was killed
    files = [folder / file for file in MADE[step] if (folder / file).is_file()]
    if not files or not (folder / "model.pt").is_file():
        return False
    made_by = [each for file in files for each in as_list(read_json(file).get("teacher"))]
    hashes = {each.get("sha256") for each in made_by if isinstance(each, dict)}
    before = {entry.model_sha256 for entry, _ in earlier(folder)}
    if not hashes & before or sha256(folder / "model.pt") in hashes:
        return False
    (folder / step).replace(leaving)  # a part of it would be taken for one that was killed in the making
    shutil.rmtree(leaving)
    return True


def as_list(content: Json) -> list[Json]:
    """A list; an empty one for anything else."""
    return content if isinstance(content, list) else []


@contextmanager
def held(folders: Sequence[Path]) -> Iterator[None]:
    """Refuse models that a step is at work on; meanwhile no step begins, as it takes the same lock."""
    with ExitStack() as locks:
        for folder in folders:
            lock = locks.enter_context((folder / ".lock").open("a+"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LskdError(f"{folder} is at work: wait for it, then call this again") from None
        yield
