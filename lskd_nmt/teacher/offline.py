"""A teacher store in the place of the teacher."""

from torch import Tensor

from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures, mean_teacher
from lskd_nmt.losses.signals import Signal, top_k
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
            return layout.decode(columns).first(k).at(wish.temperature).to(like.device)
        teacher = self.features(layout, columns, like)
        if wish.features:
            return teacher
        signal = mean_teacher(teacher)  # of (N, V)
        return top_k(signal, k, wish.temperature) if k else signal

    def features(self, layout: FeatureLayout, columns: Columns, like: Tensor) -> TeacherFeatures:
        """Stored features and their projections on the device and in the type of `like`; the latter are moved once."""
        device, dtype = like.device, like.dtype
        if any(weight.device != device or weight.dtype != dtype for weight, _ in self.projections):
            self.projections = [
                Projection(weight.to(device, dtype), None if bias is None else bias.to(device, dtype))
                for weight, bias in self.projections
            ]
        return TeacherFeatures([each.to(device).to(dtype) for each in layout.decode(columns)], self.projections)
