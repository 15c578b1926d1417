"""Teacher, students and their int8 forms side by side: size, scores, speed at one and at all threads, latency."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.deploy.benchmark_settings import CompareSettings
from lskd_nmt.deploy.candidates import examine
from lskd_nmt.deploy.speed import Clocks, Show, load_model, measure
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.references import references
from lskd_nmt.evaluate.scoring import bleu_tokenizer, scores
from lskd_nmt.seqkd.engines import batches


def require_writable(out: Path) -> None:
    """Refuse, before hours of work, a folder that cannot be made or written."""
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    require(there.is_dir() and os.access(there, os.W_OK), f"--out {out} cannot be written: give another folder")


def compare(
    models: Mapping[str, Path], data: Path, settings: CompareSettings, show: Show, clocks: Clocks | None = None
) -> dict[str, Any]:
    """Everything measured of every model; the first one is what the others' ratios are to."""
    langs = fairseq_io.language_pair(str(data))
    symbols = fairseq_io.read_symbols(str(data), langs)
    if symbols is None:
        raise LskdError(
            f"--data {data} lacks dict.{langs[0]}.txt or dict.{langs[1]}.txt: "
            "give the output folder of fairseq-preprocess"
        )
    candidates = [examine(name, path, symbols) for name, path in models.items()]
    bleu_tokenizer(langs[1], settings.tokenize)  # refused before anything is translated
    source, _ = fairseq_io.piece_lines(str(data), langs, settings.split)
    require(bool(source), f"--data {data} has no sentence in {settings.split}: give another --split")
    sentences = [line.split() for line in source]
    timed_sentences = sentences[: settings.sentences or None]
    load_before = os.getloadavg()[0]
    loaded = {candidate.name: load_model(candidate, data, langs, settings) for candidate in candidates}
    truth = references(data, langs, settings.split)
    quality = {}
    for name, translate in loaded.items():
        show(f"{name}: translating {len(sentences)} sentences for its scores")
        translated = translate(sentences, 1)
        require(
            any(translated[: len(timed_sentences)]),
            f"model '{name}' translates every sentence into nothing: train it longer",
        )
        quality[name] = scores(
            [joined(line) for line in translated], truth.lines, langs[1], truth.form, settings.tokenize
        )
    speed = measure(loaded, timed_sentences, settings, show, clocks or Clocks())
    rows: list[dict[str, Any]] = [
        {
            **asdict(candidate),
            "bleu": quality[candidate.name]["bleu"].score,
            "chrf": quality[candidate.name]["chrf"].score,
            **speed[candidate.name],
        }
        for candidate in candidates
    ]
    return {
        "settings": asdict(settings),
        "data": {
            "folder": str(data),
            "langs": list(langs),
            "form": truth.form,
            "sentences": len(sentences),
            "references": truth.source,
            "references_changed_by_subwords": truth.changed_by_subwords,
            "tokenizer": quality[candidates[0].name]["bleu"].tokenizer,
        },
        "timed": {
            "sentences": len(timed_sentences),
            "load_before": round(load_before, 2),
            "batches": len(list(batches(timed_sentences, settings.batch_tokens))),
        },
        "signatures": {
            metric: {"signature": score.signature, "text": score.text}
            for metric, score in quality[candidates[0].name].items()
            if metric in ("bleu", "chrf")
        },
        "models": [{**row, "ratios": ratios(row, rows[0])} for row in rows],
    }


def ratios(row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Size, speed at each number of threads, and BLEU, each over that of the first model."""
    speeds = zip(row["subwords_per_second"], first["subwords_per_second"], strict=True)
    return {
        "megabytes": round(row["megabytes"] / first["megabytes"], 4),
        "subwords_per_second": [round(ours["median"] / theirs["median"], 4) for ours, theirs in speeds],
        "bleu": round(row["bleu"] / first["bleu"], 4) if first["bleu"] else None,
    }
