"""What decoding a training source costs, by engine, on the same CPU cores.

    python benchmarks/decoding.py tune --teacher T.pt --data DATA/bin --out benchmarks/results/decoding_tune_cpu
    python benchmarks/decoding.py race --teacher T.pt --data DATA/bin --out benchmarks/results/decoding_cpu

`tune` times the engines' own work on a part of train, interleaved: several batch sizes, workers and threads, and a
vocabulary map; with `--device cuda` types of numbers and batch sizes on one GPU. Without `--teacher` it makes one of
random weights, and random sentences, for which BLEU says nothing. `race` times whole commands, from their start to
their last byte, on all of train: fairseq-generate, and lskd seqkd decode in float32 and int8 with its comparison of the
engines; then it scores each on the test set.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import markdown_table, origin, parser_of, show, write_results
from conftest import train
from ctranslate2.converters import FairseqConverter
from kd_step import STUDENT, make_data

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.metrics import EvaluationSet
from lskd_nmt.seqkd import corpus, ledger
from lskd_nmt.seqkd.engines import CTranslate2Engine, FairseqEngine, translate_all

# An engine or a quantization of CTranslate2, workers, threads of each, subwords of a batch, whether a map is used.
Arrangement = tuple[str, int, int, int, bool]
CANDIDATES, COMMON = 20, 100  # of a vocabulary map: for each source subword, and for all


class Part(NamedTuple):
    """Sentences of a corpus."""

    sources: list[list[str]]
    references: list[str]


def vocabulary_map(pairs: corpus.Corpus, file: Path) -> None:
    """For each source subword the target subwords that go with it most (Dice), and common ones for all."""
    seen: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    together: dict[str, Counter[str]] = {}
    for source, reference in zip(pairs.sources, pairs.references, strict=True):
        sides = set(source), set(reference.split())
        for counter, side in zip(seen, sides, strict=True):
            counter.update(side)
        for piece in sides[0]:
            together.setdefault(piece, Counter()).update(sides[1])
    lines = ["\t" + " ".join(piece for piece, _ in seen[1].most_common(COMMON))]
    for piece, found in together.items():
        near = sorted(found, key=lambda other: -2 * found[other] / (seen[0][piece] + seen[1][other]))
        lines.append(f"{piece}\t{' '.join(near[:CANDIDATES])}")
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def random_teacher(folder: Path, symbols: int, sentences: int) -> tuple[Path, Path]:
    """Data of random sentences, and a checkpoint of random weights."""
    data = make_data(folder / "data", symbols, 20 * sentences)
    trained = train(data, folder / "teacher", *STUDENT, "--kd-weight", 0, "--max-update", 1)
    return data, trained / "checkpoint_last.pt"


def arrangements_of(cores: int, device: str) -> list[Arrangement]:
    """What `tune` compares."""
    if device == "cuda":
        kinds = "float32", "float16", "int8_float16", "fairseq"
        return [(kind, 1, 1, batch, False) for kind in kinds for batch in (4096, 16384, 65536)]
    found: list[Arrangement] = [
        (kind, workers, cores // workers, batch, False)
        for kind in ("float32", "int8")
        for workers in (1, cores)
        for batch in (512, 1024, 2048, 4096, 8192)
    ]
    found += [(kind, cores, 1, 2048, True) for kind in ("float32", "int8")]
    return found + [("fairseq", 1, cores, batch, False) for batch in (1024, 4096, 12000)]


def tune(args: argparse.Namespace, langs: tuple[str, str]) -> list[dict[str, Any]]:
    """Sentences a second of every arrangement; the median, smallest and largest of the rounds."""
    whole = corpus.read_corpus(args.data, langs, "train")
    rows = range(len(whole))[:: len(whole) // args.sentences][: args.sentences]
    part = Part([whole.sources[row] for row in rows], [whole.references[row] for row in rows])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vocabulary_map(whole, folder / "vmap")
        converter = FairseqConverter(
            args.teacher,
            args.data,
            source_lang=langs[0],
            target_lang=langs[1],
            user_dir=str(fairseq_io.plugin_folder()),
        )
        converter.convert(str(folder / "model"), vmap=str(folder / "vmap"))
        arrangements = arrangements_of(args.cores, args.device)
        found: dict[Arrangement, list[float]] = {arrangement: [] for arrangement in arrangements}
        outputs = {}
        for number in range(args.rounds):
            for arrangement in arrangements:
                show(f"round {number + 1}: {arrangement}")
                speed, outputs[arrangement] = timed(arrangement, part, args, langs, folder)
                found[arrangement].append(speed)
    reference = [joined(line) for line in part.references]
    return [
        {
            "engine": kind,
            "workers": workers,
            "threads": threads,
            "batch_tokens": batch,
            "vocabulary_map": vmap,
            "sentences_per_second": statistics.median(speeds),
            "from": min(speeds),
            "to": max(speeds),
            "bleu_of_part": scoring.corpus_bleu([joined(line) for line in outputs[arrangement]], reference, langs[1]),
        }
        for arrangement, speeds in found.items()
        for kind, workers, threads, batch, vmap in [arrangement]
    ]


def timed(
    arrangement: Arrangement, part: Part, args: argparse.Namespace, langs: tuple[str, str], folder: Path
) -> tuple[float, list[str]]:
    """Sentences a second without the start of processes, and the translations."""
    kind, workers, threads, batch, vmap = arrangement
    settings = DecodeSettings(
        beam=args.beam, batch_tokens=batch, engine="fairseq" if kind == "fairseq" else "ctranslate2"
    )
    if kind == "fairseq":
        torch.set_num_threads(threads)
        engine: Any = FairseqEngine([args.teacher], args.data, langs, args.device)
        start = time.monotonic()
        result = translate_all(engine, part.sources, settings)
        return len(part.sources) / (time.monotonic() - start), [best[0].pieces for best in result]
    whole = [
        CTranslate2Engine(folder / "model", args.device, compute_type=kind, threads=threads, use_vmap=vmap)
        for _ in range(workers)
    ]
    slices = [part.sources[worker::workers] for worker in range(workers)]
    start = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:  # CTranslate2 works outside of Python's lock
        results = list(pool.map(partial(translate_all, settings=settings), whole, slices))
    seconds = time.monotonic() - start
    lines = [""] * len(part.sources)
    for worker, translated in enumerate(results):
        lines[worker::workers] = [best[0].pieces for best in translated]
    return len(lines) / seconds, lines


def race(args: argparse.Namespace, langs: tuple[str, str]) -> list[dict[str, Any]]:
    """Wall and CPU seconds of each command on train, and BLEU of each engine on test."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("fairseq-generate", "float32", "int8"):
            show(f"{kind}: train")
            seconds = run(command(kind, "train", args, langs, Path(folder) / kind))
            show(f"{kind}: test")
            run(command(kind, "test", args, langs, Path(folder) / f"{kind}-test"))
            results.append({"engine": kind, **seconds, **scored(kind, Path(folder) / f"{kind}-test", args, langs)})
    return results


def command(kind: str, split: str, args: argparse.Namespace, langs: tuple[str, str], out: Path) -> list[str]:
    """The command that decodes a split to `out`."""
    bound = f"--beam {args.beam} --max-len-a 1.5 --max-len-b 20".split()
    binaries = Path(sys.executable).parent
    if kind == "fairseq-generate":
        program = [str(binaries / kind), args.data, "--user-dir", str(fairseq_io.plugin_folder())]
        what = ["--path", args.teacher, "--gen-subset", split, "-s", langs[0], "-t", langs[1], *bound]
        batches = f"--cpu --max-tokens {args.fairseq_tokens} --required-batch-size-multiple 1 --log-format none"
        return ["sh", "-c", f'"$@" > {out}', "sh", *program, *what, *batches.split()]
    what = ["--teacher-path", args.teacher, "--data", args.data, "--split", split, "--out", str(out), *bound]
    how = f"--quantization {kind} --workers {args.cores} --device cpu"
    return [str(binaries / "lskd"), "seqkd", "decode", *what, *how.split()]


def run(words: Sequence[str]) -> dict[str, float]:
    """Wall and CPU seconds of a command with its children."""
    before, start = os.times(), time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_seconds": round(time.monotonic() - start, 1), "cpu_seconds": round(cpu, 1)}


def scored(kind: str, out: Path, args: argparse.Namespace, langs: tuple[str, str]) -> dict[str, Any]:
    """BLEU on the test set, and how many sentences there are."""
    references = fairseq_io.piece_lines(args.data, langs, "test")[1]
    if kind == "fairseq-generate":
        lines = scoring.hypotheses(out.read_text(encoding="utf-8").splitlines(), len(references))
    else:
        lines = [row.hypotheses[0].pieces for row in ledger.read_rows(out / ledger.ROWS)]
    ours, theirs = ([joined(line) for line in side] for side in (lines, references))
    data = EvaluationSet(theirs, langs[1], tokenizer=scoring.bleu_tokenizer(langs[1]))
    bleu = scoring.score("bleu", ours, data)
    return {"test_sentences": len(lines), "test_bleu": {"score": bleu.score, "signature": bleu.signature}}


def race_table(results: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown, with the share of fairseq's time."""
    first = results[0]
    rows = [
        (
            r["engine"],
            f"{r['wall_seconds']:.0f}",
            f"{r['wall_seconds'] / first['wall_seconds']:.2f}",
            f"{r['cpu_seconds']:.0f}",
            f"{r['cpu_seconds'] / first['cpu_seconds']:.2f}",
            f"{r['test_bleu']['score']:.2f}",
        )
        for r in results
    ]
    names = ("engine", "wall s", "of fairseq's", "CPU s", "of fairseq's", "BLEU on test")
    return f"{markdown_table(names, rows)}\nBLEU: {first['test_bleu']['signature']}\n"


def tune_table(results: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown, fastest first."""
    names = "engine", "workers", "threads each", "batch, subwords", "vocabulary map", "sentences/s (from–to)", "BLEU"
    rows = [
        (
            r["engine"],
            r["workers"],
            r["threads"],
            r["batch_tokens"],
            "yes" if r["vocabulary_map"] else "no",
            f"{r['sentences_per_second']:.0f} ({r['from']:.0f}–{r['to']:.0f})",
            f"{r['bleu_of_part']:.2f}",
        )
        for r in sorted(results, key=lambda r: -r["sentences_per_second"])
    ]
    return f"{markdown_table(names, rows)}\nBLEU is of the part that was translated, against the training references\n"


def main() -> None:
    """Measure and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("what", choices=("tune", "race"))
    parser.add_argument("--teacher", help="a checkpoint; `race` needs it")
    parser.add_argument("--data", help="the binarised folder that it was trained on")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of `tune`")
    parser.add_argument("--symbols", type=int, default=10000, help="of a teacher of random weights")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fairseq-tokens", type=int, default=4096, help="fairseq-generate's --max-tokens")
    args = parser.parse_args()
    if not (args.teacher and args.data) and (args.what == "race" or args.teacher or args.data):
        parser.error("give --teacher and --data, or neither of them to tune")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-args.cores :])
    os.environ["OMP_NUM_THREADS"] = str(args.cores)  # the commands set their own for worker processes
    with fairseq_io.quiet(), tempfile.TemporaryDirectory() as scratch:
        fairseq_io.load_plugin()
        if not args.teacher:
            args.data, args.teacher = map(str, random_teacher(Path(scratch), args.symbols, args.sentences))
        langs = fairseq_io.language_pair(args.data)
        results = (tune if args.what == "tune" else race)(args, langs)
    table = tune_table(results) if args.what == "tune" else race_table(results)
    write_results(args.out, {**origin(), "cores": args.cores, "results": results}, table)
    print(table)


if __name__ == "__main__":
    main()
