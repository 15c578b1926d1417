"""Models that cannot be built with their flags: one line instead of an assertion deep inside fairseq."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from fairseq import models
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel

from lskd_nmt.errors import LskdError

if TYPE_CHECKING:
    from . import Replace

P = ParamSpec("P")
BuildModel = Callable[Concatenate[FairseqDataclass, P], BaseFairseqModel]


def apply(replace: "Replace") -> None:
    """Replace the function through which every task builds its model."""
    replace(models, "build_model", explaining(models.build_model))


def explaining(build_model: BuildModel[P]) -> BuildModel[P]:
    """The same function; whatever it raises becomes an `LskdError` that names the architecture."""

    @functools.wraps(build_model)
    def build_or_explain(cfg: FairseqDataclass, *args: P.args, **kwargs: P.kwargs) -> BaseFairseqModel:
        try:
            return build_model(cfg, *args, **kwargs)
        except (LskdError, OSError, MemoryError):  # these say themselves what they are about
            raise
        except Exception as error:
            arch = getattr(cfg, "arch", None) or getattr(cfg, "_name", None)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise LskdError(f"--arch {arch} cannot be built with its flags ({reason}): change them") from error

    return build_or_explain
