"""Which flags do not go together with distillation on the student's own output."""

from lskd_nmt.errors import require
from lskd_nmt.losses.schedule import share_schedule

from .flags import KdLsConfig, distils

MOST_PASSES = 100  # the authors have 3; each is a pass of student and teacher over every batch


def check_own_output(cfg: KdLsConfig) -> None:
    """Refuse what needs a teacher beside the student, and has none there or reads something else."""
    require(
        1 <= cfg.kd_passes <= MOST_PASSES,
        f"--kd-passes is {cfg.kd_passes}: give 1 (the references' prefixes alone) or more, and at most {MOST_PASSES}",
    )
    flags = [f"--kd-passes is {cfg.kd_passes}"] if cfg.kd_passes > 1 else []
    if cfg.on_policy is not None:
        share_schedule(cfg.on_policy)
        flags.append(f"--on-policy is {cfg.on_policy}")
    if not flags:
        return
    flag, level = flags[0], str(cfg.kd_level)
    require(len(flags) == 1, f"{' and '.join(flags)}: both learn from the student's own output, give one")
    require(distils(cfg), f"{flag} and --kd-weight is 0: give a weight, or leave the flag out")
    require(level == "word", f"{flag} and --kd-level is {level}: it is for the level word")
    require(
        bool(cfg.teacher_path) and not cfg.teacher_store,
        f"{flag}, and what the student says is in no store: it needs a teacher beside it, give --teacher-path",
    )
    require(cfg.select == "all", f"{flag} and --select is {cfg.select}: it distils all tokens, leave --select out")
    require(not cfg.r_drop, f"{flag} and --r-drop is {cfg.r_drop:g}: it is for references alone, leave --r-drop out")
    require(
        not cfg.self_evolution,
        f"{flag} and --self-evolution is {cfg.self_evolution}, whose prior holds references: leave one of them out",
    )
    if cfg.on_policy is not None:
        check_sampling(cfg)


def check_sampling(cfg: KdLsConfig) -> None:
    """Refuse what a sampled translation or its sampling cannot have."""
    require(
        cfg.ignore_prefix_size == 0,
        f"--on-policy is {cfg.on_policy} and --ignore-prefix-size is "
        f"{cfg.ignore_prefix_size}: samples have no given prefix",
    )
    require(
        cfg.ddp_backend != "fully_sharded",
        f"--on-policy is {cfg.on_policy} and --ddp-backend is fully_sharded: it decodes with whole parameters",
    )
