"""Runs of stand-ins, with text that would break a page which took it for anything but text."""

import json

from test_table import sweep

from lskd_nmt.cli import main
from lskd_nmt.storage import files

HOSTILE = [
    "<script>window.hacked = 1</script>",
    '"><img src="https://example.org/x.png" onerror="window.hacked = 2">',
    "</script><script>window.hacked = 3</script><!--",
    "'); window.hacked = 4; ('",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; &amp;",
    "\u202egnp.exe\u202c \u2066left\u2069 \u200f",
    "שלום עולם, this is mixed",
    "x" * 3000,
    "line\u2028separator \u2029 and \x00 and \x07",
    "$x_{1}$ \\frac{a}{b} $",
    "[link](javascript:window.hacked=5)",
]
NAME = 'tiny <script>window.hacked = 6</script> & "co"'


def write_texts(folder, source, reference, translate):
    """Give the run other texts; `translate(model, line)` is a model's translation of a reference."""
    data = folder / "data" / "clean"
    for file, lines in ((data / "test.en", source), (data / "test.de", reference)):
        files.write_text(file, "".join(f"{line}\n" for line in lines))
    for number, model in enumerate(sorted((folder / "models").iterdir())):
        files.write_text(model / "test.hyp", "".join(f"{translate(number, line)}\n" for line in reference))
        metrics = files.read_json(model / "metrics.json")
        hashes = {"hyp_sha256": files.sha256(model / "test.hyp"), "ref_sha256": files.sha256(data / "test.de")}
        files.write_json(model / "metrics.json", {**metrics, **hashes})


def estimate(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def calibration():
    """What `lskd calibrate` leaves, as far as the page reads it."""
    bins = {"edges": [0.0, 0.5, 1.0], "count": [10.0, 30.0], "confidence": [0.3, 0.8], "accuracy": [0.2, 0.9]}
    numbers = {"ece_2": estimate(0.2)} | {f"nll_{number}": estimate(number / 7) for number in range(1, 16)}
    level = {"units": 40, "numbers": numbers, "reliability": {"ece_2": bins}}
    return {
        "analysis": "calibration",
        "decoding": "teacher-forced",
        "settings": {"bins": [2]},
        "token": level,
        "word": level,
        "entropy_histogram": {"edges": [0.0, 1.0, 2.0], "count": [3, 1]},
        "temperature": {"value": 1.25},
    }


def diagnosis(texts):
    """What `lskd diagnose` leaves of translations, as far as the page reads it."""
    examples = [
        {"row": number, "reference": text, "chrf": {"teacher": 90.0, "student": 10.0 + number}}
        for number, text in enumerate(texts)
    ]
    groups = {
        "all": {
            "sentences": 9,
            "chrf": {"teacher": 60.0, "student": 50.0},
            "difference": estimate(10.0),
            "teacher_right_student_wrong": 2,
            "student_right_teacher_wrong": 1,
        }
    }
    return {
        "analysis": "diagnosis",
        "sentences": {"groups": groups, "words": {"names": {"reference": 3, "student": 1}}, "examples": examples},
    }


def hostile_run(folder):
    """A run whose name, texts and analyses are hostile."""
    sweep(folder, seeds=(1,))
    plan = files.read_json(folder / "plan.json")
    files.write_json(folder / "plan.json", {**plan, "name": NAME})
    write_texts(folder, HOSTILE, HOSTILE, lambda number, line: line if number % 2 else f"{line} <b>{number}</b>")
    analysis = folder / "analysis"
    for name in ("student", HOSTILE[0].replace("/", "|")):
        files.write_json(analysis / f"calibration-{name}.json", calibration())
    files.write_json(analysis / "diagnosis.json", diagnosis(HOSTILE))
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="99" height="50"><script>parent.hacked = 7</script></svg>'
    files.write_json(analysis / "mine.json", {"analysis": "mine", "words": [{"word": text} for text in HOSTILE]})
    files.write_text(analysis / "mine-plot.svg", svg)
    return folder


def report(out, *arguments):
    """The page that `lskd report` writes."""
    assert main(["report", *map(str, arguments), "--out", str(out)]) == 0
    return out / "index.html"


def embedded(page):
    """The sentences that a page holds."""
    text = page.read_text(encoding="utf-8")
    start = text.index('id="sentences-data">') + len('id="sentences-data">')
    return json.loads(text[start : text.index("</script>", start)])
