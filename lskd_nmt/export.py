"""A trained student as a model that stands alone: a stock fairseq checkpoint, or a CTranslate2 folder.

Neither needs the plugin, the teacher or the training's state. Each is proved on the validation set before it is
published: the stock checkpoint by identical translations, the CTranslate2 model by its BLEU.
"""

import shutil
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.runs import write_json
from lskd_nmt.scoring import corpus_bleu, hypotheses
from lskd_nmt.seqkd.engines import QUANTIZATIONS, CTranslate2Engine, DecodeSettings, best, convert, translate_all
from lskd_nmt.subwords import joined

BLEU_APART = 0.5  # between fairseq and CTranslate2, at most
PROOF = "export.json"

STOCK = """
import sys
from fairseq_cli.generate import cli_main
cli_main()
assert not any(name.startswith(("lskd_nmt", "user_dir")) for name in sys.modules), "the plugin was imported"
"""


def with_attributes(values: Mapping[str, Any]) -> "OrderedDict[str, Any]":
    """A dictionary whose items are attributes, too: what fairseq takes for settings, and safe to unpickle."""
    result = OrderedDict(values)
    result.__dict__.update(values)
    return result


def stock_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's contents without plugin, teacher and training: a plain `transformer`, weights as they are."""
    settings = fairseq_io.section(state, "model")
    known = fairseq_io.transformer_settings()
    model = {name: settings[name] for name in known if name in settings}
    require("encoder_layers" in model, "the checkpoint holds no transformer: give one of an ls_transformer_* arch")
    model.update(_name="transformer", arch="transformer")
    task = {**fairseq_io.section(state, "task"), "_name": "translation", "data": "", "eval_bleu": False}
    epoch = state["extra_state"]["train_iterator"]["epoch"]
    history = {"criterion_name": "none", "optimizer_name": "none", "lr_scheduler_state": {}, "num_updates": 0}
    return {
        "args": None,
        "cfg": {"model": with_attributes(model), "task": task},
        "model": dict(state["model"]),
        "optimizer_history": [history],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": epoch}},
        "last_optimizer_state": None,
    }


def translate_with_fairseq(
    checkpoint: Path, data: Path, langs: tuple[str, str], split: str, sentences: int, plugin: bool
) -> list[str]:
    """The pieces that fairseq-generate translates a split into, in order, with or without the plugin in the process."""
    program = [sys.executable, "-c", STOCK if not plugin else "from fairseq_cli.generate import cli_main; cli_main()"]
    flags = [str(data), "--path", str(checkpoint), "--gen-subset", split, "--beam", "5", "--max-len-a", "1.5"]
    flags += [
        "--source-lang",
        langs[0],
        "--target-lang",
        langs[1],
        "--max-len-b",
        "20",
        "--log-format",
        "none",
        "--cpu",
    ]
    flags += ["--required-batch-size-multiple", "1"]
    if plugin:
        flags += ["--user-dir", str(fairseq_io.plugin_folder())]
    result = subprocess.run([*program, *flags], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip() or "no message").splitlines()[-1]
        raise LskdError(f"{checkpoint} could not be decoded by fairseq ({reason})")
    return hypotheses(result.stdout.splitlines(), sentences)


def export_fairseq(
    checkpoint: Path, data: Path, langs: tuple[str, str], out: Path, show: Callable[[str], None], split: str = "valid"
) -> dict[str, Any]:
    """Write a stock checkpoint to `out`, once it has translated the split into the same tokens; what was proved."""
    import torch

    state = fairseq_io.read_checkpoint(str(checkpoint), "student")
    fairseq_io.require_finite(state, str(checkpoint), "student")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        torch.save(stock_state(state), part)
        show("translating with both checkpoints")
        count = len(fairseq_io.piece_lines(str(data), langs, split)[0])
        before, after = (translate_with_fairseq(path, data, langs, split, count, plugin)
                         for path, plugin in ((checkpoint, True), (part, False)))  # fmt: skip
        different = sum(a != b for a, b in zip(before, after, strict=True))
        require(different == 0, f"{different} of {len(before)} translations of {split} differ: not exported")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return {"to": "fairseq", "parameters": fairseq_io.parameter_count(state), "sentences": len(before),
            "identical": len(before), "bytes": out.stat().st_size}  # fmt: skip


def export_ctranslate2(
    checkpoint: Path,
    data: Path,
    langs: tuple[str, str],
    out: Path,
    show: Callable[[str], None],
    quantization: str = "float32",
    split: str = "valid",
) -> dict[str, Any]:
    """Make a CTranslate2 folder with the sentencepiece model beside it, proved by BLEU on the split.

    BLEU is that of the pieces' words against the binarised reference, at most half a point from fairseq's.
    """
    require(quantization in QUANTIZATIONS, f"--quantization is {quantization}: one of {', '.join(QUANTIZATIONS)}")
    require(not out.exists(), f"--out {out} is there already: give a new folder")
    state = fairseq_io.read_checkpoint(str(checkpoint), "student")  # refuses what is none
    fairseq_io.require_finite(state, str(checkpoint), "student")
    spm = data / "spm.model"
    require(spm.is_file(), f"--data {data} has no spm.model: give the bin folder that data-prep/prepare.sh made")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=out.name + ".part.") as folder:
        new = Path(folder) / "model"
        convert(new, str(checkpoint), str(data), langs, quantization)
        shutil.copyfile(spm, new / "spm.model")
        show("translating with both models")
        source, target = fairseq_io.piece_lines(str(data), langs, split)
        theirs = translate_with_fairseq(checkpoint, data, langs, split, len(source), plugin=True)
        ours = translate_pieces(new, [line.split() for line in source])
        same = sum(a == b for a, b in zip(theirs, ours, strict=True))
        reference = [joined(line) for line in target]
        scores = [corpus_bleu([joined(line) for line in lines], reference) for lines in (theirs, ours)]
        facts = {"to": "ctranslate2", "quantization": quantization, "parameters": fairseq_io.parameter_count(state),
                 "sentences": len(ours), "identical": same,
                 "bleu_fairseq": scores[0], "bleu_ctranslate2": scores[1],
                 "bytes": (new / "model.bin").stat().st_size}  # fmt: skip
        apart = abs(scores[0] - scores[1])
        require(apart <= BLEU_APART, f"fairseq scores {scores[0]:.2f} BLEU on {split} and CTranslate2 {scores[1]:.2f}: "
                                     "not exported")  # fmt: skip
        write_json(new / PROOF, facts)
        new.replace(out)
    return facts


def translate_pieces(model: Path, source: Sequence[Sequence[str]]) -> list[str]:
    """CTranslate2's best hypotheses, as lines of pieces."""
    return best(translate_all(CTranslate2Engine(model, threads=0), source, DecodeSettings()))
