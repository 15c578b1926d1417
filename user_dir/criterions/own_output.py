"""Which flags do not go together with distillation on the student's own output."""

from lskd_nmt.errors import require

from .flags import KdLsConfig, distils


def check_own_output(cfg: KdLsConfig) -> None:
    """Refuse what needs a teacher beside the student, and has none there or reads something else."""
    require(cfg.kd_passes >= 1, f"--kd-passes is {cfg.kd_passes}: give 1 (the references' prefixes alone) or more")
    if cfg.kd_passes == 1:
        return
    flag, level = f"--kd-passes is {cfg.kd_passes}", str(cfg.kd_level)
    require(distils(cfg), f"{flag} and --kd-weight is 0: give a weight, or leave the flag out")
    require(level == "word", f"{flag} and --kd-level is {level}: it is for the level word")
    require(bool(cfg.teacher_path) and not cfg.teacher_store,
            f"{flag}, and what the student says is in no store: it needs a teacher beside it, "
            "give --teacher-path")  # fmt: skip
    require(cfg.select == "all", f"{flag} and --select is {cfg.select}: it distils all tokens, leave --select out")
    require(not cfg.r_drop, f"{flag} and --r-drop is {cfg.r_drop:g}: it is for references alone, leave --r-drop out")
    require(not cfg.self_evolution, f"{flag} and --self-evolution is {cfg.self_evolution}, whose prior holds "
                                    "references: leave one of them out")  # fmt: skip
