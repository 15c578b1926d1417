"""What whole commands `lskd table` and `lskd report` take on runs of many models, before a change and after it.

    git worktree add BEFORE fca2f3f
    python benchmarks/table_speed.py --out benchmarks/results/table_cpu --before BEFORE

Runs are made up: translations are the references with words lost and changed, more by one model than by another, and
are scored by the toolkit's own functions; chrF and tokenised BLEU, which no contrast of these tables asks for, are of
the first sentences alone. Commands run in turn, with one thread each, on copies of the run, and each measures anew.
On a machine that is busy, where CPU seconds alone say something, `--at-once` runs them side by side:

    before   the code of BEFORE, if it is given
    first    this code, on models that an older version scored: nothing is kept beside the scores
    kept     this code, where the sentences' statistics are kept, as the score step of this code does

What they measured (`table.json`, `significance.json`) has to be the same bytes.
"""

import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from common import ROOT, Cost, cost_of, markdown_table, origin, parser_of, show, write_results

from lskd_nmt.evaluate.kept_statistics import Reading
from lskd_nmt.evaluate.metrics import METRICS, EvaluationSet
from lskd_nmt.evaluate.records import Metrics, ScoringFacts, write_metrics
from lskd_nmt.evaluate.scoring import score
from lskd_nmt.storage.files import read_lines, sha256, write_json, write_text

VOCABULARY, LENGTHS, PART, EPOCHS, SEEDS = 8000, range(5, 26), 300, 12, 5
KD = {"kd_weight": 0.5, "kd_level": "word", "top_k": 0}
HEATS = (1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 64.0)
TAILS = ("dense", "renorm", "bucket")


@dataclass(frozen=True)
class Case:
    """A command on a run of so many models and test sentences."""

    verb: str
    models: int
    sentences: int
    seeds: int

    @property
    def name(self) -> str:
        """What it is called in the results, and its folder."""
        return f"{self.verb}-{self.models}x{self.sentences}"


def references(sentences: int) -> list[str]:
    """Made-up text whose words are as frequent as those of a language."""
    draw = random.Random(0)
    words = [f"{draw.choice('bdfgklmnprst')}{draw.choice('aeiou')}{number:x}" for number in range(VOCABULARY)]
    shares = [1 / rank for rank in range(1, VOCABULARY + 1)]
    return [" ".join(draw.choices(words, shares, k=draw.choice(LENGTHS))) + "." for _ in range(sentences)]


def translation(line: str, lost: float, draw: random.Random) -> str:
    """A reference with a share of its words lost and another one changed."""
    words = [word if draw.random() > lost else f"x{draw.randrange(999)}" for word in line.split()]
    return " ".join(word for word in words if draw.random() > lost / 3) or "x"


def planned(models: int, seeds: int) -> list[dict[str, object]]:
    """Models of a grid as plan.json has them: for each seed two teachers, a student without KD, and distilled ones."""
    found: list[dict[str, object]] = []
    for seed in range(1, seeds + 1):
        kinds: list[dict[str, object]] = [
            *({"role": "teacher", "label_smoothing": alpha} for alpha in (0.0, 0.1)),
            {"role": "student"},
        ]
        for tail in TAILS:
            for alpha in (0.0, 0.1):
                for heat in HEATS:
                    about = {"label_smoothing": alpha, "temperature": heat, "tail": tail}
                    teacher = f"teacher-{alpha:g}-s{seed}"
                    kinds.append({"role": "student", "teacher": teacher, **KD, **about})
        for kind in kinds[: models // seeds]:
            parts = [kind["role"], *(kind[key] for key in ("label_smoothing", "tail", "temperature") if key in kind)]
            name = "-".join(f"{part:g}" if isinstance(part, float) else str(part) for part in parts)
            command = ["fairseq-train", "data/bin", "--lr", "0.001", "--seed", str(seed)]
            found.append({"name": f"{name}-s{seed}", "arch": "tiny", "seed": seed, "train_command": command, **kind})
    return found


def add(folder: Path, model: dict[str, object], number: int) -> None:
    """A trained, decoded and scored model."""
    draw, out, file = random.Random(number), folder / "models" / str(model["name"]), folder / "data/clean/test.de"
    lines = read_lines(file)
    lost = 0.25 + 0.02 * (number % 7) + 0.01 * draw.random()
    hyps = [translation(line, lost, draw) for line in lines]
    write_text(out / "test.hyp", "".join(f"{line}\n" for line in hyps))
    whole, part = EvaluationSet(lines, "de"), EvaluationSet(lines[:PART], "de")
    scores = {name: score(name, hyps, whole) if name == "bleu" else score(name, hyps[:PART], part) for name in METRICS}
    facts = ScoringFacts(
        len(lines), str(model["name"]), hyp_sha256=sha256(out / "test.hyp"), ref_sha256=sha256(file), commit="made-up"
    )
    write_metrics(out / "metrics.json", Metrics(scores, facts))
    write_json(out / "run.json", {"parameters": 10**6 + number, "cpu_seconds": 3600 + number, "wall_seconds": 60})
    curve = [
        {"epoch": epoch, "valid_nll_loss": 4 + 3 / epoch, "valid_bleu": 30 - 20 / epoch + draw.random()}
        for epoch in range(1, EPOCHS + 1)
    ]
    write_json(out / "curve.json", curve)


def made_up(folder: Path, case: Case) -> None:
    """A finished run."""
    write_text(folder / "data/clean/test.de", "".join(f"{line}\n" for line in references(case.sentences)))
    shutil.copyfile(folder / "data/clean/test.de", folder / "data/clean/test.en")
    models = planned(case.models, case.seeds)
    data = {"folder": "data", "corpus": "made up", "form": "raw", "source_lang": "en", "target_lang": "de"}
    with ProcessPoolExecutor() as pool:
        list(pool.map(add, [folder] * len(models), models, range(len(models))))
    write_json(folder / "plan.json", {"name": "made up", "data": data, "models": models})


def timed(tree: Path, case: Case, run: Path) -> tuple[Cost, list[str]]:
    """What the command took with the code of a folder, and the hashes of what it measured."""
    start = f"import sys; sys.path[0] = {str(tree.resolve())!r}; from lskd_nmt.cli import main; sys.exit(main())"
    with tempfile.TemporaryDirectory() as out:
        cost = cost_of([sys.executable, "-c", start, case.verb, str(run), "--out", out], OMP_NUM_THREADS="1")
        files = sorted(file for name in ("table.json", "significance.json") for file in Path(out).rglob(name))
        return cost, [sha256(file) for file in files]


def keep_statistics(run: Path) -> None:
    """What the score step of this code keeps, where it is not there."""
    reading = Reading("bleu", EvaluationSet(read_lines(run / "data/clean/test.de"), "de"))
    for file in (run / "models").glob("*/test.hyp"):
        reading.statistics(file)


def measured(case: Case, run: Path, before: Path | None, repeats: int, at_once: bool) -> dict[str, list[Cost]]:
    """The costs of each code, in turn or at once, each on a copy of the run."""
    keep_statistics(run)
    codes = {"before": before, "first": ROOT, "kept": ROOT}
    costs: dict[str, list[Cost]] = {name: [] for name, tree in codes.items() if tree is not None}
    hashes = set()

    def once(name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "run"
            shutil.copytree(run, copy, ignore=None if name == "kept" else shutil.ignore_patterns("statistics"))
            cost, files = timed(codes[name] or ROOT, case, copy)
        show(f"{case.name}, {name}: {cost}")
        costs[name].append(cost)
        hashes.add(tuple(files))

    with ThreadPoolExecutor(len(costs) if at_once else 1) as pool:
        for _ in range(repeats):
            list(pool.map(once, costs))
    if len(hashes) != 1:
        raise SystemExit(f"{case.name}: the commands measured different numbers")
    return costs


def row(case: Case, name: str, costs: Sequence[Cost], base: Sequence[Cost]) -> list[str]:
    """A line of the table: medians, and processor seconds beside those of the first code."""
    wall, cpu = (statistics.median(getattr(each, of) for each in costs) for of in ("wall_seconds", "cpu_seconds"))
    ratio = cpu / statistics.median(each.cpu_seconds for each in base)
    peak = max(each.peak_bytes for each in costs) / 1e6
    what = f"`lskd {case.verb}`, {case.models} models, {case.sentences:,} sentences"
    return [what, name, f"{wall:.1f}", f"{cpu:.1f}", f"{ratio:.2f}", f"{peak:.0f}"]


def main() -> None:
    """Measure and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="a checkout of the code before the change")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="where made-up runs stay, for another call")
    parser.add_argument("--table", type=int, nargs=2, default=(200, 1000), metavar=("MODELS", "SENTENCES"))
    parser.add_argument("--report", type=int, nargs=2, default=(50, 10_000), metavar=("MODELS", "SENTENCES"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--at-once", action="store_true", help="side by side: CPU seconds alone are comparable")
    args = parser.parse_args()
    sizes = {"table": args.table, "report": args.report}
    cases = [Case(verb, *size, seeds=min(SEEDS, size[0])) for verb, size in sizes.items()]
    with tempfile.TemporaryDirectory() as temporary:
        runs: Path = args.runs or Path(temporary)
        for case in cases:
            if not (runs / case.name / "plan.json").is_file():
                show(f"{case.name}: translations are made up")
                made_up(runs / case.name, case)
        found = {case.name: measured(case, runs / case.name, args.before, args.repeats, args.at_once) for case in cases}
    lines = [
        row(case, name, costs, next(iter(found[case.name].values())))
        for case in cases
        for name, costs in found[case.name].items()
    ]
    names = ("command", "code", "wall s", "CPU s", "CPU, ratio", "peak MB")
    content = origin() | {
        "cases": {case.name: asdict(case) for case in cases},
        "costs": {
            name: {code: [asdict(each) for each in costs] for code, costs in of.items()} for name, of in found.items()
        },
        "same_numbers": True,
    }
    note = (
        f"Whole commands, medians of {args.repeats}, one thread each, {'at once' if args.at_once else 'in turn'}. Wall "
        "seconds depend on what else the machine did. table.json and significance.json were the same bytes in all.\n"
    )
    write_results(args.out, content, f"{markdown_table(names, lines, '---:')}\n{note}")


if __name__ == "__main__":
    main()
