"""A teacher store in the place of the teacher."""

from collections.abc import Sequence

import torch

from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, mean_teacher
from lskd_nmt.losses.options import KdOptions
from lskd_nmt.losses.signals import Record, Signal, TopK, at_temperature, top_k
from lskd_nmt.storage.pair_keys import Pair
from lskd_nmt.teacher.layout import Columns, FeatureLayout, TopKLayout
from lskd_nmt.teacher.store import TeacherStore


class StoredTeacher:
    """What a store says of a batch, as the live teacher would."""

    def __init__(self, store: TeacherStore, options: KdOptions) -> None:
        """`options` are the student's: a top k may be cut to fewer symbols, at one of the store's temperatures."""
        self.store, self.options, self.projections = store, options, store.projections
        if isinstance(store.layout, TopKLayout):
            self.column = store.layout.column(options.temperature)

    def signal(
        self, pairs: Sequence[Pair], prefix: int, device: torch.device, dtype: torch.dtype, from_features: bool
    ) -> TeacherFeatures | Signal:
        """The signal of N tokens, those of each pair after its first `prefix` ones.

        `dtype` is the student's; `from_features`: its loss is taken chunk by chunk, and so are the teacher's logits.
        """
        columns, layout = self.store.lookup(pairs, prefix), self.store.layout
        k, temperature = self.options.top_k, self.options.temperature
        if isinstance(layout, TopKLayout):
            record = layout.decode(columns)
            kept = Record(record.ids[:, :k], record.log_probs[:, :k], record.log_sum_exps)
            return TopK(*(part.to(device) for part in at_temperature(kept, temperature, self.column)))
        teacher = self.features(layout, columns, device, dtype)
        if from_features:
            return teacher
        log_p = mean_teacher(teacher)  # (N, V)
        return top_k(log_p, k, temperature) if k else log_p

    def features(
        self, layout: FeatureLayout, columns: Columns, device: torch.device, dtype: torch.dtype
    ) -> TeacherFeatures:
        """Stored features and their projections on the student's device, in its type; the latter are moved once."""
        if any(weight.device != device or weight.dtype != dtype for weight, _ in self.projections):
            self.projections = [
                Projection(weight.to(device, dtype), None if bias is None else bias.to(device, dtype))
                for weight, bias in self.projections
            ]
        return TeacherFeatures([each.to(device).to(dtype) for each in layout.decode(columns)], self.projections)
