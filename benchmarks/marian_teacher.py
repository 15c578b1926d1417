"""Train a small MarianMT with transformers alone, as a teacher that is not fairseq's: `benchmarks/hugging_face.sh`.

    python benchmarks/marian_teacher.py --data data/toy --updates 2500 --out marian

DATA is a folder of data-prep/prepare.sh. The model's two sentencepiece files are that of DATA; its vocabulary has the
subwords in another order than fairseq's dictionary, and its own symbols.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from common import show
from sentencepiece import SentencePieceProcessor
from torch import Tensor
from transformers import MarianConfig, MarianMTModel, MarianTokenizer
from transformers.utils import logging

Pairs = list[tuple[list[int], list[int]]]
WIDTH, LAYERS, HEADS = 128, 2, 4
NOT_COUNTED = -100  # labels that torch's cross-entropy passes over


def write_tokenizer(data: Path, out: Path, langs: tuple[str, str]) -> MarianTokenizer:
    """The tokenizer of Marian from the subwords of `data`."""
    out.mkdir(parents=True)
    pieces = SentencePieceProcessor(str(data / "spm" / "spm.model"))
    names = [pieces.id_to_piece(number) for number in range(pieces.get_piece_size())]
    names = [name for name in names if name not in ("<s>", "</s>", "<unk>", "<pad>")]
    vocabulary = {name: number for number, name in enumerate(["</s>", "<unk>", *sorted(names), "<pad>"])}
    (out / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    for side in ("source", "target"):
        shutil.copyfile(data / "spm" / "spm.model", out / f"{side}.spm")
    (out / "tokenizer_config.json").write_text(
        json.dumps({"source_lang": langs[0], "target_lang": langs[1], "tokenizer_class": "MarianTokenizer"})
    )
    return MarianTokenizer.from_pretrained(out)


def pairs_of(data: Path, tokenizer: MarianTokenizer, langs: tuple[str, str]) -> Pairs:
    """The training pairs as ids with their end symbols."""
    source, target = ((data / "clean" / f"train.{lang}").read_text(encoding="utf-8").splitlines() for lang in langs)
    sides = tokenizer(source).input_ids, tokenizer(text_target=target).input_ids
    return list(zip(*sides, strict=True))


def batches(pairs: Pairs, size: int, seed: int) -> Iterator[Pairs]:
    """Batches of similar lengths in random order, for ever."""
    draw = random.Random(seed)
    while True:
        order = sorted(pairs, key=lambda pair: (len(pair[1]), draw.random()))
        starts = list(range(0, len(order), size))
        draw.shuffle(starts)
        for start in starts:
            yield order[start : start + size]


def padded(rows: list[list[int]], value: int) -> Tensor:
    """Rows of one length.   -> (B, L)"""
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--langs", default="en,de")
    parser.add_argument("--updates", type=int, default=2500)
    parser.add_argument("--sentences", type=int, default=48, help="of a batch")
    parser.add_argument("--lr", type=float, default=2e-3)
    args = parser.parse_args()
    logging.disable_progress_bar()
    torch.manual_seed(1)
    source_lang, target_lang = args.langs.split(",")
    tokenizer = write_tokenizer(args.data, args.out, (source_lang, target_lang))
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    config = MarianConfig(
        vocab_size=len(tokenizer.get_vocab()),
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=end,
        forced_eos_token_id=end,
        decoder_start_token_id=pad,
        max_position_embeddings=256,
    )
    model = MarianMTModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98))
    warm_up = max(1, args.updates // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / warm_up, (warm_up / (n + 1)) ** 0.5)
    )
    start, total = time.monotonic(), 0.0
    for number, batch in enumerate(
        batches(pairs_of(args.data, tokenizer, (source_lang, target_lang)), args.sentences, 1)
    ):
        if number == args.updates:
            break
        source, labels = padded([pair[0] for pair in batch], pad), padded([pair[1] for pair in batch], NOT_COUNTED)
        loss = model(input_ids=source, attention_mask=source.ne(pad), labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if (number + 1) % 100 == 0:
            minutes = (time.monotonic() - start) / 60
            show(f"{number + 1:,} of {args.updates:,} updates, loss {total / 100:.3f}, {minutes:.1f} minutes")
            total = 0.0
    model.eval().save_pretrained(args.out)


if __name__ == "__main__":
    main()
