"""The picture of a plan: a box for each step, filled where its file is; a teacher in the middle of its students."""

from bench import MODELS
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from lskd_nmt.cli import main
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures import run_graph


def filled(figure):
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    return sum(box.get_facecolor() == to_rgba(run_graph.DONE) for box in boxes), len(boxes)


def test_a_box_is_filled_where_the_steps_file_is(finished):
    assert filled(run_graph.graph(finished.run)) == (12, 12)
    (finished.model(MODELS[2]) / "test.hyp").unlink()
    (finished.model(MODELS[0]) / "model.pt").unlink()
    figure = run_graph.graph(finished.run)
    assert filled(figure) == (10, 12)
    assert figure.axes[0].get_title(loc="left") == "tiny: 10 of 12 steps done (filled)"


def test_a_teacher_stands_in_the_middle_of_its_students_and_a_line_leads_to_each(finished):
    at = run_graph.heights(Run(finished.run).models)
    assert at == {"student-plain-s1": 0, "student-ls0.1-t1-s1": -1, "student-ls0.1-t2-s1": -2, "teacher-ls0.1-s1": -1.5}
    lines = [tuple(line.get_ydata()) for line in run_graph.graph(finished.run).axes[0].lines]
    assert lines == [(-1.5, -1), (-1.5, -2)]


def test_run_sh_draws_it_and_trains_nothing(bench):
    done = bench.experiment("--device", "cpu", "--graph", "picture")
    assert done.returncode == 0 and bench.calls() == {}
    assert (bench.folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (bench.folder / "picture.svg").read_text()


def test_a_folder_without_a_plan_is_refused(tmp_path, capsys):
    assert main(["graph", str(tmp_path)]) == 2
    assert "plan.json does not exist" in capsys.readouterr().err
