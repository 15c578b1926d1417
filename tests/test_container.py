"""The Dockerfile against the repository and the Makefile; nothing is built, which would take a daemon and gigabytes."""

import os
import re
import shlex
import shutil
import subprocess
from fnmatch import fnmatch

import pytest
from conftest import ROOT

STAND_INS = {  # of the image's Python and of the environment's pip and Python
    "python": 'echo venv >> "$CALLS"; mkdir -p .venv/bin; cd "$TOOLS"; cp pip site "$OLDPWD/.venv/bin"; '
    'mv "$OLDPWD/.venv/bin/site" "$OLDPWD/.venv/bin/python"',
    "pip": 'echo pip "$@" >> "$CALLS"',
    "site": 'echo "$SITE"',
}


@pytest.fixture(scope="module")
def steps() -> list[list[str]]:
    """The instructions as words, continued lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def copied(steps) -> list[str]:
    """What is copied out of the repository, in order."""
    return [name for step in steps if step[0] == "COPY" and not step[1].startswith("--") for name in step[1:-1]]


def tracked() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_is_copied_is_in_git_and_all_that_the_build_context_has(steps):
    files, names = tracked(), copied(steps)
    for name in names:
        assert any(file == name or file.startswith(f"{name}/") for file in files), name
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*" and [line[1:] for line in lines if line.startswith("!")] == names
    ignored = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    assert not [file for file in files for part in file.split("/") for rule in ignored if fnmatch(part, rule)]


def test_both_stages_have_the_python_of_the_package(steps):
    images = [step[1] for step in steps if step[0] == "FROM"]
    (wanted,) = re.findall(r'python_requires=">=([\d.]+),', (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert images == [f"python:{wanted}-slim"] * 2
    assert [step[1:] for step in steps if "--from=builder" in step] == [["--from=builder", *["/opt/lskd_nmt"] * 2]]


def test_compilers_stay_behind_and_nobody_is_root(steps):
    last = steps[max(number for number, step in enumerate(steps) if step[0] == "FROM") :]
    words = [word for step in last for word in step]
    assert not {"g++", "gcc", "make", "build-essential"} & set(words)
    users = [step[1] for step in last if step[0] == "USER"]
    assert users and all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users)


def test_no_package_is_installed_but_by_the_makefile_and_no_address_is_named(steps):
    runs = [step[1:] for step in steps if step[0] == "RUN"]
    assert not [run for run in runs if "pip" in run]
    assert [run for run in runs if run[0] == "make"] == [
        ["make", "fairseq", "PYTHON=python"],
        ["make", "env", "PYTHON=python"],
    ]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8") + (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "://" not in text


def test_the_steps_install_in_order_what_constraints_txt_says(steps, tmp_path):
    """The builder's instructions in a folder, with a pip that only notes what it is told."""
    home, tools, site, calls = (tmp_path / name for name in ("home", "tools", "site", "calls"))
    for folder in (home, tools, site):
        folder.mkdir()
    for name, code in STAND_INS.items():
        (tools / name).write_text(f"#!/bin/sh\n{code}\n")
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "SITE": str(site),
        "TOOLS": str(tools),
    }
    for step in steps:
        if step[0] == "COPY" and not step[1].startswith("--"):
            for name in step[1:-1]:
                (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, home / name)
        if step[:2] == ["RUN", "make"]:
            made = subprocess.run(step[1:], cwd=home, env=environment, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
            with calls.open("a") as out:
                out.write("layer\n")
    said = [shlex.split(line) for line in calls.read_text().splitlines()]
    assert [words[0] for words in said] == ["venv", "pip", "pip", "pip", "layer", "pip", "layer"]
    assert (site / "user_dir").resolve() == home / "user_dir"
    tools_first, fairseq, speech, ours = (words for words in said if words[0] == "pip")
    assert "uninstall" in speech and speech[-1] == "torchaudio"
    assert all(words[words.index("-c") + 1] == "constraints.txt" for words in (tools_first, fairseq, ours))
    assert "torch" in tools_first and "--no-build-isolation" in fairseq and "--no-build-isolation" in ours
    (pinned,) = [word for word in fairseq if word.startswith("fairseq-fixed")]
    assert pinned in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
