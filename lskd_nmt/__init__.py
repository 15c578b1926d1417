"""Distillation toolkit for neural machine translation, on fairseq."""

import sys

__version__ = "0.1.0"

# `python -m` looks into the current folder first, where a random.py would be taken for Python's own
as_module = "lskd_nmt.cli" in sys.orig_argv and sys.argv[:1] == ["-m"] and not sys.flags.safe_path
if as_module and not __file__.startswith(f"{sys.path[0]}/lskd_nmt/"):
    del sys.path[0]
