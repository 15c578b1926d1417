"""Metrics beside the usual three for the models of a run: those that the plan names, or that are asked for later.

What a model is scored by already stays as it is, and so do its translations and its row's signature. A program is
started once for all models that lack its scores, on all test sets together.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lskd_nmt.errors import require, require_file
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.learned import Asked, kept, scores_by_program
from lskd_nmt.evaluate.metrics import METRICS, USUAL, EvaluationSet, defaults, described
from lskd_nmt.evaluate.records import Metrics, Score, ScoringFacts, read_metrics, write_metrics
from lskd_nmt.experiment.records import Plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.progress import Show
from lskd_nmt.storage.files import read_lines, sha256, write_text

SCORED = ".metrics-"  # with a hash of the plan's metrics the file that says that all models are scored by them


@dataclass(frozen=True)
class Scored:
    """One model's translations, and what its metrics.json holds."""

    asked: Asked
    metrics: Metrics

    @property
    def file(self) -> Path:
        """Its metrics.json."""
        return self.asked.file.with_name("metrics.json")

    def lacks(self, name: str) -> bool:
        """Whether it has no score by a metric, or not those of the sentences that only a program can make."""
        return name not in self.metrics.scores or (described(name).by_program and kept(name, self.asked) is None)


def wanted(plan: Plan) -> list[str]:
    """The metrics that the plan's table has."""
    return list(plan.config.metrics or ())


def at_once(plan: Plan) -> list[str]:
    """The metrics by which the score step scores: the usual ones, and those of the plan that need no program."""
    planned = [name for name in wanted(plan) if not described(name).by_program]
    return list(dict.fromkeys([*defaults(), *planned]))


def by_programs(file: Path, facts: ScoringFacts) -> dict[str, Score]:
    """The scores in a metrics.json that programs computed of the same text."""
    if not file.is_file():
        return {}
    before = read_metrics(file)
    is_same = (before.facts.hyp_sha256, before.facts.references) == (facts.hyp_sha256, facts.references)
    return {name: score for name, score in before.scores.items() if is_same and described(name).by_program}


def mark_of(plan: Plan) -> str:
    """The name of the file that says that every model is scored by the plan's metrics; their order is the table's."""
    return SCORED + hashlib.sha256(json.dumps(wanted(plan)).encode()).hexdigest()[:8]


def add(run: Run, names: Sequence[str], show: Show, models: Sequence[str] = ()) -> dict[str, Metrics]:
    """The scores of the run's scored models (or of some), with these metrics; what is there already is not made again.

    No metrics.json is changed unless all scores were made.
    """
    return add_to([(run, models or scored_models(run))], names, show)[0]


def add_everywhere(run: Run, names: Sequence[str], show: Show, models: Sequence[str] = ()) -> dict[str, Metrics]:
    """As `add`, on all test sets that models are scored on; the scores on the main one."""
    main, *others = run.views
    views = [(main, models or scored_models(main))]
    for view in others:
        there = [name for name in models or [model.name for model in view.models] if is_scored(view, name)]
        views += [(view, there)] if there else []
    return add_to(views, names, show)[0]


def add_to(views: Sequence[tuple[Run, Sequence[str]]], names: Sequence[str], show: Show) -> list[dict[str, Metrics]]:
    """As `add`, of models on several test sets, for each its scores; a program is started once for all of them."""
    programs = views[0][0].plan.config.metric_commands or {}
    for name in names:
        require_known(name, programs)
    found = [{model: scored_of(view, model) for model in models} for view, models in views]
    every = [each for of_set in found for each in of_set.values()]
    scores = {each.file: dict(each.metrics.scores) for each in every}
    for name in names:
        lacking = [each for each in every if each.lacks(name)]
        asked = [each.asked for each in lacking]
        if described(name).by_program:
            made = scores_by_program(name, programs[name], asked, show) if asked else []
        else:
            made = [scoring.score(name, each.translations, each.data, each.file) for each in asked]
        for scored, score in zip(lacking, made, strict=True):
            scores[scored.file][name] = score
    for each in every:
        if scores[each.file] != each.metrics.scores:
            write_metrics(each.file, replace(each.metrics, scores=scores[each.file]))
    return [
        {model: replace(each.metrics, scores=scores[each.file]) for model, each in of_set.items()} for of_set in found
    ]


def add_planned(run: Run, show: Show) -> dict[str, Metrics]:
    """The scores of all models by the plan's metrics on all test sets, and the file that says so; those of the main."""
    found, mark = add_everywhere(run, wanted(run.plan), show), run.folder / mark_of(run.plan)
    before = list(run.folder.glob(f"{SCORED}*"))
    if before or wanted(run.plan):
        for other in before:
            other.unlink(missing_ok=True)  # if these metrics come back, the table is to be made again
        write_text(mark, "".join(f"{name}\n" for name in wanted(run.plan)))
    return found


def require_known(name: str, programs: Mapping[str, str]) -> None:
    """Refuse a metric that nothing here computes."""
    if name in programs or (name in METRICS and not METRICS[name].by_program):
        return
    about = f"the metric {name} is computed by a program"
    require(name not in METRICS, f"{about}: name its command as metric_commands.{name} in the YAML (docs/metrics.md)")
    known = [each for each, entry in METRICS.items() if not entry.by_program or each in programs]
    known += [each for each in programs if each not in known]
    require(False, f"the metric is '{name}': one of {', '.join(known)}, or a name of metric_commands in the YAML")


def is_scored(run: Run, name: str) -> bool:
    """Whether a model has scores on the run's test set."""
    return (run.results(name) / "metrics.json").is_file()


def scored_models(run: Run) -> list[str]:
    """The names of the models that are scored."""
    names = [model.name for model in run.models if is_scored(run, model.name)]
    require(bool(names), f"{run.folder} has no scored model: run experiments/steps/decode.sh and score.sh first")
    return names


def scored_of(run: Run, name: str) -> Scored:
    """A scored model; its translations and references must be those that were scored."""
    hyp, data, (ref, *others) = run.results(run.model(name).name) / "test.hyp", run.plan.data, run.references()
    metrics = read_metrics(hyp.with_name("metrics.json"))
    texts = {hyp: metrics.facts.hyp_sha256, ref: metrics.facts.ref_sha256}
    texts |= dict(zip(others, metrics.facts.other_refs_sha256 or (), strict=False))
    for file, digest in texts.items():
        require_file(file, f"{name} was scored with it, so put it back, or decode again")
        require(
            digest is None or sha256(file) == digest,
            f"{file} has changed since {name} was scored: put it back, or remove {hyp.with_name('metrics.json')} and "
            "run experiments/steps/score.sh",
        )
    source = run.text("test", "source")
    evaluated = EvaluationSet(
        read_lines(ref),
        data.target_lang,
        data.form,
        metrics.scores["bleu"].tokenizer or USUAL,
        read_lines(source) if source.is_file() else None,
        [read_lines(file) for file in others],
        source_lang=data.source_lang,
    )
    return Scored(Asked(hyp, read_lines(hyp), evaluated), metrics)
