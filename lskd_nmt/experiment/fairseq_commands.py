"""A model's full fairseq commands, and the flags that every training gets unless the config says otherwise."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lskd_nmt.errors import require
from lskd_nmt.experiment import tracking
from lskd_nmt.experiment.records import Command, PlannedData, PlannedModel
from lskd_nmt.experiment.run_config import DecodeConfig, Flags, RunConfig, StudentConfig, TeacherConfig
from lskd_nmt.experiment.scripts import USER_DIR, words_of
from lskd_nmt.experiment.stock_data import subwords_of
from lskd_nmt.storage.typed import Json

# What every training gets unless the config says otherwise: (flag, value, reason).
TRAINING_DEFAULTS: tuple[tuple[str, Json, str], ...] = (
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
    "user-dir": "",
    "save-dir": "",
    "restore-file": "",
    "source-lang": "data.source_lang",
    "target-lang": "data.target_lang",
    "arch": "arch",
    "criterion": "",
    "seed": "seeds",
    "label-smoothing": "label_smoothing",
    "smoothing-over": "smoothing_over",
    "temperature": "student.temperature",
    "kd-weight": "student.kd_weight",
    "temper": "student.temper",
    "no-temperature-squared": "student.temperature_squared",
    "teacher-path": "",
    "teacher-data": "",
    "teacher-store": "student.store",
    "top-k": "student.tail",
    "tail": "student.tail",
    "kd-level": "student.kd_level",
    "hypotheses": "student.hypotheses",
    "hypotheses-drawn": "student.hypotheses_drawn",
    "cpu": "--device",
    "fp16": "--precision",
    "bf16": "--precision",
    "log-file": "",
    "tpu": "",
    "no-save": "",
    "checkpoint-suffix": "",
    "checkpoint-shard-count": "",
    "help": "",  # no model.pt, no run
}


def with_commands(model: PlannedModel, objective: Flags, config: RunConfig, data: PlannedData) -> PlannedModel:
    """A model with its commands. Paths in them are relative to the run folder; `objective` has the last word."""
    section = config.teacher if model.role == "teacher" else config.student
    flags = tracking.flags_of(config.track) | training_flags(section, config.train, data)
    for flag in (*config.train, *section.train):
        way = f"use {RESERVED[flag]}" if RESERVED.get(flag) else "remove it"
        require(flag not in RESERVED, f"train.{flag} is set by the pipeline: {way}")
    require_kept(flags, section.average, model.role)
    lasts = [flags.get("max-epoch"), flags.get("max-update")]
    require(any(lasts), f"{model.role}.train has neither max-epoch nor max-update: say when to stop")
    chosen: Flags = {
        "source-lang": data.source_lang,
        "target-lang": data.target_lang,
        "user-dir": USER_DIR,
        "arch": section.arch,
        "criterion": "kd_ls",
        **objective,
        "seed": model.seed,
        "save-dir": f"models/{model.name}/checkpoints",
        **flags,
        **objective,
    }
    return replace(
        model,
        average=section.average,
        arch=section.arch,
        train_command=("fairseq-train", f"{data.folder}/bin", *words_of(chosen)),
        decode_command=decode_command(model.name, config.decode, data),
    )


def training_flags(section: TeacherConfig | StudentConfig, common: Flags, data: PlannedData) -> Flags:
    """The flags of fairseq-train: our defaults, those of all models (`common`), and those of a section."""
    defaults = {flag: value for flag, value, _ in TRAINING_DEFAULTS} | validation_text(data)
    flags = defaults | keep_flags(section.average) | common | section.train
    search = flags.get("eval-bleu-args")
    if data.tokenize is not None and isinstance(search, str | dict):  # the plugin reads it there
        search = search if isinstance(search, dict) else json.loads(search)
        flags["eval-bleu-args"] = {"tokenize": data.tokenize, **search}
    return flags


def keep_flags(average: Mapping[str, int] | None) -> Flags:
    """The fairseq-train flags that keep the checkpoints of an average."""
    if average is None:
        return {}
    if "last" in average:
        return {"keep-last-epochs": average["last"], "no-epoch-checkpoints": False}
    return {"keep-best-checkpoints": average["best"]}


def require_kept(flags: Flags, average: Mapping[str, int] | None, role: str) -> None:
    """Refuse flags of the user's that keep fewer checkpoints than are averaged."""
    for how, count in (average or {}).items():
        flag = {"last": "keep-last-epochs", "best": "keep-best-checkpoints"}[how]
        given = str(flags[flag])
        kept = int(given) if re.fullmatch(r"-?\d+", given) else 0  # fairseq: every epoch, no best
        enough = kept >= count or (how == "last" and kept < 1)
        require(enough, f"train.{flag} is {flags[flag]!r} and {role}.average takes the {how} {count}: remove the first")
        every_epoch = how == "best" or not flags["no-epoch-checkpoints"]
        require(every_epoch, f"train.no-epoch-checkpoints leaves nothing to {role}.average's last {count}: remove it")


def decode_command(name: str, decode: DecodeConfig, data: PlannedData) -> Command:
    """fairseq-generate on the test set; subwords stay, `lskd hyp` joins them."""
    chosen: Flags = {
        "user-dir": USER_DIR,
        "path": f"models/{name}/model.pt",
        "gen-subset": "test",
        "source-lang": data.source_lang,
        "target-lang": data.target_lang,
        "beam": decode.beam,
        "lenpen": decode.lenpen,
        "max-len-a": decode.max_len_a,
        "max-len-b": decode.max_len_b,
        "max-tokens": decode.max_tokens,
        "required-batch-size-multiple": 1,
        "log-format": "none",
    }
    return ("fairseq-generate", f"{data.folder}/bin", *words_of(chosen))


def validation_text(data: PlannedData) -> Flags:
    """Validation BLEU is of detokenised text: raw text is once its subwords are joined, a tokenised form is not."""
    if data.options is not None and "bin" in data.options:
        joins = subwords_of(Path(str(data.options["bin"])), data.target_lang)
        return {"eval-bleu-remove-bpe": joins, **detokenised(data)}
    return detokenised(data)


def detokenised(data: PlannedData) -> Flags:
    """How validation makes text of words."""
    if data.form == "raw":
        return {"eval-bleu-detok": "space"}
    return {"eval-bleu-detok": "moses", "eval-bleu-detok-args": {"target_lang": data.target_lang}}
