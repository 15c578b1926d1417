"""A frozen teacher, or an ensemble of them, run beside the student."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

from lskd_nmt import fairseq_io
from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.fairseq_io.inference import Sources, plain_transformer
from lskd_nmt.losses.divergences import mean_log_probs
from lskd_nmt.losses.fused_chunk import Projection, TeacherFeatures
from lskd_nmt.losses.signals import Dense, Signal, top_k
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import Origin
from lskd_nmt.teacher import vocabulary
from lskd_nmt.teacher.source import NetInput, TeacherBatch, Wish

Output = tuple[Tensor, *tuple[object, ...]]  # (B, T, V or D), and what else a model gives


class TranslationModel(Protocol):
    """What is asked of fairseq's encoder-decoder models."""

    def __call__(self, **net_input: Tensor | bool) -> Output:
        """Logits, or features if `features_only` is given."""

    def eval(self) -> Self:
        """As that of torch's modules."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As that of torch's modules."""

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """As that of torch's modules."""

    def parameters(self) -> Iterator[Tensor]:
        """As that of torch's modules."""

    def max_positions(self) -> tuple[int, int]:
        """The longest source and target."""


def split_paths(teacher_path: str | None) -> list[str]:
    """The paths named by `--teacher-path a.pt:b.pt`; one that has a colon in its name and is there is found, too."""
    parts, found = (teacher_path or "").split(":"), list[str]()
    while parts:
        whole = next((n for n in range(len(parts), 1, -1) if Path(":".join(parts[:n])).exists()), 1)
        found.append(":".join(parts[:whole]))
        parts = parts[whole:]
    return [path for path in found if path]


@dataclass(frozen=True)
class TeacherFacts:
    """What a teacher's checkpoint says of its training; None where it does not say."""

    path: str
    arch: str | None
    label_smoothing: float | None
    parameters: int = 0
    width: int = 0  # of what its output projection is given, 0 if it has none of its own
    positions: tuple[int | None, int | None] = (None, None)  # the most source and target symbols; None: any number
    reversed: bool = False  # trained in the other direction than that of the data

    def origin(self) -> Origin:
        """The checkpoint by its name and hash, as stores keep it."""
        return Origin(Path(self.path).name, sha256(Path(self.path)), self.arch, self.label_smoothing)

    def __str__(self) -> str:
        smoothing = "unknown" if self.label_smoothing is None else self.label_smoothing
        wrong = ", trained in the other direction than that of the data" if self.reversed else ""
        return f"teacher {self.path}: {self.arch}, trained with label smoothing {smoothing}{wrong}"


def check(path: str, student: DictionaryPair, teacher_data: str | None) -> TeacherFacts:
    """Refuse a checkpoint that is missing, damaged or of another vocabulary, without building its model."""
    state = fairseq_io.read_checkpoint(path, "teacher")
    arch = fairseq_io.section(state, "model").get("arch")
    reason = fairseq_io.not_left_to_right(arch)
    require(not reason, f"teacher {path} is of --arch {arch}, which {reason}: give one that translates left to right")
    require(
        not fairseq_io.several_pairs(arch),
        f"teacher {path} is of --arch {arch}, a model for each of several language pairs: give a teacher of one pair",
    )
    fairseq_io.require_finite(state, path, "teacher")
    vocabulary.require_equal(vocabulary.teacher_symbols(state, path, student.langs, teacher_data), student, path)
    smoothing = fairseq_io.section(state, "criterion").get("label_smoothing")
    projection, task = state["model"].get("decoder.output_projection.weight"), fairseq_io.section(state, "task")
    return TeacherFacts(
        path,
        arch,
        None if smoothing is None else float(smoothing),
        fairseq_io.parameter_count(state),
        0 if projection is None else projection.size(1),
        fairseq_io.positions(state),
        (task.get("target_lang"), task.get("source_lang")) == student.langs,
    )


class LiveTeacher:
    """fairseq models as an `OnlineSource`: in evaluation mode, without gradients; of several, the mean probability.

    It is no `nn.Module`, so that nothing adopts the models.
    """

    def __init__(self, models: list[TranslationModel], facts: list[TeacherFacts]) -> None:
        """Freeze `models`, fairseq encoder-decoder models; `facts` describe them."""
        require(bool(models), "no teacher given: name one or more checkpoints with --teacher-path a.pt:b.pt")
        self.models = models
        self.facts = facts
        # of each model by its number what its encoder said, while the sources stay the same
        self.encoded: dict[int, dict[str, list[Tensor]]] | None = None
        self.sources: dict[int, Sources] | None = None  # the same of those that run without padding
        for model in models:
            model.eval().requires_grad_(False)

    @classmethod
    def load(
        cls, paths: list[str], student: DictionaryPair, student_data: str, teacher_data: str | None
    ) -> "LiveTeacher":
        """Check, then build each checkpoint by its own task; only then may the student's folder stand for its data."""
        facts = [check(path, student, teacher_data) for path in paths]
        overrides = fairseq_io.of_data(student_data, student.langs)
        return cls([fairseq_io.load_model(path, overrides) for path in paths], facts)

    def to(self, like: Tensor) -> None:
        """Move to the device and floating type of one of the student's parameters."""
        for model in self.models:
            first = next(model.parameters())
            if first.device != like.device or first.dtype != like.dtype:
                model.to(device=like.device, dtype=like.dtype)

    def max_positions(self) -> tuple[int, int]:
        """The longest source and target that every model can take, in symbols."""
        limits = [model.max_positions() for model in self.models]
        return min(source for source, _ in limits), min(target for _, target in limits)

    def projections(self) -> list[Projection] | None:
        """The models' output projections, or None if one has no plain one."""
        found = [fairseq_io.output_projection(model) for model in self.models]
        return None if None in found else [Projection(*projection) for projection in found if projection]

    @contextmanager
    def same_sources(self) -> Iterator[None]:
        """Encode the sources of the first call alone, where that is allowed: all others have them too."""
        self.encoded, self.sources = {}, {}
        try:
            yield
        finally:
            self.encoded = self.sources = None

    @torch.no_grad()
    def signal(self, batch: TeacherBatch, wish: Wish, like: Tensor) -> TeacherFeatures | Signal:
        """See `SignalSource`; a model without a plain output projection gives no features, but log-probabilities."""
        self.to(like)  # hidden from the trainer's own .to() and .half()
        features = self.features(batch.net_input, batch.real, batch.prefix) if wish.features else None
        if features is not None:
            return features
        whole = Dense(self.log_probs(batch.net_input, batch.real, batch.prefix), temperature=1.0)  # of (N, V)
        return top_k(whole, wish.top_k, wish.temperature) if wish.top_k else whole

    def output(self, number: int, net_input: NetInput, features_only: bool = False) -> Output:
        """What a model says, (B, T, V or D) and what belongs to it."""
        extra = {"features_only": True} if features_only else {}
        inner = fairseq_io.own_transformer(self.models[number])
        if inner is None or self.encoded is None:
            return self.models[number](**net_input, **extra)
        if number not in self.encoded:
            self.encoded[number] = inner.encoder(net_input["src_tokens"], src_lengths=net_input["src_lengths"])
        return tuple(inner.decoder(net_input["prev_output_tokens"], encoder_out=self.encoded[number], **extra))

    def without_padding(self, number: int, net_input: NetInput, real: Tensor, prefix: int) -> Output | None:
        """A model's features, computed at real symbols alone; None if it cannot be run so, or another is asked about.

        On CPUs only: there it saves the padding's share of the time; for GPUs nobody has measured it.
        """
        prefixes = net_input["prev_output_tokens"]
        plain = plain_transformer(self.models[number]) if prefixes.device.type == "cpu" else None
        if plain is None or bool((real & prefixes[:, prefix:].eq(plain.decoder.padding_idx)).any()):
            return None
        sources = {} if self.sources is None else self.sources
        if number not in sources:
            sources[number] = plain.encode(net_input["src_tokens"])
        return (plain.features(prefixes, sources[number]),)

    @torch.no_grad()
    def features(self, net_input: NetInput, real: Tensor, prefix: int = 0) -> TeacherFeatures | None:
        """What the models' output projections are given, or None if one has no plain projection.   -> (N, D') each

        `real` marks the target positions that count, after the first `prefix` ones, (B, T) bool with N true.
        """
        projections = self.projections()
        if projections is None:
            return None
        each = []
        for number in range(len(self.models)):
            output = self.without_padding(number, net_input, real, prefix)
            output = output or self.output(number, net_input, features_only=True)
            each.append(output[0][:, prefix:][real])
        return TeacherFeatures(each, projections)

    @torch.no_grad()
    def log_probs(self, net_input: NetInput, real: Tensor, prefix: int = 0) -> Tensor:
        """Log of the (mean) probability of every symbol.   (B, T) bool with N true -> (N, V)"""
        each = []
        for number, model in enumerate(self.models):
            logits, *extra = self.output(number, net_input)  # (B, T, V)
            each.append(fairseq_io.log_probs(model, logits[:, prefix:][real], extra))
        return mean_log_probs(each)
