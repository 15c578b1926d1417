"""The plugin `user_dir`: where it is, how it is loaded, and how fairseq runs with its patches."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairseq.dataclass.configs import FairseqConfig


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back log lines below a warning, and warnings for fairseq's authors, which its import turns on."""
    import logging
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logging.disable(before)


def plugin_folder() -> Path:
    """Where `user_dir` is, in a checkout and in an installation."""
    return Path(__file__).resolve().parent.parent.parent / "user_dir"


def load_plugin() -> None:
    """Import the plugin as `--user-dir user_dir` does, once: a checkpoint of an ls_transformer_* arch needs it."""
    from argparse import Namespace

    from fairseq.utils import import_user_module

    import_user_module(Namespace(user_dir=str(plugin_folder())))


@dataclass(frozen=True)
class MainWithPatches:
    """A fairseq program's `main` that runs with the plugin's patches, also in the processes that fairseq starts.

    Those get it pickled, and know nothing of the plugin until it has been imported in fairseq's own way; `patches` is
    the name under which the plugin's table of patches can be found then.
    """

    main: Callable[..., None]
    patches: str

    def __call__(self, cfg: "FairseqConfig", **kwargs: object) -> None:
        """What fairseq calls in each process of a training."""
        from fairseq.utils import import_user_module

        import_user_module(cfg.common)
        with sys.modules[self.patches].applied():
            self.main(cfg, **kwargs)
