"""A world of older fairseq: Moses tokens in lower case, `@@` subwords, two dictionaries, a stock model, `args` alone.

As fairseq's `examples/translation/prepare-iwslt14.sh` made it. The text was binarised as en-de, and the model was
trained to translate the other way, from de to en, which fairseq allows.
"""

import argparse
import io
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import call

if TYPE_CHECKING:
    from torch import Tensor

WORDS = {  # German to English, tokenised and escaped as the Moses script does it
    "haus": "house",
    "häuser": "houses",
    "baum": "tree",
    "bäume": "trees",
    "hund": "dog",
    "hunde": "dogs",
    "groß": "big",
    "peters": "peter &apos;s",
}
PAIRS = {"train": 80, "valid": 12, "test": 6}
# the settings that fairseq 0.6 knew, of those that matter here
OF_SIDE = ("embed_dim", "ffn_embed_dim", "layers", "attention_heads", "normalize_before", "learned_pos", "embed_path")
OF_MODEL = ("dropout", "attention_dropout", "adaptive_input", "adaptive_softmax_cutoff", "adaptive_softmax_dropout")
OF_MODEL += ("share_all_embeddings", "share_decoder_input_output_embed", "decoder_input_dim", "decoder_output_dim")
OF_TASK = ("source_lang", "target_lang", "max_source_positions", "max_target_positions")
SETTINGS = (*(f"{side}_{name}" for side in ("encoder", "decoder") for name in OF_SIDE), *OF_MODEL, *OF_TASK)


@dataclass(frozen=True)
class OldWorld:
    """Where everything is."""

    codes: Path  # of subword-nmt
    text: Path  # SPLIT.LANG in `@@` subwords
    tokens: Path  # SPLIT.LANG in Moses tokens, before that
    data: Path  # binarised, named en-de
    forward: Path  # the same under the names of de-en
    teacher: Path  # the checkpoint, from de to en
    directory: Path


def make(folder: Path) -> OldWorld:
    """All of it."""
    world = OldWorld(
        folder / "code",
        folder / "bpe",
        folder / "tok",
        folder / "data-bin",
        folder / "forward",
        folder / "old" / "checkpoint_best.pt",
        folder,
    )
    write_text(world)
    binarise(world)
    modern = trained(world, folder / "modern")
    make_old(modern, world.teacher)
    return world


def write_text(world: OldWorld) -> None:
    """Tokens, BPE codes learned from both languages, and both sides cut by them: by subword-nmt itself."""
    from subword_nmt.apply_bpe import BPE
    from subword_nmt.learn_bpe import learn_bpe

    draw = random.Random(5)
    world.tokens.mkdir()
    world.text.mkdir()
    for split, count in PAIRS.items():
        chosen = [draw.choices(list(WORDS), k=draw.randint(2, 5)) for _ in range(count)]
        sides = {"de": [" ".join(words) for words in chosen]}
        sides["en"] = [" ".join(map(WORDS.__getitem__, words)) for words in chosen]
        for lang, lines in sides.items():
            (world.tokens / f"{split}.{lang}").write_text("".join(f"{line} .\n" for line in lines), "utf-8")
    both = io.StringIO("".join((world.tokens / f"train.{lang}").read_text("utf-8") for lang in ("de", "en")))
    with world.codes.open("w", encoding="utf-8") as out:
        learn_bpe(both, out, 24)
    with world.codes.open(encoding="utf-8") as codes:
        bpe = BPE(codes)
    for file in world.tokens.iterdir():
        (world.text / file.name).write_text(
            "".join(map(bpe.process_line, file.read_text("utf-8").splitlines(keepends=True))), "utf-8"
        )


def binarise(world: OldWorld) -> None:
    """fairseq-preprocess with two dictionaries, as en-de; and the files under the names of de-en."""
    from fairseq_cli import preprocess

    prefixes = [f"--{split}pref={world.text / split}" for split in PAIRS]
    flags = ["-s", "en", "-t", "de", *prefixes, "--destdir", world.data, "--workers", 1]
    call(preprocess.cli_main, "fairseq-preprocess", *flags)
    world.forward.mkdir()
    for file in world.data.iterdir():
        shutil.copyfile(file, world.forward / file.name.replace(".en-de.", ".de-en."))


def trained(world: OldWorld, save_dir: Path) -> Path:
    """fairseq-train of a stock `transformer_iwslt_de_en` from de to en on the folder that is named en-de."""
    from fairseq_cli import train

    sizes = [f"--{side}-{what}" for side in ("encoder", "decoder") for what in ("embed-dim", "ffn-embed-dim")]
    flags = ["-s", "de", "-t", "en", "--save-dir", save_dir, "--cpu", "--arch", "transformer_iwslt_de_en"]
    flags += [word for name in sizes for word in (name, 32)]
    flags += ["--encoder-layers", 1, "--decoder-layers", 1, "--criterion", "label_smoothed_cross_entropy"]
    flags += ["--encoder-attention-heads", 2, "--decoder-attention-heads", 2, "--share-decoder-input-output-embed"]
    flags += ["--label-smoothing", 0.1, "--optimizer", "adam", "--lr", 0.01, "--max-tokens", 300, "--max-epoch", 20]
    flags += ["--dropout", 0, "--num-workers", 0, "--seed", 7, "--log-format", "none", "--no-epoch-checkpoints"]
    call(train.cli_main, "fairseq-train", world.data, *flags)
    return save_dir / "checkpoint_last.pt"


def make_old(modern: Path, old: Path, **changed: object) -> None:
    """The checkpoint as fairseq 0.6 wrote it: a flat Namespace, a list of data folders, weights by older names."""
    import torch

    state = torch.load(modern, weights_only=False)
    cfg = state.pop("cfg")
    flat: dict[str, object] = {}
    for name in ("common", "optimization", "optimizer", "task", "model"):
        section = cfg[name]
        flat |= section if isinstance(section, dict) else vars(section)
    flat = {name: flat.get(name) for name in SETTINGS}
    flat |= {"task": "translation", "arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy"}
    flat |= {"label_smoothing": 0.1, "data": ["data-bin/iwslt14.tokenized.de-en"], "left_pad_source": "True"}
    flat |= {"left_pad_target": "False", "raw_text": False, "lazy_load": False, "relu_dropout": 0.0, **changed}
    state["args"] = argparse.Namespace(**flat)
    state["model"] = older_weights(state["model"])
    state["extra_state"] = {"train_iterator": {"epoch": 20, "iterations_in_epoch": 0}, "val_loss": 1.0, "best": 1.0}
    state.pop("task_state", None)
    old.parent.mkdir(exist_ok=True)
    torch.save(state, old)


def older_weights(model: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Query, key and value as one projection, no name for the output projection of a tied embedding, and buffers."""
    import torch

    found = dict(model)
    found.pop("decoder.output_projection.weight")
    for name in [name.removesuffix("q_proj.weight") for name in model if name.endswith("q_proj.weight")]:
        for kind in ("weight", "bias"):
            parts = [found.pop(f"{name}{part}_proj.{kind}") for part in "qkv"]
            found[f"{name}in_proj_{kind}"] = torch.cat(parts)
    for side in ("encoder", "decoder"):
        found[f"{side}.version"] = torch.tensor([2.0])
        found[f"{side}.embed_positions._float_tensor"] = torch.zeros(1)
    return found
