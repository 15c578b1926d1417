#!/usr/bin/env python
"""COMET, CometKiwi and xCOMET as a program that scores translations: JSON Lines in, a number a line out.

It needs unbabel-comet 2.2 in an environment of its own, and nothing else of this repository (docs/metrics.md has the
commands). On standard input it reads {"source": …, "translation": …, "references": […]} a line; models without
references need none. It prints a line about itself, and then the score of each line in order. With several references
the score is the mean over them, as these models read one.

    python comet_scores.py --model Unbabel/wmt22-comet-da < asked.jsonl
"""

import argparse
import hashlib
import json
import os
import sys
from importlib import metadata
from pathlib import Path


def arguments():
    """The flags of the command line."""
    about, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="Unbabel/wmt22-comet-da", help="a name on Hugging Face, or a .ckpt file")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N")
    parser.add_argument("--gpus", type=int, choices=(0, 1), help="(default: 1 where there is one)")
    parser.add_argument("--chunk", type=int, default=512, metavar="N", help="sentences between two reports of progress")
    return parser.parse_args()


def main():
    """Read everything, load the model once, and print scores chunk by chunk."""
    args = arguments()
    out = results()
    asked = [json.loads(line) for line in sys.stdin if line.strip()]
    import comet  # noqa: PLC0415  what it imports takes seconds, and --help needs none of it

    gpus = args.gpus
    if gpus is None:
        import torch  # noqa: PLC0415

        gpus = int(torch.cuda.is_available())
    path = args.model if Path(args.model).is_file() else comet.download_model(args.model)
    model = comet.load_from_checkpoint(path)
    print(json.dumps(itself(args.model, path)), file=out, flush=True)
    for start in range(0, len(asked), args.chunk):
        samples = [samples_of(each) for each in asked[start : start + args.chunk]]
        flat = [sample for several in samples for sample in several]
        found = iter(model.predict(flat, batch_size=args.batch_size, gpus=gpus, progress_bar=False).scores)
        for several in samples:
            scores = [float(next(found)) for _ in several]
            print(sum(scores) / len(scores), file=out, flush=True)


def results():
    """Standard output; whatever libraries print there goes to standard error instead."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def samples_of(asked):
    """What COMET is given for one line: a sample for each reference, or one without."""
    sample = {"src": asked.get("source", ""), "mt": asked["translation"]}
    return [{**sample, "ref": reference} for reference in asked.get("references", ())] or [sample]


def itself(name, path):
    """What the program says of itself: the model, its hash, and the version of COMET."""
    try:
        version = metadata.version("unbabel-comet")
    except metadata.PackageNotFoundError:
        version = "unknown"
    digest = hashlib.sha256()
    with open(path, "rb") as checkpoint:
        while block := checkpoint.read(1 << 24):
            digest.update(block)
    return {"signature": f"{Path(name).name}|unbabel-comet:{version}", "sha256": digest.hexdigest()}


if __name__ == "__main__":
    main()
