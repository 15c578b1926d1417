"""The sentences with which the page opens, of tables written by hand."""

from dataclasses import replace

import pytest
from hand_tables import PLAIN, TEACHER, cell, estimate, setting, table, winner

from lskd_nmt.report.results import answer
from lskd_nmt.report.results.records import Effect, OverBaseline

STUDENT = setting("student", 0.1, 1.0)


def text(content):
    return " ".join(answer.sentences(content))


def test_pair_data_and_test_size_are_said():
    assert answer.about(winner()) == "en → de · data: multi30k · 1,000 test sentences · 12 models, 3 seeds"


def test_a_winner_is_named_with_its_cost_and_what_is_decided():
    best, decided, done = answer.sentences(winner())
    assert best == (
        "The student with the best BLEU is student, teacher LS 0.1, T = 1: 36.00 [35.00, 37.00] (mean of 3 seeds), "
        "90.0 % of its teacher's 40.00; it has 2 million parameters (0.2 of its teacher's), and its training took "
        "0.5 CPU hours (the teacher's 3)."
    )
    assert decided == (
        "Compared with student without KD, 1 student is better (student, teacher LS 0.1, T = 1: +6.00 [+5.00, +7.00], "
        "p < 0.001), 0 worse, and 1 undecided."
    )
    assert done == "No training ended at its lowest validation loss: all count as converged."


def test_where_nothing_is_decided_that_is_said_of_the_best_too():
    content = table(
        cell("plain", PLAIN, 30.0), cell("t1", STUDENT, 30.5, baseline="plain", difference=estimate(0.5, 0.4))
    )
    assert (
        "0 students are better, 0 worse, and 1 undecided, the one with the best score among them "
        "(+0.50 [-0.50, +1.50], p = 0.400)"
    ) in text(content)


def test_without_a_p_value_nothing_is_decided_even_if_the_interval_lacks_zero():
    content = table(
        cell("plain", PLAIN, 30.0), cell("t1", STUDENT, 39.0, baseline="plain", difference=estimate(9.0, None))
    )
    assert "and 1 undecided" in text(content) and "p =" not in text(content)


def test_of_one_seed_it_is_said_what_the_test_does_not_know():
    content = table(
        cell("plain", PLAIN, 30.0, seeds=(1,)),
        cell("t1", STUDENT, 36.0, seeds=(1,), baseline="plain", difference=estimate(6.0, 0.001, seeds=1)),
    )
    assert "36.00 [35.00, 37.00] (one seed)" in text(content)
    assert "where there is one seed, the test is of the sentences alone, and another seed may change it" in text(
        content
    )
    assert "one seed" not in text(winner())


def test_without_a_teacher_there_is_no_share():
    content = table(cell("plain", PLAIN, 30.0), cell("t1", STUDENT, 36.0, teacher="far"))
    assert "its teacher is not scored here; it has 2 million parameters, and" in text(content)
    assert "%" not in text(content)
    alone = table(cell("teacher", TEACHER, 40.0))
    assert answer.sentences(alone)[0] == "No student is scored here: there are teachers alone."


def test_the_share_is_that_of_the_students_own_teacher():
    content = table(
        cell("other", setting("teacher", 0.0), 10.0),
        cell("teacher", TEACHER, 40.0),
        cell("t1", STUDENT, 36.0, teacher="teacher"),
    )
    assert "90.0 % of its teacher's 40.00" in text(content)
    older = table(*content.cells[:2], replace(content.cells[2], teachers=()))  # tables without names of teachers
    assert "90.0 % of its teacher's 40.00" in text(older)


def test_without_a_plain_student_it_is_not_known_what_distillation_gains():
    content = table(cell("teacher", TEACHER, 40.0), cell("t1", STUDENT, 36.0, teacher="teacher"))
    assert "There is no student without KD, so that it is not known what distillation gains." in text(content)


def test_trainings_that_are_not_converged_are_counted_and_named():
    content = table(
        cell("plain", PLAIN, 30.0, not_converged=(1, 3)),
        cell("t1", STUDENT, 36.0, not_converged=(2,)),
        not_scored=("t2-s1", "t2-s2"),
    )
    assert answer.sentences(content)[-1] == (
        "3 of 6 trainings are not converged (student without KD; student, teacher LS 0.1, T = 1): the last validation "
        "loss is the lowest, and a longer training may give another result; 2 models are not scored yet."
    )


def test_nothing_is_said_of_convergence_where_no_training_is_known():
    assert "converged" not in text(table(cell("t1", STUDENT, 36.0, epochs=0.0)))


def test_effects_are_decided_by_their_corrected_p_values_and_the_largest_are_named():
    effects = [
        Effect(f"effect {n}", "T = 1", STUDENT, ((1, "t1"),), published=None, difference=estimate(n, p))
        for n, p in ((1.0, 0.01), (-3.0, 0.01), (2.0, 0.01), (9.0, 0.05))
    ]
    assert (
        "of 4 effects of label smoothing and temperature, 3 are decided (the largest: effect -3.0 (T = 1): "
        "-3.00 [-4.00, -2.00], p = 0.010; effect 2.0 (T = 1): +2.00 [+1.00, +3.00], p = 0.010)"
    ) in text(winner(effects=tuple(effects)))


def test_the_first_of_several_baselines_counts():
    over = {
        "plain": OverBaseline("plain", estimate(6.0, 0.001)),
        "word_kd": OverBaseline("t2", estimate(-5.0, 0.001)),
    }
    content = table(cell("plain", PLAIN, 30.0), cell("t1", STUDENT, 36.0, over=over))
    assert "Compared with student without KD, 1 student is better" in text(content)


@pytest.mark.parametrize("metric, best", [("bleu", "T = 1"), ("ter", "T = 2")])
def test_of_error_rates_the_lowest_is_best(metric, best, monkeypatch):
    from lskd_nmt.evaluate import metrics

    entry = replace(metrics.METRICS["bleu"], name="ter", label="TER", higher_is_better=False)
    monkeypatch.setitem(metrics.METRICS, "ter", entry)
    content = table(
        cell("teacher", TEACHER, 20.0, metrics=(metric,)),
        cell(
            "t1", STUDENT, 40.0, metrics=(metric,), teacher="teacher", baseline="t2", difference=estimate(10.0, 0.001)
        ),
        cell("t2", setting("student", 0.1, 2.0), 30.0, metrics=(metric,), teacher="teacher"),
    )
    first, second, _ = answer.sentences(content)
    assert best in first and ("(its teacher: 20.00)" in first) == (metric == "ter")
    assert ("1 student is better" in second) == (metric == "bleu") and ("0 students are better" in second) == (
        metric == "ter"
    )


def test_of_a_metric_whose_own_program_said_that_lower_is_better_the_lowest_is_best():
    cells = [
        cell("t1", STUDENT, 40.0, metrics=("mine",), baseline="t2", difference=estimate(10.0, 0.001)),
        cell("t2", setting("student", 0.1, 2.0), 30.0, metrics=("mine",)),
    ]
    first, second, _ = answer.sentences(replace(table(*cells), lower_is_better=("mine",)))
    assert "T = 2" in first and "0 students are better, 1 worse" in second
    first, second, _ = answer.sentences(table(*cells))
    assert "T = 1" in first and "1 student is better" in second


def test_the_best_of_other_test_sets_is_said_to_be_the_same_or_named():
    other = table(cell("t1", STUDENT, 20.0), cell("t2", setting("student", 0.1, 2.0), 21.0))
    found = answer.other_sets({"test2016": winner(), "flickr2017": winner(), "mscoco2017": other})
    assert found == (
        "It is the best on flickr2017, too; on mscoco2017 the best is student, teacher LS 0.1, T = 2: "
        "21.00 [20.00, 22.00] (mean of 3 seeds)."
    )
    assert answer.other_sets({"test": winner()}) is None


def test_a_test_set_whose_main_metric_is_another_is_not_spoken_of():
    other = table(cell("t1", STUDENT, 20.0, metrics=("chrf",)), cell("t2", STUDENT, 60.0, metrics=("chrf",)))
    assert answer.other_sets({"test": winner(), "news": other}) is None
    assert answer.other_sets({"test": winner(), "news": other, "web": winner()}) == "It is the best on web, too."
