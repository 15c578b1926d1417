"""Distillation toolkit for neural machine translation, on fairseq.

`from lskd_nmt import Translator` translates with an exported student.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lskd_nmt.deploy.translate import Translator as Translator

__version__ = "0.2.0"
__all__ = ["Translator", "__version__"]
PUBLIC = {"Translator": "lskd_nmt.deploy.translate"}  # imported when they are first asked for: importing stays light


def __getattr__(name: str) -> object:
    """What the package offers besides its modules."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'lskd_nmt' has no attribute '{name}'")
    return getattr(import_module(PUBLIC[name]), name)


# `python -m` looks into the current folder first, where a random.py would be taken for Python's own
as_module = "lskd_nmt.cli" in sys.orig_argv and sys.argv[:1] == ["-m"] and not sys.flags.safe_path
if as_module and not __file__.startswith(f"{sys.path[0]}/lskd_nmt/"):
    del sys.path[0]
