"""A config becomes a plan of models: teachers, plain students, and students that learn of a teacher or by a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lskd_nmt import __version__
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.scoring import bleu_tokenizer
from lskd_nmt.experiment.config import languages
from lskd_nmt.experiment.distillations import PLAIN, Distillation, distillations, levels
from lskd_nmt.experiment.fairseq_commands import with_commands
from lskd_nmt.experiment.records import Command, Plan, PlannedData, PlannedModel
from lskd_nmt.experiment.run_config import DataConfig, Flags, RunConfig
from lskd_nmt.experiment.scripts import words_of
from lskd_nmt.storage.files import read_json
from lskd_nmt.storage.typed import to_json


def expand(config: RunConfig) -> Plan:
    """The resolved plan: data, decoding, and teachers, plain students and distilled students in training order."""
    data, one = resolve_data(config.data), config.teacher.seed
    teachers = {
        (alpha, seed): teacher(config, data, alpha, seed)
        for alpha in config.teacher.label_smoothing
        for seed in (config.seeds if one is None else (one,))
    }
    plain = [student(config, data, None, PLAIN, seed) for seed in config.seeds if config.student.plain]
    models = [*teachers.values(), *plain, *distilled(config, data, teachers)]
    require_names(models)
    return Plan(config.name, data, tuple(models), __version__, config, config.decode)


def distilled(
    config: RunConfig, data: PlannedData, teachers: Mapping[tuple[float, int], PlannedModel]
) -> list[PlannedModel]:
    """A student for each seed, distillation and teacher: of all teachers of its seed, or of none where it has none."""
    alphas, one = config.teacher.label_smoothing, config.teacher.seed
    found = [
        student(config, data, source, how, seed)
        for seed in config.seeds
        for how in distillations(config.student)
        for source in ([teachers[alpha, seed if one is None else one] for alpha in alphas] if how.teacher else [None])
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
    if options.dir is not None:
        file = Path(options.dir) / "prep.json"
        require(
            file.is_file(),
            f"data.dir is {options.dir}, and {file} does not exist: name a folder that "
            "data-prep/prepare.sh made, or, if it was moved, its new place",
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


def store_command(name: str, config: RunConfig, data: PlannedData) -> Command:
    """How a teacher's store is written; nothing if its students run it beside them."""
    section = config.student
    readers = [method for method in config.methods.values() if method.teacher and not method.live]
    if section.store == "none" or (section.methods and not readers):
        return ()
    size: Flags = {"keep": section.store}
    if section.store == "top-k":
        size |= {
            "top-k": max(int(mode.partition(":")[2]) for mode in section.tail or ()),
            "temperatures": ",".join(f"{t:g}" for t in section.temperature or ()),
        }
    flags: Flags = {
        "teacher-path": f"models/{name}/model.pt",
        "data": f"{data.folder}/bin",
        "source-lang": data.source_lang,
        "target-lang": data.target_lang,
        **size,
        "out": f"models/{name}/store",
    }
    return ("lskd", "teacher-store", *words_of(flags))


def seqkd_commands(name: str, config: RunConfig, data: PlannedData) -> tuple[Command, ...]:
    """How a teacher's hypotheses are decoded and chosen; none if no student learns from them."""
    folder, options = f"models/{name}/hypotheses", to_json(config.seqkd)
    known = DecodeSettings.__dataclass_fields__
    DecodeSettings(**{option: value for option, value in options.items() if option in known and value is not None})
    chosen = dict.fromkeys(hypotheses for _, hypotheses in levels(config.student) if hypotheses)
    langs: Flags = {"data": f"{data.folder}/bin", "source-lang": data.source_lang, "target-lang": data.target_lang}
    search = ("engine", "quantization", "beam", "nbest", "sampling", "sampling_topk", "shard_sentences")
    decoding = {
        "teacher-path": f"models/{name}/model.pt",
        **langs,
        "out": f"{folder}/decoded",
        **{option.replace("_", "-"): options[option] for option in search},
        "temperature": config.seqkd.temperature if config.seqkd.sampling else None,
        "max-len-a": config.decode.max_len_a,
        "max-len-b": config.decode.max_len_b,
        "lenpen": config.decode.lenpen,
    }
    filtering = ("similarity", "max_ratio", "drop_copies")
    filters = {option.replace("_", "-"): options[option] for option in filtering} | {"tokenize": data.tokenize}
    choosing: list[Flags] = [
        {"decoded": f"{folder}/decoded", **langs, "out": f"{folder}/{kind}", "method": kind, **filters}
        for kind in chosen
    ]
    steps = [("decode", decoding), *(("select", each) for each in choosing)] if chosen else []
    return tuple(("lskd", "seqkd", step, *words_of(flags)) for step, flags in steps)


def student(
    config: RunConfig, data: PlannedData, source: PlannedModel | None, how: Distillation, seed: int
) -> PlannedModel:
    """A student that learns of the teacher `source`, or of none, as `how` says."""
    section = config.student
    title, objective = how.title, dict(how.first)
    objective |= {"label-smoothing": section.label_smoothing, "smoothing-over": section.smoothing_over}
    if source is not None:
        title = f"ls{source.label_smoothing:g}{'-' if how.title else ''}{how.title}"
        objective |= read_of(source, how, section.store)
    found = PlannedModel(
        f"student-{title}-s{seed}",
        "student",
        seed,
        teacher=source.name if source is not None else None,
        label_smoothing=source.label_smoothing if source is not None else None,
        method=how.method,
        temperature=how.temperature,
        kd_weight=how.kd_weight,
        kd_level=how.level,
        hypotheses=how.hypotheses,
        tail=how.tail,
        top_k=how.top_k,
    )
    return with_commands(found, objective | how.flags, config, data)


def read_of(source: PlannedModel, how: Distillation, store: str) -> Flags:
    """The flags that name what a student reads of its teacher."""
    folder, found = f"models/{source.name}", Flags()
    if how.hypotheses is not None:
        found |= {"kd-level": how.level, "hypotheses": f"{folder}/hypotheses/{how.hypotheses}"}
    if how.probabilities:
        live = how.live or store == "none"
        found |= {"teacher-path": f"{folder}/model.pt"} if live else {"teacher-store": f"{folder}/store"}
    return found
