"""A model's folder: found on disk or fetched, described by its configuration, hashed; nothing is loaded yet."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.storage.files import read_json, sha256

CONFIG = "config.json"
WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.index.json")
TOKENIZER = ["tokenizer*", "special_tokens_map.json", "added_tokens.json", "*vocab*", "merges.txt", "*.spm", "*.model"]
TOKENIZER += ["chat_template*"]
OTHERS = ("*.h5", "*.ot", "*.msgpack", "*.onnx", "*.gguf", "*.tflite", "onnx/*", "openvino/*", "coreml/*", "original/*")


@dataclass(frozen=True)
class Described:
    """What a model's config.json says."""

    model_type: str
    is_language_model: bool  # a decoder alone: it needs a prompt
    positions: int | None  # symbols of a sentence, at most; None where they are relative
    separate_vocabularies: bool  # those of source and target


def library(why: str) -> Any:
    """transformers, without its remarks; `LskdError` if it is missing. `why` is what needs it."""
    try:
        import transformers
    except ModuleNotFoundError:
        raise LskdError(f"{why} needs transformers: pip install 'lskd_nmt[hf]'") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def found(name: str) -> Path:
    """The folder of a model: that of this name on disk, else what huggingface_hub has in its cache or fetches."""
    if Path(name).is_dir():
        require((Path(name) / CONFIG).is_file(), f"{name} has no {CONFIG}: give a folder with a model of Hugging Face")
        return Path(name)
    library(f"a model of the name {name}")
    import huggingface_hub

    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    try:
        return Path(huggingface_hub.snapshot_download(name, ignore_patterns=[*OTHERS], local_files_only=offline))
    except Exception as error:  # of the network, the hub, or the name
        why = reason(error).split(". ")[0]
        raise LskdError(f"{name} is not a folder and cannot be fetched ({why}): give a folder with the model") from None


def describe(folder: Path) -> Described:
    """What the configuration says; what is no translation model and no language model is refused."""
    transformers = library(str(folder))
    kind = str(read_json(folder / CONFIG).get("model_type"))
    try:
        config = transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:
        raise LskdError(
            f"{folder / CONFIG} is of model type {kind}, which transformers cannot open ({reason(error)}): "
            "give a translation model or a language model that it knows without code of the model's own"
        ) from None
    from transformers.models.auto import modeling_auto as auto

    translates, continues = auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES, auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = any("MaskedLM" in str(name) for name in config.architectures or ())
    require(
        kind in translates if config.is_encoder_decoder else kind in continues and not masked,
        f"{folder} is a model of type {kind}, which does not write text: give a translation model, such as Marian, "
        "M2M100, NLLB, mBART or T5, or a language model",
    )
    positions = getattr(config, "max_position_embeddings", None)
    shared = getattr(config, "share_encoder_decoder_embeddings", True) and not hasattr(config, "tgt_vocab_size")
    return Described(kind, not config.is_encoder_decoder, positions, not shared)


def require_weights(folder: Path) -> None:
    """Refuse a folder with a configuration and nothing that was learned."""
    weights = [file for pattern in WEIGHTS[:2] for file in folder.glob(pattern)]
    require(
        bool(weights), f"{folder} has no model.safetensors and no pytorch_model.bin: give a folder with the weights"
    )


def hashed(folder: Path, patterns: Sequence[str]) -> str:
    """One SHA-256 of the names and contents of a folder's files that match any pattern."""
    files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
    content = [(file.name, sha256(file)) for file in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def model_hash(folder: Path) -> str:
    """Of the weights and their configuration."""
    return hashed(folder, (CONFIG, "generation_config.json", *WEIGHTS))


def tokenizer_hash(folder: Path) -> str:
    """Of all that decides how text is cut and put together."""
    return hashed(folder, TOKENIZER)
