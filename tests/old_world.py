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

from conftest import call

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
# settings that came later than the checkpoints that this world stands for
LATER = ("checkpoint_activations", "offload_activations", "quant_noise_pq", "base_layers", "no_decoder_final_norm")


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
    """The checkpoint as an older fairseq wrote it: no cfg, but a flat Namespace with its data as a list of paths."""
    import torch

    state = torch.load(modern, weights_only=False)
    cfg = state.pop("cfg")
    flat: dict[str, object] = {}
    for name in ("common", "dataset", "optimization", "checkpoint", "optimizer", "lr_scheduler", "task", "model"):
        section = cfg[name]
        flat |= section if isinstance(section, dict) else vars(section)
    flat |= {"task": "translation", "arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy"}
    flat |= {"label_smoothing": 0.1, "data": ["data-bin/iwslt14.tokenized.de-en"], "left_pad_source": "True"}
    flat |= {"left_pad_target": "False", "raw_text": False, "lazy_load": False, **changed}
    for name in (*LATER, "_name"):
        flat.pop(name, None)
    state["args"] = argparse.Namespace(**flat)
    state.pop("task_state", None)
    old.parent.mkdir(exist_ok=True)
    torch.save(state, old)
