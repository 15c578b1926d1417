"""Results tables written by hand, for the sentences and the layout of the page."""

from lskd_nmt.evaluate.records import Estimate, Settings
from lskd_nmt.report.results.records import Cell, MeanScore, ResultsTable, RunData, Setting, TableRow, Tests

METRICS = ("bleu", "chrf", "bleu_tokenised_lowercased")
SETTINGS = Settings("bootstrap", 1000, 1000, 1, 0.95, "2.6.0", "0.2.0")


def estimate(value, p, seeds=3):
    """A difference with an interval of ± 1 and a corrected p-value."""
    return Estimate(value, value - 1, value + 1, p, seeds=seeds, p_holm=p)


def setting(role, smoothing=None, temperature=None):
    """That of a teacher, of a student without KD, or of a student at a temperature."""
    level, tail = ("word", "dense") if temperature else (None, None)
    weight = 0.5 if temperature else 0.0
    return Setting(role, smoothing, level, None, tail, 0 if temperature else None, weight, temperature)


def cell(name, of, score, *, seeds=(1, 2, 3), metrics=METRICS, teacher=None, **facts):
    """A cell whose scores in all metrics are alike."""
    facts = {"parameters": 2_000_000, "cpu_hours": 1.5, "gpu_hours": None, "not_converged": (), "epochs": 5.0, **facts}
    return Cell(
        name,
        of,
        seeds,
        teachers=tuple(f"{teacher}-s{seed}" for seed in seeds) if teacher else (),
        members=tuple(f"run/{name}-s{seed}" for seed in seeds),
        runs=("run",),
        scores={metric: MeanScore(score, 0.25 if len(seeds) > 1 else None) for metric in metrics},
        peak_memory_mb=None,
        peak_gpu_memory_mb=None,
        words_per_second=None,
        signature="0123abcd",
        interval=(score - 1, score + 1),
        **facts,
    )


def rows(each):
    """The rows of a cell."""
    unknown = dict.fromkeys(("best_valid_bleu", "cpu_hours", "wall_hours"))
    for seed, member in zip(each.seeds, each.members, strict=True):
        yield TableRow(
            "run",
            member.removeprefix("run/"),
            next(iter(each.teachers), None),
            "tiny",
            seed,
            each.setting,
            {metric: score.mean for metric, score in each.scores.items()},
            1000,
            parameters=each.parameters,
            epochs=5,
            not_converged=seed in each.not_converged,
            signature=each.signature,
            **unknown,
        )


def table(*cells, **facts):
    """A table of these cells."""
    return ResultsTable(
        "tiny",
        (RunData("run", "multi30k", "raw", "en", "de"),),
        {metric: f"signature of {metric}" for metric in cells[0].scores},
        tuple(row for each in cells for row in rows(each)),
        cells,
        significance=Tests(SETTINGS),
        **facts,
    )


TEACHER = setting("teacher", 0.1)
PLAIN = setting("student")


def winner(**facts):
    """A teacher, a student without KD, one that is better and one that is undecided."""
    return table(
        cell("teacher", TEACHER, 40.0, parameters=10_000_000, cpu_hours=9.0),
        cell("plain", PLAIN, 30.0),
        cell(
            "t1",
            setting("student", 0.1, 1.0),
            36.0,
            teacher="teacher",
            baseline="plain",
            difference=estimate(6.0, 0.0004),
        ),
        cell(
            "t2", setting("student", 0.1, 2.0), 31.0, teacher="teacher", baseline="plain", difference=estimate(1.0, 0.2)
        ),
        **facts,
    )


def many(count, metrics):
    """A table of a student without KD and of others at four temperatures and as many label smoothings as it takes."""
    students = [
        cell(
            f"s{number}",
            setting("student", number // 4 / 100, 1.0 + number % 4),
            30 + number / 10,
            metrics=metrics,
            baseline="plain",
            difference=estimate(number / 10, 0.5),
        )
        for number in range(1, count)
    ]
    return table(cell("plain", PLAIN, 30.0, metrics=metrics), *students)
