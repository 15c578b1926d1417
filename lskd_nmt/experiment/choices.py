"""Which of a teacher's translations a student learns, by its name in the YAML: beam, mbr, mbr-3, …

The names are those of `lskd seqkd select --method`; behind a hyphen stands `--hypotheses` of the methods that rank.
"""

import re

from lskd_nmt.storage.typed import Json

PLAIN = ("beam", "interpolate", "multi")
RANKED = ("mbr", "best-score")  # by a number: the best, or the M best
NAME = re.compile(rf"({'|'.join((*PLAIN, *RANKED))})|({'|'.join(RANKED)})-([2-9]|[1-9]\d{{1,2}})")


def choosing(value: Json) -> str:
    """A name, such as mbr-3."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        ranked = ", ".join(f"{name}-M" for name in RANKED)
        raise ValueError(f"one of {', '.join((*PLAIN, *RANKED))}, {ranked} (the M best, from 2 to 999)")
    return value


def method_of(name: str) -> tuple[str, int | None]:
    """The method of a name, and how many hypotheses it keeps where the name says so."""
    found = NAME.fullmatch(name)
    assert found is not None
    return (found[1], None) if found[1] else (found[2], int(found[3]))


def learned(name: str | None, nbest: int) -> int:
    """How many hypotheses of a sentence are learned, at most; of `nbest` that are decoded."""
    if name is None:
        return 1
    method, count = method_of(name)
    return nbest if method == "multi" else count or 1
