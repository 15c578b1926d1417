"""Commands as words and as scripts that a person can read, copy and run."""

import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import takewhile

from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.storage.provenance import INSTALLED, ROOT
from lskd_nmt.storage.typed import Json

READING = {"import", "select", "init-student"}  # steps of `lskd seqkd` that run no model, and take no device
USER_DIR = "user_dir"  # as a plan has it; a script has the plugin's real place


def as_arguments(flag: str, value: Json) -> list[str]:
    """One flag as command-line words; none for false and null."""
    if value is None or value is False:
        return []
    if value is True:
        return [f"--{flag}"]
    if isinstance(value, dict):
        return [f"--{flag}", json.dumps(value)]
    return [f"--{flag}", str(value)]


def words_of(flags: Mapping[str, Json]) -> list[str]:
    """Flags as command-line words."""
    return [word for flag in flags.items() for word in as_arguments(*flag)]


def prepare_script(options: Mapping[str, Json]) -> str:
    """The data preparation as a script that runs from anywhere."""
    spoken = {True: "yes", False: "no"}  # as prepare.sh has them
    words = words_of(
        {name.replace("_", "-"): spoken[value] if isinstance(value, bool) else value for name, value in options.items()}
    )
    maker = ["lskd", "adopt-data"] if "bin" in options else ["bash", str(ROOT / "data-prep" / "prepare.sh")]
    command = shlex.join([*maker, *words, "--out", "data"])
    return f'#!/usr/bin/env bash\n# Prepares the data.\ncd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"\n{command}\n'


def runnable(command: Sequence[str]) -> list[str]:
    """A planned command with the plugin's real place; it runs in the run folder."""
    return [str(INSTALLED / USER_DIR) if word == USER_DIR else word for word in command]


def command_script(what: str, command: Sequence[str]) -> str:
    """A fairseq command as a script: one flag a line, runs from anywhere, takes further flags."""
    argv = runnable(command)
    lines = flag_lines(argv, 2)
    head = f"#!/usr/bin/env bash\n# {what} (further flags of {argv[0]} may follow, such as --cpu)\n"
    return head + 'cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."\n' + " \\\n".join([*lines, '  "$@"']) + "\n"


def steps_script(what: str, commands: Sequence[Sequence[str]]) -> str:
    """`lskd` commands as a script: those that run a model take further flags, one that fails ends it."""
    verbs = [[*takewhile(lambda word: not word.startswith("--"), command)] for command in commands]
    taking = [" ".join(verb) for verb in verbs if not READING & {*verb}]
    note = what + (f" (further flags of {taking[0]} may follow)" if taking else "")
    head = f'#!/usr/bin/env bash\n# {note}\nset -e\ncd -P -- "$(dirname -- "${{BASH_SOURCE[0]}}")/../.."\n'
    parts = [
        [*flag_lines(command, len(verb)), *([] if READING & {*verb} else ['  "$@"'])]
        for command, verb in zip(commands, verbs, strict=True)
    ]
    return head + "".join(" \\\n".join(lines) + "\n" for lines in parts)


def flag_lines(argv: Sequence[str], first: int) -> list[str]:
    """A command's first words, then a flag a line."""
    lines, rest = [shlex.join(argv[:first])], argv[first:]
    while rest:
        count = 2 if len(rest) > 1 and not rest[1].startswith("--") else 1
        lines.append(f"  {shlex.join(rest[:count])}")
        rest = rest[count:]
    return lines


def teacher_scripts(model: PlannedModel) -> dict[str, str]:
    """The scripts that make what a teacher's students read, or what a student starts from, by name."""
    found = {"hypotheses": model.seqkd_commands, "store": (model.store_command,) if model.store_command else ()}
    found["init"] = (model.init_command,) if model.init_command else ()
    return {
        f"{what}.sh": steps_script(f"{what}: {model.name}", commands) for what, commands in found.items() if commands
    }
