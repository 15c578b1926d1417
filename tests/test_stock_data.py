"""A folder of fairseq-preprocess as `data.dir`: two dictionaries, `@@ ` subwords, no text, no record of its making."""

import json
import os
import struct
from itertools import pairwise
from pathlib import Path

import pytest

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import plan
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.steps import Machine, run_step
from lskd_nmt.report.results.read import results

SOURCE = ["a gre@@ at dog", "a dog", "great"]
TARGET = ["ein gro@@ ßer Hund", "ein Hund", "großer"]
KNOWN = {"en": ["a", "gre@@", "at", "dog"], "de": ["ein", "gro@@", "ßer", "Hund", "großer"]}
EOS, UNKNOWN, FIRST = 2, 3, 4  # ids of fairseq's special symbols, and of the first word


def write_side(stem: Path, rows) -> None:
    """Ids as fairseq's mmap format has them: an index with sizes and offsets, and the ids in two bytes each."""
    sizes = [len(row) for row in rows]
    starts = [2 * sum(sizes[:at]) for at in range(len(rows))]
    head = struct.pack("<9sQBQ", b"MMIDIDX\x00\x00", 1, 8, len(rows))
    index = head + struct.pack(f"<{len(rows)}i", *sizes) + struct.pack(f"<{len(rows)}q", *starts)
    Path(f"{stem}.idx").write_bytes(index)
    Path(f"{stem}.bin").write_bytes(b"".join(struct.pack(f"<{len(row)}H", *row) for row in rows))


@pytest.fixture
def stock(tmp_path) -> Path:
    folder = tmp_path / "data-bin"
    folder.mkdir()
    for lang, lines in (("en", SOURCE), ("de", TARGET)):
        words = KNOWN[lang]
        (folder / f"dict.{lang}.txt").write_text("".join(f"{word} 1\n" for word in words), encoding="utf-8")
        ids = {word: FIRST + at for at, word in enumerate(words)}
        rows = [[*(ids.get(word, UNKNOWN) for word in line.split()), EOS] for line in lines]
        for split in ("train", "valid", "test"):
            write_side(folder / f"{split}.en-de.{lang}", rows)
    return folder


def config(stock, **data):
    student = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 2}}
    return resolve({"name": "x", "data": {"dir": str(stock), **data}, "teacher": "none", "student": student})


def test_its_text_is_made_of_its_subwords_and_what_is_not_proved_is_said(stock, tmp_path, capsys):
    words = ["adopt-data", "--bin", str(stock), "--out", str(tmp_path / "data")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pairs"] == {"train": 3, "valid": 3, "test": 3}
    assert "sentences may stand in several" in said.err and "the subwords are joined at @@ " in said.err
    clean = tmp_path / "data" / "clean"
    assert (clean / "test.de").read_text(encoding="utf-8") == "ein großer Hund\nein Hund\ngroßer\n"
    assert (clean / "train.en").read_text(encoding="utf-8") == "a great dog\na dog\n<unk>\n"
    assert (tmp_path / "data" / "bin").resolve() == stock.resolve()
    before = json.loads((tmp_path / "data" / "prep.json").read_text())
    assert (before["source_lang"], before["target_lang"], len(before["unproved"])) == ("en", "de", 2)
    assert main(words) == 0 and json.loads((tmp_path / "data" / "prep.json").read_text()) == before
    assert main([*words[:-1], str(tmp_path / "other"), "--source-lang", "de", "--target-lang", "en"]) == 0
    assert (tmp_path / "other" / "clean" / "test.en").read_text().startswith("a great dog\n")


def test_a_run_trains_on_it_and_its_table_says_what_is_not_proved(stock, bench, monkeypatch):
    planned = plan(config(stock), "text", bench.folder / "run")
    (model,) = planned.models
    flags = dict(pairwise(model.train_command))
    assert model.train_command[1] == "data/bin" and flags["--eval-bleu-remove-bpe"] == "subword_nmt"
    assert f"lskd adopt-data --bin {stock}" in (bench.folder / "run" / "prepare.sh").read_text()
    out = bench.folder / "run" / "data"
    assert main(["adopt-data", "--bin", str(stock), "--out", str(out)]) == 0
    (bench.folder / "hyps").write_text("".join(f"{line}\n" for line in TARGET), encoding="utf-8")
    path = f"{bench.folder / 'bin'}:{os.environ['PATH']}"
    more = {"PATH": path, "FAKE_HYPOTHESES": str(bench.folder / "hyps")}
    for name, value in {**bench.environment, **more}.items():
        monkeypatch.setenv(name, value)
    run = Run(bench.folder / "run")
    for step in ("train", "evaluate"):
        assert run_step(run, model.name, step, Machine("cpu"), print, print) == 0
    found = results([run.folder])
    assert (
        found.rows[0].scores["chrf"] == 100
        and run.model_folder(model.name).joinpath("test.hyp").read_text(encoding="utf-8")
        == "ein großer Hund\nein Hund\ngroßer\n"
    )
    assert [line.partition(":")[0] for line in found.remarks] == ["stock data-bin"] * 2


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({"source_lang": "fr"}, "is of en-de, and the config says fr-de: correct one"),
        ({"vocab_size": 9}, "data.dir names a prepared folder, so data.vocab_size has no say: remove one"),
        ({"spm": "none.model"}, "none.model does not exist: name the sentencepiece model of the data as data.spm"),
    ],
)
def test_keys_that_do_not_fit_it_are_one_line(stock, data, part, tmp_path):
    with pytest.raises(LskdError) as refused:
        plan(config(stock, **data), "text", tmp_path / "run")
    assert part in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_whole_is_one_line(stock, tmp_path, capsys):
    (stock / "test.en-de.de.bin").write_bytes(b"\x04")
    assert main(["adopt-data", "--bin", str(stock), "--out", str(tmp_path / "data")]) == 2
    assert "test.en-de.de.bin is cut" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    (stock / "dict.de.txt").unlink()
    with pytest.raises(LskdError, match=r"lacks dict\.de\.txt"):
        plan(config(stock), "text", tmp_path / "run")
