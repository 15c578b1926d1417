"""A config becomes a plan of models: teachers, plain students, and students that learn of a teacher or by a method."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lskd_nmt import __version__
from lskd_nmt.errors import LskdError, require, require_file
from lskd_nmt.evaluate.metrics import METRICS, EvaluationSet
from lskd_nmt.evaluate.scoring import bleu_tokenizer
from lskd_nmt.experiment import student_start
from lskd_nmt.experiment.config import languages
from lskd_nmt.experiment.distillations import PLAIN, Distillation, distillations
from lskd_nmt.experiment.fairseq_commands import decode_command, with_commands
from lskd_nmt.experiment.records import Plan, PlannedData, PlannedModel
from lskd_nmt.experiment.run_config import DataConfig, Flags, RunConfig, brings_test
from lskd_nmt.experiment.stock_data import CORPUS, is_stock
from lskd_nmt.experiment.stock_data import languages as languages_of
from lskd_nmt.experiment.teacher_commands import corpus, seqkd_commands, store_command, test_command
from lskd_nmt.storage.files import read_json
from lskd_nmt.storage.typed import to_json


def expand(config: RunConfig) -> Plan:
    """The resolved plan: data, decoding, and teachers, plain students and distilled students in training order."""
    data = resolve_data(config.data)
    require_metrics(config.metrics or (), data)
    teachers = teachers_of(config, data)
    plain = [student(config, data, None, PLAIN, seed) for seed in config.seeds if config.student.plain]
    models = [*{id(each): each for each in teachers.values()}.values()]  # one may be that of several seeds
    models += [*plain, *distilled(config, data, teachers)]
    require_names(models)
    return Plan(config.name, data, tuple(models), __version__, config, config.decode)


def require_metrics(names: Sequence[str], data: PlannedData) -> None:
    """Refuse, before hours of training, a metric that does not work here, such as spBLEU without its model."""
    for name in names:
        if name in METRICS and not METRICS[name].by_program:
            METRICS[name].scorer(EvaluationSet(["x"], data.target_lang))


Teachers = dict[tuple[float | None, int], PlannedModel]  # by their label smoothing and the seed of their students


def teachers_of(config: RunConfig, data: PlannedData) -> Teachers:
    """Those that students of each seed learn from: trained ones, or the one that is there already, or none."""
    section = config.teacher
    if section.kind == "none":
        return {}
    if section.kind:
        given = given_teacher(config, data)
        return {(None, seed): given for seed in config.seeds}
    one = section.seed
    made = {
        (alpha, seed): teacher(config, data, alpha, seed)
        for alpha in section.label_smoothing
        for seed in (config.seeds if one is None else (one,))
    }
    return {(alpha, seed): made[alpha, seed if one is None else one] for alpha, _ in made for seed in config.seeds}


def distilled(config: RunConfig, data: PlannedData, teachers: Teachers) -> list[PlannedModel]:
    """A student for each seed, distillation and teacher: of all teachers of its seed, or of none where it has none."""
    alphas = [*dict.fromkeys(alpha for alpha, _ in teachers)]
    found = [
        student(config, data, source, how, seed)
        for seed in config.seeds
        for how in distillations(config.student)
        for source in ([teachers[alpha, seed] for alpha in alphas] if how.teacher else [None])
    ]
    if not config.methods:  # combinations stand teacher by teacher, methods side by side
        return [model for alpha in alphas for model in found if model.label_smoothing == alpha]
    names = [model.name for model in found]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, f"student.methods make {twice[0] if twice else ''} twice: rename one")
    return found


def require_names(models: Sequence[PlannedModel]) -> None:
    """Refuse two models of one name, which would be one folder: names have six digits of a number."""
    found: dict[str, PlannedModel] = {}
    for entry in models:
        other = found.setdefault(entry.name, entry)
        if other is not entry:
            keys = ("label_smoothing", "temperature", "kd_weight", "method")
            pairs = ((key, getattr(other, key), getattr(entry, key)) for key in keys)
            apart = [f"{key} {first!r} and {second!r}" for key, first, second in pairs if first != second]
            why = f" ({', '.join(apart)})" if apart else ""
            raise LskdError(
                f"two models are called {entry.name}{why}: rename or remove one, or give values that "
                "differ in their first six digits"
            )


def resolve_data(options: DataConfig) -> PlannedData:
    """Folder (from the run folder), languages and form of the data, and the options of data-prep/prepare.sh."""
    if options.tests is not None:  # beside the data's own, which they do not change
        main = options.test if brings_test(options) else next(iter(options.tests.values()))
        options = replace(options, test=main, tests=None)
    if options.dir is not None:
        folder = Path(options.dir)
        if is_stock(folder) and not (folder / "prep.json").is_file():
            return stock(options, folder)
        file = folder / "prep.json"
        require(
            file.is_file(),
            f"data.dir is {options.dir}, and {file} does not exist: name a folder that "
            "data-prep/prepare.sh or fairseq-preprocess made, or, if it was moved, its new place",
        )
        prepared = read_json(file)
        source, target, corpus, form = (prepared[key] for key in ("source_lang", "target_lang", "corpus", "form"))
        bleu_tokenizer(target, options.tokenize)  # refused before hours of training
        return PlannedData(options.dir, source, target, corpus, form, options.tokenize)
    (source, target), form = languages(options), options.form or "raw"
    bleu_tokenizer(target, options.tokenize)
    given = {name: value for name, value in to_json(options).items() if value is not None and name != "tokenize"}
    given.update(source_lang=source, target_lang=target, form=form)
    return PlannedData("data", source, target, options.corpus, form, options.tokenize, given)


def stock(options: DataConfig, folder: Path) -> PlannedData:
    """A folder of fairseq-preprocess as the data of a run, which `lskd adopt-data` makes a data folder of."""
    source, target = languages_of(folder, options.source_lang, options.target_lang)
    bleu_tokenizer(target, options.tokenize)
    if options.spm is not None:
        require_file(Path(options.spm), "name the sentencepiece model of the data as data.spm")
    form = options.form or "raw"
    given: Flags = {"bin": str(folder), "source_lang": source, "target_lang": target, "form": form}
    given |= {"spm": options.spm} if options.spm is not None else {}
    return PlannedData("data", source, target, CORPUS, form, options.tokenize, given)


def teacher(config: RunConfig, data: PlannedData, alpha: float, seed: int) -> PlannedModel:
    """A teacher with label smoothing `alpha`, and the commands that make what its students read."""
    name = f"teacher-ls{alpha:g}-s{seed}"
    found = PlannedModel(
        name,
        "teacher",
        seed,
        label_smoothing=alpha,
        seqkd_commands=seqkd_commands(name, config, data),
        store_command=store_command(name, config, data),
    )
    objective: Flags = {
        "kd-weight": 0,
        "label-smoothing": alpha,
        "smoothing-over": config.teacher.smoothing_over,
    }
    return with_commands(found, objective, config, data)


def given_teacher(config: RunConfig, data: PlannedData) -> PlannedModel:
    """The teacher that is there already: nothing trains it, and its label smoothing is its own."""
    name = f"teacher-{config.teacher.kind}"
    is_fairseq = config.teacher.kind == "fairseq"
    return PlannedModel(
        name,
        "teacher",
        1,
        seqkd_commands=seqkd_commands(name, config, data),
        store_command=store_command(name, config, data),
        decode_command=(decode_command(name, config.decode, data) if is_fairseq else test_command(name, config, data)),
        origin=config.teacher.origin,
    )


def student(
    config: RunConfig, data: PlannedData, source: PlannedModel | None, how: Distillation, seed: int
) -> PlannedModel:
    """A student that learns of the teacher `source`, or of none, as `how` says."""
    section = config.student
    title, objective = how.title, dict(how.first)
    objective |= {"label-smoothing": section.label_smoothing, "smoothing-over": section.smoothing_over}
    if source is not None:
        if source.label_smoothing is not None:
            title = f"ls{source.label_smoothing:g}{'-' if how.title else ''}{how.title}"
        objective |= read_of(source, how, section.store, config.teacher.data)
    init = section.init if source is not None else None
    name = f"student-{title}{f'-{student_start.title(init)}' if init is not None else ''}-s{seed}"
    objective |= student_start.objective(init, name)
    found = PlannedModel(
        name,
        "student",
        seed,
        teacher=source.name if source is not None else None,
        label_smoothing=source.label_smoothing if source is not None else None,
        method=how.method,
        temperature=how.temperature,
        kd_weight=how.kd_weight,
        kd_level=how.level,
        hypotheses=how.hypotheses,
        hypotheses_drawn=how.drawn,
        tail=how.tail,
        top_k=how.top_k,
    )
    made = with_commands(found, objective | how.flags, config, data)
    made = student_start.planned(made, init, data, config.teacher.data)
    if source is None:
        return made
    folder = corpus(source.name, how.hypotheses, config, data)
    return replace(made, train_command=(made.train_command[0], folder, *made.train_command[2:]))


def read_of(source: PlannedModel, how: Distillation, store: str, dictionaries: str | None) -> Flags:
    """The flags that name what a student reads of its teacher, whose `dictionaries` may be in a folder of their own."""
    folder, found = f"models/{source.name}", Flags()
    if how.hypotheses is not None:
        found |= {"kd-level": how.level, "hypotheses": f"{folder}/hypotheses/{how.hypotheses}"}
    if how.drawn is not None:
        found["hypotheses-drawn"] = how.drawn
    if how.probabilities:
        live = how.live or store == "none"
        path: Flags = {"teacher-path": f"{folder}/model.pt", "teacher-data": dictionaries}
        found |= path if live else {"teacher-store": f"{folder}/store"}
    return found
