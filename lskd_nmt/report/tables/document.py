"""The whole document of a results table: the main table, the smaller ones, and notes that say what stands in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from lskd_nmt.evaluate.bootstrap import ENOUGH_SEEDS
from lskd_nmt.report.results import methods, verdicts
from lskd_nmt.report.results.published import ASSUMED, SOURCE
from lskd_nmt.report.results.rows import label
from lskd_nmt.report.tables import tables

PROCESSOR = "the same seed gives other BLEU on another kind of processor"
NAMED = 12  # models without scores; of more only the number is said


def notes(content: Mapping[str, Any]) -> list[str]:
    """The lines under the tables: signatures, the spread, the tests, and what is not in it."""
    cells = content["cells"]
    lines = [f"{tables.LABELS[metric]}: {signature}" for metric, signature in content["signatures"].items()]
    lines += [
        f"{tables.LABELS['bleu_tokenised_lowercased']}: tokenised, lower-cased text, for comparison with older papers",
        "teacher LS (α) is the teacher's label smoothing, T the temperature",
        f"{content['rows'][0]['sentences']} test sentences",
    ]
    weights = {cell["kd_weight"] for cell in cells if label(cell) == "student"}
    lines += [f"KD weight: {weight:g} in all students" for weight in weights if len(weights) == 1]
    if any(cell["hypotheses"] for cell in cells):
        lines.append(
            "KD level: probabilities on references (word), translations (sequence), or both; in brackets, "
            "which translations"
        )
    lines += methods.notes(content)
    if any(len(cell["seeds"]) > 1 for cell in cells):
        lines.append("scores are the mean ± standard deviation over seeds; hours are their sum")
    lines += [*tests(content), *against_published(content), *states(content)]
    return lines


def tests(content: Mapping[str, Any]) -> list[str]:
    """How differences were tested."""
    settings, cells = content["significance"], content["cells"]
    compared = [each for cell in cells for each in cell.get("over", {"": cell}).values()]
    names, several = {each["baseline"] for each in compared} - {None}, any("over" in cell for cell in cells)
    lines = []
    if names:
        which = "any of them" if several else "it"
        lines.append(f"baseline{'s' * several}: {', '.join(sorted(names))}; teachers are not compared with {which}")
    elif any(label(cell) == "student" for cell in cells):
        lines.append("no baseline: no student without KD is scored here")
    if settings["without_text"]:
        lines.append(f"not compared, as their translations are not here: {', '.join(settings['without_text'])}")
    if any(each["difference"] for each in compared) or content["effects"]:
        lines += [
            *resampling(settings),
            f"p: corrected for the number of rows{', of each baseline apart' * several}, or of effects, by "
            "Holm's method",
        ]
    if names and several:
        lines.append("p each seed: of each row over each baseline in table.json")
    elif names:
        lines.append(
            f"p each seed: sacreBLEU's paired approximate randomisation, {settings['trials']:,} trials "
            f"(seed {settings['seed']}), of the models of one seed, uncorrected"
        )
    return lines


def resampling(settings: Mapping[str, Any]) -> list[str]:
    """What is resampled, how the scatter of seeds is known, and which rows have no p-value for want of it."""
    drawn = f"paired bootstrap of {settings['resamples']:,} resamples (seed {settings['seed']})"
    asked, found = settings.get("spread"), settings.get("pooled", {})
    if asked is not None:
        lines = [f"[95 %] and p: {drawn} over sentences; {scatter(asked)}"]
    else:
        lines = [
            f"[95 %] and p: {drawn} over sentences, and Student's t of how a row's own seeds scatter; with one "
            "seed over sentences alone"
        ]
    for name, facts in found.items():
        if "deviation" in facts:
            lines.append(f"p of {name} of fewer than {ENOUGH_SEEDS} seeds: {scatter(facts)}; [95 %] is not pooled")
        if facts["unlike"]:
            lines.append(
                f"no p for {', '.join(facts['unlike'])}, nor over them: fewer than {ENOUGH_SEEDS} seeds, "
                f"and these scatter more than those of the other {name}"
            )
    return lines


def scatter(spread: Mapping[str, Any]) -> str:
    """A pooled scatter of seeds in words."""
    return (
        f"seeds scatter by {spread['deviation']:.2f} BLEU in every row, pooled over {spread['rows']} "
        f"rows ({spread['degrees']} degrees of freedom; least {spread['smallest']:.2f}, most "
        f"{spread['largest']:.2f})"
    )


def against_published(content: Mapping[str, Any]) -> list[str]:
    """Where published numbers are from, and why they are or are not comparable."""
    facts = content["published"]
    if facts["pair"] is None:
        return []
    lines = [f"published: {SOURCE}, {facts['pair']}"]
    if facts["obstacles"]:
        lines.append(f"not comparable with the published numbers: {'; '.join(facts['obstacles'])}")
    else:
        lines.append(f"published numbers: {ASSUMED}")
    if content["effects"]:
        lines.append(f"verdicts: by the sign of the interval, from {verdicts.ENOUGH_SEEDS} seeds on (docs/table.md)")
    return lines


def states(content: Mapping[str, Any]) -> list[str]:
    """What to know of single rows: too short trainings, other signatures, missing ones."""
    lines = []
    if any(cell["not_converged"] for cell in content["cells"]):
        lines.append("not converged: the last validation loss of a seed is still the lowest of its curve")
    lines += [
        f"{cell['name']} differs from the row above it in {'; '.join(cell['differs_in'])}"
        for cell in content["cells"]
        if cell["differs_in"]
    ]
    lines.append("signature: of all that could change a row but seed, host and commit; spelled out in table.json")
    return [*lines, *cautions(content)]


def cautions(content: Mapping[str, Any]) -> list[str]:
    """What nobody may overlook: models that are not in it, and what the scores cannot say."""
    lines = [
        f"{what}: {first(names)}"
        for what, names in (
            ("not scored yet", content["not_scored"]),
            ("of these without a folder in the run, deleted or moved away", content.get("without_folder")),
        )
        if names
    ]
    return [*lines, *content.get("remarks", []), PROCESSOR]


def first(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more (table.json has all)" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def markdown(content: Mapping[str, Any]) -> str:
    """Tables and notes as Markdown."""
    smaller = "".join(
        f"\n## {heading}\n\n{tables.body(table)}\n" for heading, table in tables.sections(content).items()
    )
    main = f"# {content['name']}\n\n{tables.body(tables.frame(content))}\n"
    return f"{main}{smaller}\n" + "".join(f"- {line}\n" for line in notes(content))


def latex(content: Mapping[str, Any]) -> str:
    """Tables as LaTeX (booktabs), notes as comments before the first."""
    smaller = "".join(
        f"\n% {heading}\n" + tables.as_latex(table, []) for heading, table in tables.sections(content).items()
    )
    return tables.as_latex(tables.frame(content), notes(content)) + smaller
