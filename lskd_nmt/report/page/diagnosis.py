"""What `lskd diagnose` found, as tables and figures: the teacher's tail, and where its student is worse."""

from collections.abc import Mapping, Sequence

from lskd_nmt.report.figures import teacher_tail as tails
from lskd_nmt.report.page.estimates import Row, frame
from lskd_nmt.report.page.parts import Drawing, Part, table
from lskd_nmt.report.page.sources import Analysis
from lskd_nmt.report.results.analyses import Diagnosis, LostTranslations, SentenceGroup, TeacherTail
from lskd_nmt.storage.typed import Json


def diagnosis(mine: Sequence[Analysis]) -> list[Part]:
    """What the teacher says, and what its student lost, as far as a file has them."""
    parts: list[Part] = []
    for each in mine:
        content = each.read(Diagnosis)
        parts += the_tail(each, content.tail) if content.tail else []
        parts += sentences(each, content.sentences) if content.sentences else []
    return parts


def the_tail(each: Analysis, found: TeacherTail) -> list[Part]:
    """The mass outside of the teacher's top k at each temperature."""
    text = "A line for each temperature; the masses are those of the table after it."
    rows: list[Row] = [
        {
            "T": heat,
            "entropy (nats)": one.entropy,
            **{f"outside of top {k}": beyond.mass for k, beyond in one.tail.items()},
        }
        for heat, one in found.temperatures.items()
    ]
    title = f"{each.title}: the teacher's mass outside of its top k"
    return [
        Drawing(f"{each.id}-tail-figure", f"{each.title}: the tail and its evenness", text, tails.figure(found)),
        table(f"{each.id}-tail", title, frame(rows)),
    ]


def sentences(each: Analysis, found: LostTranslations) -> list[Part]:
    """Groups of sentences, kinds of words, and examples where there are any."""
    text = "The teacher's chrF less the student's, by kind of sentence; the numbers are in the table after it."
    drawing = Drawing(
        f"{each.id}-sentences-figure", f"{each.title}: where the teacher is better", text, tails.sentences(found)
    )
    words = "words of the reference, and how many of them each writes in the same sentence"
    tables: dict[str, tuple[str, list[Row]]] = {
        "groups": (
            "teacher and student by kind of sentence",
            [group_row(name, group) for name, group in found.groups.items()],
        ),
        "words": (words, [{"kind": name, **flat(counts)} for name, counts in found.words.items()]),
        "examples": ("right in the teacher, wrong in the student", [flat(one) for one in found.examples]),
    }
    return [
        drawing,
        *(
            table(f"{each.id}-{name}", f"{each.title}: {title}", frame(rows))
            for name, (title, rows) in tables.items()
            if rows
        ),
    ]


def group_row(name: str, group: SentenceGroup) -> Row:
    """The numbers of one kind of sentence."""
    return {
        "sentences of": name,
        "sentences": group.sentences,
        "teacher's chrf": group.chrf.teacher,
        "student's chrf": group.chrf.student,
        **({"teacher's bleu": group.bleu.teacher, "student's bleu": group.bleu.student} if group.bleu else {}),
        "difference": group.difference,
        "teacher right student wrong": group.teacher_right_student_wrong,
        "student right teacher wrong": group.student_right_teacher_wrong,
    }


def flat(found: Mapping[str, Json]) -> Row:
    """Scores of teacher and student beside each other: `chrf` becomes `teacher's chrf`, `student's chrf`."""
    result: dict[str, Json] = {}
    for key, value in found.items():
        if isinstance(value, dict) and "value" not in value:
            result |= {f"{who}'s {key}": number for who, number in value.items()}
        else:
            result[key.replace("_", " ")] = value
    return result
