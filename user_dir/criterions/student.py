"""The student on a batch: its sources encoded once for all their target sides, where that is allowed."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.losses.fused_chunk import Projection

from .batch import NetInput

if TYPE_CHECKING:
    from fairseq.models import FairseqEncoderDecoderModel


class Student:
    """A model and a batch's sources, which may be translated with several target sides."""

    def __init__(
        self,
        model: "FairseqEncoderDecoderModel",
        net_input: NetInput,
        projection: Projection | None,
        encode_once: bool,
        dropout_passes: int = 1,
    ) -> None:
        """`projection`: that of the student, whose decoder then stops at its features; None asks it for logits.

        `encode_once`: the model is called several times; one wrapped by torch's DDP runs whole forwards even so.
        With 2 `dropout_passes` every sentence stands twice in the batch, one after the other, for R-Drop.
        """
        self.model, self.net_input = model, net_input
        self.projection, self.dropout_passes = projection, dropout_passes
        self.learns = bool(model.training) and torch.is_grad_enabled()
        inner = fairseq_io.own_transformer(model) if encode_once else None
        self.decoder = inner and inner.decoder
        self.encoder = inner and inner.encoder
        if inner:
            self.encoded = inner.encoder(net_input["src_tokens"], src_lengths=net_input["src_lengths"])

    @property
    def features_only(self) -> bool:
        """Whether the decoder's outputs are features, and not logits."""
        return self.projection is not None

    def outputs(self, prev_output_tokens: Tensor, row: Tensor | None = None) -> tuple[Tensor, ...]:
        """Logits or features (B, T, V or D), and what belongs to them; `row` names the source of each, (B,)."""
        extra = {"features_only": True} if self.features_only else {}
        if self.dropout_passes > 1:
            assert row is None and self.decoder is None, "the flags refuse this"
            row = torch.arange(prev_output_tokens.size(0), device=prev_output_tokens.device)
            row = row.repeat_interleave(self.dropout_passes)
            prev_output_tokens = prev_output_tokens[row]
        if self.decoder is not None:
            encoded = self.encoded if row is None else self.encoder.reorder_encoder_out(self.encoded, row)
            return tuple(self.decoder(prev_output_tokens, encoder_out=encoded, **extra))
        sources = {
            name: value if row is None else value[row]
            for name, value in self.net_input.items()
            if name != "prev_output_tokens"
        }
        return tuple(self.model(**sources, prev_output_tokens=prev_output_tokens, **extra))

    def tokens(self, output: Tensor, real: Tensor, prefix: int) -> Tensor:
        """What the outputs (B·P, T, D) are at the real tokens (B, T - prefix), of P passes in rows.   -> (N·P, D)"""
        if self.dropout_passes == 1:
            return output[:, prefix:][real]
        return output.unflatten(0, (-1, self.dropout_passes)).transpose(1, 2)[:, prefix:][real].flatten(0, 1)
