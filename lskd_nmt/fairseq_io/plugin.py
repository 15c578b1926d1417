"""The plugin: where it is, loaded as training loads it, and fairseq's own remarks held back."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """fairseq's remarks about itself, unseen, and everybody's below a warning: its import turns on all of them."""
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
    """Register the archs, as `--user-dir user_dir` does: without them a checkpoint of ours cannot be built."""
    from argparse import Namespace

    from fairseq.utils import import_user_module

    import_user_module(Namespace(user_dir=str(plugin_folder())))
