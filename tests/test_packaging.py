"""What `pip install .` brings: the package, the plugin beside it, and the console script."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

import lskd_nmt


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    copy = tmp_path_factory.mktemp("copy") / "lskd_nmt"  # setuptools builds inside the folder that it packs
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, copy]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_wheel_holds_package_plugin_and_console_script(wheel):
    names = set(wheel.namelist())
    ours = {str(p.relative_to(ROOT)) for folder in ("lskd_nmt", "user_dir") for p in (ROOT / folder).rglob("*.py")}
    assert ours <= names
    templates = ROOT / "lskd_nmt" / "report" / "page" / "templates"
    assert {str(file.relative_to(ROOT)) for file in templates.iterdir()} <= names
    assert {"lskd_nmt/py.typed", "lskd_nmt/data/toy/words.txt"} <= names
    assert not [name for name in names if name.startswith("tests")]
    scripts = next(name for name in names if name.endswith("entry_points.txt"))
    assert "lskd = lskd_nmt.cli:main" in wheel.read(scripts).decode()


def test_version_is_the_same_everywhere(wheel):
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    assert f"\nVersion: {lskd_nmt.__version__}\n" in metadata
    assert f"## {lskd_nmt.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_plugin_is_found_by_its_name_from_any_folder(tmp_path, wheel):
    """fairseq falls back to the folder beside its own package, where pip puts the plugin."""
    site = tmp_path / "site"
    wheel.extractall(site)
    import fairseq

    (site / "fairseq").mkdir()
    for child in Path(fairseq.__path__[0]).iterdir():
        (site / "fairseq" / child.name).symlink_to(child)
    code = (
        "from argparse import Namespace; from fairseq.utils import import_user_module;"
        "import_user_module(Namespace(user_dir='user_dir'));"
        "from fairseq.criterions import CRITERION_REGISTRY; assert 'kd_ls' in CRITERION_REGISTRY"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
