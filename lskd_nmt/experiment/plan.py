"""A run folder's plan: every model of the grid with its commands, which a person can read, copy and run."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment import method_files, same_data
from lskd_nmt.experiment.accepted import require_accepted
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.lengths import limits_of, require_fitting
from lskd_nmt.experiment.models import expand, resolve_data
from lskd_nmt.experiment.scripts import LESSONS, command_script, lesson_scripts, prepare_script
from lskd_nmt.experiment.shared_teachers import lend, lenders, link
from lskd_nmt.fairseq_io.flag_values import LOGGING, without
from lskd_nmt.storage.files import read_json, write_json, write_text

# what this toolkit leaves in the folder of a model of which nothing was made: scripts, locks, a failed start's records
LEFT = (
    "command.sh",
    "decode.sh",
    "hypotheses.sh",
    "store.sh",
    ".lock",
    ".lock.*",
    ".said",
    "train.log",
    "run.json",
    "curve.json",
    "inputs.json",
)


def plan(config: Mapping[str, Any], source: str, run: Path) -> dict[str, Any]:
    """Write RUN/plan.json and its commands for a resolved config; an existing plan stays, or grows by new models."""
    before = read_json(run / "plan.json")["models"] if (run / "plan.json").is_file() else []
    resolved = planned(config, run)
    lent = lenders(resolved, run)
    names = {model["name"] for model in resolved["models"]}
    for model in before:
        if model["name"] not in names:
            forget(run / "models" / model["name"])
    for model in resolved["models"]:
        if model["name"] in lent:
            link(run / "models" / model["name"], lent[model["name"]])
            lend(lent[model["name"]], model)
    write_text(run / "config.yaml", source)
    for name, method in (config["student"]["methods"] or {}).items():
        write_text(run / method_files.FOLDER / f"{name}.yaml", method_files.text(method))
    for model in resolved["models"]:
        if model["name"] not in lent:
            write_scripts(run / "models" / model["name"], model)
    if resolved["data"]["options"] is not None:
        write_text(run / "prepare.sh", prepare_script(resolved["data"]["options"]))
    else:
        (run / "prepare.sh").unlink(missing_ok=True)  # of a plan that this one replaced
    write_json(run / "plan.json", resolved)
    return resolved


def preview(config: Mapping[str, Any], run: Path, view: Path) -> dict[str, Any]:
    """Show in the folder `view` what `plan` would make of RUN, by links to what is there; RUN stays as it is."""
    resolved = planned(config, run)
    lent = lenders(resolved, run)
    folders = {name: lent.get(name, run / "models" / name) for name in (model["name"] for model in resolved["models"])}
    shown = {f"models/{name}": folder for name, folder in folders.items()}
    shown |= {name: run / name for name in ("data", ".snakemake", "table.json", "table.md", "curves.png")}
    for name, there in shown.items():
        if there.exists():
            link(view / name, there)
    write_json(view / "plan.json", resolved)
    return resolved


def planned(config: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """RUN's plan with this config: the one that it has, that one with new models, or its first.

    Models of which nothing was made yet are planned anew, and data that were moved are read where they are now.
    """
    if config["data"]["dir"] is not None:
        resolve_data(config["data"])  # refuses a folder that is not there, whatever the plan
    resolved = followed(config, run)
    for model in resolved["models"]:  # of plans of before, too
        model["decode_command"] += limits_of(model["train_command"], model["decode_command"])
    finished = [model["name"] for model in resolved["models"] if (run / "models" / model["name"] / "test.hyp").exists()]
    require_fitting(resolved, run / resolved["data"]["folder"], finished)
    return resolved


def followed(config: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """`planned`, whatever the data."""
    file = run / "plan.json"
    if not file.is_file():
        return first(config)
    old = read_json(file)
    made = [model["name"] for model in old["models"] if begun(run / "models" / model["name"])]
    place = config["data"]["dir"]
    if made and old["data"]["options"] is None and place not in (None, old["data"]["folder"]):
        old = same_data.relocated(old, run, made, Path(place))
    try:
        changed = differences(resolve(old["config"]), config)  # with the defaults of keys that are new since
    except LskdError as error:
        changed = [f"what is refused now ({error})"]
    return grown(old, first(config), changed, made, run) if changed else old


def first(config: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of a new run; with the hashes of a prepared folder, which tell whether it is the same once moved."""
    resolved = expand(config)
    require_accepted(resolved)
    data = resolved["data"]
    if data["options"] is None:
        hashes = read_json(Path(data["folder"]) / "prep.json").get("sha256")
        resolved |= {same_data.PREPARED: hashes} if isinstance(hashes, dict) else {}
    return resolved


def begun(folder: Path) -> bool:
    """Whether something was made of a model that its plan decides: a checkpoint, or what comes of one."""
    if folder.is_symlink() or (folder / "model.pt").exists():
        return True
    return any(any((folder / part).glob("*")) for part in ("checkpoints", "store", "hypotheses"))


def forget(folder: Path) -> None:
    """Remove what was written for a model of which nothing was made; what is not ours stays."""
    for pattern in LEFT:
        for file in folder.glob(pattern):
            file.unlink()
    for place in (folder / "checkpoints", folder):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def write_scripts(folder: Path, model: Mapping[str, Any]) -> None:
    """A model's commands as scripts."""
    name = model["name"]
    for script, what in (("command.sh", "train"), ("decode.sh", "decode")):
        write_text(folder / script, command_script(f"{what}: {name}", model[f"{what}_command"]))
    for script, text in lesson_scripts(model).items():
        write_text(folder / script, text)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two configs, each as `key = old, the config now says new`."""
    before, after = dict(leaves(old)), dict(leaves(new))
    return [
        f"{key} = {before.get(key)!r}, the config now says {after.get(key)!r}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of nested mappings with its dotted key."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def grown(
    old: Mapping[str, Any], new: dict[str, Any], changed: list[str], made: list[str], run: Path
) -> dict[str, Any]:
    """The new plan, if it leaves as it is what was made of the old one: the data, and the models `made`.

    A finished model keeps the command that made it, where that differs in what is logged only.
    """
    found = {model["name"]: model for model in new["models"]}
    own_data = old["data"]["options"] is not None and (run / "data").is_dir() and any((run / "data").iterdir())
    same = old["data"] == new["data"] or not (made or own_data)
    same &= old["decode"] == new["decode"] or not made
    for model in old["models"]:
        now = found.get(model["name"], {})
        if model["name"] in made:
            same &= now.get("average") == model.get("average")
            same &= all(alike(now.get(key, []), model.get(key, [])) for key in ("train_command", "decode_command"))
            # what nobody read yet may come
            same &= all(now.get(key) == model[key] for key in LESSONS if model.get(key))
            if same and (run / "models" / model["name"] / "model.pt").exists():
                now["train_command"] = model["train_command"]
    way = f"remove {run}/data" if own_data and not made else "change it back"
    require(same, f"{run} was made with {telling(changed)}: {way}, or give another --out")
    return new


def alike(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two commands make the same of the same data, whatever they log, and however long a row they decode."""
    free = LOGGING | {"max-source-positions", "max-target-positions"} if "fairseq-generate" in first[:1] else LOGGING
    return without(first, free) == without(second, free)


def telling(changed: Sequence[str]) -> str:
    """The first of several differences that decides more than what is logged."""
    keys = [text.partition(" = ")[0].rpartition(".")[2] for text in changed]
    return next((text for text, key in zip(changed, keys, strict=True) if key not in LOGGING), changed[0])
