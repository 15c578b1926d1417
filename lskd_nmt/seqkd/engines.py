"""What translates: CTranslate2, or fairseq itself. Both take and give subwords and search alike."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from lskd_nmt import fairseq_io
from lskd_nmt.decode_settings import MOST, DecodeSettings, Pieces, batches
from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.teacher.source import Hypothesis, TranslationSource

T = TypeVar("T")


class CTranslate2Engine:
    """A model that was converted for CTranslate2, as a `TranslationSource`."""

    def __init__(
        self,
        model: Path,
        device: str = "cpu",
        index: int = 0,
        compute_type: str = "default",
        threads: int = 1,
        workers: int = 1,
        use_vmap: bool = False,
    ) -> None:
        """`threads` are those of one batch; `index` is the GPU's; `workers` is how many batches it does at a time.

        With `use_vmap` it chooses from the symbols that the folder's vocabulary map allows.
        """
        self.place = {
            "device": device,
            "compute_type": compute_type,
            "intra_threads": threads,
            "device_index": index,
            "inter_threads": workers,
        }
        self.model, self.use_vmap = str(model), use_vmap
        self.reseed(0)

    def reseed(self, seed: int) -> None:
        """A new translator, because CTranslate2 seeds the threads of one only once."""
        self.translator = seeded("Translator", self.model, self.place, seed)

    def translate(self, batch: Sequence[Pieces], settings: DecodeSettings) -> list[list[Hypothesis]]:
        """See `TranslationSource`."""
        return self.begin(batch, settings)()

    def begin(self, batch: Sequence[Pieces], settings: DecodeSettings) -> Callable[[], list[list[Hypothesis]]]:
        """Queue a batch; the call that waits for its hypotheses."""
        search: dict[str, object] = {"beam_size": settings.beam}
        if settings.sampling:
            search = {
                "beam_size": 1,
                "sampling_topk": settings.sampling_topk,
                "sampling_temperature": settings.temperature,
                "suppress_sequences": [["<blank>"]],  # its padding, which fairseq never draws
            }
        results = self.translator.translate_batch(
            [list(pieces) for pieces in batch],
            num_hypotheses=settings.nbest,
            length_penalty=settings.lenpen,
            max_decoding_length=min(settings.longest(batch), MOST),
            max_input_length=0,
            return_scores=True,
            asynchronous=True,
            use_vmap=self.use_vmap,
            **search,
        )
        return lambda: [
            [
                Hypothesis(" ".join(pieces), score)
                for pieces, score in zip(result.hypotheses, result.scores, strict=True)
            ]
            for result in (waiting.result() for waiting in results)
        ]


class EndingEngine(CTranslate2Engine):
    """CTranslate2 whose beam search ends translations at the length limit as fairseq's does.

    There CTranslate2 gives a translation without an end the score that it has so far, and fairseq that of its end, too.
    """

    def begin(self, batch: Sequence[Pieces], settings: DecodeSettings) -> Callable[[], list[list[Hypothesis]]]:
        """See `CTranslate2Engine`; not for sampling, whose hypotheses have no order."""
        longest = min(settings.longest(batch), MOST)
        wait = super().begin(batch, replace(settings, nbest=settings.beam))  # any of the beam may become the best
        return lambda: [
            self.ended(source, found, settings.lenpen, longest)[: settings.nbest]
            for source, found in zip(batch, wait(), strict=True)
        ]

    def ended(self, source: Pieces, beam: list[Hypothesis], lenpen: float, longest: int) -> list[Hypothesis]:
        """A beam's hypotheses, best first, where those of `longest` subwords have the scores that ends give them."""
        cut = [each.pieces.split(" ") for each in beam if each.pieces.count(" ") + 1 >= longest]
        if not cut:
            return beam
        scored = self.translator.score_batch([list(source)] * len(cut), cut, max_input_length=0)
        whole = [
            Hypothesis(" ".join(pieces), sum(each.log_probs) / (len(pieces) + 1) ** lenpen)
            for pieces, each in zip(cut, scored, strict=True)
        ]
        finished = [each for each in beam if each.pieces.count(" ") + 1 < longest]
        return sorted([*finished, *whole], key=lambda each: -each.score)


class FairseqEngine:
    """fairseq's own generator as a `TranslationSource`, with one model or several as an ensemble."""

    def __init__(
        self, teacher_path: Sequence[str], data: str, langs: tuple[str, str], device: str = "cpu", index: int = 0
    ) -> None:
        """Builds the models by their own tasks; `data` has the dictionaries."""
        fairseq_io.load_plugin()
        overrides = fairseq_io.of_data(data, langs)
        self.device = f"cuda:{index}" if device == "cuda" else device
        self.models = [fairseq_io.load_model(path, overrides).eval().to(self.device) for path in teacher_path]
        self.source, self.target = fairseq_io.dictionaries(data, langs)

    def reseed(self, seed: int) -> None:
        """Seed torch's generator, which fairseq draws from."""
        import torch

        torch.manual_seed(seed)

    def translate(self, batch: Sequence[Pieces], settings: DecodeSettings) -> list[list[Hypothesis]]:
        """See `TranslationSource`."""
        import torch

        rows = [torch.tensor([*map(self.source.index, pieces), self.source.eos()]) for pieces in batch]
        net_input, _ = fairseq_io.net_input([(row, row) for row in rows], self.source.pad(), self.source.eos())
        net_input = {name: tensor.to(self.device) for name, tensor in net_input.items()}
        found = fairseq_io.generate(
            self.models,
            self.target,
            net_input,
            beam=settings.nbest if settings.sampling else settings.beam,
            sampling_topk=settings.sampling_topk if settings.sampling else None,
            temperature=settings.temperature,
            len_penalty=settings.lenpen,
            max_len_a=settings.max_len_a,
            max_len_b=settings.max_len_b,
        )
        return [
            [Hypothesis(" ".join(self.target[i] for i in ids), score) for ids, score in best[: settings.nbest]]
            for best in found
        ]


def seeded(kind: str, model: str, place: Mapping[str, object], seed: int) -> Any:
    """A `Translator` or `Generator` of CTranslate2 in its `place`, whose random numbers start at the seed."""
    import ctranslate2

    ctranslate2.set_random_seed(seed)
    try:
        return getattr(ctranslate2, kind)(model, **place)
    except Exception as error:
        where = f"{place['compute_type']} on {place['device']}"
        raise LskdError(
            f"CTranslate2 cannot load {model} as {where} ({reason(error)}): choose another --quantization or --device"
        ) from None


def translate_all(
    engine: TranslationSource, sentences: Sequence[Pieces], settings: DecodeSettings
) -> list[list[Hypothesis]]:
    """Every sentence's hypotheses, in the order of the sentences; one batch after the other."""
    groups = list(batches(sentences, settings.batch_tokens))
    return in_order(groups, (engine.translate([sentences[at] for at in group], settings) for group in groups))


def translate_at_once(
    engine: CTranslate2Engine, sentences: Sequence[Pieces], settings: DecodeSettings
) -> list[list[Hypothesis]]:
    """As `translate_all`, with the same batches, which the engine's workers share."""
    groups = list(batches(sentences, settings.batch_tokens))
    begun = [engine.begin([sentences[at] for at in group], settings) for group in groups]
    return in_order(groups, (wait() for wait in begun))


def in_order(groups: Sequence[Sequence[int]], translated: Iterable[list[T]]) -> list[T]:
    """The hypotheses of all batches in the order of their sentences; `groups` are each batch's positions."""
    found = {
        at: hypotheses
        for group, batch in zip(groups, translated, strict=True)
        for at, hypotheses in zip(group, batch, strict=True)
    }
    return [found[at] for at in range(len(found))]


def best(translated: Sequence[Sequence[Hypothesis]]) -> list[str]:
    """The best translations, in subwords."""
    return [hypotheses[0].pieces for hypotheses in translated]


def engine_devices(wish: str, engine: str) -> list[tuple[str, int]]:
    """(`cuda`, index) of every GPU that the engine sees, or (`cpu`, 0)."""
    if engine != "ctranslate2" or wish == "cpu":
        count = fairseq_io.gpus(wish)
    else:
        import ctranslate2

        count = int(ctranslate2.get_cuda_device_count())
        require(wish != "cuda" or count > 0, "--device is cuda, and CTranslate2 sees no GPU: use --device cpu")
    return [("cuda", index) for index in range(count)] or [("cpu", 0)]


def convert(out: Path, checkpoint: str, data: str, langs: tuple[str, str], quantization: str = "float32") -> None:
    """Make the checkpoint a CTranslate2 folder; what CTranslate2 does not know of is refused."""
    from ctranslate2.converters import FairseqConverter

    try:
        converter = FairseqConverter(
            checkpoint, data, source_lang=langs[0], target_lang=langs[1], user_dir=str(fairseq_io.plugin_folder())
        )
        converter.convert(str(out), quantization=quantization)
    except (LskdError, OSError):
        raise
    except Exception as error:
        why = reason(error)
        raise LskdError(f"CTranslate2 cannot convert {checkpoint} ({why}): use fairseq for this model") from error


def convert_once(out: Path, checkpoint: str, data: str, langs: tuple[str, str]) -> None:
    """The same in float32, whole or not at all, unless it is there."""
    make_once(out, lambda model: convert(model, checkpoint, data, langs))


def make_once(out: Path, make: Callable[[Path], None]) -> None:
    """The folder that `make` writes, whole or not at all, unless it is there."""
    if out.is_dir():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=out.name + ".part.") as folder:
        make(Path(folder, "model"))
        try:
            Path(folder, "model").rename(out)
        except OSError:
            if not out.is_dir():  # else another machine was faster
                raise
