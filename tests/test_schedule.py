"""Weights and shares over a training's updates: hand values, and what is refused."""

import math

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.losses.schedule import share_schedule, weight_schedule


def test_hand_values():
    linear, cosine = weight_schedule("linear:0.1:1000", 0.9, 0), weight_schedule("cosine:0.1", 0.9, 1000)
    assert [linear.at(update) for update in (0, 250, 500)] == pytest.approx([0.9, 0.7, 0.5])
    assert cosine.at(500) == pytest.approx(0.5)  # half way the mean
    assert cosine.at(250) == pytest.approx(0.5 + 0.4 / math.sqrt(2))
    share = share_schedule("0:0.5:10")
    assert [share.at(update) for update in (0, 5, 10, 99)] == pytest.approx([0, 0.25, 0.5, 0.5])


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@pytest.mark.parametrize("start, end", [(0.7, 0.1), (0.3, 0.0), (0.0, 0.7)])
def test_both_ends_are_exact_and_all_between_goes_one_way(shape, start, end):
    schedule = weight_schedule(f"{shape}:{end}:7", start, 99)
    values = [schedule.at(update) for update in range(12)]
    assert values[0] == start and values[7:] == [end] * 5
    assert values == sorted(values, reverse=end < start) and len(set(values[:8])) == 8


def test_without_a_schedule_nothing_changes():
    assert {weight_schedule("constant", 0.3, 0).at(update) for update in range(9)} == {0.3}
    assert {share_schedule("0.3").at(update) for update in range(9)} == {0.3}


@pytest.mark.parametrize(
    "text",
    [
        "linear",
        "linear:0.1:5:5",
        "linear:1.1:5",
        "linear:nan:5",
        "linear:x:5",
        "cosine:0:0",
        "cosine:0:-5",
        "cosine:0:1.5",
        "step:0:5",
        "constant:0",
        "",
    ],
)
def test_no_weight_schedule(text):
    with pytest.raises(LskdError, match=rf"^--kd-weight-schedule is {text}: give constant, linear:END\[:UPDATES\] or "):
        weight_schedule(text, 0.5, 9)


def test_the_whole_of_an_unlimited_training_is_no_schedule():
    with pytest.raises(LskdError, match=r"is linear:0 and --max-update is not given: give one, or linear:0:UPDATES"):
        weight_schedule("linear:0", 0.5, 0)


@pytest.mark.parametrize("text", ["0", "0:0:5", "1.5", "-0.1", "x", "nan", "0.1:0.5", "0.1:0.5:0", "0:2:5", "0:1:2:3"])
def test_no_share(text):
    with pytest.raises(LskdError, match=rf"^--on-policy is {text}: give S, or S:E:UPDATES"):
        share_schedule(text)
