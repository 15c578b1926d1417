"""A model's full fairseq commands, and the flags that every training gets unless the config says otherwise."""

import json
import re
from collections.abc import Mapping
from typing import Any

from lskd_nmt.errors import require
from lskd_nmt.experiment.scripts import USER_DIR, as_arguments

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


def model(
    name: str,
    facts: Mapping[str, Any],
    section: Mapping[str, Any],
    objective: Mapping[str, Any],
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """One entry of the plan. Paths in its command are relative to the run folder; `objective` has the last word."""
    defaults = {flag: value for flag, value, _ in TRAINING_DEFAULTS} | validation_text(data)
    flags = defaults | keep_flags(section["average"]) | config["train"] | section["train"]
    search = flags.get("eval-bleu-args")
    if "tokenize" in data and isinstance(search, str | Mapping):  # the plugin reads it there
        search = search if isinstance(search, Mapping) else json.loads(search)
        flags["eval-bleu-args"] = {"tokenize": data["tokenize"], **search}
    for flag in (*config["train"], *section["train"]):
        way = f"use {RESERVED[flag]}" if RESERVED.get(flag) else "remove it"
        require(flag not in RESERVED, f"train.{flag} is set by the pipeline: {way}")
    require_kept(flags, section["average"], facts["role"])
    lasts = [flags.get("max-epoch"), flags.get("max-update")]
    require(any(lasts), f"{facts['role']}.train has neither max-epoch nor max-update: say when to stop")
    chosen = {
        "source-lang": data["source_lang"],
        "target-lang": data["target_lang"],
        "user-dir": USER_DIR,
        "arch": section["arch"],
        "criterion": "kd_ls",
        **objective,
        "seed": seed,
        "save-dir": f"models/{name}/checkpoints",
        **flags,
        **objective,
    }
    argv = [
        "fairseq-train",
        f"{data['folder']}/bin",
        *(word for flag in chosen.items() for word in as_arguments(*flag)),
    ]
    return {
        "name": name,
        **facts,
        "average": section["average"],
        "arch": section["arch"],
        "seed": seed,
        "train_command": argv,
        "decode_command": decode_command(name, config["decode"], data),
    }


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
    chosen = {
        "user-dir": USER_DIR,
        "path": f"models/{name}/model.pt",
        "gen-subset": "test",
        "source-lang": data["source_lang"],
        "target-lang": data["target_lang"],
        "beam": decode["beam"],
        "lenpen": decode["lenpen"],
        "max-len-a": decode["max_len_a"],
        "max-len-b": decode["max_len_b"],
        "max-tokens": decode["max_tokens"],
        "required-batch-size-multiple": 1,
        "log-format": "none",
    }
    words = (word for flag in chosen.items() for word in as_arguments(*flag))
    return ["fairseq-generate", f"{data['folder']}/bin", *words]


def validation_text(data: Mapping[str, Any]) -> dict[str, Any]:
    """Validation BLEU is of detokenised text: raw text is once its subwords are joined, a tokenised form is not."""
    if data["form"] == "raw":
        return {"eval-bleu-detok": "space"}
    return {"eval-bleu-detok": "moses", "eval-bleu-detok-args": {"target_lang": data["target_lang"]}}
