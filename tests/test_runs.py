"""What a run folder records, and the reading of fairseq's log."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment import run, run_command, training_log
from lskd_nmt.experiment.records import CurvePoint, PlannedModel, RunRecord
from lskd_nmt.storage import files, provenance


def complaint(call, *arguments):
    with pytest.raises(LskdError) as refused:
        call(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "deep" / "x.json"
    files.write_json(file, {"a": "ä"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": "ä"}
    with pytest.raises(TypeError):
        files.write_json(file, {"a": object()})
    with pytest.raises(UnicodeEncodeError):
        files.write_text(file, "\ud800")
    assert files.read_json(file) == {"a": "ä"}
    assert os.listdir(file.parent) == ["x.json"]


def test_files_that_cannot_be_read_are_refused(tmp_path):
    file = tmp_path / "x"
    assert "does not exist" in complaint(files.read_json, file)
    assert "does not exist" in complaint(files.read_lines, file)
    file.write_text("{")
    assert "is no readable JSON" in complaint(files.read_json, file)
    file.write_text("[]")
    assert "holds no JSON dict" in complaint(files.read_json, file)
    file.write_bytes(b"\xff\n")
    assert "is not UTF-8 (byte 0)" in complaint(files.read_lines, file)


def test_only_line_feeds_end_a_line(tmp_path):
    file = tmp_path / "x"
    file.write_text("a\u2028b\n\nc\n", encoding="utf-8")
    assert files.read_lines(file) == ["a\u2028b", "", "c"]
    file.write_text("")
    assert files.read_lines(file) == []


def test_data_hashes_cover_dictionaries_and_training_pairs_but_not_the_test_set(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("dict.en.txt", "train.en-de.en.bin", "valid.en-de.de.bin", "test.en-de.en.bin"):
        (tmp_path / "bin" / name).write_text(name)
    found = provenance.data_hashes(tmp_path)
    wanted = ("dict.en.txt", "train.en-de.en.bin", "valid.en-de.de.bin")
    assert found == {name: hashlib.sha256(name.encode()).hexdigest() for name in wanted}


def test_an_unknown_model_is_refused_with_the_planned_ones(tmp_path):
    models = [{"name": name, "role": "student", "seed": 1} for name in "ab"]
    data = {"folder": "data", "source_lang": "en", "target_lang": "de"}
    files.write_json(tmp_path / "plan.json", {"name": "r", "models": models, "data": data})
    assert run.Run(tmp_path).model("b") == PlannedModel("b", "student", 1)
    assert "no model 'c': one of a, b" in complaint(run.Run(tmp_path).model, "c")


def test_every_call_is_recorded_with_versions_and_without_names(tmp_path):
    run.record_run(tmp_path, "first")
    run.record_run(tmp_path, "second")
    calls = files.read_json(tmp_path / "run.json")["calls"]
    assert [call["command"] for call in calls] == ["first", "second"]
    assert calls[0]["versions"]["sacrebleu"] and set(calls[0]["host"]) == {"system", "machine", "cores"}


def test_outside_of_git_there_is_no_commit_but_a_named_one(monkeypatch, tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)  # somebody else's, around the folder of packages
    monkeypatch.setattr(provenance, "INSTALLED", tmp_path / "site-packages")
    monkeypatch.delenv("LSKD_COMMIT", raising=False)
    assert provenance.commit() is None
    monkeypatch.setenv("LSKD_COMMIT", "")  # of an image that was built without one
    assert provenance.commit() is None
    monkeypatch.setenv("LSKD_COMMIT", "abc")
    assert provenance.commit() == "abc"


def log_line(tag, **values):
    return f"2024-01-01 00:00:00 | INFO | {tag} | {json.dumps(values)}"


LOG = [
    "2024-01-01 00:00:00 | INFO | fairseq_cli.train | num. shared model params: 1,051,648 (num. trained: 1,051,648)",
    log_line("train_inner", epoch=1, update=0.5, num_updates="10", loss="9", ppl="512"),
    log_line("valid", epoch=1, valid_loss="4.5", valid_nll_loss="4", valid_bleu="1.5", valid_num_updates="20"),
    log_line("train", epoch=1, train_loss="5", train_kd_loss="0.5", train_num_updates="20", train_wall="3"),
    log_line("valid", epoch=2, valid_loss="9", valid_nll_loss="9", valid_bleu="0", valid_num_updates="40"),
    log_line("valid", epoch=2, valid_loss="3", valid_nll_loss="2.5", valid_bleu="7", valid_num_updates="40"),
    "| INFO | train | {broken",
]


def test_the_curve_has_an_entry_per_epoch_and_the_last_value_wins():
    first = {"valid_loss": 4.5, "valid_nll_loss": 4.0, "valid_bleu": 1.5, "updates": 20}
    assert training_log.curve(LOG) == [
        CurvePoint(1, **first, train_loss=5.0, train_kd_loss=0.5),
        CurvePoint(2, valid_loss=3.0, valid_nll_loss=2.5, valid_bleu=7.0, updates=40),
    ]


def test_the_model_size_is_what_fairseq_counted():
    assert training_log.parameters(LOG) == 1051648
    assert training_log.parameters(LOG[1:]) is None


def test_progress_tells_place_and_time_left():
    now = [0.0]
    progress = training_log.Progress(training_log.limits(["x", "--max-epoch", "2"]), clock=lambda: now[0])

    def update(seconds, epochs):
        now[0] = seconds
        return progress.line(log_line("train_inner", update=epochs, num_updates=10 * epochs, loss="1.5"))

    assert update(0, 0.5) == "epoch 0.50  updates 5  loss 1.5"
    assert update(5, 0.6) is None  # too soon after the last line
    assert update(60, 1) == "epoch 1.00  updates 10  loss 1.5  left 2m00s"  # half an epoch a minute
    assert progress.line(LOG[2]) == "epoch 1 done  loss 4.5  nll_loss 4  bleu 1.5"
    assert progress.line("anything") is None


@pytest.mark.parametrize(("seconds", "text"), [(75, "1m15s"), (0, "0m00s"), (3600, "1h00m"), (7262, "2h01m")])
def test_durations(seconds, text):
    assert training_log.duration(seconds) == text


def test_decoding_progress_counts_hypotheses():
    now = [0.0]
    progress = training_log.Decoded(30, clock=lambda: now[0])
    assert progress.line("H-3\t-1\ta") is None
    now[0] = 11
    assert progress.line("S-4\ta") is None
    assert progress.line("H-4\t-1\ta") == "decoded 2 of 30"


def test_watching_keeps_the_log_shows_errors_and_passes_the_exit_code(tmp_path):
    shown = []
    script = "import sys; print('one'); print('x: error: bad', file=sys.stderr); sys.exit(2)"
    log = tmp_path / "train.log"
    log.write_text("before\n")
    assert run_command.watch([sys.executable, "-c", script], tmp_path, log, lambda line: None, shown.append) == 2
    assert shown == ["x: error: bad"]
    assert sorted(log.read_text().splitlines()) == ["before", "one", "x: error: bad"]


def test_a_character_written_in_two_pieces_is_one(tmp_path):
    shown = []
    script = r"""
import sys, time
for part in (b"sch\xc3", b"\xb6n\n"):
    sys.stdout.buffer.write(part)
    sys.stdout.flush()
    time.sleep(0.3)
"""
    run_command.watch([sys.executable, "-c", script], tmp_path, tmp_path / "log", lambda line: line, shown.append)
    assert shown == ["schön\n"]


def test_a_crash_shows_the_end_of_the_log(tmp_path):
    shown = []
    script = "print(*range(40), sep='\\n'); raise SystemExit(1)"
    assert (
        run_command.watch([sys.executable, "-c", script], tmp_path, tmp_path / "l", lambda line: None, shown.append)
        == 1
    )
    lines = shown[0].splitlines()
    assert "stopped with exit code 1" in lines[0] and lines[1:] == [str(number) for number in range(25, 40)]


def test_what_a_command_said_is_in_its_log_even_if_the_watcher_never_read_it(tmp_path):
    trains = "import os, time; print('epoch 1', flush=True); open('saved', 'w').write(f'{os.getpid()}.'); time.sleep(9)"
    watches = f"""
import sys, time
from pathlib import Path
from lskd_nmt.experiment.run_command import watch
watch([sys.executable, "-c", {trains!r}], Path("."), Path("log"), lambda line: time.sleep(9), print)
"""
    watcher, saved = subprocess.Popen([sys.executable, "-c", watches], cwd=tmp_path), tmp_path / "saved"
    while not (saved.is_file() and saved.read_text().endswith(".")):
        assert watcher.poll() is None
        time.sleep(0.01)
    os.kill(int(saved.read_text()[:-1]), signal.SIGKILL)
    watcher.kill()
    watcher.wait()
    assert (tmp_path / "log").read_text() == "epoch 1\n"


def test_cost_adds_up_over_attempts(tmp_path):
    file = tmp_path / "run.json"
    for code in (1, 0):
        cost = run_command.Cost()
        busy = "import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
        start = time.monotonic()
        run_command.watch([sys.executable, "-c", busy], tmp_path, tmp_path / "log", lambda line: None, print)
        wall = time.monotonic() - start
        run_command.record_attempt(file, RunRecord(name="a"), ["train"], code, cost.measured(), None)
        last = files.read_json(file)["attempts"][-1]
        assert last["cpu_seconds"] >= 0.2 and abs(last["wall_seconds"] - wall) < 0.2
    record = files.read_json(file)
    assert [attempt["exit_code"] for attempt in record["attempts"]] == [1, 0]
    assert record["cpu_seconds"] == pytest.approx(sum(attempt["cpu_seconds"] for attempt in record["attempts"]))


def test_lines_of_a_log_that_are_no_records_are_passed():
    head = "2024-01-01 00:00:00 | INFO | "
    bad = [
        'train | {"train_loss": "4"}',
        'valid | {"epoch": "nan"}',
        'train_inner | {"update": 1}',
        "train | {" + '"a":[' * 9000,
        'valid | {"epoch": {}}',
        "train | {}",
    ]
    good = 'valid | {"epoch": 1, "valid_loss": "3", "valid_num_updates": "inf"}'
    assert [training_log.record(head + line) for line in bad[:3]] == [None] * 3
    assert training_log.curve([head + line for line in [*bad, good]]) == [CurvePoint(1, valid_loss=3.0)]
    progress = training_log.Progress((2.0, 2.0))
    assert [progress.line(head + line) for line in [*bad, 'train_inner | {"num_updates": 3}']] == [None] * 7
