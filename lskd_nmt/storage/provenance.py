"""Where a number came from: commit, versions, machine and hashes of the data."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from lskd_nmt import __version__
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.typed import Json

INSTALLED = Path(__file__).resolve().parents[2]  # the checkout, or the folder of packages: the plugin is here
SCRIPTS = INSTALLED / "lskd_nmt" / "shipped"  # where a wheel has experiments/ and data-prep/: see setup.py
ROOT = SCRIPTS if SCRIPTS.is_dir() else INSTALLED  # the folder of experiments/ and data-prep/
PACKAGES = ("fairseq-fixed", "torch", "ctranslate2", "sacrebleu", "sentencepiece", "sacremoses", "numpy", "pandas")


def commit() -> str | None:
    """The commit of this checkout, with `-dirty` where files differ from it; outside of git $LSKD_COMMIT or None."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(INSTALLED), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    if not (INSTALLED / ".git").exists():  # packages may lie in a folder of somebody else's repository
        return os.environ.get("LSKD_COMMIT") or None
    try:
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("LSKD_COMMIT") or None


def versions() -> dict[str, str]:
    """Versions of this toolkit and of what it stands on, as installed."""
    found = {"lskd_nmt": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def host() -> dict[str, Json]:
    """What the machine is, without naming it."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": len(os.sched_getaffinity(0))}


def data_hashes(data: Path) -> dict[str, str]:
    """Hashes of what a training reads: dictionaries, and the binarised pairs of train and valid."""
    patterns = ("dict.*.txt", "train*.*.bin", "valid*.*.bin")
    files = [file for pattern in patterns for file in sorted((data / "bin").glob(pattern))]
    return {file.name: sha256(file) for file in files}
