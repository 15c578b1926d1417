"""Translations of a batch symbol by symbol, by a student that is about to learn from them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from fairseq.models import FairseqIncrementalDecoder
from torch import Tensor

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io.inference import CachedSteps, plain_transformer

from .batch import NetInput

if TYPE_CHECKING:
    from fairseq.models import FairseqEncoderDecoderModel

Choice = Callable[[Tensor, Tensor, int], Tensor]  # logits (b, V), numbers of the sentences (b,), step -> symbols (b,)


class Steps(Protocol):
    """A model that says step by step what comes next."""

    def after(self, symbols: Tensor) -> Tensor:
        """Logits after one more symbol of each sentence.   (b,) -> (b, V)"""

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the sentences alone, in ascending order."""


class FairseqSteps:
    """Any model whose decoder works symbol by symbol, by its own incremental state."""

    def __init__(self, model: "FairseqEncoderDecoderModel", net_input: NetInput) -> None:
        """Encode the sources."""
        decoder = type(model.decoder)
        require(
            issubclass(decoder, FairseqIncrementalDecoder),
            f"--on-policy decodes symbol by symbol, which {decoder.__name__} cannot: leave it out",
        )
        self.model = model
        self.encoded = model.encoder(net_input["src_tokens"], src_lengths=net_input["src_lengths"])
        self.state: dict[str, dict[str, Tensor | None]] = {}
        self.previous = net_input["src_tokens"].new_zeros(net_input["src_tokens"].size(0), 0)

    def after(self, symbols: Tensor) -> Tensor:
        """See `Steps`: log-probabilities, which are logits, too."""
        self.previous = torch.cat([self.previous, symbols.unsqueeze(-1)], dim=1)
        output, *extra = self.model.decoder(self.previous, encoder_out=self.encoded, incremental_state=self.state)
        log_q: Tensor = self.model.get_normalized_probs((output[:, -1:], *extra), log_probs=True)
        return log_q.squeeze(1)

    def keep(self, rows: Tensor) -> None:
        """See `Steps`."""
        self.previous = self.previous[rows]
        self.encoded = self.model.encoder.reorder_encoder_out(self.encoded, rows)
        self.model.decoder.reorder_incremental_state_scripting(self.state, rows)


@torch.no_grad()
def decoded(
    model: "FairseqEncoderDecoderModel", net_input: NetInput, limits: Tensor, pad: int, eos: int, choose: Choice
) -> Tensor:
    """Symbols that `choose` picks until the end of each sentence, or its limit (B,).   -> (B, T), padded on the right

    Padding is never offered. A sentence that has ended takes no further part.
    """
    training, longest = model.training, int(limits.max())
    model.eval()
    plain = plain_transformer(model)
    steps: Steps = CachedSteps(plain, net_input["src_tokens"], longest) if plain else FairseqSteps(model, net_input)
    target = limits.new_full((limits.size(0), longest), pad)
    sentences, symbols, made = torch.arange(limits.size(0), device=limits.device), torch.full_like(limits, eos), 0
    while sentences.numel():
        logits = steps.after(symbols).float()
        logits[:, pad] = -torch.inf
        symbols = choose(logits, sentences, made)
        target[sentences, made] = symbols
        made += 1
        on = ((symbols != eos) & (limits[sentences] > made)).nonzero()[:, 0]
        if 0 < on.numel() < sentences.numel():
            steps.keep(on)
        sentences, symbols = sentences[on], symbols[on]
    model.train(training)
    return target[:, :made]


def most_probable(logits: Tensor, sentences: Tensor, step: int) -> Tensor:
    """Greedy decoding.   (b, V), (b,) -> (b,)"""
    return logits.argmax(-1)


def drawn_with(numbers: Tensor) -> Choice:
    """Draws from q at temperature 1, by a number from [0, 1) for each sentence and step, (B, T) in double precision."""

    def choose(logits: Tensor, sentences: Tensor, step: int) -> Tensor:
        weights = (logits - logits.amax(-1, keepdim=True)).exp_().cumsum(-1, dtype=torch.float64)
        threshold = numbers[sentences, step].unsqueeze(-1) * weights[:, -1:]
        return torch.searchsorted(weights, threshold, right=True).squeeze(-1)

    return choose
