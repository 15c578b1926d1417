"""Models that cannot be built with their flags: one line instead of an assertion deep inside fairseq."""

import functools
from typing import Any

from fairseq import models

from lskd_nmt.errors import LskdError


def explain_flags() -> None:
    """Wrap the function through which every task builds its model."""
    build_model = models.build_model

    @functools.wraps(build_model)
    def build_or_explain(cfg: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return build_model(cfg, *args, **kwargs)
        except (LskdError, OSError, MemoryError):  # these say themselves what they are about
            raise
        except Exception as error:
            arch = getattr(cfg, "arch", None) or getattr(cfg, "_name", None)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise LskdError(f"--arch {arch} cannot be built with its flags ({reason}): change them") from error

    models.build_model = build_or_explain
