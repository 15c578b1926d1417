"""What `lskd robustness` finds of a run: all measures of every model, seeds together, students beside their teacher."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lskd_nmt.analysis.model_groups import over_seeds as groups_of
from lskd_nmt.analysis.robustness import estimates
from lskd_nmt.analysis.robustness.asked import (
    ASKED,
    BEGINNINGS,
    CLEAN,
    SHORT,
    TRAINING,
    Changed,
    Sample,
    Settings,
    changed_sources,
)
from lskd_nmt.analysis.robustness.decodings import Decoded, Machine, decode_all
from lskd_nmt.analysis.robustness.estimates import Drawn, OverSeeds
from lskd_nmt.data.bitext import count_lines, lines_of
from lskd_nmt.errors import require
from lskd_nmt.evaluate import sensitivity
from lskd_nmt.evaluate.defects import DEFECTS, Translations
from lskd_nmt.evaluate.memorised import Queries, read_training
from lskd_nmt.evaluate.perturbations import PERTURBATIONS
from lskd_nmt.evaluate.robustness import Definition, Example, Examples, Measured, PerturbedText, RobustModel, Robustness
from lskd_nmt.evaluate.scoring import bleu_tokenizer
from lskd_nmt.evaluate.sensitivity import Numbers, Target
from lskd_nmt.evaluate.words import units
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.progress import Progress
from lskd_nmt.storage.files import read_lines, sha256

SHOWN = 3  # examples of a defect of a model
REFERENCE = "reference"
Show = Callable[[str], None]


def robustness(run: Run, settings: Settings, machine: Machine, show: Show) -> Robustness:
    """All measures of a run's models that have translations of the test set."""
    models = chosen(run, settings.models)
    sources, references = (read_lines(run.text("test", side)) for side in ("source", "target"))
    lines = {model.name: translations(run, model, len(sources)) for model in models}
    sample = Sample(settings.sentences if TRAINING in settings.perturbations else 0, run.plan.data.source_lang)
    queries = Queries()
    langs = run.plan.data.langs
    for each in (references, *lines.values()):
        for line, source in zip(each, sources, strict=True):
            queries.add(units(line, langs[1]), units(source, langs[0]))
    training = read_training(sample.watching(training_pairs(run, show)), langs, queries)
    base = Translations(sources, references, references, langs, training, queries)
    changed = changed_sources(run, sources, settings, sample)
    decoded = decode_all(run, models, changed.tasks, machine, show) if changed.tasks else {}
    return compared(run, models, base, lines, changed, decoded)


def chosen(run: Run, names: Sequence[str]) -> list[PlannedModel]:
    """The models that have translations of the test set, or those of them that are named, alone or by their seeds."""
    there = [model for model in run.models if (run.results(model.name) / "test.hyp").is_file()]
    which = f"the test set {run.test_set}" if run.test_set else "the test set"
    require(bool(there), f"{run.folder} has no model with translations of {which}: decode it first")
    if not names:
        return there
    known = {model.name: [model] for model in there} | groups_of(there)
    unknown = [name for name in names if name not in known]
    require(not unknown, f"--models has {', '.join(unknown)}: choose of {', '.join(known)}")
    wanted = {model.name for name in names for model in known[name]}
    return [model for model in there if model.name in wanted]


def translations(run: Run, model: PlannedModel, sentences: int) -> list[str]:
    """A model's translations of the test set."""
    file = run.results(model.name) / "test.hyp"
    lines = read_lines(file)
    require(
        len(lines) == sentences,
        f"{file} has {len(lines):,} lines, and the test set {sentences:,}: decode the test set again",
    )
    return lines


def training_pairs(run: Run, show: Show) -> Iterator[tuple[str, str]]:
    """The pairs of train, read once."""
    source, target = (run.text("train", side) for side in ("source", "target"))
    sizes = count_lines(source), count_lines(target)
    require(
        sizes[0] == sizes[1] > 0,
        f"{source} has {sizes[0]:,} lines and {target} {sizes[1]:,}: the text of train is needed, line by line",
    )
    progress = Progress(sizes[0], "training pairs", show, brief=False)
    for pair in zip(lines_of(source), lines_of(target), strict=True):
        yield pair
        progress.add(1)


def compared(
    run: Run,
    models: Sequence[PlannedModel],
    base: Translations,
    lines: Mapping[str, Sequence[str]],
    changed: Changed,
    decoded: Mapping[str, Decoded],
) -> Robustness:
    """All models beside each other, the references first."""
    data = run.plan.data
    target = Target(data.target_lang, data.form, bleu_tokenizer(data.target_lang, data.tokenize))
    groups, found = groups_of(models), dict[str, Texts]()
    for name, members in groups.items():
        texts = [estimates.drawn(defects(base.of(lines[each.name]))) for each in members]
        anew = [perturbed_of(base, changed, decoded.get(each.name), target) for each in members]
        found[name] = Texts(members, texts, anew)
    rows = [reference_row(base)]
    for name, members in groups.items():
        beside = next((each for each in teachers_of(members, groups) if each != name), None)
        row = found[name].row(name, None if beside is None else found[beside])
        engines, why_not = how_decoded(members, decoded)
        rows.append(replace(row, beside=beside, engines=engines, not_decoded=why_not))
    return Robustness(
        len(base.sources),
        base.training.pairs,
        {name: Definition(each.title, each.about, each.higher_is_better) for name, each in DEFECTS.items()},
        {
            name: Definition(each.title, each.about, each.higher_is_better)
            for name, each in sensitivity.MEASURES.items()
        },
        {
            task: PerturbedText(ASKED.get(task, "as they are"), len(lines))
            for task, lines in changed.tasks.items()
            if task != BEGINNINGS
        },
        tuple(rows),
        hashes(run, models),
        Examples(tuple(examples(base, {name: lines[group[0].name] for name, group in groups.items()}))),
    )


def hashes(run: Run, models: Sequence[PlannedModel]) -> dict[str, str]:
    """The hashes of the texts that were measured."""
    texts = {f"{split} {side}": run.text(split, side) for split in ("test", "train") for side in ("source", "target")}
    files = texts | {model.name: run.results(model.name) / "test.hyp" for model in models}
    return {name: sha256(file) for name, file in files.items()}


@dataclass(frozen=True)
class Texts:
    """The measures of the seeds of a model, one entry for each: of their own translations, and by perturbation."""

    members: Sequence[PlannedModel]
    texts: Sequence[Mapping[str, Drawn]]
    anew: Sequence[Mapping[str, Mapping[str, Drawn]]]

    def row(self, name: str, beside: "Texts | None") -> RobustModel:
        """The model with intervals, and differences to the one beside it."""
        tasks = [task for task in (CLEAN, *ASKED) if any(task in each for each in self.anew)]
        return RobustModel(
            name,
            self.members[0].role,
            tuple(member.seed for member in self.members),
            tuple(member.name for member in self.members),
            self.of(None, beside),
            {task: self.of(task, beside) for task in tasks},
        )

    def of(self, task: str | None, beside: "Texts | None") -> dict[str, Measured]:
        """The measures of a task, or of the models' own translations."""
        theirs = beside.drawn(task) if beside is not None else {}
        return {name: estimates.measured(each, theirs.get(name)) for name, each in self.drawn(task).items()}

    def drawn(self, task: str | None) -> dict[str, OverSeeds]:
        """The measures of those seeds that have the task; measures that some of them lack are left out."""
        sides = [texts if task is None else anew.get(task) for texts, anew in zip(self.texts, self.anew, strict=True)]
        there = [(member.seed, side) for member, side in zip(self.members, sides, strict=True) if side is not None]
        names = [name for name in there[0][1] if all(name in side for _, side in there)] if there else []
        seeds = tuple(seed for seed, _ in there)
        return {name: OverSeeds(seeds, tuple(side[name] for _, side in there)) for name in names}


def teachers_of(members: Sequence[PlannedModel], groups: Mapping[str, Sequence[PlannedModel]]) -> list[str]:
    """What a model is put beside: its own teacher if it is there, else any teacher; a teacher stands alone."""
    if members[0].role == "teacher":
        return []
    own = {member.teacher for member in members}
    teachers = [name for name, group in groups.items() if group[0].role == "teacher"]
    return sorted(teachers, key=lambda name: own.isdisjoint(each.name for each in groups[name]))


def how_decoded(members: Sequence[PlannedModel], decoded: Mapping[str, Decoded]) -> tuple[tuple[str, ...], str | None]:
    """By which engines a model's seeds translated anew, or why they did not."""
    found = [decoded[member.name] for member in members if member.name in decoded]
    engines = dict.fromkeys(each.engine for one in found for each in one.by_task.values())
    return tuple(engines), next((one.why_not for one in found if one.why_not), None)


def defects(each: Translations, of_reference: bool = False) -> dict[str, Numbers]:
    """All defects of a model's own translations."""
    return {
        name: sensitivity.share_of(defect.counts(each))
        for name, defect in DEFECTS.items()
        if not (of_reference and defect.needs_reference)
    }


def reference_row(base: Translations) -> RobustModel:
    """What the references themselves have, for scale; measures that compare with them are left out."""
    found = estimates.drawn(defects(base, of_reference=True))
    texts = {name: estimates.measured(OverSeeds((1,), (each,))) for name, each in found.items()}
    return RobustModel(REFERENCE, REFERENCE, (), (), texts, {})


def perturbed_of(
    base: Translations, changed: Changed, decoded: Decoded | None, target: Target
) -> dict[str, dict[str, Drawn]]:
    """The measures of a model's translations of changed sources, by perturbation."""
    answers = {task: each.translations for task, each in decoded.by_task.items()} if decoded else {}
    found: dict[str, dict[str, Numbers]] = {}
    if CLEAN in answers:
        by_row = dict(zip(changed.rows[CLEAN], answers[CLEAN], strict=True))
        found[CLEAN] = sensitivity.as_they_are(answers[CLEAN], [base.references[row] for row in by_row], target)
        for name, rows in changed.rows.items():
            if name != CLEAN:
                clean, references = [by_row[row] for row in rows], [base.references[row] for row in rows]
                found[name] = sensitivity.under(PERTURBATIONS[name], clean, answers[name], references, target)
    if SHORT in answers:
        found[SHORT] = sensitivity.short_answers(changed.tasks[SHORT], answers[SHORT], base.langs)
    if TRAINING in answers:
        whole, beginnings = answers[TRAINING], answers[BEGINNINGS]
        found[TRAINING] = sensitivity.by_heart(whole, beginnings, changed.targets, target.lang)
    return {task: estimates.drawn(each) for task, each in found.items()}


def examples(base: Translations, lines: Mapping[str, Sequence[str]]) -> Iterator[Example]:
    """The first sentences with each defect that a sentence has or has not, of the first seed of each model."""
    for model, texts in lines.items():
        each = base.of(texts)
        for name, defect in DEFECTS.items():
            counts = defect.counts(each)
            rows = [] if (counts[:, 1] != 1).any() else counts[:, 0].nonzero()[0][:SHOWN].tolist()
            for row in rows:
                pair = None
                if name.endswith("memorised"):
                    pair = base.queries.answer(*each.rows[row][:2]).example
                training = dict(zip(("training_source", "training_target"), pair or (), strict=False))
                yield Example(model, name, row, base.sources[row], texts[row], base.references[row], **training)
