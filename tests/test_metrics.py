"""The registry of metrics: formulas against sacreBLEU, and that an entry is all that a new metric needs."""

import random

import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.tokenizers import tokenizer_spm

from lskd_nmt.data import subwords
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate import metrics, scoring
from lskd_nmt.evaluate.contrasts import Output, measure, wanted
from lskd_nmt.evaluate.kept_statistics import Reading
from lskd_nmt.evaluate.metrics import EvaluationSet, Metric, SentenceScorer
from lskd_nmt.evaluate.records import Metrics, ScoringFacts, read_metrics, write_metrics
from lskd_nmt.storage.files import read_json, write_json, write_text

WORDS = ["der", "die", "das", "Hund", "Katze", "Haus", "sieht", "schläft", "nicht", "heute", "gern", "im", "auf"]
REFS = [" ".join(random.Random(number).choices(WORDS, k=number % 9 + 1)) for number in range(40)]


def changed(seed, share=0.4):
    """The references with some words replaced, and one line empty."""
    draw = random.Random(seed)
    lines = [" ".join(draw.choice(WORDS) if draw.random() < share else word for word in line.split()) for line in REFS]
    return ["", *lines[1:]]


@pytest.fixture
def flores(tmp_path, monkeypatch):
    """A machine with a model of spBLEU on the disk, learned on the references."""
    for module in (metrics, tokenizer_spm):
        monkeypatch.setattr(module, "SACREBLEU_DIR", str(tmp_path))
    write_text(tmp_path / "text", "".join(f"{line}\n" for line in REFS * 9))
    place = metrics.spm_model("flores200")
    subwords.learn([tmp_path / "text"], place.with_name("learned"), 30)
    place.with_name("learned.model").rename(place)


THEIRS = [("bleu", BLEU()), ("chrf", CHRF()), ("chrf++", CHRF(word_order=2)), ("ter", TER())]


@pytest.mark.parametrize("name, theirs", THEIRS)
@pytest.mark.parametrize(
    "lines, refs",
    [(changed(1), REFS), (["a"], ["b"]), ([""], ["b"]), (["ab"], ["ab"]), (["a b c d e f g"], ["a b"]), (["x"], [""])],
)
def test_scores_are_sacrebleus(name, theirs, lines, refs):
    scorer = metrics.scorer(name, EvaluationSet(refs, "de"))
    found = scorer.score(scorer.statistics(lines).sum(0))
    expected = theirs.corpus_score(lines, [refs])
    assert found == pytest.approx(expected.score) and scorer.signature == str(theirs.get_signature())


@pytest.mark.parametrize("name, theirs", THEIRS)
def test_scores_against_several_references_are_sacrebleus(name, theirs):
    streams = [REFS, changed(7, 0.7), changed(8, 0.9)]
    data = EvaluationSet(REFS, "de", others=streams[1:])
    scorer = metrics.scorer(name, data)
    expected = theirs.corpus_score(changed(1), streams)
    assert scorer.score(scorer.statistics(changed(1)).sum(0)) == pytest.approx(expected.score)
    assert scorer.signature == str(theirs.get_signature()) and scorer.signature.startswith("nrefs:3|")
    assert Reading(name, data).by_one_line.signature == scorer.signature
    found = scoring.scores(changed(1), REFS, "de", "raw", others=streams[1:], names=[name])[name]
    assert (found.score, found.signature) == (round(expected.score, 2), scorer.signature)
    assert found.score != scoring.scores(changed(1), REFS, "de", "raw", names=[name])[name].score


def test_statistics_depend_on_every_reference():
    sets = [EvaluationSet(REFS, "de", others=others) for others in ((), [REFS], [changed(7)], [REFS, changed(7)])]
    assert len({Reading("bleu", data).facts for data in sets}) == 4


def test_references_of_unequal_number_are_refused():
    with pytest.raises(LskdError, match=r"references of 40 and of 39 lines: give one line a sentence in each"):
        scoring.scores(REFS, REFS, "de", "raw", others=[REFS, REFS[1:]])


def test_edits_and_lengths_of_ter_by_hand():
    scorer = metrics.scorer("ter", EvaluationSet(["a b c d", "e f", "", ""], "de"))
    statistics = scorer.statistics(["a c d", "f e", "", "x y"])  # a word left out; one moved; nothing; two too many
    assert statistics.tolist() == [[1, 4], [1, 2], [0, 0], [2, 0]]
    assert scorer.score(statistics.sum(0)) == pytest.approx(100 * 4 / 6)
    assert list(scorer.score(statistics)) == [25, 50, 0, 100]


def test_ter_of_chinese_counts_characters():
    scorer = metrics.scorer("ter", EvaluationSet(["他喜欢猫"], "zh"))
    assert scorer.score(scorer.statistics(["他喜欢狗"]).sum(0)) == 25
    assert scorer.signature == str(TER(normalized=True, asian_support=True, references=[["x"]]).get_signature())


def test_spbleu_is_sacrebleus_and_refused_where_its_model_is_not(flores, monkeypatch):
    scorer, theirs = metrics.scorer("spbleu", EvaluationSet(REFS, "de")), BLEU(tokenize="flores200")
    expected = theirs.corpus_score(changed(1), [REFS])
    assert scorer.score(scorer.statistics(changed(1)).sum(0)) == pytest.approx(expected.score)
    assert scorer.signature == str(theirs.get_signature()) and "tok:flores200" in scorer.signature
    monkeypatch.setattr(metrics, "SACREBLEU_DIR", "/nowhere")
    with pytest.raises(LskdError, match=r"flores200 needs /nowhere/.* which is not there: let sacreBLEU download it"):
        scoring.scores(REFS, REFS, "de", "raw", names=["spbleu"])


def test_what_nobody_asks_for_is_not_scored():
    assert list(scoring.scores(REFS, REFS, "de", "raw")) == ["bleu", "chrf", metrics.LOWERCASED]
    assert list(scoring.scores(REFS, REFS, "de", "raw", names=["ter", "bleu"])) == ["ter", "bleu"]


@pytest.mark.parametrize("name", [name for name, entry in metrics.METRICS.items() if not entry.by_program])
def test_a_score_of_many_sums_is_that_of_each(name, flores):
    scorer = metrics.scorer(name, EvaluationSet(REFS, "de"))
    statistics = scorer.statistics(changed(2))
    together = scorer.score(statistics.reshape(10, 4, -1).sum(1))
    assert together.shape == (10,)
    assert list(together) == [float(scorer.score(part.sum(0))) for part in statistics.reshape(10, 4, -1)]


def test_an_unknown_metric_is_refused_with_the_known_ones():
    for call in (metrics.metric, lambda name: metrics.scorer(name, EvaluationSet(REFS, "de"))):
        with pytest.raises(LskdError) as refused:
            call("comet")
        assert str(refused.value).startswith(
            "the metric is 'comet': one of bleu, chrf, bleu_tokenised_lowercased, spbleu, chrf++, ter, comet22, "
        )


def copied(data):
    """A metric for tests: the share of words that are the source's, which should be few."""
    sources = [line.split() for line in data.sources]

    def function(lines):
        return [len(set(line.split()) & set(source)) / len(source) for line, source in zip(lines, sources, strict=True)]

    return SentenceScorer(function, "copied|version:1", "as it is")


@pytest.fixture
def stub(monkeypatch):
    entry = Metric("copied", "copied", copied, higher_is_better=False, needs_source=True, packages=("numpy",))
    monkeypatch.setitem(metrics.METRICS, "copied", entry)


def test_one_entry_gives_a_score_an_interval_and_a_contrast(stub, tmp_path):
    sources = REFS[::-1]
    by_hand = {
        seed: sum(
            len(set(line.split()) & set(source.split())) / len(source.split())
            for line, source in zip(changed(seed), sources, strict=True)
        )
        / len(REFS)
        for seed in (1, 2)
    }
    scores = scoring.scores(changed(1), REFS, "de", "raw", sources=sources)
    assert scores["copied"].score == round(by_hand[1], 2) and scores["copied"].signature == "copied|version:1"
    write_metrics(tmp_path / "metrics.json", Metrics(scores, ScoringFacts(len(REFS))))
    assert read_metrics(tmp_path / "metrics.json").scores == scores
    files = {name: tmp_path / name for name in ("1", "2", "refs", "sources")}
    for name, lines in (("1", changed(1)), ("2", changed(2)), ("refs", REFS), ("sources", sources)):
        write_text(files[name], "".join(f"{line}\n" for line in lines))
    outputs = {name: Output(files[name], files["refs"], "de", "raw", 1, None, source=files["sources"]) for name in "12"}
    asked = {
        "score": wanted([(1, ["1"])], metric="copied"),
        "difference": wanted([(1, ["1"]), (-1, ["2"])], "baseline", "copied"),
    }
    found = measure(outputs, asked, tmp_path / "s.json", lambda line: None).results
    assert found["score"].value == pytest.approx(by_hand[1])
    assert found["score"].low < found["score"].value < found["score"].high
    assert found["difference"].value == pytest.approx(by_hand[1] - by_hand[2])
    assert found["difference"].low < found["difference"].value < found["difference"].high
    assert 0 < found["difference"].p <= 1 and set(found["difference"].p_by_seed) == {"1"}
    assert list(read_json(tmp_path / "s.json")["packages"]) == ["numpy"]


def test_a_metric_that_needs_the_source_is_refused_without_it(stub):
    with pytest.raises(LskdError, match="the metric 'copied' needs the source sentences"):
        scoring.scores(REFS, REFS, "de", "raw")


def test_metrics_of_older_versions_and_with_more_metrics_are_read(tmp_path):
    score = {"score": 27.5, "signature": "tok:13a", "text": "raw"}
    old = {"name": "x", "sentences": 3, "bleu": score, "chrf": score, "bleu_tokenised_lowercased": score}
    write_json(tmp_path / "metrics.json", old | {"later": score})
    found = read_metrics(tmp_path / "metrics.json")
    assert (
        list(found.scores) == [*list(old)[2:], "later"]
        and found.scores["bleu"].tokenizer is None
        and found.facts.commit is None
    )
    del old["chrf"]
    write_json(tmp_path / "metrics.json", old)
    with pytest.raises(LskdError, match=r"metrics.json lacks 'chrf'"):
        read_metrics(tmp_path / "metrics.json")
    write_json(tmp_path / "metrics.json", old | {"chrf": score | {"score": "27"}})
    with pytest.raises(LskdError, match=r"""metrics.json: chrf.score is "27", where a finite number is meant"""):
        read_metrics(tmp_path / "metrics.json")
