"""Verbs that are the shell scripts of the pipeline: `quickstart`, `run`, `prepare`, `configs`.

A wheel has the scripts and the configs inside: these verbs run them without a checkout, with this Python.
"""

import argparse
import os
import shutil
import sys
import textwrap
from itertools import takewhile
from pathlib import Path

from lskd_nmt.cli.common import answer, verb_of
from lskd_nmt.cli.verbs import GROUPS, Verbs
from lskd_nmt.errors import require
from lskd_nmt.storage.provenance import ROOT

CONFIGS = ROOT / "experiments" / "configs"
SCRIPTS = {"quickstart": "experiments/quickstart.sh", "run": "experiments/run.sh", "prepare": "data-prep/prepare.sh"}


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    for name, script in SCRIPTS.items():
        # all words belong to the script, its --help too: none of them is a flag here
        parser = verbs.add_parser(name, prefix_chars="\0", add_help=False)
        parser.add_argument("words", nargs="*", help=f"options of {script}: see --help")
        parser.set_defaults(run=run_script)
    configs = verb_of(verbs, "configs", "list the configs that come with the toolkit, or copy them", run_configs)
    configs.add_argument("--copy", type=Path, metavar="DIR", help="copy them all into a new folder")


def run_script(args: argparse.Namespace) -> None:
    """Become the script, which says the rest."""
    words = list(args.words)
    if {"-h", "--help"} & {*words}:
        print(help_of(args.verb), end="")
        sys.exit(0)
    if args.verb == "quickstart" and "--out" not in words:
        words += ["--out", "runs/quickstart"]
    require(shutil.which("bash") is not None, "bash is not on PATH: install it, the pipeline is of shell scripts")
    environment = {**os.environ, "LSKD_PYTHON": sys.executable}
    os.execvpe("bash", ["bash", str(ROOT / SCRIPTS[args.verb]), *words], environment)


def help_of(verb: str) -> str:
    """The head of the script, which says its options, and the verb's example."""
    lines = (ROOT / SCRIPTS[verb]).read_text(encoding="utf-8").split("\n")[1:]
    head = [line for line in takewhile(lambda line: line.startswith("#"), lines) if "shellcheck" not in line]
    example = next(members[verb].example for members in GROUPS.values() if verb in members)
    return "".join(f"{line.removeprefix('#').removeprefix(' ')}\n" for line in head) + f"\nexample:\n  {example}\n"


def run_configs(args: argparse.Namespace) -> None:
    """`lskd configs [--copy DIR]`."""
    files = sorted(CONFIGS.glob("*.yaml"))
    if args.copy is None:
        for file in files:
            first = file.read_text(encoding="utf-8").split("\n", maxsplit=1)[0].removeprefix("# ")
            print(f"{file.stem:<22} {textwrap.shorten(first, 96, placeholder=' …')}", file=sys.stderr)
    else:
        require(not args.copy.exists(), f"--copy {args.copy} is there already: give a new folder")
        shutil.copytree(CONFIGS, args.copy)
    answer(configs=str(args.copy or CONFIGS), files=len(files))
