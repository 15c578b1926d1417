"""A student of fairseq's as a model of transformers: configuration, weights, tokeniser and search, by their names.

It is the way of `words.py` back. A transformer whose layer norms come after each block (post-norm) is an FSMT there,
and one whose norms come before (pre-norm) an M2M100. Both start with `</s>` and count positions as fairseq does, so
that every weight goes over as it is. The tokeniser is Marian's, which looks sentencepiece's pieces up in a dictionary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.hf_io.folders import library
from lskd_nmt.hf_io.vocabularies import SPECIAL
from lskd_nmt.hf_io.words import ACTIVATIONS, padded
from lskd_nmt.storage.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

BOS, PAD, EOS, UNK = range(len(SPECIAL))
BEAM = 5  # of the search that the folder proposes
LONGEST = 512  # subwords of a translation that it proposes, at most
INSTEAD = "use --to ctranslate2, or --to fairseq"
NAMES = {kind: name for name, kind in reversed(ACTIVATIONS.items())}  # fairseq's name -> transformers'
NOT_LEARNED = ("embed_positions.weight",)
KIND_NAMES = {"fsmt": "FSMT", "m2m_100": "M2M100"}


@dataclass(frozen=True)
class Student:
    """A plain transformer of fairseq's: its settings and weights by fairseq's names, and how text becomes its ids."""

    settings: Mapping[str, Any]
    weights: "Mapping[str, Tensor]"
    symbols: tuple[Sequence[str], Sequence[str]]  # of source and target, in fairseq's order
    langs: tuple[str, str]
    subwords: tuple[Path, Path]  # sentencepiece models of source and target, most often one

    @property
    def kind(self) -> str:
        """The model's type in transformers."""
        return "m2m_100" if self.settings.get("encoder_normalize_before") else "fsmt"

    @property
    def one_dictionary(self) -> bool:
        """Whether source and target have the same symbols."""
        return list(self.symbols[0]) == list(self.symbols[1])

    @property
    def positions(self) -> tuple[int, int]:
        """The most symbols of a source and of a translation, ends included."""
        source, target = (int(self.settings.get(f"max_{side}_positions") or 1024) for side in ("source", "target"))
        return source, target


def require_carried(student: Student) -> None:
    """Refuse what neither FSMT nor M2M100 computes; what slips through is refused by the weights or by the proof."""
    settings, kind = student.settings, KIND_NAMES[student.kind]
    for name in ("normalize_before", "embed_dim"):
        both = [settings.get(f"{side}_{name}") or False for side in ("encoder", "decoder")]
        require(
            both[0] == both[1],
            f"the student's encoder and decoder differ in {name} ({both[0]}, {both[1]}), which "
            f"no model of transformers that could hold it does: {INSTEAD}",
        )
    for name in ("encoder_learned_pos", "decoder_learned_pos", "layernorm_embedding"):
        require(not settings.get(name), f"the student has {name}, which {kind} of transformers has not: {INSTEAD}")
    activation = settings.get("activation_fn") or "relu"
    require(
        activation in NAMES, f"the student's activation_fn is {activation}, which is not in transformers: {INSTEAD}"
    )
    same = student.kind == "fsmt" or student.one_dictionary
    require(same, f"the student has two dictionaries and is pre-norm, and {kind} of transformers has one: {INSTEAD}")


def shared(weights: "Mapping[str, Tensor]") -> bool:
    """Whether embeddings of source and target and the output projection are all the same numbers."""
    names = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight")
    first, *others = (weights[name] for name in names)
    return all(first.shape == other.shape and bool(first.eq(other).all()) for other in others)


def configuration(student: Student) -> Any:
    """The student's configuration as transformers has it."""
    settings, transformers = student.settings, library("lskd export --to transformers")
    found: dict[str, Any] = {
        "activation_function": NAMES[settings.get("activation_fn") or "relu"],
        "d_model": settings["encoder_embed_dim"],
        "max_position_embeddings": max(student.positions),
        "scale_embedding": not settings.get("no_scale_embedding"),
        "tie_word_embeddings": shared(student.weights),
        "is_encoder_decoder": True,
        "decoder_start_token_id": EOS,
        "bos_token_id": BOS,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        **{name: float(settings.get(name) or 0) for name in ("dropout", "attention_dropout", "activation_dropout")},
    }
    for side in ("encoder", "decoder"):
        found |= {
            f"{side}_layers": settings[f"{side}_layers"],
            f"{side}_ffn_dim": settings[f"{side}_ffn_embed_dim"],
            f"{side}_attention_heads": settings[f"{side}_attention_heads"],
            f"{side}_layerdrop": 0.0,
        }
    sizes = [len(side) for side in student.symbols]
    if student.kind == "m2m_100":
        return transformers.M2M100Config(vocab_size=sizes[0], **found)
    return transformers.FSMTConfig(langs=list(student.langs), src_vocab_size=sizes[0], tgt_vocab_size=sizes[1], **found)


def search(student: Student) -> Any:
    """How the folder proposes to translate: fairseq's beam search, which writes no padding and no empty line."""
    return library("lskd export --to transformers").GenerationConfig(
        num_beams=BEAM,
        early_stopping=True,
        length_penalty=1.0,
        max_length=min(LONGEST, student.positions[1]),
        min_new_tokens=1,
        bad_words_ids=[[PAD]],
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        forced_eos_token_id=EOS,
        decoder_start_token_id=EOS,
    )


def built(student: Student) -> Any:
    """The model in memory; weights that it has no place for, or that are not there, are refused."""
    transformers = library("lskd export --to transformers")
    kind = transformers.M2M100ForConditionalGeneration if student.kind == "m2m_100" else None
    model = (kind or transformers.FSMTForConditionalGeneration)(configuration(student))
    weights = {f"model.{name}": tensor.float() for name, tensor in student.weights.items()}
    if student.kind == "m2m_100":
        weights["lm_head.weight"] = weights.pop("model.decoder.output_projection.weight")
        weights["model.shared.weight"] = weights["model.decoder.embed_tokens.weight"]
    try:
        missing, unknown = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # of another shape
        raise LskdError(
            f"the student's weights do not fit {KIND_NAMES[student.kind]} ({reason(error)}): {INSTEAD}"
        ) from None
    lacking = [name for name in missing if not name.endswith(NOT_LEARNED)]
    wrong = [*unknown, *lacking]
    what = "has weights" if unknown else "lacks weights"
    require(not wrong, f"the student {what} of {KIND_NAMES[student.kind]} ({', '.join(wrong[:2])}): {INSTEAD}")
    model.tie_weights()
    model.generation_config = search(student)
    return model.eval()


def write(student: Student, folder: Path) -> None:
    """The model, in safetensors, its search and its tokeniser, as transformers' Auto classes open them."""
    built(student).save_pretrained(str(folder))
    source, target = student.symbols
    files = folder / "vocab.json", folder / "target_vocab.json"
    for file, symbols in zip(files, (source, target), strict=True):
        write_json(file, {symbol: at for at, symbol in enumerate(symbols)})
    two = {} if student.one_dictionary else {"separate_vocabs": True, "target_vocab_file": str(files[1])}
    tokenizer = library("lskd export --to transformers").MarianTokenizer(
        *map(str, student.subwords),
        str(files[0]),
        **two,
        source_lang=student.langs[0],
        target_lang=student.langs[1],
        model_max_length=student.positions[0],
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": symbol for name, symbol in zip(("bos", "pad", "eos", "unk"), SPECIAL, strict=True)},
    )
    tokenizer.save_pretrained(str(folder))
    if student.one_dictionary:
        files[1].unlink()
    for file in folder.iterdir():  # safetensors' are the owner's alone
        file.chmod(files[0].stat().st_mode)


class Opened:
    """A written folder as its users open it: by AutoTokenizer and AutoModelForSeq2SeqLM."""

    def __init__(self, folder: Path) -> None:
        transformers = library("lskd export --to transformers")
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
            self.model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(str(folder), trust_remote_code=False)
        except Exception as error:
            raise LskdError(f"transformers cannot open what was exported ({reason(error)}): {INSTEAD}") from None
        self.model.eval()

    def ids(self, lines: Sequence[str]) -> list[list[int]]:
        """The ids of lines of text, each with its end."""
        return [list(map(int, row)) for row in self.tokenizer(list(lines)).input_ids]

    def text(self, row: Sequence[int]) -> str:
        """The text of a translation's ids."""
        return str(self.tokenizer.decode(list(row), skip_special_tokens=True))

    def translate(self, rows: Sequence[Sequence[int]], beam: int, most: int) -> list[list[int]]:
        """The translation of each row of ids, without its end, by the folder's own search; at most `most` ids."""
        import torch

        ids, real = padded(rows, PAD)
        with torch.inference_mode():
            made = self.model.generate(input_ids=ids, attention_mask=real, num_beams=beam, max_new_tokens=most + 1)
        found = [row[1:] for row in made.tolist()]
        return [row[: row.index(EOS)] if EOS in row else row for row in found]

    def logits(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> "list[Tensor]":
        """The logits of each target, given its source; both are ids with their ends.   -> (T, V) each"""
        import torch

        ids, real = padded([source for source, _ in pairs], PAD)
        starts = padded([[EOS, *target[:-1]] for _, target in pairs], PAD)[0]
        with torch.inference_mode():
            found = self.model(input_ids=ids, attention_mask=real, decoder_input_ids=starts, use_cache=False).logits
        return [one[: len(target)] for one, (_, target) in zip(found, pairs, strict=True)]
