"""What choosing by minimum Bayes risk takes, by utility, beside sacreBLEU's chrF of each pair of candidates.

    python benchmarks/mbr.py --sentences 20000 --samples 20 --workers 2 --out benchmarks/results/mbr_cpu

Makes candidates of generated German: two sentences joined, about twenty words, of which some are dropped, moved, or
those of another sentence. It computes the utilities of all by aggregated chrF and by chrF of each pair, and of a part
of them by sacreBLEU's BLEU and, as the definition has it, by sacreBLEU's CHRF().sentence_score. The seconds are those
of the processors (of all processes), which other work on the machine changes little, and those of the clock on the
wall. All choices by chrF must be those of the definition.
"""

import os
import time
from collections.abc import Callable
from random import Random
from typing import Any

from common import markdown_table, origin, parser_of, show, write_results
from sacrebleu.metrics.chrf import CHRF

from lskd_nmt.data import toy
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd.mbr import TIE, Utility, best, with_utilities

WAYS = {
    "chrf, aggregated": Utility(aggregate=True),
    "chrf": Utility(),
    "bleu": Utility("bleu"),
}
NOISE = 0.15  # the share of words that are changed
SLOW = {"bleu": 20, "sacreBLEU": 100}  # these take that many times fewer sentences
Candidates = list[list[str]]


def made(sentences: int, samples: int) -> Candidates:
    """Candidates of each sentence."""
    draw = Random(1)
    texts = [target.split() for _, target in toy.generate("en", "de", min(2 * sentences, 40_000), 1)]
    words = [word for text in texts for word in text]
    found = []
    for _ in range(sentences):
        text = [*draw.choice(texts), *draw.choice(texts)]
        found.append([" ".join(noisy(text, words, draw)) for _ in range(samples)])
    return found


def noisy(text: list[str], words: list[str], draw: Random) -> list[str]:
    """A sentence in which each word may be dropped, moved back by one, or another one."""
    found: list[str] = []
    for word in text:
        kind = draw.choice(("dropped", "moved", "other")) if draw.random() < NOISE else "same"
        if kind == "moved":
            found.insert(max(len(found) - 1, 0), word)
        elif kind != "dropped":
            found.append(word if kind == "same" else draw.choice(words))
    return found


def definition(candidates: Candidates) -> list[list[float]]:
    """The mean of sacreBLEU's chrF of each candidate with each as the reference."""
    metric = CHRF()
    return [
        [sum(metric.sentence_score(text, [other]).score for other in texts) / len(texts) for text in texts]
        for texts in candidates
    ]


def by_ours(how: Utility, workers: int) -> Callable[[Candidates], list[list[float]]]:
    """What computes utilities as `lskd seqkd select` does."""

    def utilities(candidates: Candidates) -> list[list[float]]:
        progress, found = Progress(len(candidates), "sentences", show), []
        for _, values in with_utilities(((None, texts) for texts in candidates), how, workers):
            found.append(values)
            progress.add(1)
        return found

    return utilities


def processor_seconds() -> float:
    """Of this process and all that it started and that have ended."""
    return sum(os.times()[:4])


def measure(
    name: str, compute: Callable[[Candidates], list[list[float]]], candidates: Candidates
) -> tuple[dict[str, Any], list[list[float]]]:
    """The costs of one way, and its utilities."""
    wall, processor = time.monotonic(), processor_seconds()
    values = compute(candidates)
    wall = time.monotonic() - wall
    time.sleep(3)  # until the processes have ended, whose seconds count then
    seconds = processor_seconds() - processor
    row = {
        "utility": name,
        "sentences": len(candidates),
        "cpu_seconds": round(seconds, 1),
        "wall_seconds": round(wall, 1),
        "cpu_ms_a_sentence": round(1000 * seconds / len(candidates), 3),
    }
    show(row)
    return row, values


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown; the minutes are those of 100,000 sentences on two cores that do nothing else."""
    names = (
        "utility",
        "sentences",
        "CPU s",
        "wall s",
        "CPU ms a sentence",
        "of sacreBLEU's",
        "100,000 on two cores, min",
    )
    lines = []
    for row in rows:
        ratio = row["cpu_ms_a_sentence"] / rows[-1]["cpu_ms_a_sentence"]
        minutes = row["cpu_ms_a_sentence"] * 100_000 / 1000 / 60 / 2
        cells = row["utility"], f"{row['sentences']:,}", row["cpu_seconds"], row["wall_seconds"]
        lines.append((*cells, row["cpu_ms_a_sentence"], f"{ratio:.4f}", f"{minutes:.1f}"))
    return markdown_table(names, lines)


def main() -> None:
    """Write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    candidates = made(args.sentences, args.samples)
    letters = sum(len(text) for texts in candidates for text in texts) / (args.sentences * args.samples)
    load, rows, chrf = os.getloadavg()[0], [], []
    for name, how in WAYS.items():
        part = candidates[: max(1, args.sentences // SLOW.get(name, 1))]
        row, values = measure(name, by_ours(how, args.workers), part)
        rows.append(row)
        chrf = values if name == "chrf" else chrf
    part = candidates[: max(1, args.sentences // SLOW["sacreBLEU"])]
    row, expected = measure("sacreBLEU's chrF, pair by pair", definition, part)
    rows.append(row)
    for texts, ours, theirs in zip(part, chrf, expected, strict=False):
        assert best(ours, texts, 3, TIE) == best(theirs, texts, 3, TIE), texts
    facts = {"samples": args.samples, "letters": round(letters, 1), "workers": args.workers, "load_before": load}
    about = f"{args.samples} candidates a sentence, of {letters:.0f} letters on average, {args.workers} processes; "
    about += f"load of the machine before: {load:.1f} on {os.cpu_count()} cores. The three best by chrF are those of "
    about += f"sacreBLEU in all {len(part):,} sentences that it scored. Minutes: of 100,000 sentences on two cores, by "
    about += "the CPU time.\n\n"
    write_results(args.out, {**origin(), **facts, "measured": rows}, about + table(rows))
    print(about + table(rows))


if __name__ == "__main__":
    main()
