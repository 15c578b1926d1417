"""Verbs of the pipeline: `plan`, `graph`, `watch`, `generate`, `hyp`, `score`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import add_tokenize, verb_of
from lskd_nmt.data.subwords import Subwords
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.metrics import needs_source
from lskd_nmt.evaluate.records import Metrics, ScoringFacts, write_metrics
from lskd_nmt.experiment import input_hashes, lengths, training_log
from lskd_nmt.experiment import plan as planning
from lskd_nmt.experiment import run_command as watching
from lskd_nmt.experiment.config import read_config
from lskd_nmt.experiment.run import Run, record_run
from lskd_nmt.experiment.scripts import runnable
from lskd_nmt.experiment.training_costs import (
    decoded_words_per_second,
    logged_costs,
    updates,
    updates_per_second,
    words_per_second,
)
from lskd_nmt.fairseq_io.flag_values import require_words
from lskd_nmt.storage import files, provenance


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this file's verbs."""

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        return verb_of(verbs, name, text, run)

    parser = add("plan", run_plan, "resolve an experiment's YAML into a run folder: plan.json and the commands")
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, metavar="RUN", help="runs/NAME of the config if not given")
    parser.add_argument("--call", metavar="TEXT", help="the command to record in RUN/run.json instead of this one")
    parser.add_argument("--preview", type=Path, metavar="DIR", help="leave RUN as it is: show there what it would be")
    parser.add_argument("--check", action="store_true", help="write nothing: check the config and say which run folder")

    graph = add("graph", run_graph, "who learns of whom in a run, and how far it is, as a figure")
    graph.add_argument("folder", type=Path, metavar="RUN")
    graph.add_argument("--out", type=Path, metavar="STEM", help="STEM.png and STEM.svg; RUN/graph if not given")

    watch = add("watch", run_watch, "run one model's training command: log kept, progress shown, cost recorded")
    generate = add("generate", run_generate, "run one model's decoding command: output kept, progress shown")
    hyp = add("hyp", run_hyp, "fairseq-generate's output to text: every test row once, in order, subwords joined")
    score = add("score", run_score, "BLEU and chrF of one model's test.hyp, with signatures")
    for parser in (watch, generate, hyp, score):
        parser.add_argument("--run", dest="folder", type=Path, required=True, metavar="RUN")
        parser.add_argument("--model", required=True)
    add_tokenize(score)
    for parser in (watch, generate):
        parser.add_argument("flags", nargs="*", help="after --, more flags for the command")


def answer(**facts: Any) -> None:
    """The one JSON line on stdout."""
    print(json.dumps(facts, ensure_ascii=False))


def teller(model: str) -> Callable[[str], None]:
    """Show a line about `model` on stderr."""
    return lambda text: print(f"{model}: {text}", file=sys.stderr, flush=True)


def run_plan(args: argparse.Namespace) -> None:
    """`lskd plan CONFIG [--out RUN]`."""
    config = read_config(args.config)
    run = args.out or Path("runs") / config["name"]
    if args.check:
        planning.planned(config, run)
        answer(run=str(run))
        return
    if args.preview is not None:
        models = planning.preview(config, run, args.preview)["models"]
        answer(run=str(args.preview), models=[model["name"] for model in models])
        return
    plan = planning.plan(config, args.config.read_text(encoding="utf-8"), run)
    record_run(run, args.call or args.command)
    answer(run=str(run), models=[model["name"] for model in plan["models"]])


def run_graph(args: argparse.Namespace) -> None:
    """`lskd graph RUN [--out STEM]`."""
    from lskd_nmt.report.figures.run_graph import graph  # noqa: PLC0415  matplotlib takes a second to import
    from lskd_nmt.report.figures.style import save  # noqa: PLC0415

    stem = args.out or args.folder / "graph"
    answer(graph=[str(file) for file in save(graph(args.folder), stem)])


def run_watch(args: argparse.Namespace) -> None:
    """`lskd watch --run RUN --model NAME [-- FLAGS]`; exits with the training's code."""
    run = Run(args.folder)
    model, folder = run.model(args.model), run.model_folder(args.model)
    log, command = folder / "train.log", [*model["train_command"], *args.flags]
    require_words(command)
    lengths.require_fitting(run.plan, run.data, [other["name"] for other in run.models if other is not model])
    langs = run.plan["data"]["source_lang"], run.plan["data"]["target_lang"]
    long, pairs = lengths.left_out(model["train_command"], run.data, langs)
    if long:
        teller(args.model)(f"{long:,} of {pairs:,} pairs of train are longer than it takes: fairseq leaves them out")
    input_hashes.begin(run, model, teller(args.model))
    progress = training_log.Progress(training_log.limits(model["train_command"]))
    before = files.read_lines(log) if log.is_file() else []
    cost = watching.Cost()
    code = watching.watch(runnable(command), args.folder, log, progress.line, teller(args.model))
    measured, lines = cost.measured(), files.read_lines(log)
    logged = logged_costs(lines[len(before) :], measured["wall_seconds"], updates(before))
    facts = {
        "name": args.model,
        "seed": model["seed"],
        "parameters": training_log.parameters(lines),
        "data": provenance.data_hashes(run.data),
        "versions": provenance.versions(),
        "host": provenance.host(),
        "updates_per_second": updates_per_second(lines),
    }
    watching.record_attempt(folder / "run.json", facts, command, code, measured | logged, words_per_second(lines))
    files.write_json(folder / "curve.json", training_log.curve(lines))
    answer(model=args.model, exit_code=code, curve=str(folder / "curve.json"))
    sys.exit(code)


def run_generate(args: argparse.Namespace) -> None:
    """`lskd generate --run RUN --model NAME [-- FLAGS]`; exits with the decoding's code."""
    run = Run(args.folder)
    model, folder = run.model(args.model), run.model_folder(args.model)
    log, command = folder / "generate.log", [*model["decode_command"], *args.flags]
    require_words(command)
    log.unlink(missing_ok=True)
    progress = training_log.Decoded(len(files.read_lines(run.text("test", "source"))))
    cost = watching.Cost()
    code = watching.watch(runnable(command), args.folder, log, progress.line, teller(args.model))
    measured = cost.measured()
    if code == 0:
        speed = decoded_words_per_second(files.read_lines(log))
        hours = round(decoding_gpus(command) * measured["wall_seconds"] / 3600, 4)
        facts = {
            "command": command,
            "commit": provenance.commit(),
            **measured,
            "gpu_hours": hours,
            "words_per_second": speed,
        }
        files.write_json(folder / "decode.json", facts)
    answer(model=args.model, exit_code=code, decoded=progress.count)
    sys.exit(code)


def decoding_gpus(command: Sequence[str]) -> int:
    """How many GPUs fairseq-generate takes: one, if there is any."""
    if "--cpu" in command or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return 0
    return min(1, fairseq_io.gpus("auto"))


def run_hyp(args: argparse.Namespace) -> None:
    """`lskd hyp --run RUN --model NAME`: generate.log -> test.hyp."""
    run = Run(args.folder)
    folder = run.model_folder(args.model)
    sentences = len(files.read_lines(run.text("test", "source")))
    pieces = scoring.hypotheses(files.read_lines(folder / "generate.log"), sentences)
    lines = Subwords(run.data / "spm" / "spm.model").decode(pieces)
    files.write_text(folder / "test.hyp", "".join(f"{line}\n" for line in lines))
    answer(hyp=str(folder / "test.hyp"), sentences=sentences)


def run_score(args: argparse.Namespace) -> None:
    """`lskd score --run RUN --model NAME`: test.hyp -> metrics.json."""
    run = Run(args.folder)
    hyp, ref = run.model_folder(args.model) / "test.hyp", run.text("test", "target")
    data = run.plan["data"]
    translations, references = files.read_lines(hyp), files.read_lines(ref)
    sources = files.read_lines(run.text("test", "source")) if needs_source() else None
    tokenize = args.tokenize or data.get("tokenize")
    scores = scoring.scores(translations, references, data["target_lang"], data["form"], tokenize, sources)
    facts = ScoringFacts(
        len(references),
        args.model,
        changed_by_subwords(run.data, references),
        files.sha256(hyp),
        files.sha256(ref),
        run.plan["decode"],
        provenance.commit(),
    )
    write_metrics(hyp.with_name("metrics.json"), Metrics(scores, facts))
    answer(model=args.model, bleu=scores["bleu"].score, chrf=scores["chrf"].score)


def changed_by_subwords(data: Path, references: Sequence[str]) -> int | None:
    """How many references the folder's sentencepiece model rewrites, which no translation can equal; None without it.

    sentencepiece normalises unless it is told not to: `m²` becomes `m2`, and a full-width comma a comma.
    """
    model = data / "spm" / "spm.model"
    return Subwords(model).normalises(references) if model.is_file() else None
