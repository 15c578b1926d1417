"""Flags of `kd_ls` that do not go together are refused: the rules of `losses.compatibility`, asked once each."""

from lskd_nmt.losses.compatibility import LEVEL, OWN_OUTPUT, WEIGHT
from lskd_nmt.losses.rule import require_compatible
from lskd_nmt.losses.schedule import share_schedule, weight_schedule

from .flags import KdLsConfig, settings_of


def check_flags(cfg: KdLsConfig, measures_bleu: bool | None = None, best_checkpoint_metric: str | None = None) -> None:
    """Refuse flags that contradict each other, or how the training validates, with the line of the first such rule.

    `measures_bleu`: whether validation does; `best_checkpoint_metric`: by what a checkpoint is chosen, empty if by
    nothing; None where that is not known. Whether each option is right by itself is up to `options_of`.
    """
    settings = settings_of(cfg, measures_bleu=measures_bleu, best_checkpoint_metric=best_checkpoint_metric)
    require_compatible(LEVEL, settings)
    if cfg.on_policy is not None:
        share_schedule(cfg.on_policy)
    require_compatible(OWN_OUTPUT, settings)
    weight_schedule(cfg.kd_weight_schedule, cfg.kd_weight, cfg.max_update)
    require_compatible(WEIGHT, settings)
