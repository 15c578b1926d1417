"""Verbs that say why: `features`."""

import argparse
import json
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.cli.common import show, symbols_of
from lskd_nmt.errors import require


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this file's verbs."""
    about = "write what a model makes of every target token of a split, given the reference before it"
    verb = verbs.add_parser("features", help=about, description=about)
    verb.set_defaults(run=run_features)
    verb.add_argument("--checkpoint", required=True, metavar="M.pt", help="of a teacher or a student")
    verb.add_argument("--model-data", metavar="DIR", help="where the model's dict.*.txt are, if it does not say")
    verb.add_argument("--data", required=True, metavar="DIR", help="binarised data")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    verb.add_argument("--split", default="valid", help="(default: %(default)s)")
    verb.add_argument("--tokens", type=int, help="draw whole sentences until there are so many (default: all)")
    verb.add_argument("--seed", type=int, default=1, help="of the draw (default: %(default)s)")
    verb.add_argument("--source-lang", "-s")
    verb.add_argument("--target-lang", "-t")
    verb.add_argument("--precision", choices=("fp16", "fp32"), default="fp16",
                      help="of the states (default: %(default)s)")  # fmt: skip
    verb.add_argument("--max-tokens", type=int, default=4096, help="in a batch of the model (default: %(default)s)")
    verb.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run_features(args: argparse.Namespace) -> None:
    """`lskd features --checkpoint M.pt --data bin --split valid --out DIR`."""
    from lskd_nmt.analysis.features import write_model_features
    from lskd_nmt.analysis.sample import FeatureSettings

    settings = FeatureSettings(args.split, args.tokens, args.seed, args.precision, args.max_tokens)
    require(":" not in args.data, f"--data is {args.data}: give one folder")
    require(Path(args.checkpoint).is_file(), f"--checkpoint {args.checkpoint} does not exist: give a .pt file")
    symbols, device = symbols_of(args), fairseq_io.device(args.device)
    with fairseq_io.quiet():
        header = write_model_features(args.out, args.checkpoint, args.data, symbols, settings, device, show,
                                      args.model_data)  # fmt: skip
    print(json.dumps({"features": str(args.out), **{name: header[name] for name in ("sentences", "tokens", "width")}}))
