"""fairseq does not import a user dir's criterions by itself: `user_dir/__init__.py` does."""

from . import kd_ls  # noqa: F401
