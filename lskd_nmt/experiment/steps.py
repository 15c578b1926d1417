"""What the pipeline does with one model of a run: train, translate the source, write a store, decode, score.

`experiments/steps/*.sh` call `run_step` while they hold the model's folder, so that no two do the same at once.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import Subwords
from lskd_nmt.errors import require
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.metrics import needs_source
from lskd_nmt.evaluate.records import Metrics, ScoringFacts, write_metrics
from lskd_nmt.experiment import input_hashes, lengths, training_costs, training_log
from lskd_nmt.experiment.input_hashes import LAST_WRITTEN
from lskd_nmt.experiment.records import DecodeRecord, RunRecord, write_curve
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_command import Cost, record_attempt, watch
from lskd_nmt.experiment.scripts import runnable
from lskd_nmt.fairseq_io.flag_values import require_words
from lskd_nmt.storage import provenance
from lskd_nmt.storage.files import read_lines, sha256, write_text
from lskd_nmt.storage.typed import to_json, write_record

Tell = Callable[[str], None]  # shows a line to a person


@dataclass(frozen=True)
class Step:
    """A step on a model: the file that it publishes last, and the file that it needs with the step that makes that."""

    result: str = ""  # once it is there, the step is done; "" where a script of the run folder knows
    needs: str = ""
    maker: str = ""


STEPS = {
    "train": Step("model.pt"),
    "hypotheses": Step("", "model.pt", "train"),
    "store": Step("store/store.json", "model.pt", "train"),
    "decode": Step("test.hyp", "model.pt", "train"),
    "score": Step("metrics.json", "test.hyp", "decode"),
}


@dataclass(frozen=True)
class Machine:
    """Where a step runs: its device, worker processes (0: one for each core or GPU), and more flags of fairseq."""

    device: str = "auto"  # auto, gpu or cpu
    workers: int = 0
    flags: tuple[str, ...] = ()


def run_step(run: Run, name: str, step: str, machine: Machine, tell: Tell, log: Tell) -> int:
    """Do a step on a model unless it is done; its exit code. `log` has the step's own lines, `tell` its command's."""
    folder, what = run.model_folder(run.model(name).name), STEPS[step]
    if step in ("hypotheses", "store") and not (folder / f"{step}.sh").exists():
        log(f"{step} {name}: none {'is' if step == 'store' else 'are'} needed")
        return 0
    if what.result and (folder / what.result).exists():
        log(f"{step} {name}: done, skipped")
        return 0
    there = not what.needs or (folder / what.needs).exists()
    require(there, f"{folder}/{what.needs} does not exist: run experiments/steps/{what.maker}.sh first")
    log(f"{step} {name}" + (f" (full log: {folder}/train.log)" if step == "train" else ""))
    if step == "train":
        (folder / "checkpoints").mkdir(exist_ok=True)
        code = train(run, name, machine.flags, tell) or publish_model(run, name)
        if code == 0:
            log(f"train {name}: {folder}/model.pt")
        return code
    if step == "decode":
        code, _ = decode(run, name, machine.flags, tell)
        if code == 0:
            extract_text(run, name)
        return code
    if step == "score":
        score(run, name)
        return 0
    return run_script(run, name, step, machine)


def publish_model(run: Run, name: str) -> int:
    """Write model.pt of a finished training: the average that its plan names, else the best checkpoint, or the last."""
    folder = run.model_folder(name)
    checkpoints, average = folder / "checkpoints", run.model(name).average
    if average is not None:  # deploy/ is above this room: a process of its own does it
        ((how, count),) = average.items()
        words = ["--folder", str(checkpoints), f"--{how}", str(count), "--out", str(folder / "model.pt")]
        return quietly([sys.executable, "-m", "lskd_nmt.cli", "average", *words])
    best = checkpoints / "checkpoint_best.pt"
    part = folder / "model.pt.part"
    shutil.copyfile(best if best.exists() else checkpoints / "checkpoint_last.pt", part)
    part.replace(folder / "model.pt")
    return 0


def run_script(run: Run, name: str, step: str, machine: Machine) -> int:
    """Run the plan's script that makes what a teacher's students read; its exit code."""
    folder, device = run.model_folder(name), "cuda" if machine.device == "gpu" else machine.device
    words = ["bash", str(folder / f"{step}.sh"), "--device", device]
    if step == "hypotheses":
        for chosen in (folder / "hypotheses").glob("*/keys.npy"):
            if not (chosen.parent / LAST_WRITTEN["--hypotheses"]).exists():
                shutil.rmtree(chosen.parent)  # of select, and without its header: it is made again of what was decoded
        on_gpus = device != "cpu" and fairseq_io.gpus("auto") > 0  # a process for each
        words += ["--workers", "0" if on_gpus else str(machine.workers)]
    return quietly(words)


def quietly(command: Sequence[str]) -> int:
    """Run a command that says on its standard error what a person has to know; its exit code."""
    # it keeps the step's locks, as it may outlive this process
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False, close_fds=False).returncode


def train(run: Run, name: str, flags: Sequence[str], tell: Tell) -> int:
    """Run a model's training command with more `flags`; its exit code.

    Makes train.log, run.json and curve.json, and inputs.json before it starts.
    """
    model, folder = run.model(name), run.model_folder(name)
    log, command = folder / "train.log", [*model.train_command, *flags]
    require_words(command)
    lengths.require_fitting(run.plan, run.data, [other.name for other in run.models if other is not model])
    long, pairs = lengths.left_out(model.train_command, run.data, run.plan.data.langs)
    if long:
        tell(f"{long:,} of {pairs:,} pairs of train are longer than it takes: fairseq leaves them out")
    input_hashes.begin(run, model, tell)
    progress = training_log.Progress(training_log.limits(model.train_command))
    before = read_lines(log) if log.is_file() else []
    cost = Cost()
    code = watch(runnable(command), run.folder, log, progress.line, tell)
    measured, lines = cost.measured(), read_lines(log)
    about = RunRecord(
        name=name,
        seed=model.seed,
        parameters=training_log.parameters(lines),
        data=provenance.data_hashes(run.data),
        versions=provenance.versions(),
        host=provenance.host(),
        updates_per_second=training_costs.updates_per_second(lines),
    )
    costs = training_costs.with_logged(measured, lines[len(before) :], training_costs.updates(before))
    record_attempt(folder / "run.json", about, command, code, costs, training_costs.words_per_second(lines))
    write_curve(folder / "curve.json", training_log.curve(lines))
    return code


def decode(run: Run, name: str, flags: Sequence[str], tell: Tell) -> tuple[int, int]:
    """Run a model's decoding command with more `flags`; its exit code, and how many sentences were decoded.

    Makes generate.log, and decode.json once all is decoded.
    """
    model, folder = run.model(name), run.model_folder(name)
    log, command = folder / "generate.log", [*model.decode_command, *flags]
    require_words(command)
    log.unlink(missing_ok=True)
    progress = training_log.Decoded(len(read_lines(run.text("test", "source"))))
    cost = Cost()
    code = watch(runnable(command), run.folder, log, progress.line, tell)
    measured = cost.measured()
    if code == 0:
        found = DecodeRecord(
            command=tuple(command),
            commit=provenance.commit(),
            wall_seconds=measured.wall_seconds,
            cpu_seconds=measured.cpu_seconds,
            peak_memory_mb=measured.peak_memory_mb,
            gpu_hours=round(decoding_gpus(command) * (measured.wall_seconds or 0) / 3600, 4),
            words_per_second=training_costs.decoded_words_per_second(read_lines(log)),
        )
        write_record(folder / "decode.json", found)
    return code, progress.count


def decoding_gpus(command: Sequence[str]) -> int:
    """How many GPUs fairseq-generate takes: one, if there is any."""
    if "--cpu" in command or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return 0
    return min(1, fairseq_io.gpus("auto"))


def extract_text(run: Run, name: str) -> tuple[Path, int]:
    """Take the translations out of generate.log, subwords joined, as test.hyp; that file and its number of lines."""
    folder = run.model_folder(name)
    sentences = len(read_lines(run.text("test", "source")))
    pieces = scoring.hypotheses(read_lines(folder / "generate.log"), sentences)
    lines = Subwords(run.data / "spm" / "spm.model").decode(pieces)
    write_text(folder / "test.hyp", "".join(f"{line}\n" for line in lines))
    return folder / "test.hyp", sentences


def score(run: Run, name: str, tokenize: str | None = None) -> Metrics:
    """Score test.hyp and write metrics.json; `tokenize` is a tokeniser of BLEU other than the plan's."""
    hyp, ref, data = run.model_folder(name) / "test.hyp", run.text("test", "target"), run.plan.data
    translations, references = read_lines(hyp), read_lines(ref)
    sources = read_lines(run.text("test", "source")) if needs_source() else None
    wish = tokenize or data.tokenize
    scores = scoring.scores(translations, references, data.target_lang, data.form, wish, sources, hyp)
    facts = ScoringFacts(
        len(references),
        name,
        changed_by_subwords(run.data, references),
        sha256(hyp),
        sha256(ref),
        to_json(run.plan.decode),
        provenance.commit(),
    )
    found = Metrics(scores, facts)
    write_metrics(hyp.with_name("metrics.json"), found)
    return found


def changed_by_subwords(data: Path, references: Sequence[str]) -> int | None:
    """How many references the folder's sentencepiece model rewrites, which no translation can equal; None without it.

    sentencepiece normalises unless it is told not to: `m²` becomes `m2`, and a full-width comma a comma.
    """
    model = data / "spm" / "spm.model"
    return Subwords(model).normalises(references) if model.is_file() else None
