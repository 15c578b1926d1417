"""Half precision: what this machine cannot do is refused, and `--bf16` works without a TPU, unlike fairseq's own."""

import importlib.util
import logging
from collections.abc import Sequence

import torch
from fairseq.dataclass.configs import FairseqConfig

from lskd_nmt.errors import LskdError, require
from lskd_nmt.fairseq_io import is_recurrent

logger = logging.getLogger(__name__)


def settle_precision(cfg: FairseqConfig) -> None:
    """Refuse what this machine cannot do; without a TPU `--bf16` becomes autocast, which the criterion turns on.

    fairseq takes --bf16 for a TPU, whose library it then misses. Autocast multiplies matrices in bfloat16 on any
    device; weights, sums and checkpoints stay in float32, so that a resumed training is the one that was stopped.
    """
    common = cfg.common
    on_cpu = common.cpu or not torch.cuda.is_available()
    require(not (common.fp16 and common.amp), "--fp16 and --amp are both given: give one")
    flat = common.fp16 and not common.memory_efficient_fp16 and not common.fp16_no_flatten_grads
    require(not (flat and on_cpu), "--fp16 is for GPUs, and this training is on the CPU: use --bf16, or leave it out")
    require(
        not (on_cpu and getattr(cfg.model, "quant_noise_scalar", 0)),
        "--quant-noise-scalar is for GPUs, and this training is on the CPU: leave it out, or use --quant-noise-pq",
    )
    if not common.tpu or importlib.util.find_spec("torch_xla"):
        return
    require(common.bf16, "--tpu is given and torch_xla is not installed: leave it out")
    require(not common.memory_efficient_bf16, "--memory-efficient-bf16 is for TPUs: use --bf16")
    require(not common.amp, "--bf16 and --amp are both given: give one")
    common.bf16 = False
    for section in (common, cfg.distributed_training, cfg.optimizer, cfg.model):
        if hasattr(section, "tpu"):
            section.tpu = False
    cfg.criterion.bf16 = True
    logger.info("--bf16: matrices are multiplied in bfloat16; weights and checkpoints stay in float32")


def check_recurrent(cfg: FairseqConfig, archs: Sequence[str | None]) -> None:
    """Refuse an LSTM in bfloat16 on a CPU whose kernels have none."""
    if not cfg.criterion.bf16 or (torch.cuda.is_available() and not cfg.common.cpu):
        return
    for arch in filter(is_recurrent, archs):
        try:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                torch.nn.LSTM(8, 8)(torch.zeros(1, 1, 8))
        except RuntimeError:
            raise LskdError(
                f"--bf16: this processor has no LSTM in bfloat16, as --arch {arch} needs: leave it out"
            ) from None
