"""What `lskd compare` measured, as Markdown, LaTeX and CSV. Nothing is measured or divided here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lskd_nmt.evaluate.scoring import remark
from lskd_nmt.report.results.read import rewritten
from lskd_nmt.report.tables.tables import LABELS, as_latex, as_markdown


def title(content: Mapping[str, Any]) -> str:
    """What was compared: names, languages and split."""
    langs = "-".join(content["data"]["langs"])
    return f"{', '.join(model['name'] for model in content['models'])}: {langs}, {content['settings']['split']}"


def threads(count: int) -> str:
    """`1 thread`, `4 threads`."""
    return f"{count} thread" + "s" * (count > 1)


def with_range(spread: Mapping[str, Any], form: str) -> str:
    """The median of the repeats, with the smallest and the largest if there are several."""
    text = f"{spread['median']:{form}}"
    return text if len(spread["repeats"]) == 1 else f"{text} ({spread['smallest']:{form}}–{spread['largest']:{form}})"


def frame(content: Mapping[str, Any]) -> pd.DataFrame:
    """The table that people read: one row per model, as text."""
    lines = []
    for model in content["models"]:
        ratios = model["ratios"]
        line = {
            "model": model["name"],
            "kind": " ".join(filter(None, (model["kind"], model["quantization"]))),
            "parameters": "–" if model["parameters"] is None else f"{model['parameters']:,}",
            "MB": f"{model['megabytes']:.1f}",
            "BLEU": f"{model['bleu']:.2f}",
            "chrF": f"{model['chrf']:.2f}",
        }
        for speed in model["subwords_per_second"]:
            line[f"subwords/s, {threads(speed['threads'])}"] = with_range(speed, ",.0f")
        line["ms, median"] = with_range(model["latency"]["median_ms"], ".1f")
        line["ms, p95"] = with_range(model["latency"]["p95_ms"], ".1f")
        line["size"] = f"{ratios['megabytes']:.2f} ×"
        for speed, ratio in zip(model["subwords_per_second"], ratios["subwords_per_second"], strict=True):
            line[f"speed, {threads(speed['threads'])}"] = f"{ratio:.2f} ×"
        line["BLEU share"] = "–" if ratios["bleu"] is None else f"{100 * ratios['bleu']:.1f} %"
        lines.append(line)
    return pd.DataFrame(lines, dtype=str)


def notes(content: Mapping[str, Any]) -> list[str]:
    """The lines under the table: signatures, how speed was measured, and where from."""
    timed, settings, first = content["timed"], content["settings"], content["models"][0]["name"]
    lines = [
        f"{LABELS[metric]}: {found['signature']} (text {found['text']})"
        for metric, found in content["signatures"].items()
    ]
    lines += [
        *about_scores(content["data"]),
        f"scores: all {content['data']['sentences']:,} sentences of {settings['split']}, beam {settings['beam']}",
        f"speed: output subwords a second on the first {timed['sentences']:,} sentences, in {timed['batches']} batches "
        f"of at most {settings['batch_tokens']:,} padded source subwords; loading is not timed",
        "ms: of one sentence alone on 1 thread, the median and the 95th percentile over the same sentences",
        f"repeats: {settings['repeats']}, interleaved over the models; their median (smallest–largest)",
        f"size, speed and BLEU share: relative to {first}",
        "MB: 10⁶ bytes, of a checkpoint its weights alone, of a CTranslate2 folder model.bin",
        *busy(content["models"]),
        f"machine: {content['host']['cores']} cores, load {timed['load_before']:g} before the measurement, "
        f"commit {content['commit']}",
        f"command: {content['command']}",
    ]
    return lines


def about_scores(data: Mapping[str, Any]) -> list[str]:
    """What the references are and what they suffered, and what to know of BLEU; older comparisons do not say it."""
    said = [remark(data["langs"][1], data["tokenizer"])] if "tokenizer" in data else []
    if "references" in data:
        said.append(f"references: {data['references']}")
    if data.get("form") == "tokenised":
        said.append(
            "the references look tokenised and have no clean text beside them: both sides were detokenised "
            "before BLEU and chrF"
        )
    if data.get("references_changed_by_subwords"):
        said.append(rewritten(data["references_changed_by_subwords"], data["sentences"]))
    return [line for line in said if line]


def busy(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many cores worked in each measurement of each model."""
    lines = []
    for number, speed in enumerate(models[0]["subwords_per_second"]):
        shown = ", ".join(
            f"{model['name']} {model['subwords_per_second'][number]['cores_busy']:.2f}" for model in models
        )
        lines.append(f"cores busy with {threads(speed['threads'])}: {shown}")
    return lines


def markdown(content: Mapping[str, Any]) -> str:
    """The table and its notes as Markdown."""
    return as_markdown(title(content), frame(content), notes(content))


def latex(content: Mapping[str, Any]) -> str:
    """The table as LaTeX (booktabs), its notes as comments."""
    return as_latex(frame(content), notes(content))


def csv(content: Mapping[str, Any]) -> str:
    """One line per model, numbers only."""
    lines = []
    for model in content["models"]:
        ratios = model["ratios"]
        line = {
            name: model[name]
            for name in ("name", "kind", "quantization", "parameters", "megabytes", "file_megabytes", "bleu", "chrf")
        }
        for speed in model["subwords_per_second"]:
            names = ("median", "smallest", "largest")
            line |= {f"subwords_per_second_{speed['threads']}_{name}": speed[name] for name in names}
        for key in ("median_ms", "p95_ms"):
            line |= {f"{key}_{name}": model["latency"][key][name] for name in ("median", "smallest", "largest")}
        line |= {"size_ratio": ratios["megabytes"], "bleu_ratio": ratios["bleu"]}
        for speed, ratio in zip(model["subwords_per_second"], ratios["subwords_per_second"], strict=True):
            line[f"speed_ratio_{speed['threads']}"] = ratio
        lines.append(line)
    return str(pd.DataFrame(lines).to_csv(index=False))
