"""Bad input to `fairseq-train … --criterion kd_ls`: one line, exit code 2, nothing written."""

import errno
import shutil

import pytest
import torch
from conftest import USER_DIR, binarise, call, train, write_copy_corpus

from lskd_nmt.fairseq_io import SYMBOLS_KEY


@pytest.fixture
def refuses(data, refused, tmp_path):
    """`refuses(*flags)` is the one line with which training on `data` (or `on=…`) stops, leaving no save dir behind."""

    def run(*flags, on=data):
        save_dir = tmp_path / "out"
        with refused() as line:
            train(on, save_dir, *flags)
        assert not save_dir.exists()
        return line[0]

    return run


@pytest.fixture
def edited(teacher, tmp_path):
    """`edited(change)`: a copy of the teacher's checkpoint after `change(state)`."""

    def edit(change):
        state = torch.load(teacher, weights_only=True)
        change(state)
        path = tmp_path / "edited" / "teacher.pt"
        path.parent.mkdir()
        torch.save(state, path)
        return path

    return edit


def forget_symbols(state):
    del state["task_state"][SYMBOLS_KEY]


def test_settings_out_of_range(refuses, teacher):
    assert "--temperature is 0.0: give " in refuses("--teacher-path", teacher, "--temperature", 0)
    assert "--temperature is nan: give " in refuses("--teacher-path", teacher, "--temperature", "nan")
    assert "--kd-weight is 1.5: give " in refuses("--teacher-path", teacher, "--kd-weight", 1.5)
    assert "--label-smoothing is 1.0: give " in refuses("--kd-weight", 0, "--label-smoothing", 1)


def test_word_where_a_number_belongs(data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(data, tmp_path / "out", "--temperature", "hot")
    assert stopped.value.code == 2
    assert "argument --temperature: invalid float value: 'hot'" in capsys.readouterr().err


def test_unknown_option(data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(data, tmp_path / "out", "--temprature", 2)
    assert stopped.value.code == 2
    assert "--temprature" in capsys.readouterr().err


def test_unknown_choice(data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(data, tmp_path / "out", "--temper", "student")
    assert stopped.value.code == 2
    assert "invalid choice: 'student'" in capsys.readouterr().err


def test_no_teacher(refuses):
    assert "--kd-weight is 0.5 and neither --teacher-path nor --teacher-store is given: name a teacher" in refuses()


def test_missing_teacher(refuses, teacher):
    assert "teacher nowhere.pt does not exist: give the path" in refuses("--teacher-path", f"{teacher}:nowhere.pt")


@pytest.mark.parametrize("size", [0, 100, -1000])
def test_damaged_teacher(refuses, teacher, tmp_path, size):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(teacher.read_bytes()[:size])
    assert f"teacher {broken} cannot be read (" in refuses("--teacher-path", broken)


def test_pickle_that_would_run_code(refuses, tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code was run",))

    path = tmp_path / "evil.pt"
    torch.save({"model": {}, "cfg": Evil()}, path)
    assert f"teacher {path} cannot be read (" in refuses("--teacher-path", path)


def test_file_of_another_kind(refuses, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    assert f"teacher {path} holds no fairseq model and settings" in refuses("--teacher-path", path)


def test_weights_that_do_not_fit_their_settings(refused, data, edited, tmp_path):
    path = edited(lambda state: state["model"].pop("decoder.layers.0.fc1.weight"))
    with refused() as line:
        train(data, tmp_path / "out", "--teacher-path", path, "--no-save")
    assert f"teacher {path} does not fit its own settings (" in line[0]


def test_teacher_of_other_words(refuses, teacher, tmp_path):
    write_copy_corpus(tmp_path / "text", "abcdefgx")
    other = binarise(tmp_path / "text", tmp_path / "bin")
    line = refuses("--teacher-path", teacher, on=other)
    assert "source dictionaries differ at" in line and "target dictionaries differ at" in line
    assert "binarise the student's data with the teacher's dictionary" in line


def test_permuted_dictionary_of_the_same_size_is_counted_and_shown(refuses, teacher, data, tmp_path):
    permuted = tmp_path / "permuted"
    shutil.copytree(data, permuted)
    for lang in ("aa", "bb"):
        lines = (data / f"dict.{lang}.txt").read_text().splitlines()
        lines[0], lines[1] = lines[1], lines[0]
        (permuted / f"dict.{lang}.txt").write_text("\n".join(lines) + "\n")
    first, second = (line.split()[0] for line in (data / "dict.bb.txt").read_text().splitlines()[:2])
    line = refuses("--teacher-path", teacher, on=permuted)
    assert "source dictionaries differ at 2 indices (teacher 16 symbols, student 16; teacher / student at " in line
    assert f"4: '{first}' / '{second}', 5: '{second}' / '{first}')" in line


def test_teacher_without_provable_dictionary(refuses, edited):
    path = edited(lambda state: (forget_symbols(state), state["cfg"]["task"].update(data="relative/bin")))
    line = refuses("--teacher-path", path)
    assert "cannot be proved equal to the student's: give --teacher-data" in line


def test_teacher_data_without_dictionaries(refuses, edited, tmp_path):
    line = refuses("--teacher-path", edited(forget_symbols), "--teacher-data", tmp_path)
    assert f"--teacher-data {tmp_path} lacks dict.aa.txt or dict.bb.txt" in line


def test_missing_data_folder(refuses, teacher, tmp_path):
    assert "data folder nowhere does not exist" in refuses("--teacher-path", teacher, on="nowhere")
    assert "lacks train.SRC-TGT.SRC.bin or dict.LANG.txt" in refuses("--teacher-path", teacher, on=tmp_path)


def test_separate_dictionaries_with_a_shared_embedding(refuses, data, tmp_path):
    separate = tmp_path / "separate"
    shutil.copytree(data, separate)
    with (separate / "dict.bb.txt").open("a") as file:
        file.write("extra 1\n")
    assert "has two dictionaries" in refuses("--kd-weight", 0, on=separate)


def test_the_ways_out_of_two_dictionaries_lead_out(data, refused, tmp_path):
    """A stock teacher with two dictionaries and a preset that shares one embedding: only another arch is a way out."""
    from fairseq_cli import train as fairseq_train

    separate = tmp_path / "separate"
    shutil.copytree(data, separate)
    lines = (data / "dict.bb.txt").read_text().splitlines()
    (separate / "dict.bb.txt").write_text("".join(f"{line}\n" for line in [*lines[1:], lines[0]]))
    way_out = "a stock arch that keeps two embeddings, such as --arch transformer_iwslt_de_en"

    def fit(folder, *flags):
        call(
            fairseq_train.cli_main,
            "fairseq-train",
            separate,
            "--user-dir",
            USER_DIR,
            "--cpu",
            "--save-dir",
            folder,
            "--arch",
            "transformer_iwslt_de_en",
            "--encoder-embed-dim",
            16,
            "--decoder-embed-dim",
            16,
            "--optimizer",
            "adam",
            "--max-tokens",
            100,
            "--max-update",
            1,
            "--num-workers",
            0,
            "--log-format",
            "none",
            "--encoder-layers",
            1,
            "--decoder-layers",
            1,
            *flags,
        )
        return folder / "checkpoint_last.pt"

    teacher = fit(tmp_path / "teacher", "--criterion", "label_smoothed_cross_entropy")
    kd = "--teacher-path", teacher, "--teacher-data", separate
    for folder in (separate, data):  # its own data; and joined ones, as the first line also has it
        with refused() as line:
            train(folder, tmp_path / "m", *kd)
        assert way_out in line[0]
    assert "with the teacher's dictionaries (--srcdict, --tgtdict), which are two, and train" in line[0]
    fit(tmp_path / "student", "--criterion", "kd_ls", *kd)
    assert (tmp_path / "student" / "checkpoint_last.pt").is_file()


@pytest.mark.parametrize("recorded, said", [("relative/bin", True), ("/nowhere/bin", False)])
def test_a_recorded_folder_that_proves_nothing_is_named_if_its_path_is_relative(refuses, edited, recorded, said):
    path = edited(lambda state: (forget_symbols(state), state["cfg"]["task"].update(data=recorded)))
    line = refuses("--teacher-path", path)
    assert (f"(its settings name {recorded}, a relative path, which may lead elsewhere by now)" in line) == said


def test_a_text_file_as_teacher(refuses, tmp_path):
    path = tmp_path / "teacher.pt"
    path.write_text("no checkpoint\n")
    assert f"teacher {path} " in refuses("--teacher-path", path)


def test_save_dir_without_room(refuses, monkeypatch):
    import os

    full = os.statvfs("/")
    monkeypatch.setattr(os, "statvfs", lambda path: type("Full", (), {"f_bavail": 1, "f_frsize": full.f_frsize}))
    line = refuses("--kd-weight", 0)
    assert "has 0 MB free, two checkpoints need about" in line


def test_disk_that_fills_up_while_training(plugin, refused, data, tmp_path, monkeypatch):
    from fairseq_cli import train as fairseq_train

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device", "checkpoint_last.pt")

    monkeypatch.setattr(fairseq_train, "main", full)
    with refused() as line:
        train(data, tmp_path / "out", "--kd-weight", 0)
    assert "checkpoint_last.pt: No space left on device: free some" in line[0]


@pytest.mark.parametrize("where", ["flag", "beside", "recorded"])
def test_dictionary_files_prove_a_teacher_that_lacks_its_symbols(data, edited, tmp_path, where):
    """The three sources after the checkpoint itself, each enough alone."""

    def change(state):
        forget_symbols(state)
        state["cfg"]["task"].update(data=str(data) if where == "recorded" else "relative/bin")

    path = edited(change)
    if where == "beside":
        for lang in ("aa", "bb"):
            shutil.copy(data / f"dict.{lang}.txt", path.parent)
    flags = ("--teacher-data", data) if where == "flag" else ()
    train(data, tmp_path / "out", "--teacher-path", path, "--max-epoch", 1, "--no-save", *flags)


def test_other_criterions_are_not_checked(data, tmp_path):
    from fairseq_cli import train as fairseq_train

    call(
        fairseq_train.cli_main,
        "fairseq-train",
        data,
        "--user-dir",
        USER_DIR,
        "--no-save",
        "--cpu",
        "--arch",
        "ls_transformer_tiny",
        "--criterion",
        "label_smoothed_cross_entropy",
        "--optimizer",
        "adam",
        "--max-tokens",
        100,
        "--max-epoch",
        1,
        "--num-workers",
        0,
        "--save-dir",
        tmp_path,
    )
