"""Sections of analyses: what RUN/analysis/*.json hold, by the kind that each names."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from lskd_nmt.errors import LskdError
from lskd_nmt.report.page import confidence, diagnosis, geometry, robustness
from lskd_nmt.report.page.estimates import frame
from lskd_nmt.report.page.parts import Fact, Folded, Part, Picture, Section, slug, table
from lskd_nmt.report.page.sources import Analysis
from lskd_nmt.storage.typed import Json

Builder = Callable[[Sequence[Analysis]], list[Part]]
# "analysis" in the JSON -> heading, what one sees there, and who makes it
KINDS: dict[str, tuple[str, str, Builder]] = {
    "calibration": ("Calibration", "Whether a model is right as often as it says.", confidence.calibration),
    "confidence": ("Confidence", "How sure models are of the same tokens.", confidence.confidence),
    "projection": (
        "Projection",
        "Decoder states of three words in the plane of their output embeddings.",
        geometry.projection,
    ),
    "diffusion": (
        "Diffusion index",
        "Whether words move towards similar words as the temperature rises.",
        geometry.diffusion,
    ),
    "diagnosis": (
        "Diagnosis",
        "The teacher's tail, and where the teacher is right and the student wrong.",
        diagnosis.diagnosis,
    ),
    "robustness": (
        "Robustness",
        "Defects of translations beside their score, and what small changes of the source do to them.",
        robustness.robustness,
    ),
}
MANY = 3  # clicks in a row, which stand behind one where there are more
SHORT = 1000  # letters of a value that stands behind a click; longer ones are in the data only


def sections(found: Sequence[Analysis]) -> list[Section]:
    """One for each kind that is there, in the order above; others under their own name."""
    kinds = [*KINDS, *dict.fromkeys(each.kind for each in found if each.kind not in KINDS)]
    return [section(kind, mine) for kind in kinds if (mine := [each for each in found if each.kind == kind])]


def section(kind: str, mine: Sequence[Analysis]) -> Section:
    """Figures, tables, and behind a click where they are from."""
    title, text, builder = KINDS.get(kind, (kind.capitalize(), "", other))
    pictures = [
        Picture(f"{each.id}-{slug(stem)}", f"{each.title}: {stem}", svg, each.papers.get(stem))
        for each in mine
        if kind not in KINDS
        for stem, svg in each.figures.items()
    ]
    try:
        parts = builder(mine)
    except (IndexError, KeyError, ValueError) as error:
        files = ", ".join(each.place for each in mine)
        raise LskdError(
            f"{files}: no {kind} as lskd writes it ({type(error).__name__}: {error}): write it again, or remove it"
        ) from None
    origins = [Fact(f"{each.id}-origin", f"Settings and command: {each.title}", origin(each.content)) for each in mine]
    several = [Folded(f"analysis-{slug(kind)}-origins", f"Settings and commands of {len(origins)} files", origins)]
    return Section(
        f"analysis-{slug(kind)}", title, text, [*pictures, *parts, *(several if len(origins) > MANY else origins)]
    )


def origin(content: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Command, equations, settings and hashes: every value that is not too long to read."""
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in content.items()
    }
    return [(name, text) for name, text in texts.items() if len(text) <= SHORT]


def other(mine: Sequence[Analysis]) -> list[Part]:
    """Of a kind that this page does not know: its lists of records as tables, under the figures beside it."""
    return [
        table(f"{each.id}-{number}", f"{each.title}: {name}", shown)
        for each in mine
        for number, (name, shown) in enumerate(records(each.content), start=1)
    ]


def records(content: Mapping[str, Json]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The lists of objects in an analysis, each with its name, as tables."""
    for name, value in content.items():
        rows = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
        if rows and rows == value:
            yield name, frame(rows)
