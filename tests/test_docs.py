"""README, CONTRIBUTING and docs/: their commands run, their flags and files exist, and their map is the house."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from test_house import HOUSE

from lskd_nmt.cli import main
from lskd_nmt.losses.compatibility import RULES
from lskd_nmt.losses.rule import markdown

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent
# What a checkout has, for commands that run in a folder of their own.
CHECKOUT = ("lskd_nmt", "user_dir", "data-prep", "experiments")
# A training of README's commands, made small: the last value of a flag counts.
SMALL = "--cpu --max-epoch 1 --max-tokens 1000 --lr 3e-3 --warmup-updates 50 --num-workers 0 --encoder-layers 1"
SMALL += " --decoder-layers 1 --encoder-embed-dim 32 --decoder-embed-dim 32 --encoder-ffn-embed-dim 64"
SMALL += " --decoder-ffn-embed-dim 64 --encoder-attention-heads 2 --decoder-attention-heads 2"


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str = "bash") -> list[str]:
    """What stands in the blocks of a page that are marked with this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The words of every command of a page's blocks, continued lines joined, here-documents and variables left out."""
    found = []
    for block in blocks(page):
        plain = re.sub(r"<<'END'.*?^END$", "", block, flags=re.MULTILINE | re.DOTALL)
        for line in plain.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s\|\s|;\s*", line):
                words = shlex.split(part.replace("…", ""), comments=True)
                while words and re.match(r"^(\w+=.*|do|done|export|for|in)$", words[0]):
                    words.pop(0)
                if words:
                    found.append(words)
    return found


def run(script: str, folder: Path, **environment: str) -> str:
    """What a script of a page prints in a folder of its own; it must not fail."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def checkout(folder: Path) -> Path:
    """A copy, for fairseq takes a plugin that a link names for another one."""
    for part in CHECKOUT:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def run_tutorial(folder: Path) -> str:
    """Every command of the tutorial, one after another, in a copy of the checkout; what they print."""
    checkout(folder)
    (folder / ".venv").symlink_to(BIN.parent)
    return run("\n".join(blocks(ROOT / "docs" / "tutorial.md")), folder)


def run_readme(folder: Path) -> str:
    """The commands of the README as they stand; but subwords are fewer for so little text, and make is not called.

    They are given text, text with @@, a fairseq teacher of two dictionaries, a translator, and an environment in .venv
    that makes each training small.
    """
    checkout(folder)
    environment = folder / ".venv" / "bin"
    for command in ("python", "lskd", "fairseq-preprocess", "snakemake"):
        executable(environment / command, f'exec "{BIN / command}" "$@"')
    executable(environment / "fairseq-train", f'exec "{BIN / "fairseq-train"}" "$@" {SMALL}')
    executable(environment / "fairseq-generate", f'exec "{BIN / "fairseq-generate"}" "$@" --cpu')
    executable(environment / "my-translator", "sed 's/^/Das ist /'")
    path = f"{environment}:{os.environ['PATH']}"
    run("lskd toy --source-lang en --target-lang de --train 1200 --valid 60 --test 60 --out text", folder, PATH=path)
    (folder / "bpe").mkdir()
    for file in (folder / "text").glob("*.*"):  # words in pieces, as subword-nmt writes them
        pieces = re.sub(r"(\w{3})(?=\w)", r"\1@@ ", file.read_text(encoding="utf-8"))
        (folder / "bpe" / file.name).write_text(pieces, encoding="utf-8")
    teacher = (
        "fairseq-preprocess -s en -t de --trainpref bpe/train --validpref bpe/valid --destdir teacher-data\n"
        "fairseq-train teacher-data --arch transformer_iwslt_de_en --criterion label_smoothed_cross_entropy "
        "--label-smoothing 0.1 --optimizer adam --save-dir teacher\n"
        "cp teacher-data/dict.*.txt teacher\n"
    )
    script = "\n".join(block for block in blocks(ROOT / "README.md") if not block.startswith("make "))
    script = script.replace("--vocab-size 8000", "--vocab-size 300")
    assert "vocab_size: 8000" in (ROOT / "experiments" / "configs" / "bitext.yaml").read_text(encoding="utf-8")
    script = script.replace("run.sh --config mine.yaml", "run.sh --device cpu --jobs 2 --config mine.yaml")
    script = re.sub(r"(?m)^cp experiments.*$", r"\g<0>\nsed -i 's/vocab_size: 8000/vocab_size: 300/' mine.yaml", script)
    return run(teacher + script, folder, PATH=path)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The folders of the tutorial and the README, and what their commands print; both run side by side."""
    scripts = {"tutorial": run_tutorial, "readme": run_readme}
    folders = {script: tmp_path_factory.mktemp(script) for script in scripts}
    with ThreadPoolExecutor() as threads:
        said = {script: threads.submit(scripts[script], folders[script]) for script in scripts}
    return {script: (folders[script], said[script]) for script in scripts}


@pytest.fixture(scope="module")
def tutorial(running):
    folder, said = running["tutorial"]
    return folder, said.result()


@pytest.mark.commands
def test_the_tutorial_ends_with_a_student_that_translates(tutorial):
    folder, said = tutorial
    translations = (folder / "test.de").read_text(encoding="utf-8").splitlines()
    assert len(translations) == 300 and all(translations)
    assert {"config.json", "model.bin", "export.json"} <= {file.name for file in (folder / "student-int8").iterdir()}
    table = (folder / "runs/mine/table.md").read_text(encoding="utf-8")
    shown = text(ROOT / "docs" / "tutorial.md")
    for heading in ("| model ", "| teacher ", "| student without KD ", "| student "):
        assert f"\n{heading}" in table and f"\n{heading}" in shown
    assert "==> text/train.en <==\nWhen did the hungry friend forget these short newspapers?" in said


@pytest.mark.commands
def test_the_commands_of_the_readme_run(running):
    folder, said = running["readme"]
    assert said.result()
    assert len((folder / "test.de").read_text(encoding="utf-8").splitlines()) == 60
    assert (folder / "student" / "checkpoint_best.pt").is_file()
    assert (folder / "distilled" / "student" / "checkpoint_best.pt").is_file()


def flags(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if re.match(r"^--[a-z]", word)}


def known_of_lskd(words: list[str], capsys) -> set[str]:
    verb = [words[1], *([words[2]] if words[1] == "seqkd" else [])]
    with pytest.raises(SystemExit) as stopped:
        main([*verb, "--help"])
    assert stopped.value.code == 0, verb
    return set(re.findall(r"--[a-z][a-z0-9-]*", capsys.readouterr().out))


@pytest.fixture(scope="module")
def fairseq_flags(plugin) -> set[str]:
    """Every flag of fairseq-train, -generate and -preprocess, with those of the plugin."""
    from fairseq import options

    parsers = [options.get_training_parser(), options.get_generation_parser(), options.get_preprocessing_parser()]
    chosen = ["--criterion", "kd_ls", "--arch", "transformer", "--optimizer", "adam", "--lr-scheduler", "inverse_sqrt"]
    options.parse_args_and_arch(parsers[0], ["data", *chosen], parse_known=True)  # it adds the flags of what is chosen
    return {option for parser in parsers for action in parser._actions for option in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_has_the_flags_and_files_that_a_page_gives(page, capsys, fairseq_flags):
    targets = re.findall(r"(?m)^([a-z-]+):", text(ROOT / "Makefile"))
    for words in commands(page):
        if words[0] in ("fairseq-train", "fairseq-generate", "fairseq-preprocess"):
            assert flags(words) <= fairseq_flags, words
        elif words[0] == "lskd":
            assert flags(words) <= known_of_lskd(words, capsys), words
        elif words[0] == "bash" and words[1].startswith(("experiments/", "data-prep/", "benchmarks/")):
            script = text(ROOT / words[1])
            options = re.findall(r"(?m)^ *options\+?='(.*?)'", script)
            given = {flag.removeprefix("--").replace("-", "_") for flag in flags(words)}
            assert given <= set(" ".join(options).split()), words
        elif words[0] == "make":
            assert set(words[1:]) <= set(targets), words
        files = [word for word in words if re.match(r"^(experiments|data-prep|benchmarks)/[\w./-]+$", word)]
        assert all((ROOT / file).exists() for file in files), words


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and mkdocs make it."""
    kept = re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "]", heading).lower())
    return re.sub(r"[\s]", "-", kept.strip())


def anchors(page: Path) -> set[str]:
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", prose)}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks/results/README.md"], ids=name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL))
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not link.startswith("https://"):
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_the_site_has_every_page_and_asks_no_other_host():
    """Fonts are the browser's own; search works from the disk; links end in .html."""
    site = yaml.safe_load(text(ROOT / "mkdocs.yml"))
    pages = [page for section in site["nav"] for names in section.values() for page in names]
    assert sorted(pages) == sorted(file.name for file in (ROOT / "docs").glob("*.md"))
    assert site["theme"]["font"] is False and "offline" in site["plugins"] and site["use_directory_urls"] is False
    assert not {"extra_javascript", "extra_css"} & set(site)
    assert all((ROOT / "docs" / script).is_file() for script in site["extra"]["polyfills"])


@pytest.mark.commands
def test_the_python_of_the_api_page_runs(tutorial):
    """Without fairseq, and with the student that the tutorial exports."""
    example = "\n".join(blocks(ROOT / "docs" / "api.md", "python"))
    code = f"import sys; sys.modules['fairseq'] = None\n{example}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tutorial[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, last = map(float, re.findall(r"([0-9.]+) -> ([0-9.]+) nats per token", done.stdout)[0])
    assert last < first


def test_the_page_of_changes_to_fairseq_lists_all(plugin):
    page = text(ROOT / "docs" / "patches.md")
    for patch in sys.modules["user_dir.patches"].PATCHES:
        assert f"\n| `{patch.name}` | {patch.mends} | {patch.why} | {patch.where} |\n" in page


def test_the_table_of_what_goes_together_is_made_of_the_rules():
    """If it is not: copy what is missing from `lskd_nmt.losses.rule.markdown(RULES)` to the page."""
    assert f"|---|---|\n{markdown(RULES)}\n" in text(ROOT / "docs" / "compatibility.md")


def tree(page: Path) -> list[str]:
    """The paths of the map: each line is a name and what it is for; indented ones lie in the folder above."""
    block = re.search(r"## The map.*?^```\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)
    assert block
    found, folders = [], []
    for line in block[1].splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.match(r"\s*([^\s,]+(?:, [^\s,]+)*)", line)
        assert names and indent % 2 == 0, line
        folders = folders[: indent // 2]
        found += [f"{folders[-1] if folders else ''}{each}" for each in names[1].split(", ")]
        folders.append(found[-1])
    return found


def test_the_map_of_contributing_is_the_tree():
    paths = tree(ROOT / "CONTRIBUTING.md")
    assert [path for path in paths if not (ROOT / path).exists()] == []
    rooms = {f"lskd_nmt/{room.name}" for room in (ROOT / "lskd_nmt").iterdir() if room.name[0] not in "_."}
    rooms = {room for room in rooms if room.endswith(".py") or (ROOT / room).is_dir()}
    shown = {path.rstrip("/") for path in paths}
    assert rooms - {"lskd_nmt/py.typed"} <= shown
    assert {room for room in HOUSE if room != "user_dir"} == {Path(room).stem for room in rooms if room in shown}


def test_the_import_table_of_contributing_is_the_one_that_is_enforced():
    rows = re.findall(r"(?m)^\| (\d) \| (.*?) \|", text(ROOT / "CONTRIBUTING.md"))
    said = {room: int(level) for level, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}
    assert said == {room: level for room, (level, *_) in HOUSE.items()}


def recipe(heading: str, language: str) -> str:
    """The blocks under a heading of CONTRIBUTING, as one text."""
    section = re.split(r"(?m)^###? ", text(ROOT / "CONTRIBUTING.md").split(f"### {heading}\n")[1])[0]
    return "\n\n".join(re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


@pytest.mark.commands
def test_the_recipe_of_a_corpus_makes_one(tmp_path, tutorial):
    checkout(tmp_path)
    (tmp_path / "data-prep" / "corpora" / "tsv.sh").write_text(recipe("A corpus", "bash"), encoding="utf-8")
    for split in ("train", "valid", "test"):
        sides = [(tutorial[0] / "text" / f"{split}.{lang}").read_text("utf-8").splitlines() for lang in ("en", "de")]
        (tmp_path / split).write_text("".join(f"{a}\t{b}\n" for a, b in zip(*sides, strict=True)), encoding="utf-8")
    prepare = "bash data-prep/prepare.sh --corpus tsv --train train --valid valid --test test --stop-stage 2 --out data"
    run(prepare, tmp_path, LSKD_PYTHON=sys.executable)
    assert (tmp_path / "data/clean/test.de").read_bytes() == (tutorial[0] / "data/mine/clean/test.de").read_bytes()


@pytest.mark.parametrize("heading", ["A divergence, a selection", "A loss term", "A teacher", "A metric"])
def test_the_recipes_in_python_run(heading):
    code = recipe(heading, "python")
    assert "assert" in code
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
