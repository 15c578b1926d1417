"""Models side by side: hand-computed arithmetic under a fake clock, one real run, one core for one thread, refusals."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from conftest import ROOT
from matplotlib.collections import PathCollection

from lskd_nmt import cli, fairseq_io
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.deploy import benchmark, benchmark_settings, export, speed
from lskd_nmt.deploy.benchmark_settings import CompareSettings, cores
from lskd_nmt.deploy.speed import Clocks
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.benchmark import Benchmark, BenchmarkedModel, Latency, Ratios, Speed, Spread, comparison_json
from lskd_nmt.evaluate.references import References
from lskd_nmt.report.figures import bleu_by_speed
from lskd_nmt.report.tables import benchmark as tables_benchmark
from lskd_nmt.seqkd.engines import CTranslate2Engine, translate_all, translate_at_once
from lskd_nmt.storage.typed import from_json, read_record

LANGS = ("aa", "bb")
SENTENCES = [["▁a"], ["▁b", "▁c"], ["▁d"]]


def record(content):
    """compare.json as tables and figures take it."""
    return from_json(Benchmark, content, "compare.json")


class Machine:
    """Models that take the seconds they are told to, on a clock that only they move."""

    def __init__(self):
        self.now = self.worked = 0.0
        self.calls = []

    def model(self, name, whole, alone, cores):
        """`whole`: seconds by threads, of one call after the other; `alone`: of one sentence after the other."""
        seconds = {threads: iter(values) for threads, values in whole.items()}
        single = iter(alone)

        def translate(sentences, threads):
            self.calls.append((name, threads, len(sentences)))
            took = next(single) if len(sentences) == 1 else next(seconds[threads])
            self.now += took
            self.worked += cores * took
            return ["▁x ▁y ▁z ▁x"] * len(sentences)

        return translate

    def clocks(self):
        return Clocks(lambda: self.now, lambda: self.worked)


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(benchmark_settings, "cores", lambda: 4)


def test_medians_percentiles_and_busy_cores_are_those_of_the_clock(four_cores):
    machine = Machine()
    warm = 100.0
    models = {
        "slow": machine.model("slow", {1: [warm, 2, 1, 4], 4: [warm, 1, 1, 1]}, [1, 3, 2, 5, 5, 5, 4, 6, 8], 1.0),
        "fast": machine.model("fast", {1: [warm, 0.5, 0.5, 0.25], 4: [warm, 0.1, 0.2, 0.3]}, [0.001] * 9, 0.5),
    }
    settings = CompareSettings(threads=4, repeats=3)
    found = speed.measure(models, SENTENCES, settings, lambda line: None, machine.clocks())
    one, four = found["slow"].subwords_per_second  # 12 subwords in 2, 1 and 4 seconds
    assert one == Speed(threads=1, median=6, smallest=3, largest=12, repeats=(6, 12, 3), subwords=12, cores_busy=1.0)
    assert (four.threads, four.repeats) == (4, (12, 12, 12))
    median, p95 = found["slow"].latency.median_ms, found["slow"].latency.p95_ms
    assert median == Spread(median=5000, smallest=2000, largest=6000, repeats=(2000, 5000, 6000))
    assert p95.repeats == (3000, 5000, 8000) and p95.median == 5000
    one, four = found["fast"].subwords_per_second
    assert one.repeats == (24, 24, 48) and four.repeats == (120, 60, 40)
    assert one.cores_busy == found["fast"].latency.cores_busy == 0.5
    assert found["fast"].latency.median_ms.median == 1


def test_models_take_turns_in_every_repeat_after_a_warm_up(four_cores):
    machine, shown = Machine(), []
    models = {name: machine.model(name, {1: [1] * 3, 2: [1] * 3}, [1] * 6, 1) for name in "AB"}
    speed.measure(models, SENTENCES, CompareSettings(threads=2, repeats=2), shown.append, machine.clocks())
    warm_up = [("A", 1, 3), ("A", 2, 3), ("B", 1, 3), ("B", 2, 3)]
    a_round = [("A", 1, 3), ("B", 1, 3), ("A", 2, 3), ("B", 2, 3), *[("A", 1, 1)] * 3, *[("B", 1, 1)] * 3]
    assert machine.calls == warm_up + 2 * a_round
    for line in ("repeat 1 of 2: 1 thread", "repeat 1 of 2: 2 threads", "repeat 2 of 2: one sentence at a time"):
        assert line in shown


def test_one_thread_that_is_all_is_measured_once():
    machine = Machine()
    models = {"A": machine.model("A", {1: [1, 1]}, [1] * 3, 1)}
    found = speed.measure(models, SENTENCES, CompareSettings(repeats=1), lambda line: None, machine.clocks())
    assert [speed.threads for speed in found["A"].subwords_per_second] == [1]


@pytest.mark.parametrize("count, rank", [(1, 1), (3, 3), (20, 19), (21, 20), (100, 95)])
def test_the_95th_percentile_is_the_nearest_rank(count, rank):
    assert speed.percentile([*range(count, 0, -1)], 0.95) == rank


def test_ratios_are_to_the_first_model():
    def row(size, speeds, bleu):
        timing = tuple(Speed(speed, speed, speed, (speed,), 1, 1.0) for speed in speeds)
        latency = Latency(Spread(1, 1, 1, (1,)), Spread(1, 1, 1, (1,)))
        return BenchmarkedModel("x", "fairseq", None, None, size, size, bleu, bleu, timing, latency, Ratios(1, (), 1))

    first = row(40.0, [100, 300], 32.0)
    assert benchmark.ratios(first, first) == Ratios(megabytes=1, subwords_per_second=(1, 1), bleu=1)
    other = benchmark.ratios(row(10.0, [250, 600], 24.0), first)
    assert other == Ratios(megabytes=0.25, subwords_per_second=(2.5, 2.0), bleu=0.75)
    assert benchmark.ratios(first, row(40.0, [100, 300], 0.0)).bleu is None


def test_weights_count_what_is_shared_once_and_no_buffers():
    table, other = torch.ones(5, 2), torch.ones(3)
    state = {
        "model": {
            "encoder.version": torch.ones(1),
            "encoder.embed_positions._float_tensor": torch.ones(1),
            "encoder.embed_tokens.weight": table,
            "decoder.embed_tokens.weight": table,  # written on a CPU: the same tensor
            "decoder.output_projection.weight": table.clone(),  # written on a GPU: an equal one
            "encoder.layers.0.fc1.bias": other,
            "decoder.layers.0.fc1.bias": other.clone(),  # equal, and not shared
        }
    }
    assert fairseq_io.parameter_count(state) == 10 + 3 + 3


def test_batches_fed_at_once_come_back_in_order(model):
    settings = DecodeSettings(batch_tokens=8)
    sentences = [[f"▁{letter}" for letter in "abcdefgh"[: 1 + number % 5]] for number in range(23)]
    one, several = CTranslate2Engine(model), CTranslate2Engine(model, workers=2)
    assert translate_at_once(several, sentences, settings) == translate_all(one, sentences, settings)


@pytest.fixture(scope="module")
def compared(checkpoint, model, pieces, tmp_path_factory):
    """The folder of a real comparison, of a checkpoint, its stock form and its CTranslate2 folder."""
    out = tmp_path_factory.mktemp("compared") / "new" / "out"
    stock = out.parent.parent / "stock.pt"
    torch.save(export.stock_state(fairseq_io.read_checkpoint(str(checkpoint), "x")), stock)
    models = [f"teacher={checkpoint}", f"stock_form={stock}", f"ct2={model}"]
    words = [
        "compare",
        "--data",
        pieces,
        "--models",
        *models,
        "--out",
        out,
        "--split",
        "valid",
        "--sentences",
        5,
        "--threads",
        min(2, cores()),
        "--repeats",
        2,
    ]
    result = subprocess.run(
        [sys.executable, "-m", "lskd_nmt.cli", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout)["models"] == ["teacher", "stock_form", "ct2"]
    assert "repeat 2 of 2: 1 thread" in result.stderr and "DEBUG" not in result.stderr
    return out


def test_a_real_comparison_has_the_scores_that_the_export_proved(compared, checkpoint, model):
    content = json.loads((compared / "compare.json").read_text())
    teacher, stock, ct2 = content["models"]
    proof = json.loads((model / "export.json").read_text())
    assert [teacher["bleu"], stock["bleu"], ct2["bleu"]] == [proof["bleu_fairseq"]] * 2 + [proof["bleu_ctranslate2"]]
    learned = fairseq_io.load_model(str(checkpoint), {})
    numbers = sum(parameter.numel() for parameter in learned.parameters())
    assert teacher["parameters"] == stock["parameters"] == ct2["parameters"] == numbers
    assert teacher["megabytes"] == stock["megabytes"] == round(4 * numbers / 1e6, 3) < stock["file_megabytes"]
    assert ct2["megabytes"] == round((model / "model.bin").stat().st_size / 1e6, 3)
    assert (ct2["kind"], ct2["quantization"]) == ("ctranslate2", "float32")
    assert content["timed"]["sentences"] == 5 and content["data"]["sentences"] == 12
    assert content["command"] and content["host"] and content["versions"]["ctranslate2"]
    for row in content["models"]:
        assert all(speed["smallest"] > 0 and len(speed["repeats"]) == 2 for speed in row["subwords_per_second"])
        assert 0 < row["latency"]["median_ms"]["median"] <= row["latency"]["p95_ms"]["median"]


def test_a_comparison_is_written_as_it_is_read(compared):
    content = json.loads((compared / "compare.json").read_text())
    keys = ["settings", "data", "timed", "signatures", "models"]
    assert list(content) == ["command", "commit", "versions", "host", *keys]
    found = comparison_json(read_record(compared / "compare.json", Benchmark))
    assert json.dumps({key: found[key] for key in keys}) == json.dumps({key: content[key] for key in keys})


def test_table_and_figure_are_written_from_the_json(compared):
    names = {f"compare.{kind}" for kind in ("json", "md", "csv", "tex", "png", "svg")} | {"fronts.png", "fronts.svg"}
    assert {file.name for file in compared.iterdir()} == names
    content = json.loads((compared / "compare.json").read_text())
    assert (compared / "compare.md").read_text() == tables_benchmark.markdown(record(content))
    assert r"stock\_form" in (compared / "compare.tex").read_text()


BUSY = """
import os, time, torch
from lskd_nmt.deploy.speed import torch_threads
square = torch.ones(600, 600)
with torch_threads(THREADS):
    square @ square
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < 0.3:
        square @ square
    busy, tasks = (time.process_time() - cpu) / (time.perf_counter() - wall), len(os.listdir("/proc/self/task"))
    print(busy, torch.get_num_threads(), tasks)
"""


@pytest.mark.parametrize("threads, environment", [(1, "4"), (3, "1")])
def test_threads_are_those_asked_for_whatever_the_environment_sets(threads, environment):
    """At 1 of 4 one core works; at 3 of 1 there are two more threads than at 1."""
    names = {"OMP_NUM_THREADS": environment, "MKL_NUM_THREADS": environment, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", BUSY.replace("THREADS", str(threads))],
        capture_output=True,
        env={**os.environ, **names},
        text=True,
        check=True,
    )
    busy, count, tasks = result.stdout.split()
    assert int(count) == threads
    assert float(busy) <= 1.5 if threads == 1 else int(tasks) >= threads


@pytest.mark.parametrize(
    "models, part",
    [
        (["MODEL"], "give NAME=PATH"),
        (["a="], "give NAME=PATH"),
        (["a|b=MODEL"], "the name 'a|b': give letters"),
        (["a=MODEL", "a=CHECKPOINT"], "the name 'a' twice"),
        (["a=MODEL", "b=nowhere"], "model 'b': nowhere does not exist"),
        (["a=MODEL", "b=EMPTY"], "has no model.bin"),
        (["a=BARE"], "has no vocabulary"),
        (["a=DAMAGED"], "CTranslate2 cannot load"),
        (["a=TEXT"], "model 'a' TEXT cannot be read"),
        (["a=OTHER"], "model 'a' has another source vocabulary than the data"),
        (["a=FOREIGN"], "model 'a' has another source vocabulary than the data"),
        (["a=STOCK"], "symbols in its encoder and the data's dictionary"),
        (["a=MODEL", "b=SHORT.hyp"], "model 'b': SHORT.hyp has 1 lines and the split "),
        (["a=MODEL", "b=none.hyp"], "model 'b': none.hyp does not exist"),
        (["b=SHORT.hyp", "a=MODEL"], "give a model first, which the others' ratios are to"),
    ],
)
def test_what_is_no_model_of_the_data_is_refused(models, part, checkpoint, model, teacher, pieces, tmp_path, capsys):
    places = {name: tmp_path / name.lower() for name in ("EMPTY", "BARE", "DAMAGED", "FOREIGN", "TEXT", "STOCK")}
    for name in ("EMPTY", "BARE", "DAMAGED", "FOREIGN"):
        places[name].mkdir()
    for name in ("BARE", "DAMAGED", "FOREIGN"):
        (places[name] / "model.bin").write_bytes(b"nothing")
    symbols = json.loads((model / "shared_vocabulary.json").read_text())
    for name, found in (("DAMAGED", symbols), ("FOREIGN", symbols[::-1])):
        (places[name] / "shared_vocabulary.json").write_text(json.dumps(found))
    places["TEXT"].write_text("no checkpoint")
    (tmp_path / "SHORT.hyp").write_text("eins\n")
    places["SHORT.hyp"] = tmp_path / "SHORT.hyp"
    state = export.stock_state(fairseq_io.read_checkpoint(str(checkpoint), "x"))
    state["model"] = {
        name: tensor[:-1] if "embed_tokens" in name else tensor for name, tensor in state["model"].items()
    }
    torch.save(state, places["STOCK"])
    places |= {"MODEL": model, "CHECKPOINT": checkpoint, "OTHER": teacher}
    for name, place in places.items():
        models = [word.replace(name, str(place)) for word in models]
        part = part.replace(name, str(place))
    before = sorted(tmp_path.iterdir())
    words = ["compare", "--data", str(pieces), "--out", str(tmp_path / "new" / "out"), "--models", *models]
    assert cli.main(words) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--beam", "0"], "--beam is 0"),
        (["--repeats", "0"], "--repeats is 0"),
        (["--sentences", "-1"], "--sentences is -1"),
        (["--threads", "5"], "--threads is 5 and this process may use 4 cores"),
        (["--batch-tokens", "0"], "--batch-tokens is 0"),
        (["--within", "2"], "--within is 2: give a share such as 0.02 or 2%, or points"),
        (["--no-vocabulary-map", "b"], "--no-vocabulary-map names b: give names of --models"),
        (["--data", "nowhere"], "--data nowhere does not exist"),
        (["--split", "dev"], "has no 'dev' of aa-bb"),
        (["--out", "FILE"], "cannot be written"),
    ],
)
def test_settings_that_cannot_be_are_refused(flags, part, checkpoint, pieces, tmp_path, capsys, four_cores):
    (tmp_path / "file").touch()
    words = ["compare", "--data", pieces, "--out", tmp_path / "out", "--models", f"a={checkpoint}", *flags]
    assert cli.main([str(tmp_path / "file") if word == "FILE" else str(word) for word in words]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_model_that_says_nothing_is_refused(checkpoint, pieces, monkeypatch):
    monkeypatch.setattr(benchmark, "load_model", lambda *_: lambda sentences, threads: [""] * len(sentences))
    with pytest.raises(LskdError, match="model 'mute' translates every sentence into nothing"):
        benchmark.compare({"mute": checkpoint}, pieces, CompareSettings(), lambda line: None)


def spread(middle, low=None, high=None):
    repeats = [middle] if low is None else [low, middle, high]
    return {"median": middle, "smallest": repeats[0], "largest": repeats[-1], "repeats": repeats}


def written(name, size, bleu, speed, parameters=1000, quantization=None):
    kind = "fairseq" if quantization is None else "ctranslate2"
    return {
        "name": name,
        "kind": kind,
        "quantization": quantization,
        "parameters": parameters,
        "megabytes": size,
        "file_megabytes": 3 * size,
        "bleu": bleu,
        "chrf": 2 * bleu,
        "subwords_per_second": [
            {"threads": 1, **spread(speed, speed - 1, speed + 1), "cores_busy": 0.99},
            {"threads": 4, **spread(2 * speed, speed, 3 * speed), "cores_busy": 3.5},
        ],
        "latency": {"median_ms": spread(20.0, 19.0, 21.5), "p95_ms": spread(40.0, 39.0, 41.0)},
        "ratios": {"megabytes": 0.25, "subwords_per_second": [2.5, 2.0], "bleu": 0.9},
    }


@pytest.fixture
def content():
    models = [
        written("teacher", 40.0, 30.0, 1000.0),
        written("student", 8.0, 29.0, 4000.0),
        written("float32", 8.5, 29.0, 4100.0, None, "float32"),
        written("int8", 2.0, 28.95, 4050.0, 7, "int8"),
    ]
    metric = {"signature": "nrefs:1", "text": "raw"}
    return {
        "command": "lskd compare x",
        "commit": "abc",
        "host": {"cores": 4},
        "models": models,
        "settings": {"split": "test", "beam": 5, "repeats": 3, "batch_tokens": 2048},
        "data": {"langs": ["en", "de"], "sentences": 1000},
        "signatures": {"bleu": metric, "chrf": metric},
        "timed": {"sentences": 200, "batches": 2, "load_before": 0.5},
    }


def test_the_table_shows_medians_ranges_and_ratios(content):
    text = tables_benchmark.markdown(record(content))
    rows = [[field.strip() for field in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == [
        "model",
        "kind",
        "parameters",
        "MB",
        "BLEU",
        "chrF",
        "subwords/s, 1 thread",
        "subwords/s, 4 threads",
        "ms, median",
        "ms, p95",
        "size",
        "speed, 1 thread",
        "speed, 4 threads",
        "BLEU share",
    ]
    assert rows[2] == [
        "teacher",
        "fairseq",
        "1,000",
        "40.0",
        "30.00",
        "60.00",
        "1,000 (999–1,001)",
        "2,000 (1,000–3,000)",
        "20.0 (19.0–21.5)",
        "40.0 (39.0–41.0)",
        "0.25 ×",
        "2.50 ×",
        "2.00 ×",
        "90.0 %",
    ]
    assert rows[4][:3] == ["float32", "ctranslate2 float32", "–"]
    for part in (
        "first 200 sentences, in 2 batches",
        "- BLEU: nrefs:1 (text raw)",
        "relative to teacher",
        "cores busy with 1 thread: teacher 0.99",
        "scores: all 1,000 sentences",
    ):
        assert part in text
    latex = tables_benchmark.latex(record(content))
    assert r"2.50 $\times$" in latex and r"90.0 \%" in latex


def test_csv_has_numbers_only(content):
    rows = list(csv.DictReader(io.StringIO(tables_benchmark.csv(record(content)))))
    assert [row["name"] for row in rows] == ["teacher", "student", "float32", "int8"]
    assert float(rows[0]["subwords_per_second_4_largest"]) == 3000 and float(rows[3]["p95_ms_median"]) == 40
    assert rows[2]["parameters"] == "" and float(rows[1]["speed_ratio_1"]) == 2.5


def test_the_figure_shows_every_model_and_no_name_covers_another(content):
    figure = bleu_by_speed.comparison(record(content))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    dots = [collection for collection in axes.collections if isinstance(collection, PathCollection)]
    assert [tuple(dot.get_offsets()[0]) for dot in dots] == [(1000, 30), (4000, 29), (4100, 29), (4050, 28.95)]
    sizes = [dot.get_sizes()[0] for dot in dots]
    assert [size / sizes[0] for size in sizes] == pytest.approx([1, 8 / 40, 8.5 / 40, 2 / 40])
    boxes = [bleu_by_speed.extent(text) for text in axes.texts]
    assert [text.get_text().split("\n")[0] for text in axes.texts] == ["teacher", "student", "float32", "int8"]
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
    centres = axes.transData.transform([dot.get_offsets()[0] for dot in dots])
    assert not any(box.contains(*centre) for box in boxes for centre in centres)


def test_other_metrics_are_columns_behind_bleu_and_chrf(content):
    plain = record(content)
    found = replace(plain, models=tuple(replace(each, scores={"ter": 41.5, "chrf++": 60.25}) for each in plain.models))
    lines = tables_benchmark.markdown(found).splitlines()
    header, _, first = [[word.strip() for word in line.split("|")] for line in lines if line.startswith("|")][:3]
    assert header[5:9] == ["BLEU", "chrF", "TER", "chrF++"] and first[7:9] == ["41.50", "60.25"]
    numbers = next(csv.DictReader(io.StringIO(tables_benchmark.csv(found))))
    assert (numbers["ter"], numbers["chrf++"]) == ("41.5", "60.25")
    assert comparison_json(found)["models"][0]["scores"] == {"ter": 41.5, "chrf++": 60.25}
    assert "scores" not in comparison_json(plain)["models"][0] and "metrics" not in comparison_json(plain)["settings"]


def test_a_model_is_scored_by_the_metrics_that_are_asked_for():
    truth = References(["a b c d", "e f"], "raw", "", None)
    settings = CompareSettings(metrics=("ter", "chrf"))
    found = benchmark.quality_of(
        "x", lambda sentences, threads: ["▁a ▁b ▁c ▁d", "▁e ▁g"], [["▁x"], ["▁y"]], 2, truth, "de", settings, print
    )
    assert list(found) == ["bleu", "chrf", "ter"] and found["ter"].score == round(100 / 6, 2)
    assert benchmark.other_metrics(settings.metrics, "de") == ["ter"]


@pytest.mark.parametrize(
    "name, part",
    [("comet", "the metric is 'comet': one of bleu"), ("comet22", "--metrics has comet22, which a program computes")],
)
def test_metrics_that_cannot_be_are_refused_before_anything_is_translated(name, part):
    with pytest.raises(LskdError, match=part):
        benchmark.other_metrics([name], "de")


def test_another_translators_translations_have_scores_and_no_speed(content):
    """By hand: 29 of 30 BLEU are 96.7 %."""
    other = {"name": "online", "kind": "translations", "bleu": 29.0, "chrf": 58.0, "subwords_per_second": []}
    unknown = dict.fromkeys(("quantization", "parameters", "megabytes", "file_megabytes", "latency"))
    ratios = {"megabytes": None, "subwords_per_second": [], "bleu": 0.9667}
    found = record({**content, "models": [*content["models"], {**other, **unknown, "ratios": ratios}]})
    row = tables_benchmark.frame(found).iloc[-1].tolist()
    assert row == ["online", "translations", "–", "–", "29.00", "58.00", *["–"] * 7, "96.7 %"]
    text = tables_benchmark.markdown(found)
    assert "translations alone, neither timed nor weighed: online" in text and "int8 0.99\n" in text
    last = list(csv.DictReader(io.StringIO(tables_benchmark.csv(found))))[-1]
    assert (last["bleu"], last["megabytes"], last["p95_ms_median"], last["speed_ratio_4"]) == ("29.0", "", "", "")
    (axes,) = bleu_by_speed.comparison(found).axes
    (line,) = axes.lines
    assert list(line.get_ydata()) == [29.0, 29.0] and "online, 29.00 BLEU" in axes.texts[0].get_text()


def test_translations_are_scored_as_a_models_and_only_models_are_timed(checkpoint, pieces, monkeypatch, tmp_path):
    truth = benchmark.references(pieces, LANGS, "test")
    (tmp_path / "perfect.hyp").write_text("".join(f"{line}\n" for line in truth.lines), encoding="utf-8")
    monkeypatch.setattr(benchmark, "load_model", lambda *_: lambda sentences, threads: ["▁x"] * len(sentences))
    settings = CompareSettings(repeats=1, sentences=2)
    models = {"model": checkpoint, "perfect": tmp_path / "perfect.hyp"}
    ours, perfect = benchmark.compare(models, pieces, settings, lambda line: None).models
    assert (perfect.kind, perfect.megabytes, perfect.subwords_per_second) == ("translations", None, ())
    assert perfect.latency is None and perfect.chrf == 100 and perfect.ratios.megabytes is None
    assert ours.latency is not None and len(ours.subwords_per_second) == 1
