"""A trained student as a model that stands alone: a stock fairseq checkpoint, or a CTranslate2 folder.

Neither needs the plugin, the teacher or the training's state. Each is proved on the validation set before it is
published: the stock checkpoint by identical translations, the CTranslate2 model by its BLEU.
"""

import os
import shutil
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.data import given
from lskd_nmt.data.subwords import joined
from lskd_nmt.data.text_form import Stated, advise, require_cut_alike, text_form
from lskd_nmt.decode_settings import QUANTIZATIONS, DecodeSettings
from lskd_nmt.deploy import vocabulary_map
from lskd_nmt.deploy.map_cost import with_map
from lskd_nmt.deploy.sealed import MAP, PROOF, SUBWORDS, Export, export_json, seal
from lskd_nmt.deploy.vocabulary_map import MapSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.references import references
from lskd_nmt.evaluate.scoring import available_tokenizer, corpus_bleu, hypotheses
from lskd_nmt.fairseq_io.types import CheckpointState
from lskd_nmt.seqkd.engines import CTranslate2Engine, best, convert, translate_all
from lskd_nmt.storage import folders
from lskd_nmt.storage.files import read_json, sha256, write_json, write_text
from lskd_nmt.storage.typed import record

WHAT = "lskd export"
NOTHING_STATED = Stated()
SAME_SUBWORDS = 0.5  # of the lines of a split, at least, that spm.model cuts as they are
BLEU_APART = 0.5  # between fairseq and CTranslate2, at most

# standard input is at its end when the caller is, however it ended: nobody waits for these translations then
WITH_CALLER = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
from fairseq_cli.generate import cli_main
cli_main()
"""
WITHOUT_PLUGIN = """
assert not any(name.startswith(("lskd_nmt", "user_dir")) for name in sys.modules), "the plugin was imported"
"""


@record
class StockExport:
    """What was proved of a stock fairseq checkpoint."""

    to: str
    parameters: int
    sentences: int
    identical: int  # translations that are those of the checkpoint with the plugin: all
    bytes: int
    sha256: str


def with_attributes(values: Mapping[str, object]) -> "OrderedDict[str, object]":
    """A dictionary whose items are attributes, too: what fairseq takes for settings, and safe to unpickle."""
    result = OrderedDict(values)
    result.__dict__.update(values)
    return result


def stock_state(state: CheckpointState, langs: tuple[str, str] | None = None) -> dict[str, object]:
    """A checkpoint's contents without plugin, teacher and training: a plain `transformer`, weights as they are.

    The model's settings name the task and the languages, too, as fairseq's own do: CTranslate2's converter reads
    nothing else. Without `langs` they are those that the checkpoint names.
    """
    settings = fairseq_io.section(state, "model")
    known = fairseq_io.transformer_settings()
    model = {name: settings[name] for name in known if name in settings}
    require("encoder_layers" in model, "the checkpoint holds no transformer: give one of an ls_transformer_* arch")
    task = {**fairseq_io.section(state, "task"), "_name": "translation", "data": "", "eval_bleu": False}
    if langs is not None:
        task |= {"source_lang": langs[0], "target_lang": langs[1]}
    names = {name: task.get(name) for name in ("source_lang", "target_lang")}
    model.update(_name="transformer", arch="transformer", task="translation", **names)
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
    program = [sys.executable, "-c", WITH_CALLER + ("" if plugin else WITHOUT_PLUGIN)]
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
    with lifeline() as stdin:
        result = subprocess.run([*program, *flags], stdin=stdin, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr.strip() or "no message").splitlines()[-1]
        raise LskdError(f"{checkpoint} could not be decoded by fairseq ({reason})")
    return hypotheses(result.stdout.splitlines(), sentences)


@contextmanager
def lifeline() -> Iterator[int]:
    """A standard input for a child: nothing is ever written to it, and it ends with this process."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def export_fairseq(
    checkpoint: Path, data: Path, langs: tuple[str, str], out: Path, show: Callable[[str], None], split: str = "valid"
) -> StockExport:
    """Write a stock checkpoint to `out`, once it has translated the split into the same tokens; what was proved."""
    import torch

    state = fairseq_io.read_checkpoint(str(checkpoint), "student")
    fairseq_io.require_finite(state, str(checkpoint), "student")
    require(not out.is_dir(), f"--out {out} is a folder: give a file, such as stock.pt")
    with folders.hold(out, WHAT) as held, folders.part_of(out, WHAT, held) as folder:
        part = folder / "model.pt"
        try:
            torch.save(stock_state(state, langs), part)
        except RuntimeError as error:  # torch's word for a full disk
            reason = str(error).strip().split("\n")[0]
            raise LskdError(f"{out} cannot be written ({reason}): is the disk full?") from error
        show("translating with both checkpoints")
        count = len(fairseq_io.piece_lines(str(data), langs, split)[0])
        before, after = (
            translate_with_fairseq(path, data, langs, split, count, plugin)
            for path, plugin in ((checkpoint, True), (part, False))
        )
        different = sum(a != b for a, b in zip(before, after, strict=True))
        require(different == 0, f"{different} of {len(before)} translations of {split} differ: not exported")
        parameters, size = fairseq_io.parameter_count(state), part.stat().st_size
        proved = StockExport("fairseq", parameters, len(before), len(before), size, sha256(part))
        part.replace(out)
    return proved


def export_ctranslate2(
    checkpoint: Path,
    data: Path,
    langs: tuple[str, str],
    out: Path,
    show: Callable[[str], None],
    quantization: str = "float32",
    split: str = "valid",
    stated: Stated = NOTHING_STATED,
    map_settings: MapSettings | None = None,
) -> Export:
    """Make a CTranslate2 folder with what cuts words beside it, proved by BLEU on the split, and seal it.

    BLEU is that of the pieces' words against the binarised reference, at most half a point from fairseq's. Of data that
    others prepared, `stated` says what cuts words; how text becomes words is found out, proved on the split, and said.
    With `map_settings` a vocabulary map is learned. It has no part in that proof; what it costs is measured and said.
    """
    require(quantization in QUANTIZATIONS, f"--quantization is {quantization}: one of {', '.join(QUANTIZATIONS)}")
    state = fairseq_io.read_checkpoint(str(checkpoint), "student")  # refuses what is none
    fairseq_io.require_finite(state, str(checkpoint), "student")
    moses = f"--data {data} is cut by BPE over Moses' tokens, which lskd translate does not do: use --to fairseq"
    require(not (stated.is_empty and given.has_merges(data)), moses)
    cut = stated.subwords(data)
    is_ours = (data.resolve().parent / "prep.json").is_file()
    is_learned = stated.is_empty and not cut.is_bpe
    with folders.hold(out, WHAT) as held:
        require(not out.exists(), f"--out {out} is there already: give a new folder")
        source, target = fairseq_io.piece_lines(str(data), langs, split)
        text, files = None, {cut.name: cut.file}
        if is_learned:
            require_own_subwords(data, (source, target), split)
            files = {file.name: file for file in given.present(data, langs)}
            if not is_ours:
                advise(source, show)
        else:
            symbols = fairseq_io.read_symbols(str(data), langs)
            vocabulary = [] if symbols is None else symbols.source
            same = require_cut_alike(cut, cut.own_lines(source, target), vocabulary, split)
            if cut.is_bpe or not is_ours:
                text = text_form(cut, (source, target), langs, stated, same)
                show(str(text))
        learned = map_settings and vocabulary_map.learn(map_settings, data, langs, show)
        with folders.part_of(out, WHAT, held) as folder:
            new = folder / "model"
            convert(new, str(checkpoint), str(data), langs, quantization)
            for name, file in files.items():
                shutil.copyfile(file, new / name)
            show("translating with both models")
            proved = replace(proof(checkpoint, new, data, langs, split, source), quantization=quantization, text=text)
            if learned and map_settings:
                write_text(new / MAP, learned.text())
                proved = with_map(proved, new, learned, map_settings, (data, langs, split))
                show(str(proved.vocabulary_map))
            sealed = seal(new, described(proved, state, data, langs))
            write_json(new / PROOF, export_json(sealed))
            new.replace(out)
    return sealed


def proof(
    checkpoint: Path, model: Path, data: Path, langs: tuple[str, str], split: str, source: Sequence[str]
) -> Export:
    """Translations of a split by the checkpoint and by its CTranslate2 folder, held against each other."""
    theirs = translate_with_fairseq(checkpoint, data, langs, split, len(source), plugin=True)
    ours = translate_pieces(model, [line.split() for line in source])
    reference = references(data, langs, split).lines
    tokenizer = available_tokenizer(langs[1])
    of_fairseq, of_ctranslate2 = (
        corpus_bleu([joined(line) for line in lines], reference, langs[1], tokenizer) for lines in (theirs, ours)
    )
    found = f"fairseq scores {of_fairseq:.2f} BLEU on {split} and CTranslate2 {of_ctranslate2:.2f}"
    require(abs(of_fairseq - of_ctranslate2) <= BLEU_APART, f"{found}: not exported")
    return Export(
        sentences=len(ours),
        identical=sum(a == b for a, b in zip(theirs, ours, strict=True)),
        bleu_fairseq=of_fairseq,
        bleu_ctranslate2=of_ctranslate2,
        tokenizer=tokenizer,
        bytes=(model / "model.bin").stat().st_size,
    )


def described(export: Export, state: CheckpointState, data: Path, langs: tuple[str, str]) -> Export:
    """The export with the model's size and what `lskd translate` has to know: languages, form, longest sentences.

    The form is that of the `prep.json` beside the data folder; None where the data were prepared by others.
    """
    prep = data.resolve().parent / "prep.json"
    model, task = fairseq_io.section(state, "model"), fairseq_io.section(state, "task")
    limits = (model.get(name) or task.get(name) for name in ("max_source_positions", "max_target_positions"))
    source, target = (int(limit) if limit else None for limit in limits)
    return replace(
        export,
        parameters=fairseq_io.parameter_count(state),
        source_lang=langs[0],
        target_lang=langs[1],
        form=read_json(prep).get("form", "raw") if prep.is_file() else None,
        max_source_positions=source,
        max_target_positions=target,
    )


def require_own_subwords(data: Path, sides: Sequence[Sequence[str]], split: str) -> None:
    """Refuse sentencepiece models that do not cut text as the data's source and target are cut: another model's."""
    spm = data / SUBWORDS
    try:
        again = [own.encode(map(joined, lines)) for own, lines in zip(given.of_folder(data), sides, strict=True)]
    except Exception as error:  # sentencepiece has no error of its own
        reason = " ".join(str(error).split())[:200]
        raise LskdError(f"{spm} is no sentencepiece model ({reason}): copy it from the data's spm folder") from None
    same = sum(sum(map(str.__eq__, lines, cut)) for lines, cut in zip(sides, again, strict=True))
    count = sum(map(len, sides))
    found = f"{spm} cuts {same} of the {count} lines of {split} as they are in the data"
    require(same >= SAME_SUBWORDS * count, f"{found}: it is of other data; copy that of these")


def translate_pieces(model: Path, source: Sequence[Sequence[str]]) -> list[str]:
    """CTranslate2's best hypotheses, as lines of pieces."""
    return best(translate_all(CTranslate2Engine(model, threads=0), source, DecodeSettings()))
