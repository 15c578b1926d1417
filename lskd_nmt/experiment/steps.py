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
from lskd_nmt.data import given
from lskd_nmt.data.subwords import Subwords, joined
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.records import Metrics, ScoringFacts, write_metrics
from lskd_nmt.experiment import (
    ctranslate2_decoding,
    history,
    input_hashes,
    lengths,
    student_start,
    test_sets,
    tracking,
    training_costs,
    training_log,
    untrained,
)
from lskd_nmt.experiment.input_hashes import LAST_WRITTEN
from lskd_nmt.experiment.records import DecodeRecord, PlannedModel, RunRecord, write_curve
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_command import Cost, record_attempt, watch
from lskd_nmt.experiment.run_metrics import at_once, by_programs
from lskd_nmt.experiment.scripts import runnable
from lskd_nmt.experiment.stock_data import CORPUS
from lskd_nmt.experiment.teacher_commands import TEST
from lskd_nmt.experiment.text_decoding import decode_as_text, texts
from lskd_nmt.fairseq_io.flag_values import require_words
from lskd_nmt.storage import provenance
from lskd_nmt.storage.files import read_lines, sha256, write_text
from lskd_nmt.storage.typed import Json, read_record, to_json, write_record

Tell = Callable[[str], None]  # shows a line to a person


@dataclass(frozen=True)
class Step:
    """A step on a model: the file that it publishes last, and the file that it needs with the step that makes that."""

    result: str = ""  # once it is there, the step is done; "" where a script of the run folder knows
    needs: str = ""
    maker: str = ""

    def of(self, model: PlannedModel) -> "Step":
        """The step on this model, whose publication is not a checkpoint's where it has none."""
        names = {"model.pt": model.published}
        return Step(names.get(self.result, self.result), names.get(self.needs, self.needs), self.maker)


STEPS = {
    "train": Step("model.pt"),
    "hypotheses": Step("", "model.pt", "train"),
    "store": Step("store/store.json", "model.pt", "train"),
    "decode": Step("test.hyp", "model.pt", "train"),
    "score": Step("metrics.json", "test.hyp", "decode"),
    "evaluate": Step("metrics.json", "model.pt", "train"),  # decode and score
}


TESTING = ("decode", "score", "evaluate")  # steps on a test set
DECODED = ("generate.log", "decode.json", "test.hyp", "metrics.json")  # what `evaluate` makes


@dataclass(frozen=True)
class Machine:
    """Where a step runs: its device, workers (0: one for each core or GPU), and more flags of fairseq."""

    device: str = "auto"  # auto, gpu or cpu
    workers: int = 0
    flags: tuple[str, ...] = ()


def run_step(run: Run, name: str, step: str, machine: Machine, tell: Tell, log: Tell) -> int:
    """Do a step on a model unless it is done; its exit code. `log` has the step's own lines, `tell` its command's."""
    model = run.model(name)
    folder, what = run.model_folder(name), STEPS[step].of(model)
    results, on = run.results(name), f" on {run.test_set}" if run.test_set else ""
    if step in ("hypotheses", "store") and not (folder / f"{step}.sh").exists():
        log(f"{step} {name}: none {'is' if step == 'store' else 'are'} needed")
        return 0
    if step in history.MADE and history.drop_stale(folder, step):
        log(f"{step} {name}: made before its training went on, removed")
    if what.result and (results if step in TESTING else folder).joinpath(what.result).exists():
        log(f"{step} {name}{on}: done, skipped")
        return 0
    if step in TESTING and not (model.is_scored if run.test_set is None else model.is_translator):
        log(f"{step} {name}{on}: it translates nothing")
        return 0
    needed = (results if step == "score" else folder) / what.needs
    require(not what.needs or needed.exists(), f"{needed} does not exist: run experiments/steps/{what.maker}.sh first")
    if step == "train" and model.origin is not None and not model.is_adopted:
        untrained.take(run, model)
        log(f"train {name}: not trained here, {folder}/{model.published}")
        return 0
    log(f"{step} {name}{on}" + (f" (full log: {folder}/train.log)" if step == "train" else ""))
    if step == "train":
        (folder / "checkpoints").mkdir(exist_ok=True)
        code = train(run, name, machine.flags, tell) or publish_model(run, name)
        if code == 0:
            log(f"train {name}: {folder}/model.pt")
        return code
    code = 0
    if step == "decode" or (step == "evaluate" and not (results / STEPS["decode"].result).exists()):
        code, _ = decode(run, name, machine, tell)
        if code == 0:
            extract_text(run, name)
    if step in ("score", "evaluate") and code == 0:
        score(run, name)
    return code if step in TESTING else run_script(run, name, step, machine)


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
    log, command = folder / "train.log", tracking.own([*model.train_command, *flags], run.folder, name)
    require_words(command)
    tracking.require_packages(tracking.asked(command))
    lengths.require_fitting(run.plan, run.data, [other.name for other in run.models if other is not model])
    long, pairs = lengths.left_out(model.train_command, run.data, run.plan.data.langs)
    if long:
        tell(f"{long:,} of {pairs:,} pairs of train are longer than it takes: fairseq leaves them out")
    input_hashes.begin(run, model, tell)
    student_start.make(run, model)
    progress = training_log.Progress(training_log.limits(model.train_command))
    before = read_lines(log) if log.is_file() else []
    cost = Cost()
    environment = tracking.environment(command, run.folder, name)
    code = watch(runnable(command), run.folder, log, progress.line, tell, environment)
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


def decode(run: Run, name: str, machine: Machine, tell: Tell) -> tuple[int, int]:
    """Decode the test set by a model, as the plan's command with more flags says; exit code, and number of sentences.

    Makes generate.log, and decode.json once all is decoded. CTranslate2 does it, or fairseq: see `DecodeConfig.engine`.
    """
    wish, why = run.plan.decode.engine, None
    command = [*run.decode_command(name), *machine.flags]
    test_sets.binarise(run, tell)
    test_sets.require_fits(run, name)
    run.results(name).mkdir(parents=True, exist_ok=True)
    if command[0] == "lskd":
        return decode_as_text(run, name, {"gpu": "cuda"}.get(machine.device, machine.device), machine.workers, tell)
    require_words(command)
    if wish != "fairseq":
        try:
            return 0, decode_with_ctranslate2(run, name, command, machine, tell)
        except LskdError as error:
            why = str(error)
        require(
            wish == "auto", f"decode.engine is ctranslate2, which cannot decode {name} ({why}): use auto or fairseq"
        )
        tell(f"decoded with fairseq: {why}")
    return decode_with_fairseq(run, name, command, why, tell)


def decode_with_ctranslate2(run: Run, name: str, command: Sequence[str], machine: Machine, tell: Tell) -> int:
    """See `decode`; how many sentences were decoded. `LskdError` says why it is not CTranslate2 that does it."""
    before = None if run.plan.decode.engine == "ctranslate2" else ctranslate2_decoding.decoded_before(run, name)
    require(not before, f"so was {before} by an earlier version (decode.engine in the YAML chooses one)")
    folder, cost = run.results(name), Cost(own=True)
    threads = machine.workers or int(os.environ.get("OMP_NUM_THREADS") or 0) or len(os.sched_getaffinity(0))
    found = ctranslate2_decoding.decode(run, run.model(name), command, machine.device, threads, tell)
    write_text(folder / "generate.log", "".join(f"{line}\n" for line in ctranslate2_decoding.log_lines(found)))
    measured = cost.measured()
    words = sum(len(hypothesis.pieces.split()) + 1 for hypothesis in found.best)
    record = DecodeRecord(
        command=(
            "lskd",
            "decode-model",
            "--run",
            ".",
            "--model",
            name,
            *(("--set", run.test_set) if run.test_set else ()),
            *(("--", *machine.flags) * bool(machine.flags)),
        ),
        commit=provenance.commit(),
        wall_seconds=measured.wall_seconds,
        cpu_seconds=measured.cpu_seconds,
        peak_memory_mb=measured.peak_memory_mb,
        gpu_hours=round(found.on_gpu * (measured.wall_seconds or 0) / 3600, 4),
        words_per_second=round(words / found.seconds, 1) if found.seconds else None,
        engine=found.engine,
        compute_type=found.compute_type,
        check=to_json(found.check),
    )
    write_record(folder / "decode.json", record)
    return len(found.best)


def decode_with_fairseq(run: Run, name: str, command: Sequence[str], why: str | None, tell: Tell) -> tuple[int, int]:
    """See `decode`; `why` it is not CTranslate2."""
    folder = run.results(name)
    log = folder / "generate.log"
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
            engine=f"fairseq {provenance.versions().get('fairseq-fixed', '')}".strip(),
            reason=why,
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
    folder = run.results(name)
    sentences = len(read_lines(run.text("test", "source")))
    if run.model(name).kind in untrained.FOLDERS:
        lines = texts(folder / TEST, sentences)
    else:
        pieces = scoring.hypotheses(read_lines(folder / "generate.log"), sentences)
        is_stock = run.plan.data.corpus == CORPUS and not (run.data / "spm" / "spm.model").is_file()
        spm, lang = run.data / "spm", run.plan.data.target_lang
        lines = [joined(line) for line in pieces] if is_stock else given.text_of(spm, lang, pieces)
    write_text(folder / "test.hyp", "".join(f"{line}\n" for line in lines))
    return folder / "test.hyp", sentences


def score(run: Run, name: str, tokenize: str | None = None) -> Metrics:
    """Score test.hyp and write metrics.json; `tokenize` is a tokeniser of BLEU other than the plan's."""
    hyp, (ref, *others), data = run.results(name) / "test.hyp", run.references(), run.plan.data
    translations, references = read_lines(hyp), read_lines(ref)
    source = run.text("test", "source")
    sources = read_lines(source) if source.is_file() else None
    wish = tokenize or data.tokenize
    more, names = [read_lines(file) for file in others], at_once(run.plan)
    lang, form = data.target_lang, data.form
    scores = scoring.scores(translations, references, lang, form, wish, sources, hyp, more, names)
    facts = ScoringFacts(
        len(references),
        name,
        changed_by_subwords(run.data, references),
        sha256(hyp),
        sha256(ref),
        decoded_how(run, name),
        provenance.commit(),
        tuple(map(sha256, others)) or None,
    )
    file = hyp.with_name("metrics.json")
    found = Metrics(scores | by_programs(file, facts), facts)
    write_metrics(file, found)
    return found


def decoded_how(run: Run, name: str) -> dict[str, Json]:
    """The settings of a model's decoding; of CTranslate2 with its version and the type of its numbers.

    What fairseq decoded has neither, as ever, and so it keeps its signature.
    """
    if run.model(name).kind == "adopted-text":
        return {"engine": "not known"}
    file = run.results(name) / "decode.json"
    found = read_record(file, DecodeRecord) if file.is_file() else DecodeRecord()
    by = {"engine": found.engine, "compute_type": found.compute_type}
    is_fairseq = found.engine is None or found.engine.startswith("fairseq")
    settings = {key: value for key, value in to_json(run.plan.decode).items() if key != "engine"}
    return settings if is_fairseq else {**settings, **by}


def changed_by_subwords(data: Path, references: Sequence[str]) -> int | None:
    """How many references the folder's sentencepiece model rewrites, which no translation can equal; None without it.

    sentencepiece normalises unless it is told not to: `m²` becomes `m2`, and a full-width comma a comma.
    """
    model = data / "spm" / "spm.model"
    return Subwords(model).normalises(references) if model.is_file() else None
