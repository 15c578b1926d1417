"""The whole document of a results table: the main table, the smaller ones, and notes that say what stands in them."""

from collections.abc import Sequence

import pandas as pd

from lskd_nmt.evaluate import power
from lskd_nmt.evaluate.bootstrap import ENOUGH_SEEDS
from lskd_nmt.evaluate.metrics import LOWERCASED, described
from lskd_nmt.report.results import methods, verdicts
from lskd_nmt.report.results.published import ASSUMED, SOURCE
from lskd_nmt.report.results.records import OverBaseline, ResultsTable, Scatter, Tests
from lskd_nmt.report.results.rows import label
from lskd_nmt.report.tables import tables, texts

PROCESSOR = "the same seed gives other BLEU on another kind of processor"
OVER_ALL = "Mean over all test sets"
NAMED = 12  # models without scores; of more only the number is said


def notes(table: ResultsTable) -> list[str]:
    """The lines under the tables: signatures, what columns mean, the tests, and what is not in it."""
    settings = [cell.setting for cell in table.cells]
    lines = [f"{described(metric).label}: {signature}" for metric, signature in table.signatures.items()]
    if LOWERCASED in table.signatures:
        lines.append(f"{described(LOWERCASED).label}: tokenised, lower-cased text, for comparison with older papers")
    lower = [metric for metric in table.signatures if not table.is_better_higher(metric)]
    lines += main_is_lower(table.main, lower)
    lines += [f"{described(metric).label}: lower is better" for metric in lower if metric != table.main]
    lines += [
        "teacher LS (α) is the teacher's label smoothing, T the temperature",
        f"{table.rows[0].sentences} test sentences",
    ]
    weights = {setting.kd_weight for setting in settings if label(setting) == "student"}
    lines += [f"KD weight: {weight:g} in all students" for weight in weights if len(weights) == 1]
    if any(setting.hypotheses for setting in settings):
        lines.append(
            "KD level: probabilities on references (word), translations (sequence), or both; in brackets, "
            "which translations"
        )
    if any(setting.hypotheses_drawn for setting in settings):
        lines.append("N drawn: of a sentence's translations that many, drawn anew at each update, instead of all")
    if any(setting.init for setting in settings):
        lines.append(
            "start: the layers of its teacher that a student starts from, of encoder + decoder, counted from 0"
        )
    lines += methods.notes(table)
    if any(len(cell.seeds) > 1 for cell in table.cells):
        lines.append("scores are the mean ± standard deviation over seeds; hours are their sum")
    return [*lines, *tests(table), *against_published(table), *states(table)]


def main_is_lower(main: str, lower: Sequence[str]) -> list[str]:
    """What a difference in the main metric says where that is among those that are better when they are lower."""
    return [f"{described(main).label}: lower is better, so that a difference below 0 is a gain"] * (main in lower)


def tests(table: ResultsTable) -> list[str]:
    """How differences were tested."""
    alone = [OverBaseline(cell.baseline, cell.difference) for cell in table.cells if not cell.over]
    compared = [*alone, *(each for cell in table.cells for each in cell.over.values())]
    names = {each.baseline for each in compared if each.baseline is not None}
    has_several = any(cell.over for cell in table.cells)
    lines = []
    if names:
        which = "any of them" if has_several else "it"
        lines.append(f"baseline{'s' * has_several}: {', '.join(sorted(names))}; teachers are not compared with {which}")
    elif any(label(cell.setting) == "student" for cell in table.cells):
        lines.append("no baseline: no student without KD is scored here")
    if table.tests.without_text:
        lines.append(f"not compared, as their translations are not here: {', '.join(table.tests.without_text)}")
    if any(each.difference for each in compared) or table.effects:
        lines += [
            *resampling(table.tests, table.main),
            f"p: corrected for the number of rows{', of each baseline apart' * has_several}, or of effects, by "
            "Holm's method",
        ]
    if names:
        lines.append(p_each_seed(table.tests, has_several))
    return [*lines, *what_would_decide(table, has_several)]


def what_would_decide(table: ResultsTable, has_several: bool) -> list[str]:
    """What the column of that name says, where it is shown."""
    has_effects = any(each.needed for each in table.effects)
    if not has_effects and not tables.columns(table)[tables.DECIDES]:
        return []
    lines = [
        f"{tables.DECIDES}: how many seeds of each row, in all, it takes for [95 %] to leave out 0 with a power of "
        f"{power.POWER:.0%} if the value and the scatter seen are the true ones; larger test set: no number of seeds "
        f"does; –: one seed does not say how seeds scatter{'; for each baseline in table.json' * has_several}"
    ]
    if any(each.needed and each.needed.within is not None for each in table.effects):
        lines.append(
            "within ±x: the 95 % interval lies inside, so that the effect is equivalent to 0 up to x (two tests)"
        )
    return lines


def p_each_seed(tests: Tests, has_several: bool) -> str:
    """What `p each seed` is, and where it stands if there are several baselines."""
    if has_several:
        return "p each seed: of each row over each baseline in table.json"
    return (
        f"p each seed: sacreBLEU's paired approximate randomisation, {tests.settings.trials:,} trials "
        f"(seed {tests.settings.seed}), of the models of one seed, uncorrected"
    )


def resampling(tests: Tests, main: str) -> list[str]:
    """What is resampled, how the scatter of seeds is known, and which rows have no p-value for want of it."""
    drawn = f"paired bootstrap of {tests.settings.resamples:,} resamples (seed {tests.settings.seed})"
    if tests.spread is not None:
        lines = [f"[95 %] and p: {drawn} over sentences; {scatter(tests.spread, main)}"]
    else:
        lines = [
            f"[95 %] and p: {drawn} over sentences, and Student's t of how a row's own seeds scatter; with one "
            "seed over sentences alone"
        ]
    for name, pooled in tests.pooled.items():
        if pooled.deviation is not None:
            lines.append(
                f"p of {name} of fewer than {ENOUGH_SEEDS} seeds: {scatter(pooled, main)}; [95 %] is not pooled"
            )
        if pooled.unlike:
            lines.append(
                f"no p for {', '.join(pooled.unlike)}, nor over them: fewer than {ENOUGH_SEEDS} seeds, "
                f"and these scatter more than those of the other {name}"
            )
    return lines


def scatter(spread: Scatter, main: str) -> str:
    """A pooled scatter of seeds in words; `main` is the metric."""
    return (
        f"seeds scatter by {spread.deviation:.2f} {described(main).label} in every row, pooled over {spread.rows} "
        f"rows ({spread.degrees} degrees of freedom; least {spread.smallest:.2f}, most "
        f"{spread.largest:.2f})"
    )


def against_published(table: ResultsTable) -> list[str]:
    """Where published numbers are from, and why they are or are not comparable."""
    source = table.published
    if source.pair is None:
        return []
    lines = [f"published: {SOURCE}, {source.pair}"]
    if source.obstacles:
        lines.append(f"not comparable with the published numbers: {'; '.join(source.obstacles)}")
    else:
        lines.append(f"published numbers: {ASSUMED}")
    if table.effects:
        lines.append(f"verdicts: by the sign of the interval, from {verdicts.ENOUGH_SEEDS} seeds on (docs/table.md)")
    return lines


def states(table: ResultsTable) -> list[str]:
    """What to know of single rows: too short trainings, other signatures, missing ones."""
    lines = []
    if any(cell.not_converged for cell in table.cells):
        lines.append("not converged: the last validation loss of a seed is still the lowest of its curve")
    lines += [
        f"{cell.name} differs from the row above it in {'; '.join(cell.differs_in)}"
        for cell in table.cells
        if cell.differs_in
    ]
    lines.append("signature: of all that could change a row but seed, host and commit; spelled out in table.json")
    return [*lines, *cautions(table)]


def cautions(table: ResultsTable) -> list[str]:
    """What nobody may overlook: models that are not in it, and what the scores cannot say."""
    lines = [
        f"{what}: {first(names)}"
        for what, names in (
            ("not scored yet", table.not_scored),
            ("of these without a folder in the run, deleted or moved away", table.without_folder),
        )
        if names
    ]
    return [*lines, *table.remarks, PROCESSOR]


def first(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more (table.json has all)" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def markdown(table: ResultsTable) -> str:
    """Tables and notes as Markdown: the main test set's, then a section for each further one, and their mean."""
    main = texts.markdown(table.name, tables.frame(table), notes(table), tables.sections(table))
    return "\n".join([main, *(texts.section(*each) for each in set_sections(table))])


def latex(table: ResultsTable) -> str:
    """Tables as LaTeX (booktabs), notes as comments after the last; those of further test sets follow so."""
    text = texts.latex(tables.frame(table), notes(table), tables.sections(table))
    for title, frame, lines, smaller in set_sections(table):
        text += f"\n% {title}\n" + texts.latex(frame, lines, smaller)
    return text


Section = tuple[str, pd.DataFrame, list[str], dict[str, pd.DataFrame]]  # title, table, notes, smaller tables


def set_sections(table: ResultsTable) -> list[Section]:
    """A section for each further test set, and one of the mean over all."""
    found = [
        (f"Test set {name}", tables.set_frame(each), set_notes(each, table), with_lines(each))
        for name, each in table.sets.items()
    ]
    if table.over_sets is not None:
        over = table.over_sets
        found.append((OVER_ALL, tables.set_frame(over, is_mean=True), over_notes(over, table), with_lines(over)))
    return found


def with_lines(table: ResultsTable) -> dict[str, pd.DataFrame]:
    """The effects, if there are any."""
    found = tables.effects(table)
    return {"Effects": found} if len(found) else {}


def set_notes(table: ResultsTable, main: ResultsTable) -> list[str]:
    """The lines under the table of a further test set: what differs from the main one's."""
    lines = [f"{table.rows[0].sentences} test sentences"]
    lines += [
        f"{described(metric).label}: {signature}"
        for metric, signature in table.signatures.items()
        if main.signatures.get(metric) != signature
    ]
    lines += [line for line in tests(table) if line not in tests(main)]
    return lines + [line for line in cautions(table) if line not in cautions(main)]


def over_notes(over: ResultsTable, main: ResultsTable) -> list[str]:
    """The lines under the table of the mean over all test sets."""
    settings = over.tests.settings
    lines = [
        f"mean of the scores on {main.main_set} (the first table), {', '.join(main.sets)}: each counts the same, "
        "whatever its size",
        f"[95 %] and p: {settings.resamples:,} resamples of the sentences of each set by themselves "
        f"(seed {settings.seed}), and seeds as in one set, a seed's score being its mean over the sets; p: corrected "
        "by Holm's method",
    ]
    lines += [line for line in resampling(over.tests, over.main)[1:] if line not in resampling(main.tests, main.main)]
    left_out = f"left out, as they have no scores on one of the sets: {first(over.not_scored)}"
    return [*lines, *([left_out] if over.not_scored else [])]
