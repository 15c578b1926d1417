"""Verbs of deployment: `average`, `export`, `benchmark`; `translate` has a file of its own."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import (
    add_languages,
    add_subwords,
    add_tokenize,
    direction_of,
    origin,
    show,
    verb_of,
    whole,
    words_of,
)
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.storage import folders, provenance
from lskd_nmt.storage.files import write_json, write_text
from lskd_nmt.storage.typed import read_record, to_json

if TYPE_CHECKING:
    from lskd_nmt.deploy.vocabulary_map import MapSettings
    from lskd_nmt.evaluate.benchmark import Comparison


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    register_average(verbs)
    register_export(verbs)
    register_benchmark(verbs)


def register_average(verbs: Verbs) -> None:
    """`average`."""
    average = verb_of(verbs, "average", "one checkpoint whose weights are the mean of several", run_average)
    source = average.add_mutually_exclusive_group(required=True)
    source.add_argument("--inputs", type=Path, nargs="+", metavar="A.pt")
    source.add_argument("--folder", type=Path, metavar="DIR", help="a training's --save-dir; with --last or --best")
    count = average.add_mutually_exclusive_group()
    count.add_argument("--last", type=int, metavar="N", help="checkpointN.pt of the last N epochs")
    count.add_argument("--best", type=int, metavar="N", help="the N best checkpoint.best_METRIC_X.pt")
    average.add_argument("--out", type=Path, required=True, metavar="M.pt")


def register_export(verbs: Verbs) -> None:
    """`export`."""
    about = "write a student that needs neither plugin nor teacher, proved on the validation set"
    export = verb_of(verbs, "export", about, run_export)
    export.add_argument("--checkpoint", type=Path, required=True, metavar="S.pt")
    export.add_argument("--data", type=Path, required=True, metavar="DIR", help="binarised data, with its spm.model")
    add_languages(export)
    add_subwords(export)
    export.add_argument("--out", type=Path, required=True, metavar="PATH", help="a .pt file, or a new folder")
    export.add_argument("--to", choices=("fairseq", "ctranslate2", "transformers"), required=True)
    export.add_argument("--quantization", default="float32", help="of ctranslate2, such as int8 (default: %(default)s)")
    export.add_argument("--split", default="valid", help="that it is proved on (default: %(default)s)")
    register_map(export)


def register_map(export: argparse.ArgumentParser) -> None:
    """The flags of a vocabulary map."""
    about = "of ctranslate2: learn which target symbols a source symbol allows, so that translating is faster"
    export.add_argument("--vocabulary-map", action="store_true", help=about)
    about = "what it is learned from: a folder of lskd seqkd select, or binarised text (default: train of --data)"
    export.add_argument("--map-from", type=Path, metavar="DIR", help=about)
    about = "alignments of its subwords, as eflomal and fast_align write them (default: what stands in the same pairs)"
    export.add_argument("--map-alignments", type=Path, metavar="FILE", help=about)
    about = "target symbols that each source symbol allows, at most (default: 50)"
    export.add_argument("--map-candidates", type=int, metavar="N", help=about)
    about = "the most frequent target symbols, always allowed, as are single characters (default: 100)"
    export.add_argument("--map-common", type=int, metavar="N", help=about)


def map_settings(args: argparse.Namespace) -> "MapSettings | None":
    """How a vocabulary map is to be learned, if one is."""
    from lskd_nmt.deploy.vocabulary_map import MapSettings

    names = ("map_from", "map_alignments", "map_candidates", "map_common")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if not args.vocabulary_map:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        require(not given, f"{flags} is about a vocabulary map: give --vocabulary-map, too")
        return None
    require(args.to == "ctranslate2", f"--vocabulary-map is of --to ctranslate2, and --to is {args.to}: leave it out")
    fields = {name.removeprefix("map_").replace("from", "source"): value for name, value in given.items()}
    return MapSettings(**fields)


def register_benchmark(verbs: Verbs) -> None:
    """`benchmark`."""
    about = "one table and one picture of several models: size, BLEU, chrF, speed and latency on this machine's cores"
    verb = verb_of(verbs, "benchmark", about, run_benchmark)
    verb.add_argument("--data", type=Path, required=True, metavar="DIR", help="binarised data")
    verb.add_argument(
        "--models",
        nargs="+",
        required=True,
        metavar="NAME=PATH",
        help="a fairseq checkpoint, a folder of lskd export --to ctranslate2, or another translator's translations of "
        "the split, NAME=FILE.hyp, which have scores alone; the others' ratios are to the first",
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_languages(verb)
    verb.add_argument("--split", default="test", help="(default: %(default)s)")
    verb.add_argument("--beam", type=int, default=5, help="(default: %(default)s)")
    verb.add_argument("--repeats", type=whole(1), default=3, help="of each measurement of speed (default: %(default)s)")
    verb.add_argument(
        "--sentences", type=whole(0), default=0, metavar="N", help="measure the speed of the first N only"
    )
    verb.add_argument(
        "--threads", type=whole(0), default=0, metavar="N", help="all threads (default: cores it may use)"
    )
    add_tokenize(verb)
    verb.add_argument("--metrics", metavar="NAMES", help="of sacreBLEU beside BLEU and chrF, such as ter,chrf++")
    about = (
        "name the smallest model within so much of the first model's score: a share such as 0.02, the same as 2%%, or "
        "points such as 0.5points (default: %(default)s)"
    )
    verb.add_argument("--within", default="0.02", metavar="X", help=about)
    about = "translate without the vocabulary map of these models' folders, or of all"
    verb.add_argument("--no-vocabulary-map", nargs="*", metavar="NAME", help=about)
    verb.add_argument(
        "--batch-tokens", type=whole(1), default=2048, help="padded source subwords of a batch (default: %(default)s)"
    )


def run_average(args: argparse.Namespace) -> None:
    """`lskd average --inputs A.pt B.pt --out M.pt`, or `--folder DIR --last N`, or `--folder DIR --best N`."""
    from lskd_nmt.deploy import average as deploy_average

    how, count = ("best", args.best) if args.last is None else ("last", args.last)
    require((args.folder is None) == (count is None), "--last N or --best N goes with --folder DIR, and only with it")
    files = args.inputs
    if args.folder is not None:
        require(count > 0, f"--{how} is {count}: give a whole number from 1")
        require(args.folder.is_dir(), f"--folder {args.folder} does not exist: give the --save-dir of fairseq-train")
        files = (deploy_average.last_epochs if how == "last" else deploy_average.best)(args.folder, count)
        if len(files) < count:
            print(f"{args.folder} holds {len(files)} of the {how} {count}: averaging what is there", file=sys.stderr)
    print(json.dumps({"out": str(args.out), "files": [str(file) for file in deploy_average.average(files, args.out)]}))


def run_export(args: argparse.Namespace) -> None:
    """`lskd export --checkpoint S.pt --data bin --to ctranslate2 --quantization int8 --out DIR`."""
    from lskd_nmt.data.text_form import Stated
    from lskd_nmt.deploy import export
    from lskd_nmt.deploy.sealed import export_json

    wished = map_settings(args)
    fairseq_io.require_data(str(args.data), several=False)
    with fairseq_io.quiet():
        langs = direction_of(args, str(args.data), str(args.checkpoint))
        place = (args.checkpoint, args.data, langs, args.out, show)
        if args.to == "transformers":
            from lskd_nmt.deploy.export_transformers import export_transformers

            given = [name for name in ("spm", "bpe_codes", "form") if getattr(args, name) is not None]
            require(not given, "--spm, --bpe-codes and --form are of --to ctranslate2: leave them out")
            facts = to_json(export_transformers(*place, split=args.split))
        elif args.to == "fairseq":
            facts = to_json(export.export_fairseq(*place, split=args.split))
        else:
            how = (args.quantization, args.split, Stated(args.spm, args.bpe_codes, args.form), wished)
            facts = export_json(export.export_ctranslate2(*place, *how))
    print(json.dumps({"out": str(args.out), **facts}))


def run_benchmark(args: argparse.Namespace) -> None:
    """`lskd benchmark --data bin --models teacher=T.pt student=S.pt int8=FOLDER --out DIR`."""
    from lskd_nmt.deploy.benchmark import compare, require_writable
    from lskd_nmt.deploy.benchmark_settings import CompareSettings, cores
    from lskd_nmt.deploy.candidates import own_direction, parse_models
    from lskd_nmt.evaluate.benchmark import comparison_json

    models = parse_models(args.models)
    without = args.no_vocabulary_map
    settings = CompareSettings(
        args.split,
        args.beam,
        args.repeats,
        args.sentences,
        args.threads or cores(),
        args.batch_tokens,
        args.tokenize,
        tuple(words_of(args.metrics, "--metrics") or ()),
        args.within,
        tuple(models) if without == [] else tuple(without or ()),
    )
    fairseq_io.require_data(str(args.data), several=False)
    require_writable(args.out)
    with folders.hold(args.out, "lskd benchmark"), fairseq_io.quiet():
        first, path = next(iter(models.items()))
        wished = (args.source_lang, args.target_lang)
        langs = fairseq_io.direction(str(args.data), wished, f"model '{first}'", own_direction(path), show)
        content = compare(models, args.data, settings, show, langs=langs)
        write_json(args.out / "compare.json", {**origin(args), "host": provenance.host(), **comparison_json(content)})
        report_comparison(args.out)
    print(
        json.dumps(
            {
                "compare": str(args.out / "compare.json"),
                "models": list(models),
                "bleu": [model.bleu for model in content.models],
                "smallest_within": smallest_within(content),
            }
        )
    )


def smallest_within(content: "Comparison") -> dict[str, str | None]:
    """The smallest model that is almost as good as the first, by metric; said, too, with what that means."""
    from lskd_nmt.evaluate.pareto import margin_of, smallest

    found = smallest(content, margin_of(content.settings.within or "0.02"))
    for each in found:
        show(each.text)
    return {each.metric: each.model.name if each.model else None for each in found}


def report_comparison(folder: Path) -> None:
    """The tables and the figure of the folder's compare.json, beside it."""
    from lskd_nmt.evaluate.benchmark import Benchmark
    from lskd_nmt.report.figures import bleu_by_speed, fronts, style
    from lskd_nmt.report.tables import benchmark

    content = read_record(folder / "compare.json", Benchmark)
    for kind, text in (("md", benchmark.markdown), ("tex", benchmark.latex), ("csv", benchmark.csv)):
        write_text(folder / f"compare.{kind}", text(content))
    style.save(bleu_by_speed.comparison(content), folder / "compare")
    style.save(fronts.fronts(content), folder / "fronts")
