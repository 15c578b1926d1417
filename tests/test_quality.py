"""Scores of candidates from a file or a command: what they choose and drop, what is asked again, what is refused."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from test_mixing import LANGS, plain, take

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd.chooser import Chooser, SelectSettings
from lskd_nmt.seqkd.quality import Quality, ScoreTable, Scoring, candidate_key, read_scores
from lskd_nmt.seqkd.store import HypothesesHeader
from lskd_nmt.storage.typed import read_record
from lskd_nmt.teacher.source import Hypothesis

# A program that scores by `SCORES`, a JSON of translation -> score, and notes what it was asked
PROGRAM = """
import json, os, sys
asked = [json.loads(line) for line in sys.stdin]
with open("asked.jsonl", "a") as file:
    file.writelines(json.dumps(each) + "\\n" for each in asked)
known = json.load(open("scores.json"))
print(json.dumps({"signature": open("version").read()}))
for each in asked:
    if os.path.exists("broken") and each["translation"] == open("broken").read():
        sys.exit("out of memory")
    print(known[each["source"] + "|" + each["translation"]])
"""


@pytest.fixture(scope="module")
def source(pieces) -> list[str]:
    return list(map(plain, fairseq_io.piece_lines(str(pieces), LANGS, "train")[0]))


@pytest.fixture(scope="module")
def candidates(source) -> list[list[str]]:
    """Three to five translations of each line, of which some are equal, and one in the corpus is empty."""
    draw = random.Random(4)
    found = [[" ".join(draw.choices("abcd", k=3)) for _ in range(draw.randint(3, 5))] for _ in source]
    found[0] = ["", "a", "b c", "a"]
    return found


@pytest.fixture(scope="module")
def every(source, candidates) -> list[tuple[str, str]]:
    """Source and translation of each candidate that is not empty, equal ones as often as they are there."""
    return [(line, text) for line, texts in zip(source, candidates, strict=True) for text in texts if text]


@pytest.fixture(scope="module")
def scores(every) -> dict[tuple[str, str], float]:
    """Of each candidate; few different values, so that there are ties."""
    draw = random.Random(5)
    return {pair: draw.choice([-1.5, 0.0, 0.25, 0.5]) for pair in dict.fromkeys(every)}


@pytest.fixture(scope="module")
def decoded_once(source, candidates, tmp_path_factory) -> Path:
    return take(tmp_path_factory.mktemp("q") / "d", source, [{"translations": each} for each in candidates])


class World:
    """A folder with a decoding and a program, in which `lskd seqkd` is called."""

    def __init__(self, folder: Path, data: Path, decoded: Path, scores, capsys):
        self.folder, self.data, self.scores, self.capsys = folder, data, scores, capsys
        for file in decoded.iterdir():
            (folder / "d").mkdir(exist_ok=True)
            (folder / "d" / file.name).write_bytes(file.read_bytes())
        (folder / "program.py").write_text(PROGRAM)
        (folder / "version").write_text("stub|1")
        (folder / "scores.json").write_text(
            json.dumps({f"{line}|{text}": score for (line, text), score in scores.items()})
        )
        self.command = f"{sys.executable} program.py"

    def call(self, *words, step="select"):
        """The exit code, the answer, and the last line of what is said."""
        self.capsys.readouterr()
        code = cli.main(["seqkd", step, "--decoded", "d", "--data", str(self.data), *map(str, words)])
        said = self.capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err.splitlines()[-1:]

    def file(self, scores=None, name="s.jsonl") -> Path:
        """The scores as a file of JSON Lines, in an order of its own."""
        lines = [
            {"source": line, "translation": text, "score": score}
            for (line, text), score in (scores or self.scores).items()
        ]
        random.Random(1).shuffle(lines)
        (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return self.folder / name

    def asked(self) -> list[tuple[str, str]]:
        """What the program was asked since the last time."""
        file = self.folder / "asked.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [(each["source"], each["translation"]) for each in map(json.loads, lines)]

    def learned(self, out: str) -> list[tuple[str, str]]:
        sides = fairseq_io.piece_lines(str(self.folder / out / "bin"), LANGS, "train")
        return list(zip(*(map(plain, side) for side in sides), strict=True))


@pytest.fixture
def world(pieces, decoded_once, scores, tmp_path, capsys, monkeypatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path, pieces, decoded_once, scores, capsys)


def best_by_hand(source, candidates, scores, count):
    """The candidates of each line by descending score, equal ones in their order, each text once."""
    for line, texts in zip(source, candidates, strict=True):
        different = [text for text in dict.fromkeys(texts) if text]
        yield from ((line, text) for text in sorted(different, key=lambda text: -scores[line, text])[:count])


@pytest.mark.parametrize("count", [1, 2])
def test_the_best_by_score_are_chosen_whether_a_file_or_a_command_gave_them(count, world, source, candidates, scores):
    expected = list(best_by_hand(source, candidates, scores, count))
    words = "--method", "best-score", "--hypotheses", count
    assert world.call(*words, "--scores", world.file(), "--out", "f")[0] == 0
    assert world.call(*words, "--score-command", world.command, "--score-batch", 7, "--out", "c")[0] == 0
    assert world.learned("f") == world.learned("c") == expected
    assert set(world.asked()) == set(scores)  # and no empty one


def test_the_share_of_the_worst_is_dropped_and_ties_at_the_threshold_stay(world, every, scores):
    lowest = [scores[pair] for pair in every].count(-1.5)
    worst = lowest / len(every)
    for share, dropped in ((worst - 0.01, 0), (worst, lowest), (worst + 0.01, lowest)):
        out = f"w{share}"
        code, said, _ = world.call("--method", "multi", "--scores", world.file(), "--drop-worst", share, "--out", out)
        assert code == 0 and said["dropped"] == ({"empty": 1} | ({"score": dropped} if dropped else {}))
        header = read_record(world.folder / out / "hypotheses.json", HypothesesHeader)
        assert header.scored.candidates == len(every) and header.scored.threshold == (0.0 if dropped else -1.5)
        assert world.learned(out) == [pair for pair in every if not dropped or scores[pair] > -1.5]


def test_scores_below_the_minimum_are_dropped_whatever_the_method(world, source, every, scores):
    low = sum(scores[pair] < 0.25 for pair in every)
    for method in ("beam", "multi", "mbr", "interpolate", "best-score"):
        code, said, _ = world.call("--method", method, "--scores", world.file(), "--min-score", 0.25, "--out", method)
        assert code == 0 and said["dropped"] == {"empty": 1, "score": low}
        assert all(scores[pair] >= 0.25 for pair in world.learned(method))
    good = {number for number, (line, text) in enumerate(every) if scores[line, text] >= 0.25}
    assert {every[number][0] for number in good} == {line for line, _ in world.learned("best-score")}
    assert said["sentences_without"] == len(source) - len(world.learned("best-score")) > 0


def test_a_command_that_died_is_asked_for_the_rest_alone(world, scores):
    words = "--method", "best-score", "--score-command", world.command, "--score-batch", 20
    (world.folder / "broken").write_text([*scores][45][1])
    code, _, (line,) = world.call(*words, "--out", "h")
    assert code == 2 and "ended with exit code 1 (out of memory)" in line and not (world.folder / "h").exists()
    before = world.asked()
    kept = [key for file in world.folder.glob("d/scores/*/*.json") for key in json.loads(file.read_text())["keys"]]
    assert 0 < len(kept) < len(before)
    (world.folder / "broken").unlink()
    assert world.call(*words, "--out", "h")[0] == 0
    rest = {candidate_key(*pair) for pair in world.asked()}
    assert rest.isdisjoint(kept) and rest | set(kept) == {candidate_key(*pair) for pair in scores}
    assert world.call("--method", "multi", "--drop-worst", 0.1, *words[2:], "--out", "other")[0] == 0
    assert world.asked() == []


def test_the_result_is_the_same_in_one_go(world, scores):
    words = "--method", "best-score", "--score-command", world.command
    assert world.call(*words, "--score-batch", 1000, "--out", "one")[0] == 0
    for file in world.folder.glob("d/scores/*/*.json"):
        file.unlink()
    (world.folder / "broken").write_text([*scores][45][1])
    assert world.call(*words, "--score-batch", 9, "--out", "two")[0] == 2
    (world.folder / "broken").unlink()
    assert world.call(*words, "--score-batch", 13, "--out", "two")[0] == 0
    one, two = (read_record(world.folder / out / "hypotheses.json", HypothesesHeader) for out in ("one", "two"))
    assert one == two and world.learned("one") == world.learned("two")
    assert one.scored.about == {"signature": "stub|1"} and one.selection.score_command == world.command


def test_answers_of_another_program_are_not_mixed(world, scores):
    words = "--method", "best-score", "--score-command", world.command, "--score-batch", 20
    (world.folder / "broken").write_text([*scores][45][1])
    assert world.call(*words, "--out", "h")[0] == 2
    (world.folder / "broken").unlink()
    (world.folder / "version").write_text("stub|2")
    code, _, (line,) = world.call(*words, "--out", "h")
    assert (
        code == 2
        and 'says of itself {"signature": "stub|2"} and said {"signature": "stub|1"}: remove d/scores/' in line
    )
    assert not (world.folder / "h").exists()


def test_a_finished_store_is_known_by_its_scores(world):
    words = "--method", "best-score", "--scores"
    assert world.call(*words, world.file(), "--out", "h")[0] == 0
    assert world.call(*words, world.file(name="again.jsonl"), "--out", "h")[2] == ["h is complete: nothing to do"]
    other = {pair: score + 1 for pair, score in world.scores.items()}
    code, _, (line,) = world.call(*words, world.file(other), "--out", "h")
    assert code == 2 and "holds hypotheses with other selection" in line


def test_what_a_program_is_to_score_can_be_written(world, scores):
    code, said, _ = world.call("--out", "c.jsonl", step="candidates")
    assert code == 0 and said["count"] >= len(scores)
    lines = [json.loads(line) for line in (world.folder / "c.jsonl").read_text().splitlines()]
    assert {(each["source"], each["translation"]) for each in lines} == set(scores)
    scored = [json.dumps({**each, "score": len(each["translation"])}) for each in lines]
    (world.folder / "s.jsonl").write_text("\n".join(scored))
    assert world.call("--method", "best-score", "--scores", "s.jsonl", "--out", "h")[0] == 0
    code, _, (line,) = world.call("--out", "c.jsonl", step="candidates")
    assert code == 2 and "--out c.jsonl is there already" in line


def test_texts_match_in_another_form_of_unicode_and_other_spaces():
    assert candidate_key("a  ｂ", "e\u0301\u00a0x ") == candidate_key("a b", "é x")
    assert len({candidate_key("a", "b c"), candidate_key("a b", "c"), candidate_key("a", "bc")}) == 3


def test_a_table_finds_what_it_has_and_the_first_of_equals():
    table = ScoreTable([9, 2**64 - 1, 9], [1.0, 2.0, 3.0])
    assert table.find([2**64 - 1, 9]).tolist() == [2.0, 1.0] and np.isnan(table.find([1, 10])).all()
    assert np.isnan(ScoreTable().find([1])).all() and len(table.find([])) == 0


LINE = {"source": "a", "translation": "b", "score": 1}


@pytest.mark.parametrize(
    "lines, part",
    [
        (["{"], "line 1 is no JSON"),
        ([json.dumps(LINE), "3"], "line 2 has no source and translation as text"),
        ([json.dumps(LINE | {"translation": None})], "line 1 has no source and translation as text"),
        ([json.dumps(LINE | {"score": "good"})], 'line 1 has the score "good": a finite number is needed'),
        ([json.dumps(LINE | {"score": True})], "line 1 has the score true"),
        ([json.dumps(LINE | {"score": float("nan")})], "line 1 has the score NaN"),
        ([json.dumps(LINE), json.dumps(LINE | {"score": 2})], "lines 1 and 2 have the same source and translation"),
        ([""], "is empty"),
    ],
)
def test_a_file_that_is_no_file_of_scores_is_refused(lines, part, tmp_path):
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    with pytest.raises(LskdError) as refused:
        read_scores(tmp_path / "s.jsonl")
    assert part in str(refused.value) and "\n" not in str(refused.value)


def test_a_program_s_noise_is_no_other_score(tmp_path):
    (tmp_path / "s.jsonl").write_text(f"{json.dumps(LINE)}\n{json.dumps(LINE | {'score': 1.0002})}\n")
    assert read_scores(tmp_path / "s.jsonl").find([candidate_key("a", "b")]).tolist() == [1.0]


@pytest.mark.parametrize(
    "words, part",
    [
        (["--method", "best-score"], "--method best-score needs scores: give --scores FILE.jsonl or --score-command"),
        (["--drop-worst", "0.1"], "--drop-worst needs scores"),
        (["--min-score", "0.1"], "--min-score needs scores"),
        (["--scores", "part.jsonl"], "scores are given, and nothing reads them"),
        (["--scores", "part.jsonl", "--min-score", "0", "--score-command", "true"], "--scores and --score-command are"),
        (["--scores", "part.jsonl", "--drop-worst", "1"], "--drop-worst is 1: give a share from 0 to below 1"),
        (["--scores", "part.jsonl", "--drop-worst", "nan"], "--drop-worst is nan: give a share from 0 to below 1"),
        (["--scores", "part.jsonl", "--min-score", "inf"], "--min-score is inf: give a finite number"),
        (["--scores", "nowhere", "--min-score", "0"], "--scores nowhere is no file"),
        (["--scores", "part.jsonl", "--min-score", "0"], "--scores part.jsonl has none for 'a' as a translation of"),
        (["--score-command", " ", "--min-score", "0"], "--score-command is empty"),
        (["--score-command", "true", "--min-score", "0", "--score-batch", "0"], "--score-batch is 0: give at least 1"),
        (["--score-command", "echo 1", "--min-score", "0"], "--score-command 'echo 1' gave 1 scores of"),
        (["--score-command", "echo NaN", "--min-score", "0"], "which is no finite number"),
        (["--score-command", "exit 3", "--min-score", "0"], "ended with exit code 3"),
    ],
)
def test_what_cannot_be_scored_is_one_line(words, part, world):
    world.file({("elsewhere", "anderswo"): 1.0}, "part.jsonl")
    code, said, (line,) = world.call(*words, "--out", "h")
    assert code == 2 and said is None and part in line
    assert not (world.folder / "h").exists() and not list(world.folder.glob("h*"))


def test_a_translation_that_is_no_text_needs_no_score_and_is_never_the_best():
    """Samples may be a subword alone that joins to nothing: no program is asked about it."""
    table = ScoreTable([candidate_key("x", "a")], [-3.0])
    for pieces in (["▁", "▁a"], ["▁a", "▁"]):
        chooser = Chooser(SelectSettings(method="best-score"), quality=Quality(table))
        found = chooser.choose(0, [Hypothesis(each, 0.0) for each in pieces], ["▁x"], "")
        assert found == [pieces.index("▁a")] and chooser.dropped == {"empty": 1}
    chooser = Chooser(SelectSettings(method="best-score"), quality=Quality(table))
    assert chooser.choose(0, [Hypothesis("▁", 0.0)], ["▁x"], "") == [] and chooser.without == [0]


def test_scores_that_leave_nothing_are_one_line(world):
    code, _, (line,) = world.call("--scores", world.file(), "--min-score", 9, "--out", "h")
    assert code == 2 and "no hypothesis is left" in line and "--max-ratio or --min-score" in line
    assert not list(world.folder.glob("h*"))


def test_text_without_a_target_side_is_scored_too(world, pieces, tmp_path):
    lines = ["a b c d e", "h g f e d"]
    mono = take(tmp_path / "m", lines, [{"translations": ["a", "b"]}, {"translations": ["c c", "d"]}])
    more = {(lines[0], "a"): 0.0, (lines[0], "b"): 1.0, (lines[1], "c c"): 3.0, (lines[1], "d"): 2.0}
    file, words = world.file(world.scores | more), ("--method", "best-score", "--monolingual", mono)
    assert world.call(*words, "--scores", file, "--out", "h")[0] == 0
    assert world.learned("h")[-2:] == [(lines[0], "b"), (lines[1], "c c")]
    assert world.call(*words, "--scores", world.file(), "--out", "g")[0] == 2  # of the bitext alone
    assert Scoring(file).given
