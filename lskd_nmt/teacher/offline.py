"""A teacher store in the place of the teacher."""

from torch import Tensor

from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, mean_teacher
from lskd_nmt.losses.signals import Record, Signal, TopK, at_temperature, top_k
from lskd_nmt.teacher.layout import Columns, FeatureLayout, TopKLayout
from lskd_nmt.teacher.source import TeacherBatch, Wish
from lskd_nmt.teacher.store import TeacherStore


class StoredTeacher:
    """A `SignalSource` that answers from a store what the teacher said when the store was written."""

    def __init__(self, store: TeacherStore) -> None:
        """Ask `store`, which is open."""
        self.store, self.projections = store, store.projections

    def signal(self, batch: TeacherBatch, wish: Wish, like: Tensor) -> TeacherFeatures | Signal:
        """See `SignalSource`; `LskdError` for a pair or a temperature that the store lacks.

        A stored top k may be cut to fewer symbols; stored features are all symbols at all temperatures.
        """
        columns, layout = self.store.lookup(batch.pairs(), batch.prefix), self.store.layout
        k = wish.top_k
        if isinstance(layout, TopKLayout):
            record = layout.decode(columns)
            kept = Record(record.ids[:, :k], record.log_probs[:, :k], record.log_sum_exps)
            signal = at_temperature(kept, wish.temperature, layout.column(wish.temperature))
            return TopK(*(part.to(like.device) for part in signal))
        teacher = self.features(layout, columns, like)
        if wish.features:
            return teacher
        log_p = mean_teacher(teacher)  # (N, V)
        return top_k(log_p, k, wish.temperature) if k else log_p

    def features(self, layout: FeatureLayout, columns: Columns, like: Tensor) -> TeacherFeatures:
        """Stored features and their projections on the device and in the type of `like`; the latter are moved once."""
        device, dtype = like.device, like.dtype
        if any(weight.device != device or weight.dtype != dtype for weight, _ in self.projections):
            self.projections = [
                Projection(weight.to(device, dtype), None if bias is None else bias.to(device, dtype))
                for weight, bias in self.projections
            ]
        return TeacherFeatures([each.to(device).to(dtype) for each in layout.decode(columns)], self.projections)
