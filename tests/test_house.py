"""Who may import whom: the table of the README's map, read off every file's import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

THIRD_PARTY = {
    "ctranslate2",
    "fairseq",
    "fairseq_cli",
    "jinja2",
    "markupsafe",
    "matplotlib",
    "numpy",
    "omegaconf",
    "pandas",
    "sacrebleu",
    "sacremoses",
    "scipy",
    "sentencepiece",
    "torch",
    "yaml",
}

# prefix of a module -> (level, third party at the top of the file, third party also inside functions)
HOUSE: dict[str, tuple[int, set[str], set[str]]] = {
    "user_dir": (4, {"fairseq", "numpy", "torch", "omegaconf"}, set()),
    "user_dir.validation": (4, {"fairseq", "sacrebleu"}, set()),
    "lskd_nmt.cli": (3, set(), set()),
    "lskd_nmt.doctor": (3, {"torch"}, set()),
    "lskd_nmt.teacher": (2, {"torch", "numpy"}, set()),
    "lskd_nmt.seqkd": (2, {"numpy"}, {"torch", "ctranslate2"}),
    "lskd_nmt.seqkd.select": (2, {"numpy", "sacrebleu"}, set()),
    "lskd_nmt.probe": (2, set(), set()),
    "lskd_nmt.probe.table": (2, {"pandas"}, set()),
    "lskd_nmt.analysis": (2, {"numpy"}, set()),
    "lskd_nmt.analysis.every": (2, set(), set()),
    "lskd_nmt.analysis.features": (2, {"torch", "numpy"}, set()),
    "lskd_nmt.analysis.outputs": (2, {"torch", "numpy"}, set()),
    "lskd_nmt.analysis.alignment": (0, {"sacrebleu"}, set()),
    "lskd_nmt.analysis.bootstrap": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.calibration": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.distribution": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.groups": (0, set(), set()),
    "lskd_nmt.analysis.buckets": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.sentences": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.temperature": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.words": (0, {"numpy"}, set()),
    "lskd_nmt.averaging": (2, {"torch"}, set()),
    "lskd_nmt.compare": (2, set(), {"torch"}),
    "lskd_nmt.export": (2, set(), {"torch", "ctranslate2"}),
    "lskd_nmt.sealed": (2, set(), set()),
    "lskd_nmt.translate": (2, set(), {"ctranslate2"}),
    "lskd_nmt.report": (2, {"pandas"}, set()),
    "lskd_nmt.report.temperature": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.plots": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.graph": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.scatter": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.planes": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.diffusion": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.tail": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.ranking": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.tradeoff": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.reliability": (2, {"matplotlib"}, set()),
    "lskd_nmt.report.page": (2, {"pandas", "matplotlib"}, set()),
    "lskd_nmt.report.page.render": (2, {"jinja2", "markupsafe"}, set()),
    "lskd_nmt.inputs": (2, set(), set()),
    "lskd_nmt.plan": (2, set(), set()),
    "lskd_nmt.same_data": (2, set(), set()),
    "lskd_nmt.accepted": (2, set(), set()),
    "lskd_nmt.lengths": (2, {"numpy"}, set()),
    "lskd_nmt.grid": (2, set(), set()),
    "lskd_nmt.lessons": (2, set(), set()),
    "lskd_nmt.recipe": (2, set(), set()),
    "lskd_nmt.commands": (2, set(), set()),
    "lskd_nmt.watch": (2, set(), set()),
    "lskd_nmt.prep": (2, set(), set()),
    "lskd_nmt.config": (1, set(), set()),
    "lskd_nmt.methods": (1, {"yaml"}, set()),
    "lskd_nmt.fairseq_io": (1, set(), {"fairseq", "omegaconf", "torch", "numpy"}),
    "lskd_nmt.fairseq_io.unpickling": (1, {"numpy", "torch"}, set()),
    "lskd_nmt.runs": (1, set(), {"torch"}),
    "lskd_nmt.references": (1, set(), set()),
    "lskd_nmt.differences": (1, {"numpy", "sacrebleu"}, set()),
    "lskd_nmt.forecast": (1, set(), set()),
    "lskd_nmt.config_values": (0, set(), set()),
    "lskd_nmt.flag_values": (0, set(), set()),
    "lskd_nmt.known_flags": (0, set(), set()),
    "lskd_nmt.config_keys": (0, set(), set()),
    "lskd_nmt.yaml_file": (0, {"yaml"}, set()),
    "lskd_nmt.training_costs": (0, set(), set()),
    "lskd_nmt.training_log": (0, set(), set()),
    "lskd_nmt.analysis.classes": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.confusions": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.projection": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.diffusion": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.diagnosis": (0, {"numpy"}, set()),
    "lskd_nmt.analysis.translations": (0, {"numpy", "sacrebleu"}, set()),
    "lskd_nmt.losses": (0, {"torch"}, set()),
    "lskd_nmt.toy": (0, set(), set()),
    "lskd_nmt.folders": (0, set(), set()),
    "lskd_nmt.languages": (0, set(), set()),
    "lskd_nmt.progress": (0, set(), set()),
    "lskd_nmt.text": (0, set(), set()),
    "lskd_nmt.cleaning": (0, {"numpy"}, set()),
    "lskd_nmt.subwords": (0, {"sentencepiece"}, set()),
    "lskd_nmt.sentences": (0, set(), set()),
    "lskd_nmt.moses": (0, {"sacremoses"}, set()),
    "lskd_nmt.iwslt": (0, set(), set()),
    "lskd_nmt.archive": (0, set(), set()),
    "lskd_nmt.significance": (0, {"numpy", "sacrebleu", "scipy"}, set()),
    "lskd_nmt.scoring": (0, {"sacrebleu"}, set()),
    "lskd_nmt.records": (0, set(), set()),
    "lskd_nmt.errors": (0, set(), set()),
}

FILES = sorted(
    {*(ROOT / "lskd_nmt").rglob("*.py"), *(ROOT / "user_dir").rglob("*.py")} - {ROOT / "lskd_nmt/__init__.py"}
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    """The longest prefix of the module that the house knows; a module without a room has to be given one."""
    parts = module.split(".")
    rooms = [name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in HOUSE]
    assert rooms, f"{module} has no room in the table above: add it with its level"
    return rooms[0]


def imports(path: Path):
    """(imported module, whether at the top of the file) of every import statement."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            ours = [
                n
                for n in names
                if (ROOT / n.replace(".", "/")).is_dir() or (ROOT / (n.replace(".", "/") + ".py")).is_file()
            ]
            yield from ((name, id(node) in top) for name in ours or [node.module])


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
            other = room(name)
            assert first != "user_dir", f"{home} imports {name}: the plugin is loaded by fairseq only"
            assert other == home or HOUSE[other][0] <= level, f"{home} (level {level}) imports {name} uphill"


@pytest.mark.parametrize(
    "module, blocked",
    [
        ("lskd_nmt.losses.objective", ["fairseq"]),
        ("lskd_nmt.teacher.live", ["fairseq"]),
        ("lskd_nmt.cli", ["fairseq", "torch"]),
        ("lskd_nmt.compare", ["fairseq", "torch", "ctranslate2"]),
        ("lskd_nmt.analysis.calibrate", ["fairseq", "torch"]),
        ("lskd_nmt.analysis.confidence", ["fairseq", "torch"]),
        ("lskd_nmt.analysis.contents", ["fairseq", "torch"]),
        ("lskd_nmt.analysis.translations", ["fairseq", "torch"]),
        ("lskd_nmt.report.planes", ["fairseq", "torch"]),
        ("lskd_nmt.report.diffusion", ["fairseq", "torch"]),
        ("lskd_nmt.report.tail", ["fairseq", "torch"]),
        ("lskd_nmt.report.ranking", ["fairseq", "torch"]),
        ("lskd_nmt.report.tables", ["fairseq", "torch"]),
        ("lskd_nmt.report.document", ["fairseq", "torch"]),
        ("lskd_nmt.report.sweeps", ["fairseq", "torch"]),
        ("lskd_nmt.report.temperature", ["fairseq", "torch"]),
        ("lskd_nmt.report.plots", ["fairseq", "torch"]),
        ("lskd_nmt.report.comparison", ["fairseq", "torch"]),
        ("lskd_nmt.report.scatter", ["fairseq", "torch"]),
        ("lskd_nmt.report.graph", ["fairseq", "torch"]),
        ("lskd_nmt.report.page.render", ["fairseq", "torch"]),
        ("lskd_nmt.report.page.analysed", ["fairseq", "torch"]),
    ],
)
def test_module_imports_without(module, blocked):
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module}"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
