"""A config becomes a grid of models: teachers, plain students, and a student for each lesson or method of a teacher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt import __version__
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.scoring import bleu_tokenizer
from lskd_nmt.experiment import method_files
from lskd_nmt.experiment.config import languages
from lskd_nmt.experiment.fairseq_commands import model
from lskd_nmt.experiment.scripts import as_arguments
from lskd_nmt.experiment.settings_grid import Lesson, kinds, lessons
from lskd_nmt.storage.files import read_json


def expand(config: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved plan: data, decoding, and teachers, plain students and distilled students in training order."""
    data, section = resolve_data(config["data"]), config["student"]
    one = config["teacher"]["seed"]
    seeds = config["seeds"] if one is None else [one]
    teachers = {
        (alpha, seed): teacher(config, data, alpha, seed)
        for alpha in config["teacher"]["label_smoothing"]
        for seed in seeds
    }
    plain = [student(config, data, None, None, seed) for seed in config["seeds"] if section["plain"]]
    of = {
        (alpha, seed): teachers[alpha, seed if one is None else one]
        for alpha in config["teacher"]["label_smoothing"]
        for seed in config["seeds"]
    }
    if section["methods"]:
        distilled = by_methods(config, data, of)
    else:
        distilled = [
            student(config, data, source, lesson, seed)
            for (_, seed), source in of.items()
            for lesson in lessons(section)
        ]
    models = [*teachers.values(), *plain, *distilled]
    require_names(models)
    return {
        "name": config["name"],
        "lskd_nmt": __version__,
        "config": config,
        "data": data,
        "decode": config["decode"],
        "models": models,
    }


def require_names(models: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two models of one name, which would be one folder: names have six digits of a number."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in models:
        other = found.setdefault(entry["name"], entry)
        if other is not entry:
            keys = ("label_smoothing", "temperature", "kd_weight", "method")
            pairs = ((key, other.get(key), entry.get(key)) for key in keys)
            apart = [f"{key} {first!r} and {second!r}" for key, first, second in pairs if first != second]
            why = f" ({', '.join(apart)})" if apart else ""
            raise LskdError(
                f"two models are called {entry['name']}{why}: rename or remove one, or give values that "
                "differ in their first six digits"
            )


def resolve_data(options: Mapping[str, Any]) -> dict[str, Any]:
    """Folder (from the run folder), languages and form of the data, and the options of data-prep/prepare.sh."""
    wish = {"tokenize": options["tokenize"]} if options["tokenize"] is not None else {}
    if options["dir"] is not None:
        file = Path(options["dir"]) / "prep.json"
        require(
            file.is_file(),
            f"data.dir is {options['dir']}, and {file} does not exist: name a folder that "
            "data-prep/prepare.sh made, or, if it was moved, its new place",
        )
        prepared = read_json(file)
        facts = {name: prepared[name] for name in ("corpus", "form", "source_lang", "target_lang")}
        bleu_tokenizer(facts["target_lang"], options["tokenize"])  # refused before hours of training
        return {"folder": options["dir"], **facts, **wish, "options": None}
    given = {name: value for name, value in options.items() if value is not None and name not in wish}
    langs = languages(options)
    given.update(source_lang=langs[0], target_lang=langs[1], form=options["form"] or "raw")
    facts = {name: given[name] for name in ("corpus", "form", "source_lang", "target_lang")}
    bleu_tokenizer(facts["target_lang"], options["tokenize"])
    return {"folder": "data", **facts, **wish, "options": given}


def teacher(config: Mapping[str, Any], data: Mapping[str, Any], alpha: float, seed: int) -> dict[str, Any]:
    """A teacher with label smoothing `alpha`, and the commands that make what its students read."""
    section, name = config["teacher"], f"teacher-ls{alpha:g}-s{seed}"
    facts = {
        "role": "teacher",
        "teacher": None,
        "label_smoothing": alpha,
        "temperature": None,
        "kd_weight": 0.0,
        "seqkd_commands": seqkd_commands(name, config, data),
        "store_command": store_command(name, config, data),
    }
    objective = {"kd-weight": 0, "label-smoothing": alpha, "smoothing-over": section["smoothing_over"]}
    return model(name, facts, section, objective, config, data, seed)


def store_command(name: str, config: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """How a teacher's store is written; nothing if its students run it beside them."""
    section = config["student"]
    keep = section["store"]
    readers = [method for method in (section["methods"] or {}).values() if method["teacher"] and not method["live"]]
    if keep == "none" or (section["methods"] and not readers):
        return []
    size: dict[str, Any] = {"keep": keep}
    if keep == "top-k":
        size |= {
            "top-k": max(int(mode.partition(":")[2]) for mode in section["tail"]),
            "temperatures": ",".join(f"{t:g}" for t in section["temperature"]),
        }
    flags = {
        "teacher-path": f"models/{name}/model.pt",
        "data": f"{data['folder']}/bin",
        "source-lang": data["source_lang"],
        "target-lang": data["target_lang"],
        **size,
        "out": f"models/{name}/store",
    }
    return ["lskd", "teacher-store", *(word for flag in flags.items() for word in as_arguments(*flag))]


def seqkd_commands(name: str, config: Mapping[str, Any], data: Mapping[str, Any]) -> list[list[str]]:
    """How a teacher's hypotheses are decoded and chosen; none if no student learns from them."""
    options, folder = config["seqkd"], f"models/{name}/hypotheses"
    known = DecodeSettings.__dataclass_fields__
    DecodeSettings(**{option: value for option, value in options.items() if option in known and value is not None})
    chosen = dict.fromkeys(method for _, method in kinds(config["student"]) if method)
    langs = {"data": f"{data['folder']}/bin", "source-lang": data["source_lang"], "target-lang": data["target_lang"]}
    search = ("engine", "quantization", "beam", "nbest", "sampling", "sampling_topk", "shard_sentences")
    decoding = {
        "teacher-path": f"models/{name}/model.pt",
        **langs,
        "out": f"{folder}/decoded",
        **{option.replace("_", "-"): options[option] for option in search},
        "temperature": options["temperature"] if options["sampling"] else None,
        "max-len-a": config["decode"]["max_len_a"],
        "max-len-b": config["decode"]["max_len_b"],
        "lenpen": config["decode"]["lenpen"],
    }
    filters = {option.replace("_", "-"): options[option] for option in ("similarity", "max_ratio", "drop_copies")}
    filters["tokenize"] = data.get("tokenize")
    choosing = [
        {"decoded": f"{folder}/decoded", **langs, "out": f"{folder}/{method}", "method": method, **filters}
        for method in chosen
    ]
    steps = [("decode", decoding), *(("select", each) for each in choosing)] if chosen else []
    return [
        ["lskd", "seqkd", step, *(word for flag in flags.items() for word in as_arguments(*flag))]
        for step, flags in steps
    ]


def student(
    config: Mapping[str, Any], data: Mapping[str, Any], source: dict[str, Any] | None, lesson: Lesson | None, seed: int
) -> dict[str, Any]:
    """A student that learns `lesson` of the teacher `source`, or a plain one without both."""
    section = config["student"]
    objective: dict[str, Any] = {
        "kd-weight": 0,
        "label-smoothing": section["label_smoothing"],
        "smoothing-over": section["smoothing_over"],
    }
    facts = {"role": "student", "teacher": None, "label_smoothing": None, "temperature": None, "kd_weight": 0.0}
    if source is None or lesson is None:
        return model(f"student-plain-s{seed}", facts, section, objective, config, data, seed)
    facts |= {
        "teacher": source["name"],
        "label_smoothing": source["label_smoothing"],
        "temperature": lesson.temperature,
        "kd_weight": lesson.kd_weight,
        "kd_level": lesson.level,
        "hypotheses": lesson.hypotheses,
        "tail": lesson.tail,
        "top_k": lesson.top_k,
    }
    folder = f"models/{source['name']}"
    objective["kd-weight"] = lesson.kd_weight
    if lesson.hypotheses is not None:
        objective |= {"kd-level": lesson.level, "hypotheses": f"{folder}/hypotheses/{lesson.hypotheses}"}
    if lesson.temperature is not None:
        signal = {"teacher-path": f"{folder}/model.pt"}
        if section["store"] != "none":
            signal = {"teacher-store": f"{folder}/store"}
        objective |= {
            **signal,
            "temperature": lesson.temperature,
            "temper": section["temper"],
            "no-temperature-squared": not section["temperature_squared"],
        }
        if lesson.top_k:
            objective |= {"top-k": lesson.top_k, "tail": lesson.tail}
    name = f"student-ls{source['label_smoothing']:g}{'-' if lesson.name else ''}{lesson.name}-s{seed}"
    return model(name, facts, section, objective, config, data, seed)


def by_methods(
    config: Mapping[str, Any], data: Mapping[str, Any], of: Mapping[tuple[float, int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """A student for each method and seed: of every teacher `of` its seed, or of none where the method reads none."""
    sources = {seed: [one for (_, own), one in of.items() if own == seed] for seed in config["seeds"]}
    found = [
        by_method(config, data, source, name, seed)
        for seed in config["seeds"]
        for name, method in config["student"]["methods"].items()
        for source in (sources[seed] if method["teacher"] else [None])
    ]
    names = [student["name"] for student in found]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, f"student.methods make {twice[0] if twice else ''} twice: rename one")
    return found


def by_method(
    config: Mapping[str, Any], data: Mapping[str, Any], source: dict[str, Any] | None, name: str, seed: int
) -> dict[str, Any]:
    """A student that learns of the teacher `source`, or of none, as the method's flags say."""
    section = config["student"]
    method: Mapping[str, Any] = section["methods"][name]
    tail, top_k = method_files.tail(method)
    facts = {
        "role": "student",
        "teacher": None,
        "label_smoothing": None,
        "method": name,
        "temperature": method_files.temperature(method),
        "kd_weight": method_files.kd_weight(method),
        "kd_level": None,
        "hypotheses": None,
        "tail": tail,
        "top_k": top_k,
    }
    objective = {"label-smoothing": section["label_smoothing"], "smoothing-over": section["smoothing_over"]}
    title = name
    if source is not None:
        title = f"ls{source['label_smoothing']:g}-{name}"
        facts |= {"teacher": source["name"], "label_smoothing": source["label_smoothing"], "kd_level": "word"}
        folder, live = f"models/{source['name']}", method["live"] or section["store"] == "none"
        objective |= {"teacher-path": f"{folder}/model.pt"} if live else {"teacher-store": f"{folder}/store"}
        objective |= {"temperature": method_files.temperature(method), "kd-weight": method_files.kd_weight(method)}
    return model(f"student-{title}-s{seed}", facts, section, objective | method["flags"], config, data, seed)
