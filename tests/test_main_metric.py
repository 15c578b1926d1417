"""The first metric of a table is its main one: intervals, effects, figures and words follow it, in every table."""

from dataclasses import replace

import pytest
from conftest import ROOT

from lskd_nmt.evaluate.metrics import LOWERCASED, METRICS, described
from lskd_nmt.report.figures import bleu_bars, bleu_by_cost, bleu_by_temperature, method_ranking
from lskd_nmt.report.page import sections
from lskd_nmt.report.results import baselines, measured, published
from lskd_nmt.report.results.records import Scatter
from lskd_nmt.report.results.table_json import read_table
from lskd_nmt.report.tables import document, tables

RESULTS = ROOT / "benchmarks" / "results"


def kept(name, *metrics):
    """A kept table, with these metrics in this order."""
    table = read_table(RESULTS / name / "table.json")
    return replace(table, signatures={name: table.signatures[name] for name in metrics or table.signatures})


def says_nothing(folder):
    """Whether the config of a kept run names no metrics."""
    return "\nmetrics:" not in (folder / "config.yaml").read_text(encoding="utf-8")


FOLDERS = [file.parent for file in sorted(RESULTS.glob("multi30k_*/table.json")) if says_nothing(file.parent)]


@pytest.mark.parametrize("folder", [folder.name for folder in FOLDERS])
def test_tables_that_say_nothing_of_metrics_are_of_bleu(folder):
    table = kept(folder)
    assert list(table.signatures) == ["bleu", "chrf", LOWERCASED]
    assert (table.main, table.axis) == ("bleu", "BLEU (sacreBLEU, test set)")
    assert document.notes(table)[3] == "BLEU tok. lc: tokenised, lower-cased text, for comparison with older papers"


def test_tables_of_chosen_metrics_have_these_in_their_order():
    assert list(kept("multi30k_choose").signatures) == ["bleu", "chrf++"]


def test_words_and_contrasts_follow_the_first_metric():
    table = kept("multi30k_en_de", "chrf", "bleu")
    asked = measured.contrasts(table, baselines.baselines(table.cells, ["plain"]))
    assert {contrast.metric for contrast in asked.values()} == {"chrf"}
    notes = document.notes(table)
    assert notes[0].startswith("chrF: ") and notes[1].startswith("BLEU: ") and "older papers" not in " ".join(notes)
    assert "chrF [95 %]" in tables.effects(table) and "verdict" not in tables.effects(table)
    assert document.scatter(Scatter(0.3, 4, 2, 0.1, 0.5), "chrf").startswith("seeds scatter by 0.30 chrF in every row")
    axes = bleu_bars.bleu(table).axes[0]
    assert axes.get_xlabel().startswith("chrF (sacreBLEU, test set)")
    dots = {x for line in axes.lines for x in line.get_xdata()}
    assert dots == {row.scores["chrf"] for row in table.rows}
    assert bleu_by_cost.figure(table).axes[0].get_ylabel() == "chrF (sacreBLEU, test set)"
    heat = bleu_by_temperature.figure(table).axes[0]
    assert heat.get_ylabel().startswith("chrF (sacreBLEU, test set)")
    assert not any("published" in str(line.get_label()) for line in heat.lines)  # it is published in BLEU
    assert "chrF by label smoothing" in sections.grids(table)[0].caption


def test_a_published_number_stands_only_beside_the_kind_of_bleu_that_it_is_of():
    table = kept("multi30k_en_de")
    facts = replace(table.published, pair="en-de")
    cell = next(cell for cell in table.cells if published.bleu("en-de", cell.setting) is not None)
    beside = measured.beside(cell, facts, None)
    assert beside is not None and beside.ours == cell.scores[LOWERCASED].mean
    without = replace(cell, scores={name: score for name, score in cell.scores.items() if name != LOWERCASED})
    assert measured.beside(without, facts, None) is None


def test_the_best_is_the_lowest_where_lower_is_better(monkeypatch):
    table = kept("multi30k_methods", "chrf")
    best = [label.get_text() for label in method_ranking.figure(table).axes[0].get_yticklabels()]
    monkeypatch.setitem(METRICS, "chrf", replace(METRICS["chrf"], higher_is_better=False))
    worst = [label.get_text() for label in method_ranking.figure(table).axes[0].get_yticklabels()]
    means = [cell.scores["chrf"].mean for cell in table.cells if cell.setting.method]
    assert sorted(best) == sorted(worst) and best != worst and (best == worst[::-1] or len(set(means)) < len(means))
    assert "chrF: lower is better, so that a difference below 0 is a gain" in document.notes(table)


def test_a_metric_that_this_version_does_not_know_is_shown_by_its_name():
    assert described("later").label == "later" and described("later").higher_is_better
