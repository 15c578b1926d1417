"""Everything that could change a row but its seed, its host and its commit: an expansion and a short hash of it."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from lskd_nmt.evaluate.metrics import METRICS
from lskd_nmt.evaluate.records import read_metrics
from lskd_nmt.experiment.choice_rules import TEACHER
from lskd_nmt.experiment.records import Command, PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.teacher_commands import TEST, monolingual_folder
from lskd_nmt.experiment.untrained import record_of
from lskd_nmt.fairseq_io.flag_values import LOGGING
from lskd_nmt.report.results.records import Expansion
from lskd_nmt.report.results.table_json import as_json
from lskd_nmt.storage.files import read_json
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.typed import Json, read_record, record

# flags of fairseq-train and lskd seqkd that are no part of a signature: where files are, what is shown, which device
# computes, and what the cell's setting says
IRRELEVANT = {
    "seed",
    "save-dir",
    "user-dir",
    "restore-file",
    "teacher-path",
    "teacher-data",
    "hypotheses",
    "kd-level",
    "tail",
    "top-k",
    "cpu",
    "num-workers",
    "log-format",
    "log-interval",
    "log-file",
    "tensorboard-logdir",
    "data",
    "out",
    "decoded",
    "workers",
    "device",
    "part",
    "teacher",
    "source",
    "translations",
    "prompt",
    "teacher-tokenizer",
    "monolingual",
    "shard-sentences",
    "scores",
    "score-batch",
    "reverse-model",
    "forward-model",
} | LOGGING
SIMILARITY = "bleu"  # the usual one; plans of before give it to every choice
VERSIONS = ("torch", "fairseq-fixed", "sacrebleu")


def flags(command: Sequence[str]) -> dict[str, str]:
    """The flags of a command that could change what it makes; of a teacher store, its name."""
    found: dict[str, list[str]] = {}
    name = None
    for word in command:
        if word.startswith("--"):
            name = word.removeprefix("--")
            found[name] = []
        elif name is not None:
            found[name].append(word)
    if "teacher-store" in found:
        found["teacher-store"] = [Path(each).name for each in found["teacher-store"]]
    kept = {name: values for name, values in found.items() if name.partition("=")[0] not in IRRELEVANT}
    return {name: " ".join(values) for name, values in sorted(kept.items())}


def expansion(run: Run, model: PlannedModel) -> Expansion:
    """What the signature of a trained and scored model says; a teacher stands in it as its own signature."""
    metrics, training = read_metrics(run.results(model.name) / "metrics.json"), run.run_record(model.name)
    versions = training.versions or {}
    init = flags(model.init_command) if model.init_command is not None else {}
    train = flags(training.attempts[-1].command if training.attempts else model.train_command)
    if init:
        train.pop("finetune-from-model", None)  # its path has the seed in it
    return Expansion(
        train=train,
        average=model.average,
        data=training.data,
        teacher=teacher(run, model),
        hypotheses=hypotheses(run, model),
        decode=metrics.facts.decode,
        metrics={
            name: f"{score.signature} (text {score.text})"
            for name, score in metrics.scores.items()
            if name in METRICS and METRICS[name].by_default  # another metric makes no other row
        },
        reference=metrics.facts.references,
        versions={name: versions[name] for name in VERSIONS if name in versions},
        given=given_hashes(run, model) or None,
        init={side: init[side] for side in ("encoder", "decoder")} if init else None,
    )


def teacher(run: Run, model: PlannedModel) -> str | None:
    """The signature of the model's teacher, where that is of this run and scored."""
    for other in run.models:
        if other.name == model.teacher and (run.results(other.name) / "metrics.json").is_file():
            return short(expansion(run, other))
    return None


@record
class Made:
    """Of the ledger of translations: what made them."""

    teacher: list[Origin]
    text: Origin | None = None  # the monolingual text, by its name and hash


def given_hashes(run: Run, model: PlannedModel) -> dict[str, str]:
    """Hashes of what the run did not make: of this model, or of what its teacher is."""
    members = {other.name: other for other in run.models}
    found: dict[str, str] = {}
    for each in (model, members.get(model.teacher or "")):
        if each is None or each.origin is None:
            continue
        known, folder = record_of(run, each), run.model_folder(each.name)
        if known is not None and known.sha256 is not None:
            found[each.kind] = known.sha256
        tested = run.results(each.name) / TEST / "ledger.json"
        for ledger in (folder / "hypotheses" / "decoded" / "ledger.json", tested):
            if ledger.is_file() and each.published != "model.pt":
                found |= {f"{each.kind} {part.file}": part.sha256 for part in read_record(ledger, Made).teacher}
    return found | monolingual(run, model) | scores(run, model)


def scores(run: Run, model: PlannedModel) -> dict[str, str]:
    """Hashes of the scores, and of the models, that chose the translations that a model learns.

    Its own teacher is not among them: a row has one for each seed.
    """
    chosen = run.folder / f"models/{model.teacher}/hypotheses/{model.hypotheses}/hypotheses.json"
    selection = read_json(chosen).get("selection") if model.hypotheses and chosen.is_file() else None
    if not isinstance(selection, dict):
        return {}
    found = {"scores": str(selection["scores"])} if selection.get("scores") else {}
    own = any(is_own_teacher(command, model) for command in choices_of(run, model))
    for key in ("reverse_model", *(() if own else ("forward_model",))):
        if isinstance(selection.get(key), dict):
            found[key.replace("_", " ")] = str(selection[key].get("sha256"))
    return found


def monolingual(run: Run, model: PlannedModel) -> dict[str, str]:
    """Hashes of the monolingual text that a model learns the translations of, and of what made these elsewhere."""
    text, found = run.plan.config.seqkd.monolingual, dict[str, str]()
    for number, _ in enumerate(text.files if text is not None and model.hypotheses else ()):
        ledger = run.folder / monolingual_folder(f"models/{model.teacher}/hypotheses", number) / "ledger.json"
        made = read_record(ledger, Made) if ledger.is_file() else None
        if made is not None and made.text is not None:
            found[f"monolingual {made.text.file}"] = made.text.sha256
            translated = text is not None and text.translations is not None
            found |= {f"translations {part.file}": part.sha256 for part in made.teacher if translated}
    return found


def hypotheses(run: Run, model: PlannedModel) -> list[dict[str, str]] | None:
    """How the translations that the model learns were decoded and chosen: the flags of each command."""
    if not model.hypotheses:
        return None
    return [of_step(run, model, command) for command in choices_of(run, model)]


def choices_of(run: Run, model: PlannedModel) -> list[Command]:
    """The commands that decoded and chose the translations that a model learns."""
    commands = [command for other in run.models if other.name == model.teacher for command in other.seqkd_commands]
    return [command for command in commands if chosen_by(command) in (None, model.hypotheses)]


def is_own_teacher(command: Command, model: PlannedModel) -> bool:
    """Whether a choice asks the model's own teacher how probable a translation is."""
    return ("--forward-model", f"models/{model.teacher}/model.pt") in pairwise(command)


def of_step(run: Run, model: PlannedModel, command: Command) -> dict[str, str]:
    """The flags of a step; of a choice as plans of before have them, so that one choice has one signature.

    These gave --similarity and --tokenize to every choice, also where nothing read them.
    """
    found = flags(command)
    if chosen_by(command) is None:
        return found
    found |= {"forward-model": TEACHER} if is_own_teacher(command, model) else {}
    usual = {"similarity": SIMILARITY} | ({"tokenize": run.plan.data.tokenize} if run.plan.data.tokenize else {})
    return dict(sorted((usual | found).items()))


def chosen_by(command: Sequence[str]) -> str | None:
    """Which translations a command chooses, such as mbr-3, by the folder that they go to; None for other commands."""
    return Path(command[command.index("--out") + 1]).name if "--method" in command else None


def short(content: Expansion) -> str:
    """Eight hexadecimal digits of the expansion's hash."""
    return hashlib.sha256(json.dumps(as_json(content), sort_keys=True).encode()).hexdigest()[:8]


def leaves(content: Json, name: str = "") -> Iterator[tuple[str, Json]]:
    """Each value of nested objects with its dotted key: `("train.lr", "1")`."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from leaves(value, f"{name}.{key}" if name else key)
    else:
        yield name, content


def differing(first: Expansion, second: Expansion) -> list[str]:
    """The keys in which two expansions differ, with both values where they are short: `train.lr (1 or 2)`."""
    one, other = dict(leaves(as_json(first))), dict(leaves(as_json(second)))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return [f"{name} ({text(one.get(name))} or {text(other.get(name))})" for name in names]


def text(value: Json) -> str:
    """A value in a line: hashes by their first digits."""
    shown = "none" if value is None else str(value) or "set"
    return shown[:8] if re.fullmatch(r"[0-9a-f]{64}", shown) else shown[:40]
