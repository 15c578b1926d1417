"""The teacher of a training, wherever it is: beside the student, in a store, or made up from the reference."""

import logging
from typing import TYPE_CHECKING

from torch import Tensor

from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.losses.fused_chunk import TeacherFeatures
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Signal
from lskd_nmt.losses.virtual_teacher import virtual_signal
from lskd_nmt.teacher.layout import TopKLayout, require_said
from lskd_nmt.teacher.offline import StoredTeacher
from lskd_nmt.teacher.online import LiveTeacher, split_paths
from lskd_nmt.teacher.source import OnlineSource, SignalSource, TeacherBatch, Wish
from lskd_nmt.teacher.store import TeacherStore

from .batch import NetInput
from .flags import KdLsConfig, options_of, reads_teacher
from .student import Student

if TYPE_CHECKING:
    from fairseq.tasks import FairseqTask

logger = logging.getLogger(__name__)


class Teacher:
    """What asks a live teacher, a store or a virtual teacher about a batch.

    Neither this nor a live teacher is an `nn.Module`: as one the trainer would save it with the student, wrap it in DDP
    and call .train() on it at every step.
    """

    def __init__(self, cfg: KdLsConfig, task: "FairseqTask", symbols: DictionaryPair | None) -> None:
        """Open the store or load the models; `symbols` are the student's, of a single language pair."""
        store = TeacherStore.open(cfg.teacher_store, verify=False) if cfg.teacher_store else None
        self.options = options_of(cfg, store.layout.kept if store else 0)
        self.prefix = cfg.ignore_prefix_size
        self.pads = task.target_dictionary.pad(), task.target_dictionary.pad()  # fairseq has them equal
        self.symbols = len(task.target_dictionary)
        self.options.require_symbols(self.symbols)
        self.proved = False  # whether a signal was looked at, and is made of numbers
        self.live: OnlineSource | None = None
        if store and isinstance(store.layout, TopKLayout):
            store.layout.column(self.options.temperature)  # refused here, not at the first batch
        elif not store and reads_teacher(cfg):
            assert symbols is not None, "the preflight refuses this"
            live = LiveTeacher.load(split_paths(cfg.teacher_path), symbols, task.cfg.data, cfg.teacher_data)
            for facts in live.facts:
                logger.info(facts)
            self.live = live
        self.source: SignalSource | None = StoredTeacher(store) if store else self.live

    def signal(
        self, student: Student, net_input: NetInput, target: Tensor, real: Tensor, options: KdOptions
    ) -> TeacherFeatures | Signal:
        """Its signal at the positions that are `real`, (B, T); features where the student gives them.   -> N tokens"""
        signal = self.asked(student, net_input, target, real, options)
        if not self.proved:  # once: it costs a look at the whole signal
            require_said(signal.features if isinstance(signal, TeacherFeatures) else [signal.log_probs])
            self.proved = bool(real.any())
        return signal

    def asked(
        self, student: Student, net_input: NetInput, target: Tensor, real: Tensor, options: KdOptions
    ) -> TeacherFeatures | Signal:
        """The signal as the model or the store gives it, or made from the reference."""
        like = next(student.model.parameters())
        if options.virtual_teacher:
            gold = target[:, self.prefix :][real]
            return virtual_signal(
                gold, self.symbols, options.virtual_teacher, options.virtual_share, options.temperature
            )
        assert self.source is not None
        batch = TeacherBatch(net_input, target, real, self.pads, self.prefix)
        return self.source.signal(batch, Wish(student.features_only, options.top_k, options.temperature), like)
