"""What `lskd compare` measured, as Markdown, LaTeX and CSV. Nothing is measured or divided here."""

from collections.abc import Sequence

import pandas as pd

from lskd_nmt.evaluate.benchmark import Benchmark, BenchmarkData, BenchmarkedModel, Spread
from lskd_nmt.evaluate.metrics import described
from lskd_nmt.evaluate.pareto import margin_of, smallest
from lskd_nmt.evaluate.scoring import remark
from lskd_nmt.report.results.read import rewritten
from lskd_nmt.report.tables import texts
from lskd_nmt.storage.typed import Json

SPREAD = ("median", "smallest", "largest")


def threads(count: int) -> str:
    """A number of threads in words: `1 thread`, `4 threads`."""
    return f"{count} thread" + "s" * (count > 1)


def with_range(spread: Spread, form: str) -> str:
    """The median of the repeats, with the smallest and the largest if there are several."""
    text = f"{spread.median:{form}}"
    return text if len(spread.repeats) == 1 else f"{text} ({spread.smallest:{form}}–{spread.largest:{form}})"


def frame(content: Benchmark) -> pd.DataFrame:
    """The table that people read: one row per model, as text."""
    counts = [speed.threads for speed in content.models[0].subwords_per_second]
    return texts.frame([line(model, counts) for model in content.models])


def line(model: BenchmarkedModel, counts: Sequence[int]) -> dict[str, str]:
    """A model's texts by column; `counts`: of threads, for which a model that is not timed has a dash."""
    speeds, ratios, latency = model.subwords_per_second, model.ratios, model.latency
    known = dict(zip(counts, zip(speeds, ratios.subwords_per_second, strict=True), strict=False))
    return {
        "model": model.name,
        "kind": " ".join(filter(None, (model.kind, model.quantization, "with map" * bool(model.vocabulary_map)))),
        "parameters": texts.optional(model.parameters, ","),
        "MB": texts.optional(model.megabytes, ".1f"),
        "BLEU": f"{model.bleu:.2f}",
        "chrF": f"{model.chrf:.2f}",
        **{described(name).label: f"{score:.2f}" for name, score in (model.scores or {}).items()},
        **{
            f"subwords/s, {threads(count)}": with_range(known[count][0], ",.0f") if count in known else texts.NONE
            for count in counts
        },
        "ms, median": with_range(latency.median_ms, ".1f") if latency else texts.NONE,
        "ms, p95": with_range(latency.p95_ms, ".1f") if latency else texts.NONE,
        "size": texts.NONE if ratios.megabytes is None else f"{ratios.megabytes:.2f} ×",
        **{
            f"speed, {threads(count)}": f"{known[count][1]:.2f} ×" if count in known else texts.NONE for count in counts
        },
        "BLEU share": texts.NONE if ratios.bleu is None else f"{100 * ratios.bleu:.1f} %",
    }


def notes(content: Benchmark) -> list[str]:
    """The lines under the table: signatures, how speed was measured, and where from."""
    timed, settings = content.timed, content.settings
    return [
        *(
            f"{described(name).label}: {found.signature} (text {found.text})"
            for name, found in content.signatures.items()
        ),
        *about_scores(content.data),
        f"scores: all {content.data.sentences:,} sentences of {settings.split}, beam {settings.beam}",
        f"speed: output subwords a second on the first {timed.sentences:,} sentences, in {timed.batches} batches "
        f"of at most {settings.batch_tokens:,} padded source subwords; loading is not timed",
        "ms: of one sentence alone on 1 thread, the median and the 95th percentile over the same sentences",
        f"repeats: {settings.repeats}, interleaved over the models; their median (smallest–largest)",
        f"size, speed and BLEU share: relative to {content.models[0].name}",
        "MB: 10⁶ bytes, of a checkpoint its weights alone, of a CTranslate2 folder model.bin",
        *maps(content.models),
        *nearest(content),
        *others(content.models),
        *busy([model for model in content.models if model.subwords_per_second]),
        f"machine: {content.host.cores} cores, load {timed.load_before:g} before the measurement, "
        f"commit {content.commit}",
        f"command: {content.command}",
    ]


def maps(models: Sequence[BenchmarkedModel]) -> list[str]:
    """What is said of vocabulary maps, where there are any."""
    names = [model.name for model in models if model.vocabulary_map]
    return [f"with map: with a vocabulary map, whose vmap.txt is part of the MB: {', '.join(names)}"] if names else []


def nearest(content: Benchmark) -> list[str]:
    """The smallest model that is almost as good as the first one, by each metric; older comparisons did not ask."""
    if content.settings.within is None:
        return []
    return [found.text for found in smallest(content, margin_of(content.settings.within))]


def about_scores(data: BenchmarkData) -> list[str]:
    """What the references are and what they suffered, and what to know of BLEU; older comparisons do not say it."""
    said = [remark(data.langs[1], data.tokenizer)] if data.tokenizer is not None else []
    if data.references is not None:
        said.append(f"references: {data.references}")
    if data.form == "tokenised":
        said.append(
            "the references look tokenised and have no clean text beside them: both sides were detokenised "
            "before BLEU and chrF"
        )
    if data.references_changed_by_subwords:
        said.append(rewritten(data.references_changed_by_subwords, data.sentences))
    return [line for line in said if line]


def others(models: Sequence[BenchmarkedModel]) -> list[str]:
    """What is said of translators whose translations alone were given."""
    names = [model.name for model in models if not model.subwords_per_second]
    return [f"translations alone, neither timed nor weighed: {', '.join(names)}"] if names else []


def busy(models: Sequence[BenchmarkedModel]) -> list[str]:
    """How many cores worked in each measurement of each model."""
    lines = []
    for number, speed in enumerate(models[0].subwords_per_second):
        shown = ", ".join(f"{model.name} {model.subwords_per_second[number].cores_busy:.2f}" for model in models)
        lines.append(f"cores busy with {threads(speed.threads)}: {shown}")
    return lines


def markdown(content: Benchmark) -> str:
    """The table and its notes as Markdown."""
    return texts.markdown(content.title, frame(content), notes(content))


def latex(content: Benchmark) -> str:
    """The table as LaTeX (booktabs), its notes as comments after it."""
    return texts.latex(frame(content), notes(content))


def csv(content: Benchmark) -> str:
    """One line per model, numbers only."""
    has_map = any(model.vocabulary_map for model in content.models)
    rows = [numbers(model) for model in content.models]
    maps = [{"vocabulary_map": bool(model.vocabulary_map)} if has_map else {} for model in content.models]
    return texts.csv([{**row, **of_map} for row, of_map in zip(rows, maps, strict=True)])


def numbers(model: BenchmarkedModel) -> dict[str, Json]:
    """A model's line of the CSV."""
    speeds, ratios = model.subwords_per_second, model.ratios
    factors = zip(speeds, ratios.subwords_per_second, strict=True)
    names = ("name", "kind", "quantization", "parameters", "megabytes", "file_megabytes", "bleu", "chrf")
    found: dict[str, Json] = {name: getattr(model, name) for name in names}
    found |= model.scores or {}
    found |= {
        f"subwords_per_second_{speed.threads}_{name}": getattr(speed, name) for speed in speeds for name in SPREAD
    }
    for key in ("median_ms", "p95_ms"):
        found |= {f"{key}_{name}": getattr(getattr(model.latency, key, None), name, None) for name in SPREAD}
    found |= {"size_ratio": ratios.megabytes, "bleu_ratio": ratios.bleu}
    return found | {f"speed_ratio_{speed.threads}": ratio for speed, ratio in factors}
