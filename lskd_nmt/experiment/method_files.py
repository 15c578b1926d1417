"""Methods of distillation: each a YAML file that names flags of kd_ls, beside the config or in the folder we ship."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import yaml

from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment.compatibility import METHOD_RULES, MethodSettings
from lskd_nmt.experiment.config_keys import Checks, Required, resolve_section
from lskd_nmt.experiment.config_values import integer, line, number, options, several, truth, word
from lskd_nmt.experiment.run_config import Method
from lskd_nmt.fairseq_io.known_flags import TEMPERATURE
from lskd_nmt.losses.rule import complaints
from lskd_nmt.storage.provenance import ROOT
from lskd_nmt.storage.typed import Json, from_json, to_json
from lskd_nmt.storage.yaml_file import read_yaml

FOLDER = "methods"  # beside a config
SHIPPED = ROOT / "experiments" / "configs" / FOLDER
METHOD: Checks = {
    "about": Required(line),  # what it is, and where from
    "teacher": truth,  # false: it reads none
    "live": truth,  # true: it needs the teacher itself, whatever student.store says
    "flags": options,  # of kd_ls
}
DEFAULTS: Mapping[str, Json] = to_json(Method())
# keys of the section student that a method's flags say
AXES = (
    *("temperature", "kd_level", "hypotheses", "hypotheses_drawn", "kd_weight", "tail", "temper"),
    "temperature_squared",
)
TAKEN = ("plain", "student", "teacher")  # rows of a table that are no methods
# flags that a table reads
READ = {
    "temperature": number(TEMPERATURE.low, TEMPERATURE.high, TEMPERATURE.what),
    "kd-weight": number(0, 1, "a number from 0 to 1"),
    "top-k": integer,
}


def loaded(content: Json, config: Path) -> Json:
    """The config's content with the methods that `student.methods` names in their place."""
    section = content.get("student") if isinstance(content, dict) else None
    wish = section.get("methods") if isinstance(section, dict) else None
    if wish is None or not isinstance(content, dict) or not isinstance(section, dict):
        return content
    try:
        names = [str(name) for name in several(word)(wish)]
    except ValueError as error:
        raise LskdError(f"{config}: student.methods is {wish!r}, it must be {error}") from None
    methods: dict[str, Json] = {name: to_json(read(name, config)) for name in names}
    return {**content, "student": {**section, "methods": methods}}


def read(name: str, config: Path) -> Method:
    """The method of this name, checked; a file beside the config is taken before one that we ship."""
    require(name not in TAKEN, f"{config}: student.methods has {name}, which is another row of tables: rename it")
    folders = (config.parent / FOLDER, SHIPPED)
    files = {file.stem: file for folder in reversed(folders) for file in sorted(folder.glob("*.yaml"))}
    near = difflib.get_close_matches(name, files, n=1, cutoff=0)
    require(
        name in files,
        f"{config}: student.methods has {name}, and there is no {folders[0] / name}.yaml: "
        f"{f'the nearest valid one is {near[0]}' if near else 'write it'}",
    )
    content, found = read_yaml(files[name]), list[str]()
    require(isinstance(content, dict), f"{files[name]} holds no 'key: value' lines: give it {', '.join(METHOD)}")
    resolved = resolve_section(content, METHOD, DEFAULTS, "", found)
    require(not found, f"{files[name]}: {'; '.join(found)}")
    method = from_json(Method, resolved, str(files[name]))
    found = unfit(method)
    require(not found, f"{files[name]}: {'; '.join(found)}")
    return method


# those of kd_ls that a method may set; the pipeline sets the others
FLAGS = (
    "temperature",
    "temper",
    "no-temperature-squared",
    "kd-weight",
    "kd-weight-schedule",
    "kd-until-bleu",
    "label-smoothing",
    "smoothing-over",
    "top-k",
    "tail",
    "divergence",
    "select",
    "rank",
    "virtual-teacher",
    "virtual-share",
    "r-drop",
    "self-evolution",
    "kd-passes",
    "on-policy",
    "ignore-prefix-size",
    "sentence-avg",
)


def unfit(method: Method) -> list[str]:
    """What is wrong between a method's keys, with the names of its flags, and with the values that a table reads."""
    passes, on_policy = (method.flags.get(flag) for flag in ("kd-passes", "on-policy"))
    found = complaints(METHOD_RULES, MethodSettings(method.teacher, method.live, passes, on_policy))
    for flag in method.flags:
        if flag not in FLAGS:
            near = difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0)[0]
            found.append(f"flags.{flag} is no flag of kd_ls that a method may set, the nearest one is {near}")
    for flag, check in READ.items():
        given = method.flags.get(flag)
        try:
            check(1 if given is None else given)
        except ValueError as error:
            found.append(f"flags.{flag} is {given!r}, it must be {error}")
    return found


def named(value: Json) -> dict[str, Json]:
    """Methods by name, as `loaded` or a plan has them, with the defaults of keys that are new since."""
    found: list[str] = []
    if not isinstance(value, dict):
        raise ValueError("read from its file")
    result: dict[str, Json] = {
        name: resolve_section(content, METHOD, DEFAULTS, f"{name}.", found) for name, content in value.items()
    }
    if found:
        raise ValueError("; ".join(found))
    return result


def given_axes(section: Json) -> list[str]:
    """The keys in a section `student` of a YAML that a method's flags say."""
    return [name for name in AXES if isinstance(section, dict) and section.get(name) is not None]


def text(method: Method) -> str:
    """A method as its file has it."""
    return str(yaml.safe_dump(to_json(method), sort_keys=False, allow_unicode=True, width=1000))
