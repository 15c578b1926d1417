"""What the pipeline does with one model of a run: train it, decode the test set, and write the translations as text."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import Subwords
from lskd_nmt.evaluate import scoring
from lskd_nmt.experiment import input_hashes, lengths, training_costs, training_log
from lskd_nmt.experiment.records import DecodeRecord, RunRecord, write_curve
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_command import Cost, record_attempt, watch
from lskd_nmt.experiment.scripts import runnable
from lskd_nmt.fairseq_io.flag_values import require_words
from lskd_nmt.storage import provenance
from lskd_nmt.storage.files import read_lines, write_text
from lskd_nmt.storage.typed import write_record

Tell = Callable[[str], None]  # shows a line to a person


def train(run: Run, name: str, flags: Sequence[str], tell: Tell) -> int:
    """Run a model's training command with more `flags`; its exit code.

    Makes train.log, run.json and curve.json, and inputs.json before it starts.
    """
    model, folder = run.planned_model(name), run.model_folder(name)
    log, command = folder / "train.log", [*model.train_command, *flags]
    require_words(command)
    lengths.require_fitting(run.planned, run.data, [other.name for other in run.planned_models if other is not model])
    long, pairs = lengths.left_out(model.train_command, run.data, run.planned.data.langs)
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
    model, folder = run.planned_model(name), run.model_folder(name)
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
