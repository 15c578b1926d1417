"""What `pip install .` brings: the package, the plugin beside it, and the console script."""

import os
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
    pipeline = [
        file for folder in ("experiments", "data-prep") for file in (ROOT / folder).rglob("*") if file.is_file()
    ]
    shipped = {f"lskd_nmt/shipped/{file.relative_to(ROOT)}" for file in pipeline if "__pycache__" not in file.parts}
    assert shipped == {name for name in names if name.startswith("lskd_nmt/shipped/")} and len(shipped) > 30
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


@pytest.fixture
def installed(tmp_path, wheel):
    """Calls `lskd` as the wheel alone has it, in an empty folder; what it wrote on stderr, and the folder."""
    site, folder = tmp_path / "site", tmp_path / "anywhere"
    wheel.extractall(site)
    folder.mkdir()

    def call(*words: str) -> tuple[int, str]:
        environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
        environment.pop("LSKD_PYTHON", None)
        command = [sys.executable, "-m", "lskd_nmt.cli", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return call, folder


def test_a_wheel_alone_plans_a_run_with_its_own_scripts_and_plugin(installed):
    call, folder = installed
    code, text = call("plan", str(folder.parent / "site/lskd_nmt/shipped/experiments/configs/quickstart.yaml"))
    assert code == 0, text
    prepare = (folder / "runs/quickstart/prepare.sh").read_text(encoding="utf-8")
    train = (folder / "runs/quickstart/models/teacher-ls0-s1/command.sh").read_text(encoding="utf-8")
    site = folder.parent / "site"
    assert f"{site}/lskd_nmt/shipped/data-prep/prepare.sh" in prepare and f"--user-dir {site}/user_dir" in train


def test_the_scripts_are_verbs(installed):
    call, folder = installed
    code, text = call("run", "--config", "quickstart", "--out", "made", "--dry-run", "yes", "--device", "cpu")
    assert code == 0 and "models/teacher-ls0-s1/model.pt" in text and not [*folder.iterdir()], text
    assert call("run", "--config", "quick")[0] == 2 and "unknown option" in call("quickstart", "--x", "1")[1]
    assert call("prepare", "--help")[0] == 0 and "--corpus NAME" in call("prepare", "--help")[1]
    assert call("configs", "--copy", "mine")[0] == 0 and (folder / "mine/methods").is_dir()
    assert "--copy mine is there already" in call("configs", "--copy", "mine")[1]
