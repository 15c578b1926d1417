"""A run folder's plan: every model with its commands, which a person can read, copy and run."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment import history, method_files, prolonging, same_data, test_sets, tracking
from lskd_nmt.experiment.accepted import require_accepted
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.lengths import limits_of, require_fitting
from lskd_nmt.experiment.models import expand, require_metrics, resolve_data
from lskd_nmt.experiment.records import GIVEN, SETS, Plan, PlannedModel, plan_json
from lskd_nmt.experiment.run_config import RunConfig
from lskd_nmt.experiment.run_metrics import SCORED
from lskd_nmt.experiment.scripts import command_script, prepare_script, teacher_scripts
from lskd_nmt.experiment.shared_teachers import link, share, shared_teachers
from lskd_nmt.experiment.student_start import require_startable
from lskd_nmt.experiment.teacher_commands import as_read
from lskd_nmt.experiment.untrained import described, require_there
from lskd_nmt.fairseq_io.flag_values import LOGGING, without
from lskd_nmt.storage.files import read_json, write_json, write_text
from lskd_nmt.storage.typed import Json, read_record, to_json

# what this toolkit leaves in the folder of a model of which nothing was made: scripts, locks, a failed start's records
LEFT = (
    "command.sh",
    "decode.sh",
    "hypotheses.sh",
    "store.sh",
    "init.sh",
    "init.pt",
    ".lock",
    ".lock.*",
    ".said",
    "train.log",
    "run.json",
    "curve.json",
    "inputs.json",
    "given.json",
    "tracking.json",
)


SCORING = ("metrics = ", "metric_commands")  # keys of a YAML that no model and no translation depends on
YAML_KEYS = {"teacher.origin": "teacher.from"}  # records cannot have this name


Tell = Callable[[str], None]  # shows a line to a person


def silent(text: str) -> None:
    """Show nothing, and sign nothing."""


def plan(
    config: RunConfig,
    source: str,
    run: Path,
    prolong: bool = False,
    sign: prolonging.Sign = silent,
    tell: Tell = silent,
) -> Plan:
    """Write RUN/plan.json and its commands for a config; an existing plan stays, or grows by new models.

    `source` is the text of the YAML, of which the run folder gets a copy. With `prolong` students may begin anew whose
    teachers go on; `sign` gives the signature of a model's row, by which its history names it; `tell` shows a line.
    """
    before = plan_of(run)
    resolved = planned(config, run)
    shared = shared_teachers(resolved, run)
    if before is not None:
        make_ready(before, resolved, run, prolong, sign, tell)
    names = {model.name for model in resolved.models}
    for model in before.models if before is not None else ():
        if model.name not in names:
            forget(run / "models" / model.name)
    for model in resolved.models:
        if model.name in shared:
            link(run / "models" / model.name, shared[model.name])
            share(shared[model.name], model)
    for text in test_sets.wanted(resolved, run):
        test_sets.write(run, text)
    write_text(run / "config.yaml", source)
    for name, method in config.methods.items():
        write_text(run / method_files.FOLDER / f"{name}.yaml", method_files.text(method))
    for model in resolved.models:
        if model.name not in shared:
            write_scripts(run / "models" / model.name, model)
    if resolved.data.options is not None:
        write_text(run / "prepare.sh", prepare_script(resolved.data.options))
    else:
        (run / "prepare.sh").unlink(missing_ok=True)  # of a plan that this one replaced
    if resolved != before:
        write_json(run / "plan.json", plan_json(resolved))
    return resolved


def make_ready(before: Plan, after: Plan, run: Path, prolong: bool, sign: prolonging.Sign, tell: Tell) -> None:
    """Set aside what the trainings leave that go on by the new plan: see `plan` and `prolonging`."""
    for model in after.models:
        history.settle(run / "models" / model.name)
    longer = prolonging.prolonging(before, after, run)
    prolonging.require_consent(longer, prolong)
    if longer:
        tell(prolonging.line(longer))
        prolonging.carry_out(longer, before, run, sign)


def preview(config: RunConfig, run: Path, view: Path, tell: Tell = silent) -> Plan:
    """Show in the folder `view` what `plan` would make of RUN, by links to what is there; RUN stays as it is."""
    resolved = planned(config, run)
    shared = shared_teachers(resolved, run)
    longer = prolonging.prolonging(plan_of(run), resolved, run)
    shown = {f"models/{model.name}": shared.get(model.name, run / "models" / model.name) for model in resolved.models}
    if longer:
        tell(prolonging.line(longer))
    for name in longer.finished:  # without what would be set aside
        there = shown.pop(f"models/{name}")
        shown |= {f"models/{name}/{file.name}": file for file in there.glob("*") if file.name not in history.RESULTS}
    shown |= {file.name: file for file in run.glob(f"{SCORED}*")}
    shown |= {name: run / name for name in ("data", ".snakemake", SETS, "table.json", "table.md", "curves.png")}
    for name, there in shown.items():
        if there.exists():
            link(view / name, there)
            times = there.stat()  # the engine asks a link for its own, too: what is older is made again
            os.utime(view / name, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    write_json(view / "plan.json", plan_json(resolved))
    return resolved


def plan_of(run: Path) -> Plan | None:
    """The plan that a run folder has."""
    return read_record(run / "plan.json", Plan) if (run / "plan.json").is_file() else None


def planned(config: RunConfig, run: Path) -> Plan:
    """RUN's plan with this config: the one that it has, that one with new models, or its first.

    Models of which nothing was made yet are planned anew, and data that were moved are read where they are now.
    """
    if config.data.dir is not None:
        resolve_data(config.data)  # refuses a folder that is not there, whatever the plan
    found = followed(config, run)
    require_metrics(config.metrics or (), found.data)
    models = [  # of plans of before, too
        replace(model, decode_command=(*model.decode_command, *limits_of(model.train_command, model.decode_command)))
        for model in found.models
    ]
    adopted = adopted_models(run)
    planned_too = {model.name for model in models} & {model.name for model in adopted}
    require(not planned_too, f"{', '.join(planned_too)} was adopted by {run}, and the config plans it: rename one")
    found = replace(found, models=(*models, *adopted), tests=test_sets.set_names(config.data, plan_of(run)))
    test_sets.wanted(found, run)
    finished = [model.name for model in models if (run / "models" / model.name / "test.hyp").exists()]
    require_there(found, run)
    require_fitting(found, run / found.data.folder, finished)
    return found


def adopted_models(run: Path) -> list[PlannedModel]:
    """The models of a run that were made outside of it: they stay, whatever the config says."""
    found = plan_of(run)
    return [model for model in found.models if model.is_adopted] if found is not None else []


def followed(config: RunConfig, run: Path) -> Plan:
    """The plan that `planned` describes, not yet compared with the lengths of the data."""
    old = plan_of(run)
    if old is None:
        return first(config)
    old = replace(old, models=tuple(as_read_now(model) for model in old.models if not model.is_adopted))
    made = [model.name for model in old.models if begun(run / "models" / model.name)]
    place = config.data.dir
    if made and old.data.options is None and place not in (None, old.data.folder):
        old = same_data.relocated(old, run, made, Path(str(place)))
    try:
        changed = differences(resolve(to_json(old.config)), config)
    except LskdError as error:
        changed = [f"what is refused now ({error})"]
    if changed and all(text.startswith(SCORING) for text in changed):  # of what is made nothing changes
        metrics, programs = config.metrics, config.metric_commands
        return replace(old, config=replace(old.config, metrics=metrics, metric_commands=programs))
    return grown(old, first(config), changed, made, run) if changed else old


def as_read_now(model: PlannedModel) -> PlannedModel:
    """A model of a plan of before, without flags of its steps that were never read, and are refused now."""
    return replace(model, seqkd_commands=tuple(map(as_read, model.seqkd_commands)))


def first(config: RunConfig) -> Plan:
    """The plan of a new run; with the hashes of a prepared folder, which tell whether it is the same once moved."""
    found = expand(config)
    require_accepted(found)
    require_startable(found)
    if found.data.options is not None:
        return found
    hashes = read_json(Path(found.data.folder) / "prep.json").get("sha256")
    return replace(found, prepared=hashes) if isinstance(hashes, dict) else found


def begun(folder: Path) -> bool:
    """Whether a model has anything that its plan decided: a checkpoint, a store, or translations."""
    if folder.is_symlink() or (folder / "model.pt").exists() or (folder / GIVEN).exists():
        return True
    return any(any((folder / part).glob("*")) for part in ("checkpoints", "store", "hypotheses"))


def forget(folder: Path) -> None:
    """Remove the files of a model that was planned and not begun; files that this toolkit did not write stay."""
    for pattern in LEFT:
        for file in folder.glob(pattern):
            file.unlink()
    for place in (folder / "checkpoints", folder):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def write_scripts(folder: Path, model: PlannedModel) -> None:
    """A model's commands as scripts."""
    command = tracking.own(model.train_command, folder.parent.parent, model.name)
    trains = command_script(f"train: {model.name}", command) if command else described(model)
    write_text(folder / "command.sh", trains)
    if model.decode_command:
        write_text(folder / "decode.sh", command_script(f"decode: {model.name}", model.decode_command))
    for script, text in teacher_scripts(model).items():
        write_text(folder / script, text)


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """What differs between two configs, each as `key = old, the config now says new`."""
    before, after = dict(leaves(to_json(old))), dict(leaves(to_json(new)))
    return [
        f"{YAML_KEYS.get(key, key)} = {before.get(key)!r}, the config now says {after.get(key)!r}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def leaves(config: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Each value of nested mappings with its dotted key."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def grown(old: Plan, new: Plan, changed: list[str], made: list[str], run: Path) -> Plan:
    """The new plan, if it leaves as it is what was made of the old one: the data, and the models `made`.

    A finished model keeps the command that made it, where that differs in what is logged only. A model that was begun
    may be trained longer: see `prolonging`.
    """
    now = {model.name: model for model in new.models}
    own_data = old.data.options is not None and (run / "data").is_dir() and any((run / "data").iterdir())
    same = old.data == new.data or not (made or own_data)
    same &= replace(old.decode, engine=new.decode.engine) == new.decode or not made  # signatures tell engines apart
    same &= all(model.name in now and unchanged(model, now[model.name]) for model in old.models if model.name in made)
    way = f"remove {run}/data" if own_data and not made else "change it back"
    require(same, f"{run} was made with {telling(changed)}: {way}, or give another --out")
    finished = [model for model in old.models if (run / "models" / model.name / "model.pt").exists()]
    for model in finished:
        if not prolonging.raised(model.train_command, now[model.name].train_command):
            now[model.name] = replace(now[model.name], train_command=model.train_command)
    return replace(new, models=tuple(now.values()))


def unchanged(old: PlannedModel, new: PlannedModel) -> bool:
    """Whether a model that was made is planned as it was; what its students read may be planned later, or grow."""
    return (
        old.average == new.average
        and old.origin == new.origin
        and (
            alike(old.train_command, new.train_command) or prolonging.raised(old.train_command, new.train_command) != {}
        )
        and alike(old.decode_command, new.decode_command)
        and {*old.seqkd_commands} <= {*new.seqkd_commands}  # another choice among the same decodings may be added
        and old.store_command in ((), new.store_command)
    )


def alike(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two commands make the same of the same data, whatever they log, and however long a row they decode."""
    free = LOGGING | {"max-source-positions", "max-target-positions"} if "fairseq-generate" in first[:1] else LOGGING
    return without(first, free) == without(second, free)


def telling(changed: Sequence[str]) -> str:
    """The first difference that changes more than what is logged, to name it to the user; of limits the last."""
    keys = {text: text.partition(" = ")[0].rpartition(".")[2] for text in changed}
    told = [text for text in changed if keys[text] not in LOGGING]
    other = [text for text in told if keys[text] not in prolonging.LIMITS]
    return next(iter([*other, *told]), changed[0])
