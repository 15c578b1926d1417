"""Steps of a model on several test sets, and a test set that a finished run is given later."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lskd_nmt.errors import require, require_file
from lskd_nmt.evaluate.records import read_metrics
from lskd_nmt.experiment import steps, test_sets
from lskd_nmt.experiment.config_values import ALL_SETS, word
from lskd_nmt.experiment.records import plan_json
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import hash_of_hashes, sha256, write_json

Log = Callable[[str], None]


def run_on_sets(
    run: Run, name: str, step: str, machine: steps.Machine, tell: Log, log: Log, wish: Sequence[str] = ()
) -> int:
    """Do a step on a model; a step on test sets on those that are wished, or on all, one after the other.

    The exit code; the first that is not 0 ends it. Translations that were made elsewhere are of the main set alone.
    """
    views = [run.on(each) for each in wish] or run.views
    if step not in steps.TESTING:
        views = [run]
    elif not run.model(name).is_translator and not wish:
        views = views[:1]
    for view in views:
        require_own_scores(view, name)
        code = steps.run_step(view, name, step, machine, tell, log)
        if code:
            return code
    return 0


def require_own_scores(run: Run, name: str) -> None:
    """Refuse scores on another set of the same name, as a teacher of another run may have them."""
    file = run.results(name) / "metrics.json"
    if run.test_set is None or not file.is_file():
        return
    known, now = read_metrics(file).facts.references, hash_of_hashes([sha256(each) for each in run.references()])
    require(
        known in (None, now),
        f"{file} is of another test set that is called {run.test_set}, too: give this one another name",
    )


def add_set(run: Run, name: str, source: Path, references: Sequence[Path]) -> Run:
    """Make a text with its references a test set of the run; the same call again changes nothing."""
    try:
        word(name)
    except ValueError as error:
        require(False, f"--name is '{name}', it must be {error}")
    main = run.plan.set_names[0]
    require(name != ALL_SETS, f"--name is {name}, which means the mean over all test sets: give another name")
    require(name != main, f"--name is {name}, which is the run's main test set: give another name")
    for flag, file in (("--source", source), *(("--reference", each) for each in references)):
        require_file(file, f"give a text with a sentence a line as {flag}")
    text = test_sets.read_set(name, source, references, run.plan.data)
    test_sets.cutting(run)  # refused before anything is written
    if test_sets.is_new(text, run.folder):
        test_sets.write(run.folder, text)
    if name not in run.plan.set_names:
        tests = (*run.plan.set_names, name)
        write_json(run.folder / "plan.json", plan_json(replace(run.plan, tests=tests)))
    return Run(run.folder).on(name)


def score_set(run: Run, machine: steps.Machine, teller: Callable[[str], Log], log: Log) -> tuple[list[str], int]:
    """Let every trained model translate the test set of this view, and score it; their names, and the exit code."""
    done: list[str] = []
    ready = []
    for model in run.models:
        if not model.is_translator:
            log(f"{model.name}: it translates nothing, left out" if model.is_scored else f"{model.name}: left out")
        elif not (run.model_folder(model.name) / model.published).exists():
            log(f"{model.name}: not trained yet, left out")
        else:
            ready.append(model.name)
    require(bool(ready), f"{run.folder} has no trained model: train them first")
    for number, name in enumerate(ready, 1):
        log(f"model {number} of {len(ready)}")
        code = run_on_sets(run, name, "evaluate", machine, teller(name), log, [run.set_name])
        if code:
            return done, code
        done.append(name)
    return done, 0
