"""The folder of checkpoints: it can be made and written to, and its disk has room."""

import os
from pathlib import Path

from fairseq.dataclass.configs import FairseqConfig

from lskd_nmt.errors import require
from lskd_nmt.sizes import checkpoint_bytes, require_space, transformer_parameters


def check_save_dir(cfg: FairseqConfig) -> None:
    """Refuse a save dir that cannot be made or written to; fairseq makes it even where nothing is saved."""
    folder = there = Path(cfg.checkpoint.save_dir).absolute()
    while not there.exists() and not there.is_symlink():
        there = there.parent
    name = folder if there == folder else f"{folder}: {there}"
    require(there.is_dir(), f"--save-dir {name} is no folder: give another --save-dir")
    require(
        os.access(there, os.W_OK | os.X_OK),
        f"--save-dir {name} cannot be written to: give another --save-dir, or change its permissions",
    )


def check_space(cfg: FairseqConfig, symbols: int) -> None:
    """Refuse a save dir without room for two checkpoints: fairseq writes the new one before it drops the old."""
    if cfg.checkpoint.no_save or not hasattr(cfg.model, "encoder_ffn_embed_dim"):  # only transformers are counted
        return
    needed = 2 * checkpoint_bytes(transformer_parameters(cfg.model, symbols))
    require_space(Path(cfg.checkpoint.save_dir), needed, "--save-dir", "two checkpoints need")
