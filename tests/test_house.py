"""Which room may import which: the table of CONTRIBUTING's map, read off every file's import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

THIRD_PARTY = {"ctranslate2", "fairseq", "fairseq_cli", "jinja2", "markupsafe", "matplotlib", "numpy"}
THIRD_PARTY |= {"omegaconf", "pandas", "pydantic", "sacrebleu", "sacremoses", "scipy", "sentencepiece", "torch", "yaml"}
THIRD_PARTY |= {"fastchrf", "lingua", "subword_nmt", "tensorboardX", "transformers", "wandb", "zstandard"}

# room -> (level, third party at the top of a file, third party inside functions too)
HOUSE: dict[str, tuple[int, set[str], set[str]]] = {
    "user_dir": (7, {"fairseq", "numpy", "omegaconf", "sacrebleu", "torch"}, set()),
    "cli": (7, set(), set()),
    "deploy": (6, {"numpy", "scipy", "torch"}, {"ctranslate2"}),
    "cost": (6, {"pandas"}, set()),
    "doctor": (6, {"torch"}, set()),
    "analysis": (6, {"numpy", "sacrebleu", "torch"}, set()),
    "report": (6, {"jinja2", "markupsafe", "matplotlib", "pandas"}, {"tensorboardX", "wandb"}),
    "experiment": (5, {"numpy", "yaml"}, set()),
    "seqkd": (4, {"numpy", "sacrebleu"}, {"ctranslate2", "fastchrf", "torch"}),
    "teacher": (3, {"numpy", "torch"}, set()),
    "evaluate": (3, {"numpy", "sacrebleu", "scipy"}, set()),
    "data": (2, {"numpy", "sacremoses", "sentencepiece", "zstandard"}, {"lingua", "subword_nmt"}),
    "fairseq_io": (2, {"numpy", "torch"}, {"fairseq", "omegaconf"}),
    "hf_io": (2, {"numpy"}, {"ctranslate2", "sentencepiece", "torch", "transformers"}),
    "losses": (1, {"torch"}, set()),
    "storage": (1, {"numpy", "pydantic", "yaml"}, set()),
    "decode_settings": (0, set(), set()),
    "sizes": (0, set(), set()),
    "progress": (0, set(), set()),
    "errors": (0, set(), set()),
}

FILES = sorted(
    {*(ROOT / "lskd_nmt").rglob("*.py"), *(ROOT / "user_dir").rglob("*.py")} - {ROOT / "lskd_nmt/__init__.py"}
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    """The folder or file directly in lskd_nmt, or the plugin; a module without a room has to be given one."""
    first, *rest = module.split(".")
    name = first if first == "user_dir" else rest[0]
    assert name in HOUSE, f"{module} has no room in the table above: put it into one, or add its room"
    return name


def imports(path: Path):
    """(imported module, whether at the top of the file) of every import statement."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "lskd_nmt" else []
            yield from ((name, id(node) in top) for name in names or [node.module])


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_downhill(path):
    home = room(module_name(path))
    level, at_top, inside = HOUSE[home]
    for name, is_top in imports(path):
        if name in ("lskd_nmt", "lskd_nmt.__version__"):
            continue
        first = name.split(".")[0]
        if first in THIRD_PARTY:
            assert first in (at_top if is_top else at_top | inside), f"{home} imports {name}"
        elif first in ("lskd_nmt", "user_dir"):
            assert first != "user_dir", f"{home} imports {name}: the plugin is loaded by fairseq only"
            other = room(name)
            downhill = HOUSE[other][0] < level or other in (home, "errors")
            assert downhill, f"{home} (level {level}) imports {name} of level {HOUSE[other][0]}"


@pytest.mark.parametrize(
    "module, blocked",
    [
        ("lskd_nmt.losses.objective", ["fairseq"]),
        ("lskd_nmt.teacher.online", ["fairseq"]),
        ("lskd_nmt.cli", ["fairseq", "torch"]),
        ("lskd_nmt.deploy.benchmark", ["fairseq", "torch", "ctranslate2"]),
        ("lskd_nmt.analysis.confidence.calibrate", ["fairseq", "torch"]),
        ("lskd_nmt.analysis.confidence.confidence", ["fairseq", "torch"]),
        ("lskd_nmt.analysis.geometry.project", ["fairseq", "torch"]),
        ("lskd_nmt.analysis.lost_translations", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.projection", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.diffusion", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.teacher_tail", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.method_ranking", ["fairseq", "torch"]),
        ("lskd_nmt.report.tables.tables", ["fairseq", "torch"]),
        ("lskd_nmt.report.tables.document", ["fairseq", "torch"]),
        ("lskd_nmt.report.tables.two_runs", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.bleu_by_temperature", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.style", ["fairseq", "torch"]),
        ("lskd_nmt.report.tables.benchmark", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.bleu_by_speed", ["fairseq", "torch"]),
        ("lskd_nmt.report.figures.run_graph", ["fairseq", "torch"]),
        ("lskd_nmt.report.page.render", ["fairseq", "torch"]),
        ("lskd_nmt.report.page.analysed", ["fairseq", "torch"]),
    ],
)
def test_module_imports_without(module, blocked):
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module}"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


SOURCES = [
    file
    for name in ("lskd_nmt", "user_dir", "benchmarks", "data-prep", "experiments")
    for file in (ROOT / name).rglob("*.py")
]


def annotations(tree: ast.AST):
    """Every annotation: of parameters, of what functions return, and of variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield from (each.annotation for each in parameters if each is not None and each.annotation)
            yield from [node.returns] if node.returns else []
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation


def test_less_than_three_in_a_hundred_annotations_are_any():
    found = [each for path in FILES for each in annotations(ast.parse(path.read_text(encoding="utf-8")))]
    vague = [
        each for each in found if any(getattr(n, "id", getattr(n, "value", None)) == "Any" for n in ast.walk(each))
    ]
    assert len(vague) < 0.03 * len(found), f"{len(vague)} of {len(found)}"


def test_the_formatter_is_obeyed_and_files_are_short():
    marks = ["# fmt: " + word for word in ("skip", "off")]
    tests = list((ROOT / "tests").rglob("*.py"))
    texts = {file: file.read_text(encoding="utf-8") for file in [*SOURCES, *tests, ROOT / "setup.py"]}
    assert not [file for file, text in texts.items() if any(mark in text for mark in marks)]
    assert not [file for file in SOURCES if len(texts[file].splitlines()) > 350]


def test_the_readme_is_one_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150 and len(text.split()) <= 1500
