"""The recipes of docs/methods.md, `Add your own`, followed exactly in a copy: what they add passes the tests of all."""

import os
import re
import shutil
import subprocess
import sys

from conftest import ROOT


def test_added_methods_pass_the_tests_of_all(tmp_path):
    """Each block goes to the end of the file that the recipe names last before it, and the form to FORMS by hand."""
    for folder in ("lskd_nmt", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("docs", "user_dir", "experiments", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipes = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").split("## Add your own\n")[1]
    file = ""
    for path, block in re.findall(r"`((?:lskd_nmt|tests)/[a-z_/]+\.py)`|```python\n(.*?)```", recipes, re.DOTALL):
        file = path or file
        if block:
            target = tmp_path / file
            target.write_text(f"{target.read_text(encoding='utf-8')}\n\n{block}", encoding="utf-8")
    forms = tmp_path / "tests" / "test_selection.py"
    forms.write_text(forms.read_text(encoding="utf-8").replace('"gap:0.8"]', '"gap:0.8", "trusted:4.5"]'))
    files = [f"tests/test_{name}.py" for name in ("divergences", "methods", "selection")]
    asked = "hellinger or trusted or has_a_twin or of_thousands"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", asked],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 15, done.stdout
