"""A training that is continued goes on in its run of Weights & Biases, whatever differs in its configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fairseq.logging import progress_bar

if TYPE_CHECKING:
    from . import Replace


def apply(replace: "Replace") -> None:
    """Replace the method that tells Weights & Biases the configuration, once in each epoch."""
    replace(progress_bar.WandBProgressBarWrapper, "update_config", update_config)


def update_config(bar: progress_bar.WandBProgressBarWrapper, config: Mapping[str, object]) -> None:
    """The same; values may differ from those of the training's first part, such as the port that workers meet at."""
    if progress_bar.wandb is not None:
        progress_bar.wandb.config.update(config, allow_val_change=True)
    bar.wrapped_bar.update_config(config)
