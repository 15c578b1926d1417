"""The setting of a planned model, and what a setting is called in tables and figures, in whole and in parts."""

from collections.abc import Sequence

from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.report.results.records import Cell, Setting

PLAIN = "student without KD"


def setting(model: PlannedModel) -> Setting:
    """The setting of a planned model; older plans have no level, tail and top k, which their commands say."""
    is_distilled = model.role == "student" and (model.label_smoothing is not None or model.teacher is not None)
    learns_words = is_distilled and model.temperature is not None
    return Setting(
        role=model.role,
        label_smoothing=model.label_smoothing,
        kd_level=(model.kd_level or "word") if is_distilled else None,
        hypotheses=model.hypotheses,
        tail=(model.tail or flag(model.train_command, "--tail") or "dense") if learns_words else None,
        top_k=int(model.top_k or flag(model.train_command, "--top-k") or 0) if learns_words else None,
        kd_weight=model.kd_weight,
        temperature=model.temperature,
        method=model.method,
        hypotheses_drawn=model.hypotheses_drawn,
        init=None if model.init_command is None else start(model.init_command),
    )


def start(command: Sequence[str]) -> str:
    """The layers that a student starts from, by the command that chose them: `0,3,5 + 0,5`."""
    return " + ".join(flag(command, f"--{side}") or "" for side in ("encoder", "decoder"))


def flag(command: Sequence[str], name: str) -> str | None:
    """The value of a command's flag, if it is there."""
    return command[command.index(name) + 1] if name in command else None


def label(setting: Setting) -> str:
    """What a model is, for people: `teacher`, `student without KD`, `student`."""
    is_taught = setting.label_smoothing is not None or setting.kd_level is not None
    is_plain = setting.role == "student" and not is_taught and not setting.method
    return PLAIN if is_plain else setting.role


def rank(setting: Setting) -> tuple[bool, bool]:
    """The order of labels: teachers, students without KD, all others."""
    return setting.role != "teacher", label(setting) == "student"


def title(setting: Setting) -> str:
    """The name of a model's method, or its label if it has none."""
    return setting.method or label(setting)


def level(setting: Setting) -> str:
    """What a student learns of its teacher: `word`, `sequence (beam)`, `both (multi, 1 drawn)`; – for others."""
    if setting.kd_level is None:
        return "–"
    drawn = f", {setting.hypotheses_drawn} drawn" if setting.hypotheses_drawn else ""
    return f"{setting.kd_level} ({setting.hypotheses}{drawn})" if setting.hypotheses else setting.kd_level


def tail(setting: Setting) -> str:
    """What becomes of the teacher's less probable symbols: `dense`, `bucket, top 8`; – where no words are distilled."""
    if setting.tail is None:
        return "–"
    return f"{setting.tail}, top {setting.top_k}" if setting.top_k else setting.tail


def group(setting: Setting) -> str:
    """A distilled student's method, or all of its setting but its teacher's label smoothing and its temperature."""
    if setting.method:
        return f"method {setting.method}"
    tails = [f"tail {tail(setting)}"] if setting.tail else []
    starts = [f"from layers {setting.init}"] if setting.init else []
    return ", ".join([f"level {level(setting)}", *tails, f"KD weight {setting.kd_weight:g}", *starts])


def row_title(cell: Cell) -> str:
    """A cell in one line: its setting, and its runs where that alone does not tell it from another cell."""
    return setting_title(cell.setting) + (f" [{', '.join(cell.named_runs)}]" if cell.named_runs else "")


def setting_title(setting: Setting) -> str:
    """`student, teacher LS 0.1, T = 2`; a method's name stands for its tail and temperature."""
    text = title(setting)
    if setting.label_smoothing is not None:
        text += f", {'LS' if setting.role == 'teacher' else 'teacher LS'} {setting.label_smoothing:g}"
    if setting.hypotheses:
        text += f", {level(setting)}"
    if setting.tail not in (None, "dense") and not setting.method:
        text += f", {tail(setting)}"
    if setting.init:
        text += f", from layers {setting.init}"
    return text + (f", T = {setting.temperature:g}" if setting.temperature is not None and not setting.method else "")
