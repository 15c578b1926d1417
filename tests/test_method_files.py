"""What experiments/configs/methods/*.yaml say of the methods: flags that kd_ls has and takes together."""

import pytest
import yaml
from conftest import ROOT

FILES = sorted((ROOT / "experiments" / "configs" / "methods").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_methods_flags_are_taken_and_ask_for_a_teacher_only_where_it_has_one(plugin, file):
    from user_dir.criterions.flags import KdLsConfig, options_of, reads_teacher

    method = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(method) <= {"about", "teacher", "live", "flags"} and "\n" not in method["about"]
    cfg = KdLsConfig(**{name.replace("-", "_"): value for name, value in method["flags"].items()})
    options_of(cfg)
    assert reads_teacher(cfg) == method.get("teacher", True)
