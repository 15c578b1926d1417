"""Whether fairseq would take every training of a plan, asked before anything is made."""

from collections.abc import Mapping

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.fairseq_commands import TRAINING_DEFAULTS
from lskd_nmt.experiment.records import Plan, PlannedModel
from lskd_nmt.experiment.run_config import RunConfig
from lskd_nmt.experiment.scripts import runnable
from lskd_nmt.fairseq_io.flag_values import without
from lskd_nmt.fairseq_io.known_flags import all_known, given, misfit

ALIKE = {
    "seed",
    "save-dir",
    "teacher-path",
    "teacher-data",
    "teacher-store",
    "hypotheses",
    "finetune-from-model",
    "temperature",
    "kd-weight",
    "label-smoothing",
    "top-k",
}  # the pipeline's own: their values are checked where the config is read
LESS_IS_BETTER = ("loss", "nll_loss", "ppl", "kd_loss")
TAUGHT = ("teacher-path", "teacher-store", "virtual-teacher")  # flags of a training that measures kd_loss


def require_accepted(plan: Plan) -> None:
    """Refuse a plan with a training whose archs, flags or values fairseq or kd_ls would refuse."""
    asked = set()
    for model in (model for model in plan.models if not model.origin):
        command = model.train_command
        complaint = misfit(command) or metric_misfit(dict(given(command)))
        if complaint is None and not all_known(command):
            key = tuple(without(command, ALIKE))
            if key in asked:
                continue
            asked.add(key)
            complaint = fairseq_io.flag_complaint(runnable(command))
        if complaint is not None:
            flag, why = complaint
            raise LskdError(f"{place(plan.config, model, flag)} {why}")


def place(config: RunConfig, model: PlannedModel, flag: str) -> str:
    """Where in the YAML or in a method's file a flag of a model is written, as messages name it."""
    role, method = model.role, config.methods.get(model.method or "")
    section = config.teacher if role == "teacher" else config.student
    if flag == "arch":
        return f"{role}.arch"
    if flag in section.train:
        return f"{role}.train.{flag}"
    if flag in config.train:
        return f"train.{flag}"
    if method is not None and flag in method.flags:
        return f"method {model.method}: flags.{flag}"
    if flag in {name for name, _, _ in TRAINING_DEFAULTS}:
        return f"train.{flag} (a default, which null takes out)"
    return f"{model.name}: --{flag}" if flag else f"{model.name}:"


def metric_misfit(flags: Mapping[str, str]) -> tuple[str, str] | None:
    """A metric for checkpoints that is refused, and why: it is not measured, or better the other way round."""
    name, metric = "best-checkpoint-metric", flags.get("best-checkpoint-metric", "loss")
    if "disable-validation" in flags:
        return None
    if metric == "bleu" and "eval-bleu" not in flags:
        return (
            name,
            "is bleu, and eval-bleu is off: set best-checkpoint-metric to nll_loss, and "
            "maximize-best-checkpoint-metric to false",
        )
    if metric == "accuracy" and "report-accuracy" not in flags:
        return name, "is accuracy, and report-accuracy is off: set it to true"
    if metric == "kd_loss" and not any(flag in flags for flag in TAUGHT):
        return name, "is kd_loss, which a model without a teacher does not measure: set it for the students alone"
    if metric in LESS_IS_BETTER and "maximize-best-checkpoint-metric" in flags:
        return name, f"is {metric}, of which less is better: set maximize-best-checkpoint-metric to false"
    return None
