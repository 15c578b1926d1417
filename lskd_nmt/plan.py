"""A config becomes a list of models, each with its full fairseq-train command."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lskd_nmt import __version__
from lskd_nmt.commands import USER_DIR, as_arguments, command_script, hypotheses_script, prepare_script
from lskd_nmt.config import resolve
from lskd_nmt.errors import require
from lskd_nmt.runs import read_json, write_json, write_text
from lskd_nmt.seqkd.engines import DecodeSettings

# What every training gets unless the config says otherwise: (flag, value, reason).
TRAINING_DEFAULTS: tuple[tuple[str, Any, str], ...] = (
    ("optimizer", "adam", "as every transformer of this field"),
    ("adam-betas", "(0.9, 0.98)", "Vaswani et al. 2017"),
    ("clip-norm", 0.0, "no clipping, as fairseq's IWSLT recipe"),
    ("lr-scheduler", "inverse_sqrt", "Vaswani et al. 2017"),
    ("lr", 5e-4, "fairseq's IWSLT recipe"),
    ("warmup-updates", 4000, "fairseq's IWSLT recipe; set less for short trainings"),
    ("weight-decay", 1e-4, "fairseq's IWSLT recipe"),
    ("dropout", 0.3, "small corpora; the archs' own value is for large ones"),
    ("max-tokens", 4096, "target tokens of a batch"),
    ("required-batch-size-multiple", 1, "above 1 fairseq drops a last batch of odd size: the longest sentences"),
    ("eval-bleu", True, "the best checkpoint is chosen by what is reported"),
    ("eval-bleu-args", {"beam": 1, "max_len_a": 1.5, "max_len_b": 10}, "greedy is cheap; an untrained model runs on"),
    ("eval-bleu-remove-bpe", "sentencepiece", "subwords are sentencepiece's"),
    ("best-checkpoint-metric", "bleu", "loss and BLEU part ways under label smoothing"),
    ("maximize-best-checkpoint-metric", True, "more BLEU is better"),
    ("patience", 10, "stop after 10 validations without a better one"),
    ("no-epoch-checkpoints", True, "checkpoint_last resumes, checkpoint_best is published; averages keep others"),
    ("log-format", "json", "the learning curve is read from the log"),
    ("log-interval", 20, "progress every few seconds on a CPU"),
)
RESERVED = {
    "user-dir": "", "save-dir": "", "restore-file": "", "source-lang": "data.source_lang",
    "target-lang": "data.target_lang",
    "arch": "arch", "criterion": "", "seed": "seeds", "label-smoothing": "label_smoothing",
    "smoothing-over": "smoothing_over", "temperature": "student.temperature", "kd-weight": "student.kd_weight",
    "temper": "student.temper", "no-temperature-squared": "student.temperature_squared", "teacher-path": "",
    "teacher-data": "", "kd-level": "student.kd_level", "hypotheses": "student.hypotheses",
    "cpu": "--device", "fp16": "--precision", "bf16": "--precision", "log-file": "",
}  # fmt: skip


def plan(config: Mapping[str, Any], source: str, run: Path) -> dict[str, Any]:
    """Write RUN/plan.json and its commands for a resolved config; an existing plan of the same config stays."""
    file = run / "plan.json"
    if file.is_file():
        resolved = read_json(file)
        require_same(resolve(resolved["config"]), config, run)  # with the defaults of keys that are new since
    else:
        resolved = expand(config)
        write_text(run / "config.yaml", source)
    for model in resolved["models"]:
        folder = run / "models" / model["name"]
        for script, what in (("command.sh", "train"), ("decode.sh", "decode")):
            write_text(folder / script, command_script(f"{what}: {model['name']}", model[f"{what}_command"]))
        if model.get("seqkd_commands"):
            write_text(folder / "hypotheses.sh", hypotheses_script(model["name"], model["seqkd_commands"]))
    if resolved["data"]["options"] is not None:
        write_text(run / "prepare.sh", prepare_script(resolved["data"]["options"]))
    write_json(file, resolved)
    return resolved


def require_same(old: Mapping[str, Any], new: Mapping[str, Any], run: Path) -> None:
    """Refuse a config that differs from the one the run folder was made with."""
    before, after = dict(leaves(old)), dict(leaves(new))
    for key in {**before, **after}:
        is_same = before.get(key) == after.get(key)
        require(is_same, f"{run} was made with {key} = {before.get(key)!r}, the config now says {after.get(key)!r}: "
                         "change it back, or give another --out")  # fmt: skip


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of nested mappings with its dotted key."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def expand(config: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved plan: data, decoding, and teachers, plain students and distilled students in training order."""
    data = resolve_data(config["data"])
    teachers = [teacher(config, data, alpha, seed) for alpha in config["teacher"]["label_smoothing"]
                for seed in config["seeds"]]  # fmt: skip
    plain = [student(config, data, None, None, seed) for seed in config["seeds"] if config["student"]["plain"]]
    temperatures = {
        "sequence": [None],
        "word": config["student"]["temperature"],
        "both": config["student"]["temperature"],
    }
    distilled = [student(config, data, source, temperature, source["seed"], *kind)
                 for source in teachers for kind in kinds(config["student"])
                 for temperature in temperatures[kind[0]]]  # fmt: skip
    for source in teachers:
        source["seqkd_commands"] = seqkd_commands(source["name"], config, data)
    models = teachers + plain + distilled
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


def teacher(config: Mapping[str, Any], data: Mapping[str, Any], alpha: float, seed: int) -> dict[str, Any]:
    """A teacher with label smoothing `alpha`."""
    section = config["teacher"]
    facts = {"role": "teacher", "teacher": None, "label_smoothing": alpha, "temperature": None, "kd_weight": 0.0}
    objective = {"kd-weight": 0, "label-smoothing": alpha, "smoothing-over": section["smoothing_over"]}
    return model(f"teacher-ls{alpha:g}-s{seed}", facts, section, objective, config, data, seed)


def kinds(section: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The levels of distillation, and the hypotheses that those above words learn."""
    return [(level, hypotheses) for level in section["kd_level"]
            for hypotheses in (section["hypotheses"] if level != "word" else [None])]  # fmt: skip


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
    config: Mapping[str, Any], data: Mapping[str, Any], source: dict[str, Any] | None, temperature: float | None,
    seed: int, level: str = "word", hypotheses: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A student of the teacher `source`, or a plain one without."""
    section = config["student"]
    objective: dict[str, Any] = {"kd-weight": 0, "label-smoothing": section["label_smoothing"],
                                 "smoothing-over": section["smoothing_over"]}  # fmt: skip
    facts = {"role": "student", "teacher": None, "label_smoothing": None, "temperature": None, "kd_weight": 0.0}
    if source is None:
        return model(f"student-plain-s{seed}", facts, section, objective, config, data, seed)
    facts |= {"teacher": source["name"], "label_smoothing": source["label_smoothing"], "temperature": temperature,
              "kd_weight": section["kd_weight"], "kd_level": level, "hypotheses": hypotheses}  # fmt: skip
    objective["kd-weight"] = section["kd_weight"]
    kind = f"-t{temperature:g}" if temperature is not None else ""
    if hypotheses is not None:
        objective |= {"kd-level": level, "hypotheses": f"models/{source['name']}/hypotheses/{hypotheses}"}
        kind = f"-{level}-{hypotheses}{kind}"
    if temperature is not None:
        objective |= {"teacher-path": f"models/{source['name']}/model.pt", "temperature": temperature,
                      "temper": section["temper"],
                      "no-temperature-squared": not section["temperature_squared"]}  # fmt: skip
    name = f"student-ls{source['label_smoothing']:g}{kind}-s{seed}"
    return model(name, facts, section, objective, config, data, seed)


def model(
    name: str, facts: Mapping[str, Any], section: Mapping[str, Any], objective: Mapping[str, Any],
    config: Mapping[str, Any], data: Mapping[str, Any], seed: int,
) -> dict[str, Any]:  # fmt: skip
    """One entry of the plan. Paths in its command are relative to the run folder."""
    defaults = {flag: value for flag, value, _ in TRAINING_DEFAULTS} | validation_text(data)
    flags = defaults | keep_flags(section["average"]) | config["train"] | section["train"]
    for flag in (*config["train"], *section["train"]):
        way = f"use {RESERVED[flag]}" if RESERVED.get(flag) else "remove it"
        require(flag not in RESERVED, f"train.{flag} is set by the pipeline: {way}")
    require_kept(flags, section["average"], facts["role"])
    lasts = [flags.get("max-epoch"), flags.get("max-update")]
    require(any(lasts), f"{facts['role']}.train has neither max-epoch nor max-update: say when to stop")
    chosen = {"source-lang": data["source_lang"], "target-lang": data["target_lang"], "user-dir": USER_DIR,
             "arch": section["arch"], "criterion": "kd_ls", **objective, "seed": seed,
             "save-dir": f"models/{name}/checkpoints", **flags}  # fmt: skip
    argv = ["fairseq-train", f"{data['folder']}/bin",
            *(word for flag in chosen.items() for word in as_arguments(*flag))]  # fmt: skip
    return {"name": name, **facts, "average": section["average"], "arch": section["arch"], "seed": seed,
            "train_command": argv, "decode_command": decode_command(name, config["decode"], data)}  # fmt: skip


def keep_flags(average: Mapping[str, int] | None) -> dict[str, Any]:
    """The fairseq-train flags that keep the checkpoints of an average."""
    if average is None:
        return {}
    if "last" in average:
        return {"keep-last-epochs": average["last"], "no-epoch-checkpoints": False}
    return {"keep-best-checkpoints": average["best"]}


def require_kept(flags: Mapping[str, Any], average: Mapping[str, int] | None, role: str) -> None:
    """Refuse flags of the user's that keep fewer checkpoints than are averaged."""
    for how, count in (average or {}).items():
        flag = {"last": "keep-last-epochs", "best": "keep-best-checkpoints"}[how]
        kept = int(flags[flag]) if re.fullmatch(r"-?\d+", str(flags[flag])) else 0  # fairseq: every epoch, no best
        enough = kept >= count or (how == "last" and kept < 1)
        require(enough, f"train.{flag} is {flags[flag]!r} and {role}.average takes the {how} {count}: remove the first")
        every_epoch = how == "best" or not flags["no-epoch-checkpoints"]
        require(every_epoch, f"train.no-epoch-checkpoints leaves nothing to {role}.average's last {count}: remove it")


def decode_command(name: str, decode: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """fairseq-generate on the test set; subwords stay, `lskd hyp` joins them."""
    chosen = {"user-dir": USER_DIR, "path": f"models/{name}/model.pt", "gen-subset": "test",
              "source-lang": data["source_lang"], "target-lang": data["target_lang"], "beam": decode["beam"],
              "lenpen": decode["lenpen"], "max-len-a": decode["max_len_a"], "max-len-b": decode["max_len_b"],
              "max-tokens": decode["max_tokens"],
              "required-batch-size-multiple": 1, "log-format": "none"}  # fmt: skip
    words = (word for flag in chosen.items() for word in as_arguments(*flag))
    return ["fairseq-generate", f"{data['folder']}/bin", *words]


def validation_text(data: Mapping[str, Any]) -> dict[str, Any]:
    """Validation BLEU is of detokenised text: raw text is once its subwords are joined, a tokenised form is not."""
    if data["form"] == "raw":
        return {"eval-bleu-detok": "space"}
    return {"eval-bleu-detok": "moses", "eval-bleu-detok-args": {"target_lang": data["target_lang"]}}
