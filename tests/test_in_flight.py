"""Lines ahead of their answers: in order, no further than bounded, and at once where no more input is there."""

import io
import os
import random
import select
import subprocess
import sys
import threading
import time
from itertools import chain, count, islice, repeat

import pytest
from conftest import ROOT
from test_translate import Echo, echo  # noqa: F401  the stand-ins of test_translate.py

from lskd_nmt import cli
from lskd_nmt.cli.translate import BLOCK, Input
from lskd_nmt.deploy.translate import Translator
from lskd_nmt.errors import LskdError

TEXT = [" ".join(f"w{line}x{word}" for word in range(line % 40)) for line in range(1500)]


@pytest.fixture(autouse=True)
def _sleepless(monkeypatch):
    """Pauses between two looks at what is done take no time."""
    monkeypatch.setattr("lskd_nmt.deploy.in_flight.time.sleep", lambda seconds: None)


def texts(groups):
    return [best[0].text for group in groups for best in group]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_answers_come_in_order_in_whatever_order_batches_are_done(workers, echo):  # noqa: F811
    translator, draw = echo(), random.Random(1)
    translator.model.num_translators = workers
    translator.model.looks = iter(lambda: draw.choice([0, 1, 30]), None)
    assert texts(translator.groups(TEXT)) == TEXT
    assert translator.model.seen != [line.split() for line in TEXT if line]  # they were sorted by length


@pytest.mark.parametrize("kind", ["words", "nothing", "a word, then nothing"])
def test_no_more_is_read_ahead_than_a_few_windows(kind, echo):  # noqa: F811
    """Of an input without an end, also while the engine takes very long over the first line."""
    translator, read, draw = echo(), [], random.Random(1)
    translator.model.looks = iter(lambda: draw.choice([0, 40]), None)
    if kind == "a word, then nothing":
        translator.model.looks = chain([100_000], repeat(0))
    endless = (read.append(1) or ("a b c" if kind == "words" or number == 0 else "") for number in count())
    answered = translator.translations(endless)
    ahead = [len(read) - number for number, _ in enumerate(islice(answered, 5_000))]
    # four windows of 16 batches of 1,024 subwords, where a line is at least one, and the line that reaches them
    assert 64 < max(ahead) <= 4 * 16 * 1024 // (5 if kind == "words" else 1) + 1


def test_an_error_of_the_lines_comes_after_the_answers_to_those_before_it(echo):  # noqa: F811
    def lines():
        yield from TEXT[:700]
        raise OSError("the disk is gone")

    answers = []
    with pytest.raises(OSError, match="the disk is gone"):
        answers.extend(best[0].text for best in echo().translations(lines()))
    assert answers == TEXT[:700]


def test_what_the_engine_refuses_is_one_line(echo, monkeypatch):  # noqa: F811
    translator = echo()
    begin = translator.model.translate_batch

    def failing(batch, **settings):
        promises = begin(batch, **settings)
        promises[0].value = RuntimeError("No position encodings are defined for positions >= 20")
        return promises

    monkeypatch.setattr(translator.model, "translate_batch", failing)
    with pytest.raises(LskdError, match="CTranslate2 cannot translate with this model "):
        translator.translate(["a"])


@pytest.mark.parametrize("size", [1, 7, BLOCK + 1])
def test_lines_of_a_pipe_are_those_of_the_stream(size):
    draw = random.Random(size)
    lines = ["é" * draw.choice([0, 1, 30]) for _ in range(200)]
    content = "\n".join([*lines, "é" * (BLOCK if size > 1 else 5), "", "end"]).encode()
    for whole in (content, content + b"\n", b"", b"\n"):
        out, into = os.pipe()

        def write(whole=whole, into=into):
            with os.fdopen(into, "wb", buffering=0) as stream:
                for start in range(0, len(whole), size):
                    stream.write(whole[start : start + size])

        writer = threading.Thread(target=write)
        writer.start()
        with os.fdopen(out, "rb") as stream:
            assert list(Input(stream)) == list(io.BytesIO(whole))
        writer.join()


def test_a_reader_does_not_wait_for_more_than_a_line():
    out, into = os.pipe()
    with os.fdopen(out, "rb") as stream:
        source = Input(stream)
        lines = iter(source)
        assert not source.ready(0)
        os.write(into, b"one\ntw")
        assert source.ready(0) and next(lines) == b"one\n" and not source.ready(0.001)
        os.write(into, b"o\n")
        assert source.ready() and next(lines) == b"two\n" and not source.ready(0)
        os.close(into)
        assert source.ready(0) and list(lines) == []


class Dialogue:
    """`lskd translate` between two pipes, in a thread."""

    def __init__(self, monkeypatch, folder, *flags):
        self.of_input, into = os.pipe()
        out, self.of_output = os.pipe()
        monkeypatch.setattr("sys.stdin", os.fdopen(self.of_input, "r"))
        monkeypatch.setattr("sys.stdout", os.fdopen(self.of_output, "w"))
        self.codes, self.into, self.out = [], os.fdopen(into, "wb", buffering=0), os.fdopen(out, "rb")
        call = ["translate", str(folder), *flags]
        self.thread = threading.Thread(target=lambda: self.codes.append(cli.main(call)), daemon=True)
        self.thread.start()

    def answer(self, line: bytes) -> bytes:
        self.into.write(line)
        assert select.select([self.out], [], [], 60)[0], "no answer before the next line"
        return self.out.readline()

    def end(self) -> int:
        self.into.close()
        self.thread.join(60)
        return self.codes[0]


def test_a_line_is_answered_before_the_next_is_written(model, monkeypatch):
    talk = Dialogue(monkeypatch, model)
    expected = Translator(model).translate(["a b c", "d e"])
    assert talk.answer(b"a b c\n").decode() == expected[0] + "\n"
    assert talk.answer(b"\n") == b"\n"
    start = time.monotonic()
    assert [talk.answer(b"d e\n").decode() for _ in range(20)] == [expected[1] + "\n"] * 20
    assert time.monotonic() - start < 20  # of a model that needs milliseconds, on a machine as busy as may be
    assert talk.end() == 0


def test_nobody_waits_for_a_line_that_is_half_written(echo, monkeypatch, tmp_path):  # noqa: F811
    echo(source_lang="en", target_lang="de")
    talk = Dialogue(monkeypatch, tmp_path / "m")
    assert talk.answer(b"one\ntwo\nthr") == b"one\n" and talk.out.readline() == b"two\n"
    assert talk.answer(b"ee\ncaf\xe9\n") == b"three\n" and talk.out.readline() == b"\n"
    assert talk.end() == 2


def test_a_bad_line_of_a_long_file_is_named_by_its_number(echo, monkeypatch, capsys, tmp_path):  # noqa: F811
    echo(source_lang="en", target_lang="de")
    lines = [line.encode() for line in TEXT]
    lines[1345] = b"caf\xe9"
    (tmp_path / "text").write_bytes(b"\n".join(lines) + b"\n")
    with (tmp_path / "text").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert cli.main(["translate", str(tmp_path / "m"), "--bad-lines", "refuse"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == TEXT[:1345]
    assert "line 1346 of the input is not UTF-8 (byte 4), and only the lines before it are answered" in said.err


def test_a_reader_that_has_seen_enough_ends_it(echo, monkeypatch, capsys, tmp_path):  # noqa: F811
    echo()
    talk = Dialogue(monkeypatch, tmp_path / "m")
    assert talk.answer(b"one\n") == b"one\n"
    talk.out.close()
    talk.into.write(b"two\n")
    talk.thread.join(60)
    assert talk.codes == [141] and capsys.readouterr().err == ""


def test_a_long_file_says_how_far_it_is(echo, monkeypatch, capsys, tmp_path):  # noqa: F811
    echo()
    (tmp_path / "text").write_text("a b\n" * 200)
    monkeypatch.setattr("lskd_nmt.progress.EVERY", 0)
    with (tmp_path / "text").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert cli.main(["translate", str(tmp_path / "m")]) == 0
    said = capsys.readouterr()
    assert said.out == "a b\n" * 200 and " of 200 lines, " in said.err.splitlines()[0]


@pytest.mark.parametrize("workers", [2, 3])
def test_more_workers_give_the_same_lines(workers, model):
    draw = random.Random(3)
    lines = [" ".join(draw.choices("abcdefgh", k=draw.randrange(8))) for _ in range(150)]
    one, several = Translator(model, threads=1), Translator(model, workers=workers, batch_tokens=64)
    found = several.translate(lines)
    assert [line == "" for line in found] == [line == "" for line in lines]
    assert found[:20] == [one.translate([line])[0] for line in lines[:20]]
    assert [best[0].text for best in several.translations(lines[:20], nbest=2)] == found[:20]


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--workers", "1025"], "--workers is 1025: give 1 to 1024, or 0 for all cores"),
        (["--max-batch-tokens", "0"], "--max-batch-tokens is 0: give a whole number from 1"),
        (["--compute-type", "int3"], "--compute-type is 'int3': one of default, auto, float32"),
        (["--compute-type", "float16"], "--compute-type is float16, which this cpu cannot: default, auto, "),
        (["--device", "cuda"], "the device is 'cuda', and CTranslate2 sees no GPU"),
        (["--device", "tpu"], "the device is 'tpu': one of cpu, cuda, auto"),
    ],
)
def test_what_the_machine_cannot_is_refused(flags, part, model, monkeypatch, capsys):
    import ctranslate2

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda device: {"float32", "int8"})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n")))
    assert cli.main(["translate", str(model), *flags]) == 2
    assert part in capsys.readouterr().err


def test_the_verb_starts_without_what_it_does_not_need(model):
    code = (
        "import sys; from lskd_nmt import cli; code = cli.main(sys.argv[1:])\n"
        "slow = {'torch', 'fairseq', 'sacrebleu', 'sacremoses', 'pandas', 'scipy', 'lskd_nmt.cli.experiment'}\n"
        "sys.exit(code or ' '.join(slow & set(sys.modules)) or 0)"
    )
    call = [sys.executable, "-c", code, "translate", str(model)]
    done = subprocess.run(call, cwd=ROOT, input="a b\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 1
