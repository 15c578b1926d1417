"""Write the tables of docs/findings.md anew from the results that are kept in benchmarks/results.

    python benchmarks/findings.py
    python benchmarks/findings.py --check

A comment `<!-- table: NAME -->` stands before each of these tables; NAME is one of TABLES below, which says what is in
it. Nothing else on the page is changed. With --check nothing is written, and the program ends with 1 if the page is not
what the results say. --results names another folder of results, --page another page.
"""

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from common import ROOT, markdown_table, show

from lskd_nmt.evaluate.power import quantiles
from lskd_nmt.report.results.records import Cell, ResultsTable
from lskd_nmt.report.results.table_json import table_of
from lskd_nmt.report.tables import texts
from lskd_nmt.report.tables.latex import MINUS
from lskd_nmt.report.tables.texts import NONE
from lskd_nmt.storage.files import read_json, write_text

MARKED = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n\n?(?P<table>(?:\|.*\n)+)")
LEVEL = 0.05  # below it a p-value after Holm's correction makes a difference bold
Lines = tuple[Sequence[str], Iterable[Sequence[str]]]  # the names of the columns, and the rows

CHOICES = {
    "student-plain": "references, without KD",
    "student-ls0.1-t1": "the teacher's probabilities, T = 1",
    "student-ls0.1-sequence-beam": "the best of the beam",
    "student-ls0.1-sequence-interpolate": "the closest to the reference",
    "student-ls0.1-sequence-mbr": "minimum Bayes risk by chrF",
    "student-ls0.1-sequence-mbr-3-drawn1": "its three best, one drawn",
    "student-ls0.1-sequence-multi-drawn1": "all ten, one drawn",
}
LEVELS = {
    "student-plain": "student without KD",
    "student-ls0.1-t1": "student, word level, T = 1",
    "student-ls0.1-t2": "student, word level, T = 2",
    "student-ls0.1-sequence-beam": "student, sequence level, best of beam 10",
    "student-ls0.1-sequence-interpolate": "student, sequence level, closest to the reference of 10",
    "student-ls0.1-both-beam-t1": "student, both levels, best of beam 10",
    "student-ls0.1-both-interpolate-t1": "student, both levels, closest to the reference of 10",
}
TAILS = {
    "": "whole distribution (`dense`)",
    "-bucket8": "top 8 and the rest as one event (`bucket:8`)",
    "-renormalise4": "top 4 alone (`renormalise:4`)",
}

CONFIDENCE = (
    "model",
    "seeds",
    "entropy, nats",
    "confidence − accuracy, %",
    "temperature that calibrates it",
    "top-1 as the α = 0.1 teacher, %",
)
HOTTEST = 20.0  # where the search for a temperature ends
SAME_STEP = ("tf_kd_self", "defective_kd")  # word_kd with another teacher


def cells(*files: Path) -> dict[str, Cell]:
    """The lines of tables of `lskd table`, by name; of two with one name the first."""
    found: dict[str, Cell] = {}
    for file in files:
        table: ResultsTable = table_of(read_json(file), str(file))
        found = {cell.name: cell for cell in table.cells} | found
    return found


def score(cell: Cell, metric: str = "bleu") -> str:
    """Mean ± standard deviation over the seeds."""
    return texts.score(cell.scores[metric])


def signed(value: float, digits: int = 2) -> str:
    """With a sign, and a minus that is as wide as a plus."""
    return MINUS.sub("−", f"{value:+.{digits}f}")


def over(cell: Cell, baseline: str) -> str:
    """The difference to a baseline with its interval, bold if it is significant after Holm's correction."""
    found = cell.over[baseline].difference
    text = MINUS.sub("−", texts.interval(found))
    return f"**{text}**" if found and found.p_holm is not None and found.p_holm < LEVEL else text


def grid(results: Path) -> Lines:
    """BLEU by the teacher's label smoothing, the temperature and the tail, with the number of seeds."""
    found = cells(results / "multi30k_grid/table.json")

    def text(smoothing: str, tail: str, heat: int) -> str:
        cell = found.get(f"student-ls{smoothing}{tail}-t{heat}")
        if cell is None:
            return NONE
        both = f"{score(cell)} ({len(cell.seeds)})"
        return f"**{both}**" if cell.scores["bleu"].mean < 1 else both

    rows = [
        [f"α = {smoothing}", str(heat), *(text(smoothing, tail, heat) for tail in TAILS)]
        for smoothing in ("0", "0.1")
        for heat in (1, 2, 64)
    ]
    return ["the teacher's", "T", *TAILS.values()], rows


def confidence(results: Path) -> Lines:
    """Entropy, overconfidence, temperature and agreement with the teacher on the validation set, means over seeds."""
    folder = results / "multi30k_grid/analysis"
    compared = {seed: read_json(folder / f"confidence-s{seed}.json")["models"] for seed in (1, 2, 3)}
    names = {
        "teacher-ls0": "teacher, α = 0",
        "teacher-ls0.1": "teacher, α = 0.1",
        "student-plain": "student without KD",
    }
    for smoothing in ("0", "0.1"):
        for tail, title in {"": "dense", "-bucket8": "bucket:8", "-renormalise4": "top 4"}.items():
            for heat in (1, 2, 64):
                names[f"student-ls{smoothing}{tail}-t{heat}"] = f"{title}, α = {smoothing}, T = {heat}"
    rows = []
    for name, title in names.items():
        seeds = [seed for seed in compared if (folder / f"calibration-{name}-s{seed}.json").is_file()]
        if not seeds:
            continue
        own = [read_json(folder / f"calibration-{name}-s{seed}.json") for seed in seeds]
        numbers = [each["token"]["numbers"] for each in own]
        heats = [each["temperature"]["value"] for each in own]
        agreed = [read_agreement(compared[seed][f"{name}-s{seed}"]) for seed in seeds]
        known = [each for each in agreed if each is not None]
        rows.append(
            [
                title,
                str(len(seeds)),
                f"{fmean(each['entropy']['value'] for each in numbers):.2f}",
                signed(100 * fmean(each["overconfidence"]["value"] for each in numbers), 1),
                NONE if max(heats) >= HOTTEST else f"{fmean(heats):.2f}",
                f"{100 * fmean(known):.1f}" if known else NONE,
            ]
        )
    return CONFIDENCE, rows


def read_agreement(model: Mapping[str, Any]) -> float | None:
    """The share of tokens whose most probable symbol is the teacher's; None of the teacher itself."""
    agreement = model.get("agreement")
    return None if agreement is None else float(agreement["top_1"]["value"])


def ranked(file: Path) -> list[Cell]:
    """The students of a table, best first."""
    students = (cell for cell in cells(file).values() if cell.setting.role == "student")
    return sorted(students, key=lambda cell: -cell.scores["bleu"].mean)


def screening(results: Path) -> Lines:
    """Every method after a short training, best first, with the cost of a step."""
    steps = read_json(results / "method_steps_cpu.json")["measured"]
    rows = []
    for cell in ranked(results / "multi30k_methods/all/table.json"):
        method = cell.setting.method
        cost = steps["word_kd" if method in SAME_STEP else method or "plain"]["ratio"]
        rows.append([titled(cell), score(cell), over(cell, "plain"), over(cell, "word_kd"), f"{cost:.2f}"])
    return ["method", "BLEU", "over no KD [95 %]", "over `word_kd` [95 %]", "a step (plain = 1)"], rows


def titled(cell: Cell) -> str:
    """The method's name."""
    return "no KD" if cell.setting.method is None else f"`{cell.setting.method}`"


def full(results: Path) -> Lines:
    """The best methods after a whole training, best first."""
    rows = [
        [titled(cell), str(len(cell.seeds)), score(cell), over(cell, "plain"), over(cell, "word_kd")]
        for cell in ranked(results / "multi30k_methods_full/all/table.json")
    ]
    return ["method", "seeds", "BLEU", "over no KD [95 %]", "over `word_kd` [95 %]"], rows


def levels(teacher: str, size: str, *runs: str) -> Callable[[Path], Lines]:
    """Word level, sequence level and both, one seed, with what they cost."""

    def table(results: Path) -> Lines:
        found = cells(*(results / run / "table.json" for run in runs))
        titles = {"teacher-ls0.1": f"teacher, label smoothing 0.1, {teacher}", **LEVELS}
        titles["student-plain"] += f", {size}"
        rows = [
            [
                title,
                score(found[name]),
                score(found[name], "chrf"),
                f"{(found[name].parameters or 0) / 1e6:.1f} M",
                f"{60 * (found[name].cpu_hours or 0):.0f}",
            ]
            for name, title in titles.items()
        ]
        return ["model", "BLEU", "chrF", "parameters", "CPU min"], rows

    return table


def certainty(results: Path) -> Lines:
    """How much students need the beam, and how probable their best translation is."""
    titles = {
        "student-plain-s1": "without KD",
        "student-ls0.1-t1-s1": "word level, T = 1",
        "student-ls0.1-sequence-beam-s1": "sequence level, best of beam 10",
        "student-ls0.1-sequence-interpolate-s1": "sequence level, closest to the reference",
        "student-ls0.1-both-beam-t1-s1": "both levels, best of beam 10",
        "student-ls0.1-both-interpolate-t1-s1": "both levels, closest to the reference",
    }
    models = {model["name"]: model for model in read_json(results / "multi30k_seqkd/peaked.json")["models"]}
    rows = []
    for name, title in titles.items():
        model = models[name]
        greedy, beam = model["greedy"]["score"], model["beam"]["score"]
        numbers = f"{greedy:.2f}", signed(beam - greedy), f"{model['entropy_bits']:.2f}"
        rows.append([title, *numbers, f"{100 * model['probability_of_best']:.1f}"])
    return ["student", "BLEU greedy", "the beam adds", "entropy, bits", "probability of its best, %"], rows


def choices(results: Path) -> Lines:
    """Students of different translations of one teacher."""
    found = cells(results / "multi30k_choose/table.json")
    rows = [
        [
            title,
            score(found[name]),
            score(found[name], "chrf++"),
            over(found[name], "plain"),
            over(found[name], "student-ls0.1-sequence-beam"),
        ]
        for name, title in CHOICES.items()
    ]
    names = "over references alone [95 %]", "over the best of the beam [95 %]"
    return ["the student learns", "BLEU", "chrF++", *names], rows


def power(_: Path) -> Lines:
    """The smallest true gain that is found, and the margin within which none is placed, by scatter and teachers."""
    counts, sentences = (3, 5, 10, 20, 50), 0.2
    rows = []
    for deviation in (0.3, 0.5, 0.8):
        numbers = []
        for count in counts:
            by_seeds = 2 * deviation**2 / count
            variance = by_seeds + sentences**2
            degrees = 2 * (count - 1) * (variance / by_seeds) ** 2
            gain, none = (quantiles(degrees, level) * math.sqrt(variance) for level in (0.8, 0.9))
            numbers.append(f"{gain:.2f} ({none:.2f})")
        rows.append([f"{deviation} BLEU", *numbers])
    first = "a student's standard deviation, its teacher's included"
    return [first, "3 teachers of each kind", *map(str, counts[1:])], rows


TABLES: dict[str, Callable[[Path], Lines]] = {
    "grid": grid,
    "confidence": confidence,
    "screening": screening,
    "full": full,
    "levels": levels(
        "4+4 layers of width 256", "2+2 layers of width 128", "multi30k_seqkd", "multi30k_en_de", "multi30k_grid"
    ),
    "certainty": certainty,
    "levels-en-ru": levels("2+2 layers of width 256", "2+2 layers of width 128", "enru_seqkd", "enru"),
    "choices": choices,
    "power": power,
}


def written(page: str, results: Path) -> str:
    """The page with its tables anew."""

    def anew(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            raise SystemExit(f"<!-- table: {match['name']} --> is none of {', '.join(TABLES)}")
        return f"<!-- table: {match['name']} -->\n\n{markdown_table(*TABLES[match['name']](results))}"

    return MARKED.sub(anew, page)


def main() -> None:
    """Write the page, or say whether it is what the results say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "findings.md", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    page = args.page.read_text(encoding="utf-8")
    new = written(page, args.results)
    if args.check:
        changed = [line for line in page.splitlines() if line not in new.splitlines()]
        for line in changed:
            show(f"not what the results say: {line}")
        sys.exit(page != new)
    write_text(args.page, new)
    show(f"{len(MARKED.findall(new))} tables are written")


if __name__ == "__main__":
    main()
