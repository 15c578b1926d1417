"""What the students of a grid learn of their teachers: all combinations of level, translations, weight, tail and T."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lesson:
    """What a student learns of its teacher, and how."""

    level: str  # word, sequence or both
    hypotheses: str | None  # of sequence and both: which translations
    kd_weight: float
    tail: str | None  # of word and both: dense, bucket, uniform or renormalise
    top_k: int  # 0: all symbols
    temperature: float | None

    @property
    def name(self) -> str:
        """As a part of the student's name; what is usual is not in it."""
        parts = [f"{self.level}-{self.hypotheses}"] if self.hypotheses else []
        parts += [f"{self.tail}{self.top_k}"] if self.top_k else []
        parts += [f"t{self.temperature:g}"] if self.temperature is not None else []
        parts += [f"w{self.kd_weight:g}"] if self.kd_weight != 1 else []
        return "-".join(parts)


def lessons(section: Mapping[str, Any]) -> list[Lesson]:
    """All combinations of level, translations, weight, tail and temperature that make sense."""
    result = []
    for level, hypotheses in kinds(section):
        for weight in section["kd_weight"]:
            if level == "sequence":
                result.append(Lesson(level, hypotheses, weight, None, 0, None))
                continue
            for tail, _, top_k in (mode.partition(":") for mode in section["tail"]):
                result += [
                    Lesson(level, hypotheses, weight, tail, int(top_k or 0), temperature)
                    for temperature in section["temperature"]
                ]
    return result


def kinds(section: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The levels of distillation, and the hypotheses that those above words learn; none where methods say it."""
    return [
        (level, hypotheses)
        for level in section["kd_level"] or []
        for hypotheses in (section["hypotheses"] if level != "word" else [None])
    ]
