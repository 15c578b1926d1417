"""fairseq's logs, read: the learning curve, the model's size, and how far a training is."""

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence

from lskd_nmt.experiment.records import CurvePoint
from lskd_nmt.storage.typed import from_json

RECORD = re.compile(r"\| INFO \| (train_inner|train|valid) \| (\{.*\})\s*$")
PARAMETERS = re.compile(r"num\. shared model params: ([\d,]+)")
# of a record: without these, or where they are no finite numbers, a line is none
NEEDED = {"train_inner": ("num_updates",), "train": ("epoch",), "valid": ("epoch",)}
CURVE_KEYS = ("loss", "nll_loss", "kd_loss", "ppl", "bleu", "accuracy")  # of train and valid


def record(line: str) -> tuple[str, dict[str, float]] | None:
    """Tag (`train_inner`, `train`, `valid`) and numbers of a JSON log line; None for other lines."""
    match = RECORD.search(line)
    if match is None:
        return None
    try:
        content = json.loads(match[2])
    except (ValueError, RecursionError):
        return None
    values = {name: float(value) for name, value in content.items() if is_number(value)}
    return (match[1], values) if all(math.isfinite(values.get(name, math.nan)) for name in NEEDED[match[1]]) else None


def is_number(value: object) -> bool:
    """Whether a logged value is a number; that of `kd_tail`, for one, is a word."""
    try:
        float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def curve(lines: Iterable[str]) -> list[CurvePoint]:
    """One entry per epoch, in order; where a resumed training logged an epoch again, its last values."""
    epochs: dict[int, dict[str, float]] = {}
    for tag, values in filter(None, map(record, lines)):
        if tag == "train_inner":
            continue
        epoch = epochs.setdefault(int(values["epoch"]), {"epoch": int(values["epoch"])})
        names = [f"{tag}_{key}" for key in CURVE_KEYS if f"{tag}_{key}" in values]
        epoch.update({name: values[name] for name in names})
        if math.isfinite(values.get(f"{tag}_num_updates", math.nan)):
            epoch["updates"] = int(values[f"{tag}_num_updates"])
    return [from_json(CurvePoint, epochs[number], "the log") for number in sorted(epochs)]


def parameters(lines: Iterable[str]) -> int | None:
    """How many parameters the model has, as fairseq counts them; None if the log does not say."""
    found = [match[1] for match in map(PARAMETERS.search, lines) if match]
    return int(found[-1].replace(",", "")) if found else None


def limits(argv: Sequence[str]) -> tuple[float, float]:
    """`--max-epoch` and `--max-update` of a command; infinity where one is not set."""

    def value(flag: str) -> float:
        return float(argv[argv.index(flag) + 1]) if flag in argv else 0.0

    return value("--max-epoch") or float("inf"), value("--max-update") or float("inf")


class Progress:
    """Turns log lines into a few lines for a person: where the training is and how long it will take."""

    def __init__(self, limit: tuple[float, float], seconds: float = 10, clock: Callable[[], float] = time.monotonic):
        self.max_epoch, self.max_update = limit
        self.seconds, self.clock = seconds, clock
        self.first: tuple[float, float] | None = None  # time and share done at the first update seen
        self.shown = -float("inf")

    def line(self, text: str) -> str | None:
        """What to show for a log line, or None."""
        found = record(text)
        if found is None or found[0] == "train":
            return None
        tag, values = found
        if tag == "valid":
            names = ("valid_loss", "valid_nll_loss", "valid_ppl", "valid_bleu")
            return f"epoch {values['epoch']:.0f} done  " + numbers(values, names)
        if not math.isfinite(values.get("update", math.nan)):
            return None
        now, left = self.clock(), self.time_left(values)
        if now - self.shown < self.seconds:
            return None
        self.shown = now
        place = f"epoch {values['update']:.2f}  updates {values['num_updates']:.0f}  "
        return place + numbers(values, ("loss", "ppl")) + left

    def time_left(self, values: dict[str, float]) -> str:
        """The time left at the speed since the first update seen."""
        now, done = self.clock(), max(values["update"] / self.max_epoch, values["num_updates"] / self.max_update)
        if self.first is None:
            self.first = now, done
        elapsed, gained = now - self.first[0], done - self.first[1]
        return f"  left {duration((1 - done) * elapsed / gained)}" if gained > 0 else ""


class Decoded:
    """Counts the hypotheses that fairseq-generate prints."""

    def __init__(self, sentences: int, seconds: float = 10, clock: Callable[[], float] = time.monotonic):
        self.sentences, self.seconds, self.clock = sentences, seconds, clock
        self.count, self.shown = 0, clock()

    def line(self, text: str) -> str | None:
        """What to show for a line, or None."""
        if not text.startswith("H-"):
            return None
        self.count += 1
        now = self.clock()
        if now - self.shown < self.seconds:
            return None
        self.shown = now
        return f"decoded {self.count} of {self.sentences}"


def numbers(values: dict[str, float], names: Sequence[str]) -> str:
    """Some values with their names, such as `loss 4.5  bleu 1.5`; the names without `valid_`."""
    return "  ".join(f"{name.removeprefix('valid_')} {values[name]:g}" for name in names if name in values)


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 75 is `1m15s`, and 7262 is `2h01m`."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s"
