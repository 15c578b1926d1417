"""Verbs of features and of confidence: `features`, `calibrate`, `confidence`."""

import argparse
import json
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import add_languages, numbers_of, publish, show, symbols_of, verb_of, whole
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import require
from lskd_nmt.storage.typed import to_json


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    register_features(verbs)
    register_calibrate(verbs)
    register_confidence(verbs)


def register_features(verbs: Verbs) -> None:
    """`features`."""
    about = "write what a model makes of every target token of a split, given the reference before it"
    verb = verb_of(verbs, "features", about, run_features)
    verb.add_argument("--checkpoint", required=True, metavar="M.pt", help="of a teacher or a student")
    verb.add_argument("--teacher-data", metavar="DIR", help="where the checkpoint's dict.*.txt are, if it does not say")
    verb.add_argument("--data", required=True, metavar="DIR", help="binarised data")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    verb.add_argument("--split", default="valid", help="(default: %(default)s)")
    verb.add_argument("--tokens", type=whole(1), help="draw whole sentences until there are so many (default: all)")
    verb.add_argument("--seed", type=whole(0), default=1, help="of the draw (default: %(default)s)")
    verb.add_argument(
        "--own-output",
        type=whole(0),
        default=0,
        metavar="BEAM",
        help="of the model's own translations, found by beam search, not of the references",
    )
    add_languages(verb)
    verb.add_argument(
        "--precision", choices=("fp16", "fp32"), default="fp16", help="of the states (default: %(default)s)"
    )
    verb.add_argument(
        "--max-tokens", type=whole(1), default=4096, help="in a batch of the model (default: %(default)s)"
    )
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def register_calibrate(verbs: Verbs) -> None:
    """`calibrate`."""
    about = "is a model right as often as it says? ECE, MCE, NLL, Brier and the temperature that calibrates it"
    verb = verb_of(verbs, "calibrate", about, run_calibrate)
    verb.add_argument("features", type=Path, metavar="FEATURES", help="a folder of lskd features")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    verb.add_argument("--bins", default="15,20", help="of equal width, and of equal mass (default: %(default)s)")
    verb.add_argument(
        "--temperature-tokens",
        type=int,
        default=20_000,
        metavar="N",
        help="half to fit the temperature, half to see what it does (default: %(default)s)",
    )
    verb.add_argument("--seed", type=whole(0), default=1, help="of their draw (default: %(default)s)")


def register_confidence(verbs: Verbs) -> None:
    """`confidence`."""
    about = "how sure several models are of the same tokens, against one of them, by frequency and position"
    verb = verb_of(verbs, "confidence", about, run_confidence)
    verb.add_argument("--models", nargs="+", required=True, metavar="NAME=FEATURES", help="folders of lskd features")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    verb.add_argument("--baseline", metavar="NAME", help="what the others are compared with (default: the first)")
    verb.add_argument("--teacher", metavar="NAME", help="one of them, whom the others may follow")
    verb.add_argument(
        "--divergence-tokens",
        type=whole(1),
        default=20_000,
        metavar="N",
        help="of whole distributions compared with the teacher's (default: %(default)s)",
    )
    verb.add_argument("--seed", type=whole(0), default=1, help="of their draw (default: %(default)s)")


def run_features(args: argparse.Namespace) -> None:
    """`lskd features --checkpoint M.pt --data bin --split valid --out DIR`."""
    from lskd_nmt.analysis.features.sample import FeatureSettings
    from lskd_nmt.analysis.features.write import write_model_features

    settings = FeatureSettings(args.split, args.tokens, args.seed, args.precision, args.own_output, args.max_tokens)
    fairseq_io.require_data(args.data, several=False)
    require(Path(args.checkpoint).is_file(), f"--checkpoint {args.checkpoint} does not exist: give a .pt file")
    symbols, device = symbols_of(args, args.checkpoint), fairseq_io.device(args.device)
    with fairseq_io.quiet():
        header = write_model_features(
            args.out, args.checkpoint, args.data, symbols, settings, device, show, args.teacher_data
        )
    print(
        json.dumps(
            {"features": str(args.out), **{name: getattr(header, name) for name in ("sentences", "tokens", "width")}}
        )
    )


def require_file(out: Path) -> None:
    """Refuse a folder where a file will be written."""
    require(not out.is_dir(), f"--out {out} is a folder: give a file, such as {out / 'analysis.json'}")


def run_calibrate(args: argparse.Namespace) -> None:
    """`lskd calibrate FEATURES --out calibration.json`."""
    from lskd_nmt.analysis.confidence.calibrate import CalibrationSettings, calibrate
    from lskd_nmt.analysis.features.folder import open_features

    settings = CalibrationSettings(numbers_of(args.bins, "--bins", int), args.temperature_tokens, args.seed)
    require_file(args.out)
    found = calibrate(open_features(args.features), settings, show)
    publish(args, args.out, to_json(found))
    numbers = {name: round(each.value, 4) for name, each in found.token.numbers.items()}
    fitted = {} if found.temperature is None else {"temperature": found.temperature.value}
    print(json.dumps({"calibration": str(args.out), **fitted, **numbers}))


def run_confidence(args: argparse.Namespace) -> None:
    """`lskd confidence --models plain=F t1=F teacher=F --teacher teacher --out confidence.json`."""
    from lskd_nmt.analysis.confidence.confidence import ConfidenceSettings, confidence
    from lskd_nmt.analysis.features.folder import open_features
    from lskd_nmt.deploy.candidates import parse_models

    folders = parse_models(args.models)
    settings = ConfidenceSettings(args.baseline or next(iter(folders)), args.teacher, args.divergence_tokens, args.seed)
    require_file(args.out)
    found = confidence({name: open_features(folder) for name, folder in folders.items()}, settings, show)
    publish(args, args.out, to_json(found))
    entropies = {name: round(model.all[0].entropy.value, 4) for name, model in found.models.items()}
    print(json.dumps({"confidence": str(args.out), "baseline": settings.baseline, "entropy": entropies}))
