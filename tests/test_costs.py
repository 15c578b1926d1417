"""What a training and a decoding cost: read off hand-written logs, added up over attempts."""

import json
import logging
import subprocess
import sys

import pytest

from lskd_nmt.experiment import run_command
from lskd_nmt.experiment.records import Attempt, Costs, RunRecord
from lskd_nmt.experiment.training_costs import decoded_words_per_second, updates, with_logged, words_per_second
from lskd_nmt.storage import files


def log_line(tag, **values):
    return f"2024-01-01 00:00:00 | INFO | {tag} | {json.dumps(values)}"


def epoch(number, updates, words, seconds, **more):
    values = {"train_wpb": str(words), "train_num_updates": str(updates), "train_train_wall": str(seconds), **more}
    return log_line("train", epoch=number, **values, train_wall="9999", train_wps="7")


@pytest.fixture
def banner(caplog):
    """What fairseq itself logs of so many GPUs of 80 GiB."""
    from fairseq.utils import CudaEnvironment

    def lines(count):
        gpu = CudaEnvironment.__new__(CudaEnvironment)
        gpu.name, gpu.major, gpu.minor, gpu.total_memory_in_GB = "NVIDIA H100 80GB HBM3", 9, 0, 80.0
        with caplog.at_level(logging.INFO):
            caplog.clear()
            CudaEnvironment.pretty_print_cuda_env_list([gpu] * count)
        return [f"2024-01-01 00:00:00 | INFO | fairseq.utils | {message}" for message in caplog.messages]

    return lines


def test_gpu_hours_are_wall_hours_times_the_gpus_that_fairseq_lists(banner):
    assert with_logged(Costs(wall_seconds=1800), banner(2)).gpu_hours == 1.0
    assert with_logged(Costs(wall_seconds=1800), [epoch(1, 10, 100, 5)]).gpu_hours == 0


def test_gpu_memory_is_what_the_fullest_logged_update_left(banner):
    lines = [
        *banner(2),
        log_line("train_inner", num_updates="10", gb_free="61.5"),
        epoch(1, 20, 100, 5, train_gb_free="60"),
        epoch(2, 40, 100, 5, train_gb_free="70.1"),
    ]
    assert with_logged(Costs(wall_seconds=60), lines).peak_gpu_memory_mb == 21475  # 20 GiB
    assert with_logged(Costs(wall_seconds=60), banner(1)).peak_gpu_memory_mb is None  # no update was logged
    assert with_logged(Costs(wall_seconds=60), [log_line("train_inner", gb_free="61.5")]).peak_gpu_memory_mb is None


def test_speed_is_words_over_seconds_of_training_steps():
    lines = [epoch(1, 10, 100, 4), log_line("valid", valid_wps="9"), epoch(2, 40, 80, 16)]
    assert words_per_second(lines) == (10 * 100 + 30 * 80) / 20
    assert words_per_second(lines[2:], 10) == 30 * 80 / 16  # a second attempt
    assert words_per_second([*lines, epoch(2, 40, 80, 99), epoch(3, 50, 70, 5)]) == (1000 + 2400 + 700) / 25  # resumed
    assert updates(lines) == 40 and updates(lines[1:2]) == 0


def test_an_unfinished_epoch_counts_where_no_other_was():
    inner = [log_line("train_inner", wpb="100", num_updates=str(20 * n), train_wall="8", wps="1") for n in (1, 2)]
    assert words_per_second(inner) == 250
    assert words_per_second([*inner, epoch(1, 50, 100, 10)]) == 500
    assert words_per_second([]) is None
    assert words_per_second([epoch(1, 10, 100, 0)]) is None  # too short to be timed


def test_decoding_speed_is_fairseqs():
    line = "Translated 2,000 sentences (42,818 tokens) in 25.7s (77.75 sentences/s, 1664.51 tokens/s)"
    assert decoded_words_per_second(["H-0\t-1\ta", f"INFO:fairseq_cli.generate:{line}"]) == 1664.5
    assert decoded_words_per_second(["H-0\t-1\ta"]) is None


def test_attempts_add_up_and_those_of_before_stay_readable(tmp_path):
    file = tmp_path / "run.json"
    files.write_json(file, {"attempts": [{"wall_seconds": 10.0, "cpu_seconds": 8.0, "exit_code": 1}]})
    costs = Costs(wall_seconds=1.0, cpu_seconds=2.0, gpu_hours=0.5, peak_memory_mb=300)
    run_command.record_attempt(file, RunRecord(name="a"), ["train"], 0, costs, 250.0)
    record = files.read_json(file)
    keys = ("wall_seconds", "cpu_seconds", "gpu_hours", "peak_memory_mb", "peak_gpu_memory_mb")
    assert {key: record[key] for key in keys} == {
        "wall_seconds": 11,
        "cpu_seconds": 10,
        "gpu_hours": None,
        "peak_memory_mb": 300,
        "peak_gpu_memory_mb": None,
    }
    assert record["words_per_second"] == 250 and record["attempts"][1]["gpu_hours"] == 0.5
    attempts = [Attempt(**vars(costs)), Attempt(**vars(costs) | {"peak_memory_mb": 200, "peak_gpu_memory_mb": 7})]
    together = Costs(wall_seconds=2, cpu_seconds=4, gpu_hours=1, peak_memory_mb=300, peak_gpu_memory_mb=7)
    assert run_command.together(attempts) == together


def test_peak_memory_is_that_of_the_largest_child(tmp_path):
    """In a process of its own: the measure is of all children that a process ever had."""
    hog = "block = bytearray(300_000_000); block[::4096] = b'x' * len(block[::4096])"
    code = f"""
import sys; from pathlib import Path; from lskd_nmt.experiment import run_command as watch
cost = watch.Cost()
folder = Path({str(tmp_path)!r})
watch.watch([sys.executable, "-c", {hog!r}], folder, folder / "log", lambda line: None, print)
print(cost.measured().peak_memory_mb)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 300 <= float(done.stdout) < 400
