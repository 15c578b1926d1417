"""Tiny teachers of Hugging Face with random weights, one of each kind, with their tokenisers; made in milliseconds."""

import json
import shutil
from functools import cache
from pathlib import Path

import torch

WORDS = ("ab", "bcd", "cafe", "dac", "egg", "fee", "gab", "hide")
LINES = [" ".join(WORDS[(3 * n + k * (n % 3 + 1)) % len(WORDS)] for k in range(1 + n % 5)) for n in range(12)]
LETTERS = sorted({letter for word in WORDS for letter in word})


@cache
def sentencepiece_model() -> bytes:
    from lskd_nmt.data.subwords import trained

    return trained([" ".join(WORDS[n:] + WORDS[:n]) for n in range(8)] * 4, 20, "unigram")


def pieces() -> list[str]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    return [processor.id_to_piece(at) for at in range(processor.get_piece_size())]


def sizes(vocabulary: int) -> dict:
    return {
        "vocab_size": vocabulary,
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_position_embeddings": 64,
        "init_std": 0.6,
        "dropout": 0.0,
    }


def saved(model, folder: Path) -> Path:
    model.eval().save_pretrained(folder)
    return folder


def marian_of_transformers(folder: Path) -> Path:
    """One whose start symbol has an embedding, as after a training by transformers."""
    return marian(folder, start=2.0)


def marian(folder: Path, codes: tuple[str, ...] = (), start: float = 0.0) -> Path:
    import transformers

    rest = [piece for piece in pieces() if piece not in ("<s>", "</s>", "<unk>")]
    vocabulary = {symbol: at for at, symbol in enumerate(["</s>", "<unk>", *codes, *rest, "<pad>"])}
    pad = vocabulary["<pad>"]
    torch.manual_seed(3)
    config = transformers.MarianConfig(
        **sizes(len(vocabulary)),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
        scale_embedding=True,
    )
    model = transformers.MarianMTModel(config)
    with torch.no_grad():
        model.model.shared.weight[pad] = start * torch.randn(model.config.d_model)
    model.final_logits_bias[:, pad] = -100.0  # as after training: transformers forbids it without making up for it
    saved(model, folder)
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(sentencepiece_model())
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    settings = {"source_lang": "en", "target_lang": "de", "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def m2m100(folder: Path) -> Path:
    import transformers

    folder.mkdir(parents=True)
    rest = [piece for piece in pieces() if piece not in ("<s>", "</s>", "<unk>")]
    vocabulary = {symbol: at for at, symbol in enumerate(["<s>", "<pad>", "</s>", "<unk>", *rest])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    files = str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model")
    tokenizer = transformers.M2M100Tokenizer(*files, src_lang="en", tgt_lang="de")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(4)
    config = transformers.M2M100Config(**sizes(len(vocabulary) + 100 + 8), decoder_start_token_id=2)
    return saved(transformers.M2M100ForConditionalGeneration(config), folder)


def nllb(folder: Path) -> Path:
    import transformers

    symbols = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS]
    codes = ["deu_Latn", "eng_Latn", "fra_Latn", "zho_Hans"]
    tokenizer = transformers.NllbTokenizer(
        vocab={symbol: at for at, symbol in enumerate(symbols)}, merges=[], extra_special_tokens=codes
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    config = transformers.M2M100Config(**sizes(len(tokenizer)), decoder_start_token_id=2)
    return saved(transformers.M2M100ForConditionalGeneration(config), folder)


def mbart50(folder: Path) -> Path:
    import transformers

    symbols = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -1.0), *((letter, -1.0) for letter in LETTERS)]
    tokenizer = transformers.MBart50Tokenizer(vocab=symbols, bos_token="<s>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(9)
    config = transformers.MBartConfig(**sizes(len(tokenizer)), decoder_start_token_id=2, forced_eos_token_id=2)
    config.tokenizer_class, config.normalize_before, config.normalize_embedding = "MBart50Tokenizer", True, True
    return saved(transformers.MBartForConditionalGeneration(config), folder)


def mbart25(folder: Path) -> Path:
    """Whose decoder begins with the symbol of the language."""
    import transformers
    from transformers.models.mbart import tokenization_mbart

    symbols = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS, *tokenization_mbart.FAIRSEQ_LANGUAGE_CODES, "<mask>"]
    tokenizer = transformers.MBartTokenizer(vocab=[(symbol, -1.0) for symbol in symbols])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(9)
    start = tokenizer.convert_tokens_to_ids("de_DE")
    config = transformers.MBartConfig(**sizes(len(tokenizer)), decoder_start_token_id=start)
    config.normalize_before, config.normalize_embedding = True, True
    return saved(transformers.MBartForConditionalGeneration(config), folder)


def t5(folder: Path) -> Path:
    import transformers

    symbols = ["<pad>", "</s>", "<unk>", "▁", *LETTERS, *"lnorst:", *"EGm"]
    tokenizer = transformers.T5Tokenizer(vocab=[(symbol, -1.0) for symbol in symbols], extra_ids=0)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(6)
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        initializer_factor=3.0,
    )
    return saved(transformers.T5ForConditionalGeneration(config), folder)


def language_model_tokenizer(folder: Path, template: bool):
    import tokenizers
    import transformers

    symbols = ["<unk>", "<s>", "</s>", "<user>", "<answer>", "▁", *LETTERS, *"lnorst:", *"EGmk"]
    raw = tokenizers.Tokenizer(
        tokenizers.models.BPE({symbol: at for at, symbol in enumerate(symbols)}, [], unk_token="<unk>")
    )
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    raw.decoder = tokenizers.decoders.Metaspace()
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, **names, extra_special_tokens=["<user>", "<answer>"]
    )
    if template:
        tokenizer.chat_template = "<s>{% for m in messages %}<user>{{ m['content'] }}{% endfor %}<answer>"
    tokenizer.save_pretrained(folder)
    return tokenizer


def gpt2(folder: Path) -> Path:
    import transformers

    tokenizer = language_model_tokenizer(folder, template=False)
    torch.manual_seed(7)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=96, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5, **ends
    )
    return saved(transformers.GPT2LMHeadModel(config), folder)


def llama(folder: Path) -> Path:
    import transformers

    tokenizer = language_model_tokenizer(folder, template=True)
    torch.manual_seed(8)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=96,
        initializer_range=0.5,
        tie_word_embeddings=False,
        **ends,
    )
    return saved(transformers.LlamaForCausalLM(config), folder)


def without(folder: Path, *names: str) -> Path:
    """The folder without some of its files, as a copy beside it."""
    copy = folder.with_name(folder.name + "-without")
    shutil.copytree(folder, copy)
    for name in names:
        (copy / name).unlink()
    return copy
