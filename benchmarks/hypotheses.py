"""How varied are the translations that students learn?

    python benchmarks/hypotheses.py beam=HYPOTHESES samples=HYPOTHESES … --out benchmarks/results/multi30k_hypotheses

Reads folders of lskd seqkd select; counts are of words between spaces, of the whole training source.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import markdown_table, origin, parser_of, write_results

from lskd_nmt.errors import require
from lskd_nmt.storage.files import read_json

COUNTS = (
    "hypotheses",
    "words",
    "distinct_words",
    "type_token_ratio",
    "distinct_bigram_ratio",
    "distinct_share",
    "reference_share",
    "sampled_share",
)


def entry(header: Mapping[str, Any]) -> dict[str, Any]:
    """A store's counts and how it was made."""
    kept = ("selection", "dropped", "sentences_without", "sentences")
    settings = [{"teacher": decoding["teacher"][0]["file"], **decoding["settings"]} for decoding in header["decoded"]]
    return {**{name: header[name] for name in (*COUNTS, *kept)}, "decoded": settings}


NAMES = (
    "translations",
    "of them",
    "words each",
    "distinct words",
    "of all words",
    "of all word pairs",
    "distinct in their sentence",
    "are the reference",
)


def row(name: str, counts: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one row of the table."""
    shares = (f"{100 * counts[share]:.1f} %" for share in ("distinct_share", "reference_share"))
    return (
        name,
        f"{counts['hypotheses']:,}",
        f"{counts['words'] / counts['hypotheses']:.1f}",
        f"{counts['distinct_words']:,}",
        f"{counts['type_token_ratio']:.3f}",
        f"{counts['distinct_bigram_ratio']:.3f}",
        *shares,
    )


def main() -> None:
    """Write OUT.json and OUT.md."""
    parser = parser_of(__doc__)
    parser.add_argument("stores", nargs="+", metavar="NAME=HYPOTHESES")
    args = parser.parse_args()
    headers = {}
    for word in args.stores:
        name, _, folder = word.rpartition("=")
        require(bool(name), f"'{word}': give NAME=HYPOTHESES")
        headers[name] = read_json(Path(folder) / "hypotheses.json")
    reference = next(iter(headers.values()))["of_references"]
    stores = {name: entry(header) for name, header in headers.items()}
    table = markdown_table(
        NAMES, [row("the references", reference), *(row(name, header) for name, header in headers.items())]
    )
    write_results(args.out, {**origin(), "stores": stores, "references": reference}, table)
    print(table)


if __name__ == "__main__":
    main()
