"""`--activation-fn swish`, which models of MarianMT have: fairseq gives a class where a function is called."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from fairseq import utils
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from . import Replace

Activation = Callable[[Tensor], Tensor]


def apply(replace: "Replace") -> None:
    """Replace the function by which a transformer's layers find their activation."""
    replace(utils, "get_activation_fn", with_swish(utils.get_activation_fn))


def with_swish(get_activation_fn: Callable[[str], Activation]) -> Callable[[str], Activation]:
    """The same function, but for swish."""

    @functools.wraps(get_activation_fn)
    def get(activation: str) -> Activation:
        return functional.silu if activation == "swish" else get_activation_fn(activation)

    return get
