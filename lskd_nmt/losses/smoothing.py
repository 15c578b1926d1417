"""Negative log-likelihood and label smoothing, in the two conventions of the field."""

from torch import Tensor

from lskd_nmt.losses.settings import SmoothingOver


def negative_log_likelihood(log_q: Tensor, target: Tensor) -> Tensor:
    """-log q[y], in nats.   (N, V), (N,) -> (N,)"""
    return -log_q.gather(-1, target.unsqueeze(-1)).squeeze(-1)


def smoothed_label(symbols: int, label_smoothing: float, over: SmoothingOver = "others") -> tuple[float, float]:
    """What the smoothed label gives the true symbol beyond its share, and the share that every symbol has.

    With ε the label smoothing, the smoothed label gives the true symbol

    - `others`: 1-ε, and each other symbol ε/(V-1) (Shen et al. 2021; fairseq >= 0.10);
    - `vocabulary`: 1-ε+ε/V, and each other symbol ε/V (Szegedy et al. 2016; Müller et al. 2019; fairseq 0.6).
    """
    share = label_smoothing / (symbols - (over == "others"))
    return 1 - label_smoothing - (share if over == "others" else 0), share


def smoothed_nll(log_q: Tensor, target: Tensor, label_smoothing: float, over: SmoothingOver = "others") -> Tensor:
    """Cross-entropy of the smoothed label with q, in nats.   (N, V), (N,) -> (N,)"""
    nll = negative_log_likelihood(log_q, target)
    if label_smoothing == 0:
        return nll
    true_symbol, share = smoothed_label(log_q.size(-1), label_smoothing, over)
    return true_symbol * nll - share * log_q.sum(-1)
