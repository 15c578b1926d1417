"""Tiny models of Hugging Face with random weights, one of each kind that teaches words, and a text for them."""

import json
import random
from pathlib import Path

LETTERS = "abcdefghijkl"


def write_text(folder: Path, langs: tuple[str, str] = ("en", "de"), sizes: tuple[int, int, int] = (40, 8, 8)) -> Path:
    """`train`, `valid` and `test` of words over a few letters, another text on each side."""
    draw = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in zip(("train", "valid", "test"), sizes, strict=True):
        for lang, letters in zip(langs, (LETTERS[:8], LETTERS[4:]), strict=True):
            lines = [
                " ".join("".join(draw.choices(letters, k=draw.randint(1, 3))) for _ in range(draw.randint(2, 6)))
                for _ in range(size)
            ]
            (folder / f"{split}.{lang}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_spm(file: Path, text: Path, size: int) -> list[str]:
    """A sentencepiece model of a text; its pieces, in order."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(file.with_suffix("")), vocab_size=size, hard_vocab_limit=False, minloglevel=2
    )
    file.with_suffix(".model").replace(file)
    file.with_suffix(".vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return [model.id_to_piece(number) for number in range(model.get_piece_size())]


def shaken(model, seed: int = 1):
    """The model with all its weights random, biases and layer norms too, which are else 0 and 1."""
    import torch

    torch.manual_seed(seed)
    for name, weight in model.named_parameters():
        if "embed_positions" not in name:
            torch.nn.init.normal_(weight, std=0.35 if weight.dim() > 1 else 0.3)
            weight.data += 1.0 if name.endswith("norm.weight") else 0.0
    return model


def marian(folder: Path, text: Path, codes: tuple[str, ...] = (), **changes):
    """A MarianMT with two sentencepiece models, a bias of the logits, and padding as its first decoder input.

    `codes` are symbols of target languages, such as `>>deu<<`.
    """
    import torch
    from transformers import MarianConfig, MarianMTModel

    folder.mkdir(parents=True)
    pieces = [
        write_spm(folder / f"{side}.spm", text / f"train.{lang}", 40)
        for side, lang in (("source", "en"), ("target", "de"))
    ]
    rest = sorted({piece for side in pieces for piece in side} - {"</s>", "<unk>", "<s>"})
    names = ["</s>", "<unk>", *codes, *rest, "<pad>"]
    pad = len(names) - 1
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    config = {"source_lang": "en", "target_lang": "de", "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    sizes = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24))
    }
    settings = {
        "vocab_size": len(names),
        "d_model": 16,
        "pad_token_id": pad,
        "decoder_start_token_id": pad,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
        "scale_embedding": True,
        "activation_function": "swish",
        "max_position_embeddings": 48,
    }
    model = shaken(MarianMTModel(MarianConfig(**sizes | settings | changes)))
    model.final_logits_bias.copy_(torch.randn(1, len(names)))
    model.save_pretrained(folder)
    return folder


def sizes(**changes) -> dict:
    """The settings of a tiny M2M100, which NLLB is, too."""
    found = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24), ("layerdrop", 0.0))
    }
    return found | {"d_model": 16, "max_position_embeddings": 48, "decoder_start_token_id": 2} | changes


def m2m100(folder: Path, text: Path):
    """An M2M100: pieces by vocab.json, then the symbols of its 100 languages, then 8 symbols without a meaning."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir(parents=True)
    pieces = write_spm(folder / "sentencepiece.bpe.model", text / "train.en", 30)
    names = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in pieces if piece not in ("<unk>", "<s>", "</s>"))]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    files = str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model")
    M2M100Tokenizer(*files).save_pretrained(folder)
    config = M2M100Config(**sizes(vocab_size=len(names) + 108))
    shaken(M2M100ForConditionalGeneration(config)).save_pretrained(folder)
    return folder


def nllb(folder: Path, text: Path):
    """An NLLB: an M2M100 with a tokeniser of its own."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder.mkdir(parents=True)
    pieces = write_spm(folder / "sentencepiece.bpe.model", text / "train.en", 30)
    names = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in pieces if piece not in ("<unk>", "<s>", "</s>"))]
    vocab = {name: number for number, name in enumerate(names)}
    tokenizer = NllbTokenizer(vocab=vocab, merges=[], extra_special_tokens=["deu_Latn", "eng_Latn", "zho_Hans"])
    tokenizer.save_pretrained(folder)
    config = M2M100Config(**sizes(vocab_size=len(tokenizer) + 2))
    shaken(M2M100ForConditionalGeneration(config)).save_pretrained(folder)
    return folder


def fsmt(folder: Path, text: Path):
    """An FSMT with a dictionary for each side, as fairseq's WMT models: letters, some merges of BPE, and `@-@`."""
    from transformers import FSMTConfig, FSMTForConditionalGeneration

    folder.mkdir(parents=True)
    merges = ["b c</w>", "e f", "ef g</w>", "a b</w>"]
    (folder / "merges.txt").write_text("".join(f"{merge} 9\n" for merge in merges))
    vocabularies = []
    for name, letters in (("src", LETTERS[:8]), ("tgt", LETTERS[4:])):
        words = {letter for line in (text / "train.en").read_text() for letter in line.strip()} | set(letters)
        ends = [f"{letter}</w>" for letter in sorted(words)] + ["bc</w>", "efg</w>", ".</w>", "&apos;s</w>"]
        names = ["<s>", "<pad>", "</s>", "<unk>", *sorted(words), "ef", *ends, "madeupword0000</w>"]
        vocabularies.append(len(names) + (name == "tgt"))  # an id that has no name
        (folder / f"vocab-{name}.json").write_text(json.dumps({word: at for at, word in enumerate(names)}))
    config = {"langs": ["en", "de"], "do_lower_case": False, "tokenizer_class": "FSMTTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    config = FSMTConfig(src_vocab_size=vocabularies[0], tgt_vocab_size=vocabularies[1], langs=["en", "de"], **sizes())
    shaken(FSMTForConditionalGeneration(config)).save_pretrained(folder)
    return folder
