"""Fronts by brute force, and the smallest model that is almost as good by hand."""

import json
import random
from dataclasses import replace

import pytest
from conftest import ROOT
from matplotlib.collections import PathCollection

from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.benchmark import Benchmark, BenchmarkedModel, Comparison, comparison_json
from lskd_nmt.evaluate.pareto import Margin, front, margin_of, smallest
from lskd_nmt.report.figures import fronts
from lskd_nmt.report.tables import benchmark as table
from lskd_nmt.storage.typed import from_json, read_record

KEPT = ROOT / "benchmarks/results/multi30k_ship/beam5.json"


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_no_other_point_beats(seed):
    """By comparing all pairs; few values, so that many are equal."""
    draw = random.Random(seed)
    points = [(draw.randrange(8), draw.randrange(8)) for _ in range(draw.randrange(1, 30))]
    beaten = [any(x >= a and y >= b and (x > a or y > b) for x, y in points) for a, b in points]
    assert front(points) == [not each for each in beaten]


def measured(*rows: tuple[str, float | None, float, float]) -> Comparison:
    """Models of these names, megabytes, BLEU and TER; chrF is BLEU."""
    content = read_record(KEPT, Benchmark)
    one: BenchmarkedModel = content.models[0]
    models = [
        replace(one, name=name, megabytes=size, bleu=bleu, chrf=bleu, scores={"ter": ter})
        for name, size, bleu, ter in rows
    ]
    return replace(content, models=tuple(models))


ROWS = (
    ("teacher", 40.0, 30.0, 50.0),
    ("good", 8.0, 31.0, 50.9),
    ("small", 4.0, 29.4, 51.0),
    ("same", 4.0, 29.5, 51.1),
    ("tiny", 1.0, 29.3, 52.0),
    ("online", None, 40.0, 10.0),
)


@pytest.mark.parametrize(
    "within, bleu, ter",
    [
        ("0.02", "same", "small"),  # at least 29.4, at most 51.0: same is better than small where both are that small
        ("2%", "same", "small"),
        ("0.7points", "tiny", None),  # at least 29.3, at most 50.7
        ("0.9 points", "tiny", "good"),
        ("0", "good", None),
    ],
)
def test_the_smallest_within_a_margin_by_hand(within, bleu, ter):
    """An error rate is better where it is lower; the first model does not count, nor one of unknown size."""
    found = {each.metric: each.model and each.model.name for each in smallest(measured(*ROWS), margin_of(within))}
    assert found == {"bleu": bleu, "chrf": bleu, "ter": ter}


def test_what_was_found_says_whether_it_is_relative():
    bleu, _, ter = smallest(measured(*ROWS), margin_of("0.02"))
    assert bleu.text == "smallest within 2 % (relative) of teacher's BLEU (at least 29.40): same, 4.0 MB, BLEU 29.50"
    assert ter.text == "smallest within 2 % (relative) of teacher's TER (at most 51.00): small, 4.0 MB, TER 51.00"
    last = smallest(measured(*ROWS), margin_of("0.5points"))[-1]
    assert last.text == "smallest within 0.5 points (absolute) of teacher's TER (at most 50.50): none"


def test_margins_are_read():
    assert margin_of("2 %") == Margin(0.02, is_share=True) and margin_of("1.5points") == Margin(1.5, is_share=False)
    for text in ("2", "100%", "-0.1", "much", "", "0.5 BLEU", "nan"):
        with pytest.raises(LskdError, match="give a share such as"):
            margin_of(text)


def test_the_table_names_the_smallest_where_it_was_asked_for():
    content = read_record(KEPT, Benchmark)
    assert "smallest within" not in table.markdown(content)
    asked = replace(content, settings=replace(content.settings, within="0.02"))
    assert "- smallest within 2 % (relative) of teacher's BLEU (at least 35.48): both-int8, 2.6 MB" in table.markdown(
        asked
    )


def test_a_table_of_models_with_a_map_says_so():
    content = read_record(KEPT, Benchmark)
    assert "map" not in table.markdown(content) and "map" not in table.csv(content)
    models = (*content.models[:-1], replace(content.models[-1], vocabulary_map=True))
    found = replace(content, models=models)
    assert "ctranslate2 int8 with map" in table.markdown(found)
    assert "whose vmap.txt is part of the MB: both-int8" in table.markdown(found)
    assert table.csv(found).splitlines()[-1].endswith(",True") and table.csv(found).count("False") == len(models) - 1


def test_the_figure_joins_the_front_and_pales_the_others():
    """By hand: of the models of known size the teacher is beaten in BLEU by good, and in TER by none."""
    content = measured(*ROWS[:-1])
    one = content.models[0].subwords_per_second
    models = [
        replace(each, subwords_per_second=(replace(one[0], median=100.0 * (at + 1)),))
        for at, each in enumerate(content.models)
    ]
    figure = fronts.fronts(from_json(Benchmark, json.loads(json.dumps(replaced(content, models))), "x"))
    assert len(figure.axes) == 6
    lines = [sorted(map(tuple, axes.lines[0].get_xydata().tolist())) for axes in figure.axes]
    assert lines[0] == [(1.0, 29.3), (4.0, 29.5), (8.0, 31.0)]
    assert lines[4] == [(1.0, 52.0), (4.0, 51.0), (8.0, 50.9), (40.0, 50.0)]
    assert lines[1] == [(200.0, 31.0), (400.0, 29.5), (500.0, 29.3)]
    for axes, front_of in zip(figure.axes, lines, strict=True):
        dots = [each for each in axes.collections if isinstance(each, PathCollection)]
        assert len(dots) == 5
        for dot in dots:
            assert (dot.get_alpha() == 1.0) == (tuple(dot.get_offsets()[0].tolist()) in front_of)
        assert {text.get_text() for text in axes.texts} == {name for name, *_ in ROWS[:-1]}


def replaced(content: Comparison, models) -> dict:
    """A comparison of these models as JSON."""
    about = {key: value for key, value in json.loads(KEPT.read_text()).items() if key in ("command", "commit", "host")}
    return {**comparison_json(replace(content, models=tuple(models))), **about}
