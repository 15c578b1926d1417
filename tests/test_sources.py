"""A teacher of no framework at all: stores are written from it, and students learn from it, beside them and stored."""

import inspect
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from conftest import batch_of, build, gradients
from test_store import LANGS

from lskd_nmt import fairseq_io
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.signals import Dense, top_k
from lskd_nmt.seqkd.engines import CTranslate2Engine, FairseqEngine
from lskd_nmt.seqkd.text_engines import CTranslate2TextEngine, TransformersEngine
from lskd_nmt.storage.header import Origin
from lskd_nmt.teacher.layout import FeatureLayout, TopKLayout
from lskd_nmt.teacher.offline import StoredTeacher
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.source import OnlineSource, SignalSource, TextTranslationSource, TranslationSource
from lskd_nmt.teacher.store import TeacherStore
from lskd_nmt.teacher.writer import StoreWriter, WriterSettings

WIDTH = 5


class MadeUp:
    """Features are a table's row for the previous symbol, shifted by the sum of the source's ids."""

    def __init__(self, symbols: int, has_features: bool) -> None:
        draw = torch.Generator().manual_seed(7)
        self.table = torch.randn(symbols, WIDTH, generator=draw) * 2
        self.projection = Projection(torch.randn(symbols, WIDTH, generator=draw))
        self.has_features, self.asked = has_features, 0

    def to(self, like):
        self.table, self.projection = self.table.to(like), Projection(self.projection.weight.to(like))

    def max_positions(self):
        return 100, 100

    def projections(self):
        return [self.projection] if self.has_features else None

    def same_sources(self):
        return nullcontext()

    def signal(self, batch, wish, like):
        self.to(like)
        self.asked += 1
        source = (batch.net_input["src_tokens"] * batch.net_input["src_tokens"].ne(batch.pads[0])).sum(1)
        states = self.table[batch.net_input["prev_output_tokens"]] + (source % 3)[:, None, None]
        found = TeacherFeatures([states[:, batch.prefix :][batch.real]], [self.projection])
        if wish.features and self.has_features:
            return found
        whole = Dense((found.features[0] @ self.projection.weight.T).log_softmax(-1), temperature=1.0)
        return top_k(whole, wish.top_k, wish.temperature) if wish.top_k else whole


def methods(protocol: type) -> set[str]:
    return {name for each in protocol.__mro__ for name in vars(each) if inspect.isfunction(vars(each).get(name))} - {
        "__init__",
        "__subclasshook__",
    }


@pytest.mark.parametrize(
    "protocol, implementations",
    [
        (SignalSource, (StoredTeacher, LiveTeacher, MadeUp)),
        (OnlineSource, (LiveTeacher, MadeUp)),
        (TranslationSource, (CTranslate2Engine, FairseqEngine)),
        (TextTranslationSource, (CTranslate2TextEngine, TransformersEngine)),
    ],
)
def test_whoever_stands_for_a_teacher_has_its_methods(protocol, implementations):
    wanted = {name for name in methods(protocol) if not name.startswith("_")}
    assert wanted
    for each in implementations:
        for name in wanted:
            ours, theirs = (list(inspect.signature(getattr(of, name)).parameters) for of in (each, protocol))
            assert ours == theirs, (each, name)


@pytest.mark.parametrize("keep", ["features", "top-k"])
def test_a_store_of_it_gives_a_student_the_loss_that_it_gives_itself(keep, teacher, data, tmp_path, plugin):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    made_up, size = MadeUp(len(symbols.target), keep == "features"), len(symbols.target)
    layout = FeatureLayout((), size, "fp32") if keep == "features" else TopKLayout(size, (1.0, 2.0), size, "fp32")
    settings, origin = WriterSettings(layout, max_tokens=40, shard_pairs=20), Origin("made-up", "0" * 64)
    header = StoreWriter(tmp_path, made_up, [origin], str(data), symbols, settings, "cpu", lambda line: None).write()
    assert header.teacher == [origin] and header.tokens > 100
    assert header == TeacherStore.open(tmp_path).header

    top = () if keep == "features" else ("--top-k", size, "--tail", "bucket")
    flags = *top, "--temperature", 2, "--kd-weight", 0.7, "--ignore-prefix-size", 1
    task, model, live = build(data, *flags, "--teacher-path", teacher)
    live._teacher.source = live._teacher.live = made_up
    before = made_up.asked
    loss, slopes = gradients(live, model, batch_of(task))
    assert made_up.asked == before + 1
    _, same_model, stored = build(data, *flags, "--teacher-store", tmp_path)
    stored_loss, stored_slopes = gradients(stored, same_model, batch_of(task))
    torch.testing.assert_close(stored_loss, loss, rtol=1e-5, atol=0)
    for ours, theirs in zip(stored_slopes, slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    assert not np.isclose(
        float(loss), float(gradients(build(data, *flags, "--teacher-path", teacher)[2], model, batch_of(task))[0])
    )
