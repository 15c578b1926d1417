"""Models of both directions score pairs as fairseq does, and their worst translations go."""

import json
import math
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.data.filters.screen import BLOCK
from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.shared_teachers import checkpoint_of
from lskd_nmt.seqkd import corpus, ledger, reverse
from lskd_nmt.seqkd.chooser import Chooser, SelectSettings
from lskd_nmt.seqkd.ledger import Hypothesis, Row
from lskd_nmt.seqkd.reverse import DualModel, ForwardModel, ReverseFilter, ReverseModel, dual_cross_entropy
from lskd_nmt.seqkd.screening import text_ahead
from lskd_nmt.storage.files import sha256, write_json
from lskd_nmt.storage.header import Origin
from lskd_nmt.storage.typed import to_json
from lskd_nmt.teacher.coverage import data_hashes
from lskd_nmt.teacher.source import TextHypothesis

LANGS = ("aa", "bb")


@pytest.fixture(scope="module")
def backwards(data, tmp_path_factory) -> Path:
    """A model from bb to aa that has learned some copying."""
    folder = tmp_path_factory.mktemp("backwards")
    flags = ("-s", "bb", "-t", "aa", "--kd-weight", 0, "--max-epoch", 12, "--no-epoch-checkpoints")
    return train(data, folder, *flags) / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def sources(data) -> list[str]:
    return [" ".join(pair.source) for pair in corpus.corpus_pairs(str(data), LANGS, "train")]


@pytest.fixture(scope="module")
def reverse_model(backwards, data) -> ReverseModel:
    return ReverseModel(str(backwards), str(data), fairseq_io.read_symbols(str(data), LANGS))


def slow_cross_entropy(checkpoint: Path, data: Path, source: str, translation: str, langs=LANGS[::-1]) -> float:
    """Of `source` given `translation`, through fairseq's model of these languages, symbol by symbol from its logits."""
    fairseq_io.load_plugin()
    model = fairseq_io.load_model(str(checkpoint), fairseq_io.of_data(str(data), langs)).eval()
    theirs, ours = fairseq_io.dictionaries(str(data), langs)
    given = torch.tensor([[*map(theirs.index, translation.split()), theirs.eos()]])
    wanted = [*map(ours.index, source.split()), ours.eos()]
    before = torch.tensor([[ours.eos(), *wanted[:-1]]])
    with torch.no_grad():
        logits, _ = model(src_tokens=given, src_lengths=torch.tensor([given.size(1)]), prev_output_tokens=before)
    log_p = logits[0].double().log_softmax(-1)
    return -sum(float(log_p[at, symbol]) for at, symbol in enumerate(wanted)) / len(wanted)


def test_the_cross_entropy_is_that_of_fairseq_s_logits(reverse_model, backwards, data, sources):
    pairs = [*pairwise(sources[:5]), (sources[5], sources[5]), ("a", "h g f e d c b a")]
    expected = [slow_cross_entropy(backwards, data, *pair) for pair in pairs]
    assert reverse_model.cross_entropies(pairs) == pytest.approx(expected, abs=1e-4)


def test_what_cannot_be_scored_is_infinitely_bad(reverse_model):
    long = "a " * reverse_model.longest
    found = reverse_model.cross_entropies([("a b", ""), ("", "a"), ("a", long), (long, "a"), ("a b", "a b")])
    assert [math.isinf(each) for each in found] == [True, True, True, True, False]


class Known:
    """A model whose cross-entropies are given by the translation."""

    def cross_entropies(self, pairs):
        return [float(translation) for _, translation in pairs]


def test_of_a_sample_the_worst_share_goes():
    screen = ReverseFilter(Known(), 0.1, [("x", str(number)) for number in range(100)])
    pairs = [("x", str(number)) for number in range(100)]
    reasons = screen.reasons(pairs)
    assert [number for number, reason in enumerate(reasons) if reason] == list(range(90, 100))
    screen.look(pairs[::2])
    assert screen.reasons(pairs) == reasons and set(reasons) == {"", "reverse"}
    assert ReverseFilter(Known(), 0.1, []).reasons(pairs[:2]) == ["", ""]


def decoding_of(folder: Path, data: Path, texts) -> Path:
    """A finished decoding with these hypotheses of each row."""
    folder.mkdir()
    hashes = data_hashes(str(data), LANGS, ("train",))
    plan = ledger.DecodingPlan([Origin("t.pt", "0", "x", 0.0)], list(LANGS), hashes, {"nbest": 2})
    with (folder / ledger.ROWS).open("w", encoding="utf-8") as out:
        for number, pair in enumerate(corpus.corpus_pairs(str(data), LANGS, "train")):
            own = tuple(Hypothesis(text, -1.0 - at) for at, text in enumerate(texts[number]))
            out.write(Row(number, corpus.source_key(pair.source_ids), ledger.settings_hash(plan), own).line())
    counts = {"rows": len(texts), "hypotheses": 2 * len(texts), "empty_rows": 0}
    write_json(
        folder / ledger.FILE,
        {"format": ledger.FORMAT, **to_json(plan), **counts, "sha256": sha256(folder / ledger.ROWS)},
    )
    return folder


def test_the_worst_translations_leave_the_choice(reverse_model, backwards, data, sources, tmp_path, capsys):
    texts = [(source, " ".join(reversed(source.split()))) for source in sources]
    decoded = decoding_of(tmp_path / "decoded", data, texts)
    words = ["seqkd", "select", "--data", data, "-s", "aa", "-t", "bb", "--decoded", decoded, "--method", "multi"]
    flags = ["--reverse-model", backwards, "--drop-worst-reverse", 0.3, "--examples", 1000]
    assert cli.main([*map(str, [*words, *flags, "--out", tmp_path / "h"])]) == 0
    facts = json.loads(capsys.readouterr().out)
    pairs = [(source, text) for source, own in zip(sources, texts, strict=True) for text in own]
    scores = reverse_model.cross_entropies(pairs)
    worst = sorted(scores, reverse=True)[: facts["dropped"]["reverse"]]
    header = json.loads((tmp_path / "h" / "hypotheses.json").read_text())
    assert facts["dropped"]["reverse"] == pytest.approx(0.3 * len(scores), abs=2)
    assert min(worst) > header["reverse_limit"] - 1e-5 > sorted(scores, reverse=True)[len(worst)] - 1e-4
    assert header["selection"]["reverse_model"]["sha256"] == sha256(backwards)
    lines = (tmp_path / "h" / "dropped.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(worst) and all(json.loads(line)["reason"] == "reverse" for line in lines)


@pytest.mark.parametrize(
    "forward, reverse, expected",
    [
        (1.0, 1.0, 1.0),  # two models that agree: their mean alone
        (1.0, 2.0, 2.5),  # |1 − 2| + (1 + 2) / 2
        (2.0, 1.0, 2.5),
        (0.0, 4.0, 6.0),  # one that believes it does not help: worse than (3, 3), whose mean is larger
        (3.0, 3.0, 3.0),
        (math.inf, 1.0, math.inf),
        (1.0, math.inf, math.inf),
        (math.inf, math.inf, math.inf),
    ],
)
def test_the_dual_cross_entropy_by_hand(forward, reverse, expected):
    assert dual_cross_entropy(forward, reverse) == expected


def test_both_models_score_a_pair_in_their_direction(reverse_model, teacher, backwards, data, sources):
    forward = ForwardModel(str(teacher), str(data), fairseq_io.read_symbols(str(data), LANGS))
    pairs = [*pairwise(sources[:4]), ("a b", "c d e f g h")]
    ahead = [slow_cross_entropy(teacher, data, translation, source, LANGS) for source, translation in pairs]
    back = [slow_cross_entropy(backwards, data, source, translation) for source, translation in pairs]
    assert forward.cross_entropies(pairs) == pytest.approx(ahead, abs=1e-4)
    expected = [abs(one - other) + (one + other) / 2 for one, other in zip(ahead, back, strict=True)]
    assert DualModel(forward, reverse_model).cross_entropies(pairs) == pytest.approx(expected, abs=3e-4)


def test_the_worst_translations_by_both_models_leave_the_choice(
    reverse_model, teacher, backwards, data, sources, tmp_path, capsys
):
    texts = [(source, " ".join(reversed(source.split()))) for source in sources]
    decoded = decoding_of(tmp_path / "decoded", data, texts)
    words = ["seqkd", "select", "--data", data, "-s", "aa", "-t", "bb", "--decoded", decoded, "--method", "multi"]
    flags = ["--reverse-model", backwards, "--forward-model", teacher, "--drop-worst-reverse", 0.3, "--examples", 1000]
    assert cli.main([*map(str, [*words, *flags, "--out", tmp_path / "h"])]) == 0
    facts = json.loads(capsys.readouterr().out)
    pairs = [(source, text) for source, own in zip(sources, texts, strict=True) for text in own]
    forward = ForwardModel(str(teacher), str(data), fairseq_io.read_symbols(str(data), LANGS))
    scores = [math.exp(-each) for each in DualModel(forward, reverse_model).cross_entropies(pairs)]
    lowest = sorted(scores)[: facts["dropped"]["dual"]]
    header = json.loads((tmp_path / "h" / "hypotheses.json").read_text())
    assert "reverse" not in facts["dropped"] and len(lowest) == pytest.approx(0.3 * len(scores), abs=2)
    assert max(lowest) < header["dual_limit"] + 1e-5 < sorted(scores)[len(lowest)] + 1e-4
    assert "reverse_limit" not in header and header["selection"]["forward_model"]["sha256"] == sha256(teacher)
    lines = (tmp_path / "h" / "dropped.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(lowest) and all(json.loads(line)["reason"] == "dual" for line in lines)


def test_a_forward_model_of_the_other_direction_is_refused(backwards, data):
    with pytest.raises(LskdError, match=r"--forward-model .* translates bb to aa: give one of aa to bb"):
        reverse.forward_facts_of(str(backwards), fairseq_io.read_symbols(str(data), LANGS))


def test_a_forward_model_alone_is_refused(data, tmp_path, capsys):
    words = ["seqkd", "select", "--data", data, "--decoded", "x", "--out", tmp_path / "h", "--forward-model", "f.pt"]
    assert cli.main([*map(str, words)]) == 2
    assert "--forward-model is f.pt, and no --reverse-model is given: the dual" in capsys.readouterr().err


def run_with(folder: Path, teachers: list[str]) -> Path:
    """A run folder's plan of these teachers, and a checkpoint of the first."""
    models = [{"name": name, "role": "teacher", "seed": 1} for name in teachers]
    plan = {"name": "r", "data": {"folder": "data", "source_lang": "bb", "target_lang": "aa"}, "models": models}
    (folder / "models" / teachers[0]).mkdir(parents=True)
    write_json(folder / "plan.json", plan)
    return folder


def test_a_run_stands_for_its_only_teacher(tmp_path):
    run = run_with(tmp_path / "run", ["teacher-s1"])
    checkpoint = run / "models" / "teacher-s1" / "model.pt"
    with pytest.raises(LskdError, match=r"^seqkd.reverse is .*, which has not finished teacher-s1: run it first$"):
        checkpoint_of("seqkd.reverse", str(run))
    checkpoint.touch()
    assert checkpoint_of("seqkd.reverse", str(run)) == str(checkpoint)
    assert checkpoint_of("x", str(checkpoint)) == str(checkpoint) and checkpoint_of("x", None) is None
    two = run_with(tmp_path / "two", ["teacher-s1", "teacher-s2"])
    with pytest.raises(LskdError, match=f"which has 2 teachers: give .* such as {two}/models/teacher-s1/model.pt$"):
        checkpoint_of("seqkd.reverse", str(two))
    with pytest.raises(LskdError, match=r"a folder without plan.json: give a checkpoint, or a run folder"):
        checkpoint_of("seqkd.reverse", str(tmp_path))


def test_lines_of_text_are_scored_a_block_at_a_time():
    """As pairs of a bitext are: a model that is asked line by line leaves most cores idle."""
    asked = []

    class Counted:
        def cross_entropies(self, pairs):
            asked.append(len(pairs))
            return [1.0] * len(pairs)

    chooser = Chooser(SelectSettings())
    chooser.reverse = ReverseFilter(Counted(), 0.1, [])
    asked.clear()
    words = SimpleNamespace(source_subwords=SimpleNamespace(pieces=str.split), hypotheses=lambda row: row.hypotheses)
    rows = [(at, ledger.text_row(at, f"x {at}", "", [TextHypothesis(f"y {at}", 0.0)]), False) for at in range(700)]
    for at, row, _ in text_ahead(rows, chooser, words):
        assert chooser.reverse.reasons([(f"x {at}", each.pieces) for each in row.hypotheses]) == [""]
    assert asked == [BLOCK, 700 - BLOCK]


def test_a_model_of_the_same_direction_is_refused(backwards, data):
    symbols = fairseq_io.read_symbols(str(data), LANGS[::-1])
    with pytest.raises(LskdError, match="translates bb to aa: give one of aa to bb"):
        reverse.facts_of(str(backwards), symbols)


@pytest.mark.parametrize("share", [0, 1, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(share, data, tmp_path, capsys):
    words = [
        "seqkd",
        "select",
        "--data",
        data,
        "--decoded",
        "x",
        "--out",
        tmp_path / "h",
        "--drop-worst-reverse",
        share,
    ]
    assert cli.main([*map(str, words)]) == 2
    assert f"--drop-worst-reverse is {share:g}: give a share between 0 and 1" in capsys.readouterr().err


def test_a_share_without_a_model_is_refused(data, tmp_path, capsys):
    words = ["seqkd", "select", "--data", data, "--decoded", "x", "--out", tmp_path / "h", "--drop-worst-reverse", 0.2]
    assert cli.main([*map(str, words)]) == 2
    assert "--drop-worst-reverse is 0.2, and no --reverse-model is given" in capsys.readouterr().err
