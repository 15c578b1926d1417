"""A training is one run of Weights & Biases, also one that is continued with something else in its configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fairseq.logging import progress_bar

if TYPE_CHECKING:
    from . import Replace

WandBProgressBar = progress_bar.WandBProgressBarWrapper


def apply(replace: "Replace") -> None:
    """Replace how fairseq starts a run, in each epoch and each validation, and how it tells it the configuration."""
    replace(WandBProgressBar, "__init__", start)
    replace(WandBProgressBar, "update_config", update_config)


def start(
    bar: WandBProgressBar, wrapped_bar: progress_bar.BaseProgressBar, wandb_project: str, run_name: str | None = None
) -> None:
    """The same, once: each further call leaves a warning and an empty folder."""
    bar.wrapped_bar = wrapped_bar
    if progress_bar.wandb is not None and progress_bar.wandb.run is None:
        progress_bar.wandb.init(project=wandb_project, name=run_name)


def update_config(bar: WandBProgressBar, config: Mapping[str, object]) -> None:
    """The same; values may differ from those of the training's first part, such as the port that workers meet at."""
    if progress_bar.wandb is not None:
        progress_bar.wandb.config.update(config, allow_val_change=True)
    bar.wrapped_bar.update_config(config)
