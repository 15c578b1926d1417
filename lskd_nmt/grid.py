"""A config becomes a grid of models: teachers, plain students, and one student for each lesson of each teacher."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lskd_nmt import __version__
from lskd_nmt.commands import as_arguments
from lskd_nmt.recipe import model
from lskd_nmt.runs import read_json
from lskd_nmt.seqkd.engines import DecodeSettings


@dataclass(frozen=True)
class Lesson:
    """What a student learns of its teacher, and how."""

    level: str  # word, sequence or both
    hypotheses: str | None  # of sequence and both: which translations
    kd_weight: float
    tail: str | None  # of word and both: dense, bucket, uniform or renormalise
    top_k: int  # 0: all symbols
    temperature: float | None

    @property
    def name(self) -> str:
        """As a part of the student's name; what is usual is not in it."""
        parts = [f"{self.level}-{self.hypotheses}"] if self.hypotheses else []
        parts += [f"{self.tail}{self.top_k}"] if self.top_k else []
        parts += [f"t{self.temperature:g}"] if self.temperature is not None else []
        parts += [f"w{self.kd_weight:g}"] if self.kd_weight != 1 else []
        return "-".join(parts)


def expand(config: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved plan: data, decoding, and teachers, plain students and distilled students in training order."""
    data, section = resolve_data(config["data"]), config["student"]
    one = config["teacher"]["seed"]
    seeds = config["seeds"] if one is None else [one]
    teachers = {(alpha, seed): teacher(config, data, alpha, seed)
                for alpha in config["teacher"]["label_smoothing"] for seed in seeds}  # fmt: skip
    plain = [student(config, data, None, None, seed) for seed in config["seeds"] if section["plain"]]
    distilled = [student(config, data, teachers[alpha, seed if one is None else one], lesson, seed)
                 for alpha in config["teacher"]["label_smoothing"] for seed in config["seeds"]
                 for lesson in lessons(section)]  # fmt: skip
    models = [*teachers.values(), *plain, *distilled]
    return {"name": config["name"], "lskd_nmt": __version__, "config": config, "data": data,
            "decode": config["decode"], "models": models}  # fmt: skip


def resolve_data(options: Mapping[str, Any]) -> dict[str, Any]:
    """Folder (from the run folder), languages and form of the data, and the options of data-prep/prepare.sh."""
    if options["dir"] is not None:
        prepared = read_json(Path(options["dir"]) / "prep.json")
        facts = {name: prepared[name] for name in ("corpus", "form", "source_lang", "target_lang")}
        return {"folder": options["dir"], **facts, "options": None}
    given = {name: value for name, value in options.items() if value is not None}
    words = str(options["corpus"]).split("_")
    default = ("en", words[-1]) if len(words) > 2 else ("en", "de")  # iwslt_en_ru; toy
    langs = options["source_lang"] or default[0], options["target_lang"] or default[1]
    given.update(source_lang=langs[0], target_lang=langs[1], form=options["form"] or "raw")
    facts = {name: given[name] for name in ("corpus", "form", "source_lang", "target_lang")}
    return {"folder": "data", **facts, "options": given}


def lessons(section: Mapping[str, Any]) -> list[Lesson]:
    """All combinations of level, translations, weight, tail and temperature that make sense."""
    result = []
    for level, hypotheses in kinds(section):
        for weight in section["kd_weight"]:
            if level == "sequence":
                result.append(Lesson(level, hypotheses, weight, None, 0, None))
                continue
            for tail, _, top_k in (mode.partition(":") for mode in section["tail"]):
                result += [Lesson(level, hypotheses, weight, tail, int(top_k or 0), temperature)
                           for temperature in section["temperature"]]  # fmt: skip
    return result


def kinds(section: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The levels of distillation, and the hypotheses that those above words learn."""
    return [(level, hypotheses) for level in section["kd_level"]
            for hypotheses in (section["hypotheses"] if level != "word" else [None])]  # fmt: skip


def teacher(config: Mapping[str, Any], data: Mapping[str, Any], alpha: float, seed: int) -> dict[str, Any]:
    """A teacher with label smoothing `alpha`, and the commands that make what its students read."""
    section, name = config["teacher"], f"teacher-ls{alpha:g}-s{seed}"
    facts = {"role": "teacher", "teacher": None, "label_smoothing": alpha, "temperature": None, "kd_weight": 0.0,
             "seqkd_commands": seqkd_commands(name, config, data),
             "store_command": store_command(name, config, data)}  # fmt: skip
    objective = {"kd-weight": 0, "label-smoothing": alpha, "smoothing-over": section["smoothing_over"]}
    return model(name, facts, section, objective, config, data, seed)


def store_command(name: str, config: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """How a teacher's store is written; nothing if its students run it beside them."""
    section = config["student"]
    keep = section["store"]
    if keep == "none":
        return []
    size: dict[str, Any] = {"keep": keep}
    if keep == "top-k":
        size |= {"top-k": max(int(mode.partition(":")[2]) for mode in section["tail"]),
                 "temperatures": ",".join(f"{t:g}" for t in section["temperature"])}  # fmt: skip
    flags = {"teacher-path": f"models/{name}/model.pt", "data": f"{data['folder']}/bin",
             "source-lang": data["source_lang"], "target-lang": data["target_lang"], **size,
             "out": f"models/{name}/store"}  # fmt: skip
    return ["lskd", "teacher-store", *(word for flag in flags.items() for word in as_arguments(*flag))]


def seqkd_commands(name: str, config: Mapping[str, Any], data: Mapping[str, Any]) -> list[list[str]]:
    """How a teacher's hypotheses are decoded and chosen; none if no student learns from them."""
    options, folder = config["seqkd"], f"models/{name}/hypotheses"
    known = DecodeSettings.__dataclass_fields__
    DecodeSettings(**{option: value for option, value in options.items() if option in known and value is not None})
    methods = dict.fromkeys(method for _, method in kinds(config["student"]) if method)
    langs = {"data": f"{data['folder']}/bin", "source-lang": data["source_lang"], "target-lang": data["target_lang"]}
    search = ("engine", "quantization", "beam", "nbest", "sampling", "sampling_topk", "shard_sentences")
    decoding = {"teacher-path": f"models/{name}/model.pt", **langs, "out": f"{folder}/decoded",
                **{option.replace("_", "-"): options[option] for option in search},
                "temperature": options["temperature"] if options["sampling"] else None,
                "max-len-a": config["decode"]["max_len_a"], "max-len-b": config["decode"]["max_len_b"],
                "lenpen": config["decode"]["lenpen"]}  # fmt: skip
    filters = {option.replace("_", "-"): options[option] for option in ("similarity", "max_ratio", "drop_copies")}
    choosing = [{"decoded": f"{folder}/decoded", **langs, "out": f"{folder}/{method}", "method": method, **filters}
                for method in methods]  # fmt: skip
    steps = [("decode", decoding), *(("select", each) for each in choosing)] if methods else []
    return [["lskd", "seqkd", step, *(word for flag in flags.items() for word in as_arguments(*flag))]
            for step, flags in steps]  # fmt: skip


def student(
    config: Mapping[str, Any], data: Mapping[str, Any], source: dict[str, Any] | None, lesson: Lesson | None, seed: int
) -> dict[str, Any]:
    """A student that learns `lesson` of the teacher `source`, or a plain one without both."""
    section = config["student"]
    objective: dict[str, Any] = {"kd-weight": 0, "label-smoothing": section["label_smoothing"],
                                 "smoothing-over": section["smoothing_over"]}  # fmt: skip
    facts = {"role": "student", "teacher": None, "label_smoothing": None, "temperature": None, "kd_weight": 0.0}
    if source is None or lesson is None:
        return model(f"student-plain-s{seed}", facts, section, objective, config, data, seed)
    facts |= {"teacher": source["name"], "label_smoothing": source["label_smoothing"],
              "temperature": lesson.temperature, "kd_weight": lesson.kd_weight, "kd_level": lesson.level,
              "hypotheses": lesson.hypotheses, "tail": lesson.tail, "top_k": lesson.top_k}  # fmt: skip
    folder = f"models/{source['name']}"
    objective["kd-weight"] = lesson.kd_weight
    if lesson.hypotheses is not None:
        objective |= {"kd-level": lesson.level, "hypotheses": f"{folder}/hypotheses/{lesson.hypotheses}"}
    if lesson.temperature is not None:
        signal = {"teacher-path": f"{folder}/model.pt"}
        if section["store"] != "none":
            signal = {"teacher-store": f"{folder}/store"}
        objective |= {**signal, "temperature": lesson.temperature, "temper": section["temper"],
                      "no-temperature-squared": not section["temperature_squared"]}  # fmt: skip
        if lesson.top_k:
            objective |= {"top-k": lesson.top_k, "tail": lesson.tail}
    name = f"student-ls{source['label_smoothing']:g}{'-' if lesson.name else ''}{lesson.name}-s{seed}"
    return model(name, facts, section, objective, config, data, seed)
