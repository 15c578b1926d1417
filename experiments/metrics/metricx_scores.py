#!/usr/bin/env python
"""MetricX-24 as a program that scores translations: JSON Lines in, a number from 0 (best) to 25 a line out.

It needs the code of github.com/google-research/metricx on PYTHONPATH, in an environment of its own, and nothing else
of this repository (docs/metrics.md has the commands). On standard input it reads
{"source": …, "translation": …, "references": […]} a line; with --qe no references are read. It prints a line about
itself, and then the score of each line in order. With several references the score is the mean over them.

    python metricx_scores.py --model google/metricx-24-hybrid-large-v2p6 < asked.jsonl
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

MOST = 1536  # subwords of source, translation and reference that the models were trained on


def arguments():
    """The flags of the command line."""
    about, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="google/metricx-24-hybrid-large-v2p6", help="a name, or a folder")
    parser.add_argument("--tokenizer", default="google/mt5-xl", help="that of all sizes, a name or a folder")
    parser.add_argument("--qe", action="store_true", help="score by the source alone, without references")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N")
    return parser.parse_args()


def main():
    """Read everything, load the model once, and print scores batch by batch."""
    args = arguments()
    out = results()
    asked = [json.loads(line) for line in sys.stdin if line.strip()]
    import torch  # noqa: PLC0415  what these import takes seconds, and --help needs none of it
    import transformers  # noqa: PLC0415
    from metricx24 import models  # noqa: PLC0415

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.tokenizer)
    model = models.MT5ForRegression.from_pretrained(args.model).to(device).eval()
    print(json.dumps(itself(args, model)), file=out, flush=True)
    for start in range(0, len(asked), args.batch_size):
        texts = [texts_of(each, args.qe) for each in asked[start : start + args.batch_size]]
        # the models were trained without the symbol that ends a text
        rows = [
            tokenizer(text, max_length=MOST, truncation=True)["input_ids"][:-1] for several in texts for text in several
        ]
        batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(device)
        with torch.no_grad():
            said = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        found = iter(said.predictions.flatten().tolist())
        for several in texts:
            scores = [next(found) for _ in several]
            print(sum(scores) / len(scores), file=out, flush=True)


def results():
    """Standard output; whatever libraries print there goes to standard error instead."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def texts_of(asked, is_qe):
    """What the model reads for one line: a text for each reference, or one without."""
    text = f"source: {asked.get('source', '')} candidate: {asked['translation']}"
    references = () if is_qe else asked.get("references", ())
    return [f"{text} reference: {reference}" for reference in references] or [text]


def itself(args, model):
    """What the program says of itself: the model, and the hash of its weights, or its revision on Hugging Face."""
    said = {"signature": f"{Path(args.model).name}|{'qe' if args.qe else 'ref'}"}
    files = sorted([*Path(args.model).glob("*.safetensors"), *Path(args.model).glob("*.bin")])
    if not files:
        return {**said, "revision": str(getattr(model.config, "_commit_hash", None))}
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as weights:
            while block := weights.read(1 << 24):
                digest.update(block)
    return {**said, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    main()
