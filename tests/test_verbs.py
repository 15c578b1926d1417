"""What `lskd --help` and each verb's help show: groups, examples that the parser takes, and older names."""

import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from lskd_nmt import cli
from lskd_nmt.cli.verbs import GROUPS, INNER

VERBS = {name: verb for members in GROUPS.values() for name, verb in members.items()}
ALL = VERBS | {f"{outer} {name}": verb for outer, inner in INNER.items() for name, verb in inner.items()}
OLDER = [
    ("watch", "train-model"),
    ("generate", "decode-model"),
    ("hyp", "extract-hypotheses"),
    ("compare", "benchmark"),
    ("project", "projection"),
    ("diffuse", "diffusion-index"),
]


def help_of(words, capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def words_of(example: str) -> list[str]:
    """The arguments of `lskd` in a shell's line, without the files that it is fed from and writes to."""
    words = shlex.split(example.partition(" < ")[0])
    assert words.pop(0) == "lskd"
    return words


def test_the_help_lists_every_verb_once_in_its_group(capsys):
    text = help_of([], capsys)
    places = [text.index(f"\n{group}:\n") for group in GROUPS]
    assert places == sorted(places) and all(text.count(f"\n  {name} ") == 1 for name in VERBS)
    assert not any(f"\n  {older} " in text for older, _ in OLDER)
    assert max(map(len, text.splitlines())) <= 100


def test_the_table_names_every_verb(capsys):
    with pytest.raises(SystemExit):
        cli.main(["no-verb"])
    choices = capsys.readouterr().err.split("choose from ")[1]
    assert sorted(choices.strip(")\n").replace("'", "").split(", ")) == sorted([*VERBS, *(old for old, _ in OLDER)])


@pytest.mark.parametrize("name", ALL)
def test_a_help_ends_with_an_example_that_the_parser_takes(name, capsys):
    assert help_of(name.split(), capsys).endswith(f"\n\nexample:\n  {ALL[name].example}\n")
    words = words_of(ALL[name].example)
    assert words[: len(name.split())] == name.split()
    assert cli.build_parser().parse_args(words).verb == words[0]


@pytest.mark.parametrize("older, name", OLDER)
def test_an_older_name_is_the_same_verb(older, name, capsys):
    assert help_of([older], capsys) == help_of([name], capsys)
    words = words_of(VERBS[name].example)[1:]
    parser = cli.build_parser()
    new, old = (vars(parser.parse_args([verb, *words])) for verb in (name, older))
    assert old | {"verb": name} == new


def test_nothing_slow_is_imported_for_the_help():
    slow = "{'torch', 'fairseq', 'matplotlib', 'pandas', 'scipy'}"
    code = f"import sys, lskd_nmt.cli; sys.exit(' '.join({slow} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
