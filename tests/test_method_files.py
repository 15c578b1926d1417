"""What experiments/configs/methods/*.yaml say of the methods: flags that kd_ls has and takes together."""

import pytest
import yaml
from conftest import ROOT

FILES = sorted((ROOT / "experiments" / "configs" / "methods").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_methods_flags_are_taken_and_ask_for_a_teacher_only_where_it_has_one(plugin, file):
    from user_dir.criterions.compatible import check_flags
    from user_dir.criterions.flags import KdLsConfig, options_of, reads_teacher

    method = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(method) <= {"about", "teacher", "live", "flags"} and "\n" not in method["about"]
    cfg = KdLsConfig(**{name.replace("-", "_"): value for name, value in method["flags"].items()})
    options_of(cfg)
    cfg.teacher_path = "t.pt" if method.get("live") else None
    cfg.max_update = 100
    check_flags(cfg, measures_bleu=True, best_checkpoint_metric="bleu")
    assert reads_teacher(cfg) == method.get("teacher", True)


def test_a_method_may_set_all_flags_of_the_criterion_but_the_pipelines(plugin):
    from lskd_nmt.experiment.method_files import FLAGS
    from user_dir.criterions.flags import KdLsConfig

    pipelines = {
        "teacher-path",
        "teacher-data",
        "teacher-store",
        "kd-level",
        "hypotheses",
        "hypotheses-drawn",
        "report-accuracy",
        "cpu-products",  # no method, but how it is computed: it stands under train
        "_name",
        "seed",
        "bf16",
        "max-update",
        "ddp-backend",
        "find-unused-parameters",
    }
    assert (
        set(FLAGS)
        == {name.replace("_", "-") if name != "_name" else name for name in KdLsConfig.__dataclass_fields__} - pipelines
    )
