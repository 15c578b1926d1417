"""A run that borrows another run's teacher takes the translations that it needs, and refuses other ones."""

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.plan import expand
from lskd_nmt.experiment.shared_teachers import share

SCRIPT = "hypotheses.sh"


def teacher(hypotheses, beam=5):
    """The planned teacher of students of these choices among its translations."""
    student = {"arch": "ls_transformer_tiny", "train": {"max-epoch": 1}, "kd_level": "sequence"}
    content = {
        "name": "tiny",
        "data": {"corpus": "toy"},
        "teacher": {"arch": "ls_transformer_tiny", "train": {"max-epoch": 1}},
        "student": {**student, "hypotheses": hypotheses},
        "seqkd": {"beam": beam, "nbest": 3},
    }
    return next(model for model in expand(resolve(content)).models if model.role == "teacher")


@pytest.fixture
def borrowed(tmp_path):
    """The folder of a teacher whose run has students of the beam's best and of those closest to the reference."""
    share(tmp_path, teacher(["beam", "interpolate"]))
    return tmp_path


@pytest.mark.parametrize("hypotheses", [["beam"], ["interpolate"], ["interpolate", "beam"]])
def test_a_part_of_its_choices_is_taken_and_its_script_stays(hypotheses, borrowed):
    before = (borrowed / SCRIPT).read_text()
    share(borrowed, teacher(hypotheses))
    assert (borrowed / SCRIPT).read_text() == before


@pytest.mark.parametrize("other", [teacher(["multi"]), teacher(["beam", "multi"]), teacher(["beam"], beam=6)])
def test_a_choice_that_it_has_not_and_another_search_are_refused(other, borrowed):
    with pytest.raises(LskdError, match=f"{SCRIPT} has other settings than the config"):
        share(borrowed, other)
