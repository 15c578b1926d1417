"""Teacher, students and their int8 forms side by side: size, scores, speed at one and at all threads, latency."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.decode_settings import Pieces, batches
from lskd_nmt.deploy.benchmark_settings import CompareSettings
from lskd_nmt.deploy.candidates import TRANSLATIONS, Candidate, examine, is_translations
from lskd_nmt.deploy.speed import Clocks, Show, Timing, Translate, load_model, measure
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.benchmark import (
    BenchmarkData,
    BenchmarkedModel,
    BenchmarkSettings,
    Comparison,
    Ratios,
    ScoreSignature,
    Timed,
)
from lskd_nmt.evaluate.metrics import EvaluationSet, metric
from lskd_nmt.evaluate.pareto import margin_of
from lskd_nmt.evaluate.records import Score
from lskd_nmt.evaluate.references import References, references
from lskd_nmt.evaluate.scoring import bleu_tokenizer, scores
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.storage.files import read_lines

SHOWN = ("bleu", "chrf")  # the metrics of the table


def require_writable(out: Path) -> None:
    """Refuse, before hours of work, a folder that cannot be made or written."""
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    require(there.is_dir() and os.access(there, os.W_OK), f"--out {out} cannot be written: give another folder")


def compare(
    models: Mapping[str, Path],
    data: Path,
    settings: CompareSettings,
    show: Show,
    clocks: Clocks | None = None,
    langs: tuple[str, str] | None = None,
) -> Comparison:
    """Everything measured of every model; the first one is what the others' ratios are to.

    A path to translations (.hyp) is of a translator whose scores alone can be known. Without `langs` the data are read
    in the direction of their files' names.
    """
    first_name, path = next(iter(models.items()))
    what = f"--models begins with the translations {first_name}={path}, of which no size and no speed is known"
    require(not is_translations(path), f"{what}: give a model first, which the others' ratios are to")
    langs, symbols = vocabulary_of(data, langs)
    if settings.within is not None:
        margin_of(settings.within)
    unknown = sorted({*settings.without_map} - {*models})
    require(not unknown, f"--no-vocabulary-map names {', '.join(unknown)}: give names of --models")
    candidates = [examine(name, path, symbols, name not in settings.without_map) for name, path in models.items()]
    tokenizer = bleu_tokenizer(langs[1], settings.tokenize)  # refused before anything is translated
    others = other_metrics(settings.metrics, langs[1])
    source, _ = fairseq_io.piece_lines(str(data), langs, settings.split)
    require(bool(source), f"--data {data} has no sentence in {settings.split}: give another --split")
    sentences = [line.split() for line in source]
    timed = sentences[: settings.sentences or None]
    load_before = os.getloadavg()[0]
    given = {each.name: given_lines(each, len(sentences)) for each in candidates if each.kind == TRANSLATIONS}
    loaded = {each.name: load_model(each, data, langs, settings) for each in candidates if each.name not in given}
    truth = references(data, langs, settings.split)
    quality = {
        name: quality_of(name, translate, sentences, len(timed), truth, langs[1], settings, show)
        for name, translate in {**loaded, **given}.items()
    }
    timings = measure(loaded, timed, settings, show, clocks or Clocks())
    first, *_ = rows = [row(each, quality[each.name], timings.get(each.name, Timing()), others) for each in candidates]
    about = (langs, len(sentences), truth.source, truth.changed_by_subwords, tokenizer)
    return Comparison(
        settings_record(settings, others),
        BenchmarkData(*about, folder=str(data), form=truth.form),
        Timed(len(timed), round(load_before, 2), len(list(batches(timed, settings.batch_tokens)))),
        {name: ScoreSignature(score.signature, score.text) for name, score in quality[first.name].items()},
        tuple(replace(each, ratios=ratios(each, first)) for each in rows),
    )


def settings_record(settings: CompareSettings, others: Sequence[str]) -> BenchmarkSettings:
    """The settings as compare.json has them, where what nobody asked for is left out."""
    optional = {"metrics": tuple(others) or None, "without_map": settings.without_map or None}
    return BenchmarkSettings(**{**asdict(settings), **optional})


def other_metrics(names: Sequence[str], lang: str) -> list[str]:
    """The metrics beside BLEU and chrF, refused before anything is translated if they do not work here."""
    for name in names:
        program = metric(name).by_program
        require(not program, f"--metrics has {name}, which a program computes: here are those of sacreBLEU alone")
        metric(name).scorer(EvaluationSet(["x"], lang))
    return [name for name in names if name not in SHOWN]


def given_lines(candidate: Candidate, count: int) -> Translate:
    """The translations in a file, as many as there are sentences; subwords in them are joined as those of models."""
    lines = read_lines(Path(candidate.path))
    require(
        len(lines) == count,
        f"model '{candidate.name}': {candidate.path} has {len(lines):,} lines and the split {count:,} sentences: "
        "give a translation of each, in its order",
    )
    return lambda sentences, threads: lines


def vocabulary_of(data: Path, langs: tuple[str, str] | None = None) -> tuple[tuple[str, str], DictionaryPair]:
    """The languages of binarised data and their symbols, which must be there."""
    langs = langs or fairseq_io.language_pair(str(data))
    symbols = fairseq_io.read_symbols(str(data), langs)
    if symbols is None:
        raise LskdError(
            f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
            "give the output folder of fairseq-preprocess"
        )
    return langs, symbols


def quality_of(
    name: str,
    translate: Translate,
    sentences: Sequence[Pieces],
    timed: int,
    truth: References,
    lang: str,
    settings: CompareSettings,
    show: Show,
) -> dict[str, Score]:
    """A model's scores on all sentences; one that translates all that are `timed` into nothing is refused."""
    show(f"{name}: translations of {len(sentences)} sentences for its scores")
    translated = translate(sentences, 1)
    is_mute = not any(translated[:timed])
    require(not is_mute, f"model '{name}' translates every sentence into nothing: train it longer")
    source = [joined(" ".join(sentence)) for sentence in sentences]
    lines = [joined(line) for line in translated]
    names = list(dict.fromkeys([*SHOWN, *settings.metrics]))
    return scores(lines, truth.lines, lang, truth.form, settings.tokenize, source, names=names)


def row(
    candidate: Candidate, quality: Mapping[str, Score], timing: Timing, others: Sequence[str] = ()
) -> BenchmarkedModel:
    """All of one model, for now with ratios to itself."""
    bleu, chrf = (quality[name].score for name in SHOWN)
    return BenchmarkedModel(
        candidate.name,
        candidate.kind,
        candidate.quantization,
        candidate.parameters,
        candidate.megabytes,
        candidate.file_megabytes,
        bleu,
        chrf,
        *timing,
        Ratios(1, (1,) * len(timing.subwords_per_second), 1),
        path=candidate.path,
        scores={name: quality[name].score for name in others} or None,
        vocabulary_map=candidate.vocabulary_map or None,
    )


def ratios(model: BenchmarkedModel, first: BenchmarkedModel) -> Ratios:
    """Size, speed at each number of threads, and BLEU, each over that of the first model, as far as they are known."""
    speeds = zip(model.subwords_per_second, first.subwords_per_second, strict=False)
    sizes = (model.megabytes, first.megabytes)
    return Ratios(
        round(sizes[0] / sizes[1], 4) if sizes[0] is not None and sizes[1] is not None else None,
        tuple(round(ours.median / theirs.median, 4) for ours, theirs in speeds),
        round(model.bleu / first.bleu, 4) if first.bleu else None,
    )
