"""Linear layers whose matrix products are oneDNN's, where the processor has it do them twice as fast as MKL."""

from typing import TYPE_CHECKING

from torch.nn import functional

from lskd_nmt.losses.linear import in_blocks

if TYPE_CHECKING:
    from . import Replace


def apply(replace: "Replace") -> None:
    """Replace the function through which modules and attention multiply by their weights."""
    replace(functional, "linear", in_blocks(functional.linear))
