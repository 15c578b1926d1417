"""Planted pairs leave a decoding that is chosen from, and a bitext that is cleaned; good ones stay."""

import json
from pathlib import Path

import numpy as np
import pytest
from planted import GENERATED, GOOD, LANGS, PLANTED

from lskd_nmt import cli, fairseq_io
from lskd_nmt.seqkd import corpus, ledger
from lskd_nmt.seqkd.ledger import Hypothesis, Row
from lskd_nmt.storage.files import sha256, write_json
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.typed import to_json
from lskd_nmt.teacher.coverage import data_hashes

DISTINCT = list(dict.fromkeys(GENERATED))
AGAIN = [(source.upper(), f"{target[:-1]} !") for source, target in DISTINCT[:7]]  # but for case and punctuation
PAIRS = [*DISTINCT, *(pair for pairs in PLANTED.values() for pair in pairs), *GOOD, *AGAIN]
LOST = 2  # good pairs at most, as in test_filters.py


def pieces(text: str) -> str:
    """Words as subwords."""
    return " ".join(f"▁{word}" for word in text.split())


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def decoding(tmp_path_factory) -> tuple[Path, Path]:
    """Data and a decoding of them: of each pair the source, and its target as the only hypothesis."""
    folder = tmp_path_factory.mktemp("planted")
    data, decoded = folder / "bin", folder / "decoded"
    data.mkdir()
    decoded.mkdir()
    symbols = sorted({piece for pair in PAIRS for side in pair for piece in pieces(side).split()})
    for lang in LANGS:
        (data / f"dict.{lang}.txt").write_text("".join(f"{each} 1\n" for each in symbols), encoding="utf-8")
    source, _ = fairseq_io.dictionaries(str(data), LANGS)
    ids = ([source.index(piece) for piece in pieces(text).split()] for text, _ in PAIRS)
    ends = [np.asarray([*each, source.eos()], np.int64) for each in ids]
    fairseq_io.write_pairs(str(data), LANGS, "train", [(each, each) for each in ends], (len(symbols) + 4,) * 2)
    plan = ledger.DecodingPlan(
        [Origin("t.pt", "0", "x", 0.0)], list(LANGS), data_hashes(str(data), LANGS, ("train",)), {}
    )
    with (decoded / ledger.ROWS).open("w", encoding="utf-8") as out:
        for number, pair in enumerate(corpus.corpus_pairs(str(data), LANGS, "train")):
            own = (Hypothesis(pieces(PAIRS[number][1]), -1.0),)
            out.write(Row(number, corpus.source_key(pair.source_ids), ledger.settings_hash(plan), own).line())
    counts = {"rows": len(PAIRS), "hypotheses": len(PAIRS), "empty_rows": 0}
    content = {"format": ledger.FORMAT, **to_json(plan), **counts, "sha256": sha256(decoded / ledger.ROWS)}
    write_json(decoded / ledger.FILE, content)
    return data, decoded


@pytest.fixture
def select(decoding, tmp_path, capsys):
    def run(name: str, *flags: object) -> tuple[int, str, Path]:
        capsys.readouterr()
        data, decoded = decoding
        words = [
            "seqkd",
            "select",
            "--data",
            data,
            "-s",
            "en",
            "-t",
            "de",
            "--decoded",
            decoded,
            "--out",
            tmp_path / name,
        ]
        code = cli.main(list(map(str, [*words, *flags])))
        printed = capsys.readouterr()
        return code, printed.out if code == 0 else printed.err.splitlines()[-1], tmp_path / name

    return run


def corpus_of(folder: Path) -> list[tuple[str, str]]:
    sides = fairseq_io.piece_lines(str(folder / "bin"), LANGS, "train")
    return [tuple(side.replace("▁", "") for side in pair) for pair in zip(*sides, strict=True)]


def test_planted_pairs_leave_a_decoding(select):
    code, printed, out = select("h", "--filters", "all", "--examples", 3)
    facts = json.loads(printed)
    assert code == 0 and facts["dropped"].pop("near-duplicates") >= len(AGAIN)
    left = set(corpus_of(out))
    planted = {(plain(source), plain(target)) for pairs in PLANTED.values() for source, target in pairs}
    assert not left & planted and all(facts["dropped"][kind] >= 19 for kind in PLANTED)
    lost = [pair for pair in [*GOOD, *DISTINCT] if (plain(pair[0]), plain(pair[1])) not in left]
    assert len(lost) <= LOST, lost
    examples = [json.loads(line) for line in (out / "dropped.jsonl").read_text(encoding="utf-8").splitlines()]
    assert facts["examples"] == str(out / "dropped.jsonl")
    assert {kind: sum(each["reason"] == kind for each in examples) for kind in PLANTED} == dict.fromkeys(PLANTED, 3)
    assert all((each["source"], each["target"]) == tuple(map(plain, PAIRS[each["row"]])) for each in examples)
    header = json.loads((out / "hypotheses.json").read_text(encoding="utf-8"))
    assert header["selection"]["filters"]["copies"] == "1" and "lingua" in header["selection"]["filters"]["language"]
    assert 1 < header["typical_ratio"] < 1.4 and header["sentences_without"] == len(PAIRS) - len(corpus_of(out))


def test_without_filters_all_stay_and_the_store_is_as_before(select):
    _, printed, out = select("h")
    assert len(corpus_of(out)) == len(PAIRS) and "examples" not in json.loads(printed)
    header = json.loads((out / "hypotheses.json").read_text(encoding="utf-8"))
    assert "filters" not in header["selection"] and "typical_ratio" not in header
    assert not (out / "dropped.jsonl").exists()
    code, line, _ = select("h", "--filters", "copies")
    assert code == 2 and "holds hypotheses with other selection" in line


def test_filters_that_cannot_be_are_refused_and_nothing_is_left(select):
    code, line, out = select("h", "--filters", "copies,loops")
    assert code == 2 and "--filters has loops: one of copies, repeats, chatter," in line and not out.exists()
    code, line, out = select("h", "--filters", "copies", "--examples", -1)
    assert code == 2 and "--examples is -1: give a number above 0, or 0 for none" in line and not out.exists()


def write_bitext(folder: Path, **splits) -> None:
    folder.mkdir()
    for split, pairs in splits.items():
        for side, lang in enumerate(LANGS):
            (folder / f"{split}.{lang}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")


def test_planted_pairs_leave_a_bitext(tmp_path, capsys):
    held_out = [("Only the test has this.", "Das hat nur der Test.")]
    write_bitext(tmp_path / "raw", train=PAIRS, valid=held_out, test=held_out)
    words = ["clean", "--source-lang", "en", "--target-lang", "de", "--raw", tmp_path / "raw", "--out"]
    assert cli.main([*map(str, [*words, tmp_path / "before"])]) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["dropped"] == {} and before["pairs"]["train"] == len(PAIRS)  # all that was planted stays
    assert not (tmp_path / "before" / "dropped.jsonl").exists()
    assert cli.main([*map(str, [*words, tmp_path / "clean", "--filters", "all", "--examples", 1])]) == 0
    dropped = json.loads(capsys.readouterr().out)["dropped"]
    sides = [(tmp_path / "clean" / f"train.{lang}").read_text(encoding="utf-8").splitlines() for lang in LANGS]
    left = set(zip(*sides, strict=True))
    assert not left & {(plain(source), plain(target)) for pairs in PLANTED.values() for source, target in pairs}
    lost = [pair for pair in [*GOOD, *DISTINCT] if pair not in left]
    assert len(lost) <= LOST and all(dropped[kind] >= 19 for kind in PLANTED), (lost, dropped)
    examples = [json.loads(line) for line in (tmp_path / "clean" / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert {each["reason"] for each in examples} == set(dropped) and len(examples) == len(dropped)
    assert cli.main([*map(str, [*words, tmp_path / "clean"])]) == 0  # a folder of its own is replaced
    assert not (tmp_path / "clean" / "dropped.jsonl").exists()


def test_a_bitext_of_which_a_filter_leaves_nothing_is_refused(tmp_path, capsys):
    write_bitext(tmp_path / "raw", train=PLANTED["copies"], valid=GOOD[:1], test=GOOD[:1])
    words = ["clean", "--source-lang", "en", "--target-lang", "de", "--raw", tmp_path / "raw", "--out", tmp_path / "c"]
    assert cli.main([*map(str, [*words, "--filters", "copies"])]) == 2
    assert "all 20 training pairs were dropped ({'copies': 20}): leave the filter out" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
