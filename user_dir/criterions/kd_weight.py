"""The weight λ of the divergence at each update: on its schedule, and 0 while the student translates well enough."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.schedule import weight_schedule

from .flags import KdLsConfig
from .task_hooks import Updates

if TYPE_CHECKING:
    from fairseq.logging.meters import MetersDict
    from fairseq.models import BaseFairseqModel
    from fairseq.tasks import FairseqTask


class Weight:
    """The weight of the divergence, as --kd-weight, --kd-weight-schedule and --kd-until-bleu have it."""

    def __init__(self, cfg: KdLsConfig, task: "FairseqTask", updates: Updates) -> None:
        """With --kd-until-bleu the task's hooks tell the last BLEU, keep it in checkpoints and restore it."""
        self.schedule = weight_schedule(cfg.kd_weight_schedule, cfg.kd_weight, cfg.max_update)
        self.until, self.updates = cfg.kd_until_bleu, updates
        self.bleu: float | None = None
        self.scored_at = -1
        if self.until is not None:
            name = type(task).__name__  # under which fairseq looks for a task's part of a checkpoint
            task.post_validate = self.take_bleu
            task.get_checkpoint_dict = lambda: {name: {"kd_bleu": self.bleu}}
            task.set_checkpoint_dict = self.restore

    @property
    def changes(self) -> bool:
        """Whether it may differ from update to update."""
        return self.schedule.start != self.schedule.end or self.until is not None

    def now(self) -> float:
        """The weight λ of the divergence at this update, 0 while validation BLEU is above what is asked for."""
        if self.until is not None and self.bleu is not None and self.bleu > self.until:
            return 0.0
        return self.schedule.at(self.updates.made)

    def options(self, settings: KdOptions, without: KdOptions) -> KdOptions:
        """The settings with this update's weight; `without` are those that read no teacher."""
        weight = self.now()
        if weight == settings.kd_weight:
            return settings
        return replace(settings, kd_weight=weight) if weight else without

    def take_bleu(self, model: "BaseFairseqModel", stats: dict[str, float], meters: "MetersDict") -> None:
        """fairseq's call after the validation of each subset: of several the first counts."""
        if stats["num_updates"] != self.scored_at:
            self.scored_at, self.bleu = int(stats["num_updates"]), float(stats["bleu"])

    def restore(self, kept: dict[str, float | None]) -> None:
        """Take the BLEU that a checkpoint has: fairseq's call on resuming."""
        self.bleu = kept.get("kd_bleu")
