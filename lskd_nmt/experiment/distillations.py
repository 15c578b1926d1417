"""What students learn of their teachers: the methods that a YAML names, or one method for each combination of settings.

Both are `Distillation`s, so that a plan has one way from there to a student.
"""

from dataclasses import dataclass, field

from lskd_nmt.experiment.choices import learned
from lskd_nmt.experiment.run_config import KD_WEIGHT, Flags, Method, StudentConfig
from lskd_nmt.losses.settings import DEFAULTS, default_tail


@dataclass(frozen=True)
class Distillation:
    """How a student learns: what a plan and its tables say of it, and the flags of kd_ls that make it.

    A command has `first`, label smoothing, what is read of the teacher, and `flags`, in this order: a finished model's
    command is compared word by word with the one that is planned now.
    """

    title: str  # a part of the student's name, "" for all that is usual
    method: str | None = None  # the name of the method's file
    teacher: bool = True  # whether it has one
    probabilities: bool = True  # whether it reads the teacher's probabilities
    live: bool = False  # whether it needs the teacher itself for that, whatever `student.store` says
    level: str | None = None  # word, sequence or both
    hypotheses: str | None = None  # of sequence and both: which translations
    drawn: int | None = None  # how many of these at an update; None: all
    temperature: float | None = None
    kd_weight: float = 0.0
    tail: str | None = None  # what becomes of the symbols outside of the top k
    top_k: int | None = None  # 0: all symbols
    first: Flags = field(default_factory=dict)
    flags: Flags = field(default_factory=dict)


PLAIN = Distillation("plain", teacher=False, probabilities=False, first={"kd-weight": 0})


def distillations(student: StudentConfig) -> list[Distillation]:
    """The methods that are named, else all combinations of level, translations, weight, tail and temperature."""
    if student.methods:
        return [of_method(name, method) for name, method in student.methods.items()]
    return [
        combination(student, level, hypotheses, drawn, weight, tail, temperature)
        for level, hypotheses in levels(student)
        for drawn in draws(student, hypotheses)
        for weight in student.kd_weight or ()
        for tail in (student.tail or () if level != "sequence" else [None])
        for temperature in (student.temperature or () if level != "sequence" else [None])
    ]


def levels(student: StudentConfig) -> list[tuple[str, str | None]]:
    """The levels of distillation, and the hypotheses that those above words learn; none where methods say it."""
    return [
        (level, hypotheses)
        for level in student.kd_level or ()
        for hypotheses in (student.hypotheses or () if level != "word" else [None])
    ]


def draws(student: StudentConfig, hypotheses: str | None) -> list[int | None]:
    """How many of these translations are learned at an update; None: all, as of a choice that has no more of them."""
    most = learned(hypotheses, 0)  # 0: as many as are decoded
    wanted = student.hypotheses_drawn or (0,)
    return list(dict.fromkeys(None if number == 0 or 0 < most <= number else number for number in wanted))


def combination(
    student: StudentConfig,
    level: str,
    hypotheses: str | None,
    drawn: int | None,
    weight: float,
    mode: str | None,
    temperature: float | None,
) -> Distillation:
    """The method that a combination of settings is; `mode` is a tail with its k, and None as T is at sequence level."""
    tail, _, symbols = mode.partition(":") if mode is not None else (None, "", "")
    top_k = int(symbols or 0)
    flags: Flags = {}
    if temperature is not None:
        flags = {
            "temperature": temperature,
            "temper": student.temper,
            "no-temperature-squared": not student.temperature_squared,
        }
    if top_k:
        flags |= {"top-k": top_k, "tail": tail}
    return Distillation(
        title(level, hypotheses, drawn, f"{tail}{top_k}" if top_k else "", temperature, weight),
        probabilities=temperature is not None,
        level=level,
        hypotheses=hypotheses,
        drawn=drawn,
        temperature=temperature,
        kd_weight=weight,
        tail=tail,
        top_k=top_k,
        first={"kd-weight": weight},
        flags=flags,
    )


def title(
    level: str, hypotheses: str | None, drawn: int | None, tail: str, temperature: float | None, weight: float
) -> str:
    """A combination as a part of the student's name, such as `both-beam-bucket8-t2-w0.5`; what is usual is left out."""
    parts = [f"{level}-{hypotheses}"] if hypotheses else []
    parts += [f"drawn{drawn}"] if drawn else []
    parts += [tail] if tail else []
    parts += [f"t{temperature:g}"] if temperature is not None else []
    parts += [f"w{weight:g}"] if weight != KD_WEIGHT else []
    return "-".join(parts)


def of_method(name: str, method: Method) -> Distillation:
    """A method as its file has it, with the defaults of kd_ls."""
    given = method.flags
    temperature, weight, top_k = (given.get(flag) for flag in ("temperature", "kd-weight", "top-k"))
    kd_weight = DEFAULTS.kd_weight if weight is None else number(weight)
    if not method.teacher:
        heat = None if temperature is None else number(temperature)
        return Distillation(name, name, False, False, temperature=heat, kd_weight=kd_weight, flags=given)
    heat, symbols = DEFAULTS.temperature if temperature is None else number(temperature), int(number(top_k or 0))
    return Distillation(
        name,
        name,
        live=method.live,
        level="word",
        temperature=heat,
        kd_weight=kd_weight,
        tail=str(given.get("tail") or default_tail(symbols)),
        top_k=symbols,
        flags={"temperature": heat, "kd-weight": kd_weight, **given},
    )


def number(value: object) -> float:
    """The number that a flag's value is; `method_files` has checked that it is one."""
    return float(str(value))
