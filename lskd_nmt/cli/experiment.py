"""Verbs of the pipeline: `plan`, `graph`, `train-model`, `decode-model`, `extract-hypotheses`, `score`."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lskd_nmt.cli.common import add_tokenize, answer, held, show, verb_of, words_of
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.evaluate.records import read_metrics
from lskd_nmt.experiment import adopt as adopting
from lskd_nmt.experiment import plan as planning
from lskd_nmt.experiment import prolonging, run_metrics, set_steps, steps, stock_data, tracking
from lskd_nmt.experiment.config import read_config
from lskd_nmt.experiment.run import Run, record_run


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        return verb_of(verbs, name, text, run)

    parser = add("plan", run_plan, "resolve an experiment's YAML into a run folder: plan.json and the commands")
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, metavar="RUN", help="runs/NAME of the config if not given")
    parser.add_argument("--call", metavar="TEXT", help="the command to record in RUN/run.json instead of this one")
    parser.add_argument("--preview", type=Path, metavar="DIR", help="leave RUN as it is: show there what it would be")
    parser.add_argument("--check", action="store_true", help="write nothing: check the config and say which run folder")
    text = "where the config raises a teacher's max-epoch, max-update or patience: train its students anew"
    parser.add_argument("--prolong", action="store_true", help=text)

    graph = add("graph", run_graph, "who learns of whom in a run, and how far it is, as a figure")
    graph.add_argument("folder", type=Path, metavar="RUN")
    graph.add_argument("--out", type=Path, metavar="STEM", help="STEM.png and STEM.svg; RUN/graph if not given")

    watch = add("train-model", run_watch, "run one model's training command: log kept, progress shown, cost recorded")
    generate = add("decode-model", run_generate, "run one model's decoding command: output kept, progress shown")
    hyp = add("extract-hypotheses", run_hyp, "fairseq-generate's output to text: each test row once, subwords joined")
    score = add("score", run_score, "scores of one model's test.hyp, or of all models by metrics that they lack")
    for parser in (watch, generate, hyp, score):
        parser.add_argument("--run", dest="folder", type=Path, required=True, metavar="RUN")
    for parser in (watch, generate, hyp):
        parser.add_argument("--model", required=True)
    score.add_argument("--model", help="all models that are scored already, if not given")
    add_tokenize(score)
    score.add_argument("--metrics", metavar="NAMES", help="score by these, with commas between, where they are missing")
    for parser in (generate, hyp, score):
        parser.add_argument("--set", metavar="NAME", help="the test set; the main one if not given")
    for parser in (watch, generate):
        parser.add_argument("flags", nargs="*", help="after --, more flags for the command")

    row = add("adopt", run_adopt, "make a training, or translations, made outside of a run a row of its table")
    row.add_argument("folder", type=Path, metavar="RUN")
    row.add_argument("--name", required=True, help="of the row")
    what = row.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, metavar="FILE", help="of fairseq-train, with the run's dictionary")
    what.add_argument("--hypotheses", type=Path, metavar="FILE", help="a translation of each test sentence, in order")
    row.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto", help="where it is decoded")
    row.add_argument("--workers", type=int, default=0, metavar="N", help="that translate; 0: as many as fit")

    text = "make the output of fairseq-preprocess the data folder of a run, and say what cannot be proved of it"
    stock = add("adopt-data", run_adopt_data, text)
    stock.add_argument("--bin", type=Path, required=True, metavar="DIR", help="with dict.*.txt and train.*.idx")
    stock.add_argument("--source-lang", help="taken from the data if not given")
    stock.add_argument("--target-lang", help="taken from the data if not given")
    stock.add_argument("--spm", type=Path, metavar="FILE", help="its sentencepiece model, if it has one")
    stock.add_argument("--form", choices=("raw", "fairseq14", "tokenised"), default="raw", help="of its text")
    stock.add_argument("--out", type=Path, required=True, metavar="DIR")

    step = add("run-step", run_step, "do one step of the pipeline on one model, unless it is done")
    step.add_argument("folder", type=Path, metavar="RUN")
    step.add_argument("model", metavar="MODEL")
    step.add_argument("step", choices=tuple(steps.STEPS), metavar="STEP", help="%(choices)s")
    step.add_argument("--set", action="append", default=[], metavar="NAME", help="of the test sets this; else all")
    step.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto", help="where it runs")
    step.add_argument("--workers", type=int, default=0, metavar="N", help="that translate; 0: as many as fit")
    step.add_argument("flags", nargs="*", help="after --, more flags for fairseq, such as --cpu")


def teller(model: str) -> Callable[[str], None]:
    """Show a line about `model` on stderr."""
    return lambda text: print(f"{model}: {text}", file=sys.stderr, flush=True)


def seen(args: argparse.Namespace) -> Run:
    """The run as it is seen from the test set that was asked for."""
    run = Run(args.folder)
    return run if args.set is None else run.on(args.set)


def run_plan(args: argparse.Namespace) -> None:
    """`lskd plan CONFIG [--out RUN]`."""
    config = read_config(args.config)
    run = args.out or Path("runs") / config.name
    for flags in (tracking.flags_of(config.track), config.train, config.teacher.train, config.student.train):
        tracking.require_packages({name: value for name, value in flags.items() if name in tracking.PACKAGES})
    if args.check:
        longer = prolonging.prolonging(planning.plan_of(run), planning.planned(config, run), run)
        prolonging.require_consent(longer, args.prolong)
        answer(run=str(run), **({"prolongs": prolonging.line(longer)} if longer else {}))
        return
    if args.preview is not None:
        models = planning.preview(config, run, args.preview, show).models
        answer(run=str(args.preview), models=[model.name for model in models])
        return
    source = args.config.read_text(encoding="utf-8")
    plan = planning.plan(config, source, run, args.prolong, lambda name: signature_of(run, name), show)
    record_run(run, args.call or args.command)
    answer(run=str(run), models=[model.name for model in plan.models])


def signature_of(run: Path, name: str) -> str:
    """The signature of a scored model's row in the table."""
    from lskd_nmt.report.results import signature  # noqa: PLC0415  of no use to most calls

    return signature.short(signature.expansion(Run(run), Run(run).model(name)))


def run_graph(args: argparse.Namespace) -> None:
    """`lskd graph RUN [--out STEM]`."""
    from lskd_nmt.report.figures.run_graph import graph  # noqa: PLC0415  matplotlib takes a second to import
    from lskd_nmt.report.figures.style import save  # noqa: PLC0415

    stem = args.out or args.folder / "graph"
    answer(graph=[str(file) for file in save(graph(args.folder), stem)])


def run_watch(args: argparse.Namespace) -> None:
    """`lskd train-model --run RUN --model NAME [-- FLAGS]`; exits with the training's code."""
    code = steps.train(Run(args.folder), args.model, args.flags, teller(args.model))
    answer(model=args.model, exit_code=code, curve=str(Run(args.folder).model_folder(args.model) / "curve.json"))
    sys.exit(code)


def run_generate(args: argparse.Namespace) -> None:
    """`lskd decode-model --run RUN --model NAME [-- FLAGS]`; exits with the decoding's code."""
    machine = steps.Machine(flags=tuple(args.flags))
    code, count = steps.decode(seen(args), args.model, machine, teller(args.model))
    answer(model=args.model, exit_code=code, decoded=count)
    sys.exit(code)


def run_hyp(args: argparse.Namespace) -> None:
    """`lskd extract-hypotheses --run RUN --model NAME`: generate.log -> test.hyp."""
    file, sentences = steps.extract_text(seen(args), args.model)
    answer(hyp=str(file), sentences=sentences)


def run_score(args: argparse.Namespace) -> None:
    """`lskd score --run RUN [--model NAME] [--metrics a,b]`: test.hyp -> metrics.json, or a metrics.json grows."""
    run, wish = seen(args), words_of(args.metrics, "--metrics")
    require(args.model is not None or args.tokenize is None, "--tokenize is for one model: give --model")
    if args.model is None:
        adding = run_metrics.add_everywhere if args.set is None else run_metrics.add
        found = run_metrics.add_planned(run, show) if wish is None else adding(run, wish, show)
        names = run_metrics.wanted(run.plan) if wish is None else wish
        answer(metrics={name: {model: each.scores[name].score for model, each in found.items()} for name in names})
        return
    is_scored = (run.results(run.model(args.model).name) / "metrics.json").is_file()
    if wish is None or args.tokenize is not None or not is_scored:
        steps.score(run, args.model, args.tokenize)
    names = run_metrics.wanted(run.plan) if wish is None else wish
    scores = run_metrics.add(run, names, show, [args.model])[args.model].scores
    answer(model=args.model, **{name: scores[name].score for name in dict.fromkeys(["bleu", "chrf", *names])})


def run_adopt(args: argparse.Namespace) -> None:
    """`lskd adopt RUN --name NAME --checkpoint FILE`: the model is in the plan, decoded and scored."""
    run = Run(args.folder)
    with held(args.folder, "wait for it"):
        model = adopting.adopt(run, args.name, args.checkpoint, args.hypotheses)
        machine = steps.Machine(args.device, args.workers, ("--cpu",) if args.device == "cpu" else ())
        step = "score" if model.decode_command == () else "evaluate"
        code = set_steps.run_on_sets(Run(args.folder), args.name, step, machine, teller(args.name), log)
    if code:
        sys.exit(code)
    scores = read_metrics(run.model_folder(args.name) / "metrics.json").scores
    answer(model=args.name, bleu=scores["bleu"].score, chrf=scores["chrf"].score)


def run_adopt_data(args: argparse.Namespace) -> None:
    """`lskd adopt-data --bin DIR --out DATA`."""
    langs = stock_data.languages(args.bin, args.source_lang, args.target_lang)
    made = stock_data.adopt(args.out, args.bin, langs, args.spm, args.form, log)
    answer(data=str(args.out), pairs=made["pairs"])


def run_step(args: argparse.Namespace) -> None:
    """`lskd run-step RUN MODEL STEP`; exits with the code of what it runs."""
    machine = steps.Machine(args.device, args.workers, tuple(args.flags))
    run = Run(args.folder)
    code = set_steps.run_on_sets(run, args.model, args.step, machine, teller(args.model), log, args.set)
    answer(model=args.model, step=args.step, exit_code=code)
    sys.exit(code)


def log(text: str) -> None:
    """Show a line with the time on stderr, as the scripts do."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
