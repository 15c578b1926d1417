"""How varied are the translations that students learn?

    python benchmarks/hypotheses.py beam=HYPOTHESES samples=HYPOTHESES … --out benchmarks/results/multi30k_hypotheses

Reads folders of lskd seqkd select; counts are of words between spaces, of the whole training source.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lskd_nmt.errors import require  # noqa: E402
from lskd_nmt.storage import files, provenance  # noqa: E402

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


def line(name: str, counts: Mapping[str, Any]) -> str:
    """One row of the table."""
    shares = (f"{100 * counts[share]:.1f} %" for share in ("distinct_share", "reference_share"))
    cells = (
        name,
        f"{counts['hypotheses']:,}",
        f"{counts['words'] / counts['hypotheses']:.1f}",
        f"{counts['distinct_words']:,}",
        f"{counts['type_token_ratio']:.3f}",
        f"{counts['distinct_bigram_ratio']:.3f}",
        *shares,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write OUT.json and OUT.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", metavar="NAME=HYPOTHESES")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    headers = {}
    for word in args.stores:
        name, _, folder = word.rpartition("=")
        require(bool(name), f"'{word}': give NAME=HYPOTHESES")
        headers[name] = files.read_json(Path(folder) / "hypotheses.json")
    names = (
        "translations",
        "of them",
        "words each",
        "distinct words",
        "of all words",
        "of all word pairs",
        "distinct in their sentence",
        "are the reference",
    )
    reference = next(iter(headers.values()))["of_references"]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names), line("the references", reference)]
    lines += [line(name, header) for name, header in headers.items()]
    facts = {
        "stores": {name: entry(header) for name, header in headers.items()},
        "references": reference,
        "commit": provenance.commit(),
        "versions": provenance.versions(),
    }
    files.write_json(args.out.with_suffix(".json"), facts)
    files.write_text(args.out.with_suffix(".md"), "\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
