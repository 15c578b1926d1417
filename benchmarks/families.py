"""How often a table without any difference shows one: the level that Holm-corrected p-values hold, by simulation.

    python benchmarks/families.py --out benchmarks/results/families

Tables of a baseline and ten rows that differ in nothing but chance. The share of tables with any p below 0.05 should be
at most 0.05. The rules are those of `lskd table`: they are called, not written again.
"""

from dataclasses import replace

from common import markdown_table, origin, parser_of, show, write_results
from families import Table, family_error

from lskd_nmt.evaluate import bootstrap
from lskd_nmt.progress import Progress

ONE_WIDE = [1.0] * 3 + [5.0] + [1.0] * 7
BASE_WIDE = [3.0] + [1.0] * 10
UNEVEN = [0.5, 0.5] + [1.0] * 5 + [2.0] * 4


def cases() -> dict[str, tuple[Table, bool]]:
    """What is simulated, by what stands in the table, and whether the scatter is pooled in any case."""
    found = {}
    for seeds in (2, 3, 4, 5):
        for by, text in ((0.0, "do not vary"), (0.5, "vary half as much as seeds")):
            found[f"{seeds} | rows alike; sentences {text}"] = (Table(seeds=seeds, by_sentences=by), False)
    for seeds in (2, 3):
        for deviations, text in (
            (UNEVEN, "scatter by 0.5 to 2"),
            (ONE_WIDE, "one scatters by 5, the others by 1"),
            (BASE_WIDE, "the baseline scatters by 3, the others by 1"),
        ):
            found[f"{seeds} | rows: {text}; sentences do not vary"] = (Table(seeds=seeds, deviations=deviations), False)
    for seeds in (2, 3):
        found[f"{seeds} | rows alike; sentences do not vary; --pool-seeds"] = (Table(seeds=seeds), True)
    return found


def main() -> None:
    """Simulate, and write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("--tables", type=int, default=500, help="of each case (default: %(default)s)")
    args = parser.parse_args()
    known = cases()
    progress = Progress(len(known), "cases", show)
    results = {}
    for name, (table, always) in known.items():
        results[name] = family_error(replace(table, resamples=bootstrap.RESAMPLES), args.tables, always)
        progress.add(1)
    rows = [(name, f"{found['error']:.3f}", f"{100 * found['shown']:.0f} %") for name, found in results.items()]
    text = (
        f"Of {args.tables:,} tables without any difference, ten rows against a baseline, the share with any "
        "Holm-corrected p below 0.05.\n\n"
    )
    table = markdown_table(("seeds", "case", "any p < 0.05", "rows with a p"), rows)
    write_results(args.out, {**origin(), "tables": args.tables, "results": results}, text + table)


if __name__ == "__main__":
    main()
