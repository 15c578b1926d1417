"""Models of Hugging Face that write text: converted for CTranslate2, or run by transformers' own `generate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.hf_io.folders import Described, library
from lskd_nmt.hf_io.tokens import HuggingFaceTokens

REMEDY = "use --engine transformers for this model"


class Written(NamedTuple):
    """What a model wrote: ids without what was given, to it and without the end; and the score.

    The score is the log-probability over the number of symbols (with the end) to the power of the length penalty.
    """

    ids: list[int]
    score: float


def convert(folder: Path, out: Path, facts: Described) -> None:
    """Write the model to `out` as CTranslate2's own converter does; what it cannot convert is refused."""
    from ctranslate2.converters import TransformersConverter

    library(str(folder))
    require(
        not facts.separate_vocabularies,
        f"CTranslate2 cannot convert {folder}, a {facts.model_type} with two vocabularies: {REMEDY}",
    )
    try:
        converter = TransformersConverter(str(folder))
        converter.load_tokenizer = whole_vocabulary
        if facts.model_type == "marian":
            keep_first_input(converter)
        converter.convert(str(out), quantization="float32")
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, such as a full disk
            raise
        unknown = "No conversion is registered" in str(error)
        why = f"models of type {facts.model_type} are not among those that it knows" if unknown else reason(error)
        raise LskdError(f"CTranslate2 cannot convert {folder} ({why}): {REMEDY}") from None


def whole_vocabulary(tokenizer_class: Any, name: str, **settings: object) -> Any:
    """The tokeniser of a folder whose vocabulary has the symbols of M2M100's languages, too.

    Since version 5 of transformers `get_vocab` lacks them, and CTranslate2's converter counts what it gives.
    """
    tokenizer = tokenizer_class.from_pretrained(name, trust_remote_code=False, **settings)
    languages = getattr(tokenizer, "lang_token_to_id", None)
    if languages:
        symbols = {**tokenizer.get_vocab(), **languages}
        tokenizer.get_vocab = lambda: symbols
    return tokenizer


def keep_first_input(converter: Any) -> None:
    """Let Marian's decoder begin with the embedding that it was trained with.

    CTranslate2 begins with zeros, as the models that Marian itself trained do. transformers trains the row of the start
    symbol as well where the embeddings are the output's, too. The symbol of the end, which is no input of the decoder
    otherwise, then gets that row.
    """
    load_model, load = converter.load_model, converter._load
    read: list[Any] = []

    def loaded_model(*names: object, **settings: object) -> Any:
        read.append(load_model(*names, **settings))
        return read[0]

    def loaded() -> Any:
        spec, config = load(), read[0].config
        first = read[0].get_decoder().embed_tokens.weight[config.decoder_start_token_id].detach()
        if first.any():
            rows = spec.decoder.embeddings.weight.clone()  # the projection shares the others
            rows[config.eos_token_id] = first
            spec.decoder.embeddings.weight = rows
            spec.decoder.start_from_zero_embedding = False
        return spec

    converter.load_model, converter._load = loaded_model, loaded


class Generating:
    """A model in memory that transformers' `generate` runs."""

    def __init__(self, folder: Path, facts: Described, tokens: HuggingFaceTokens, device: str = "cpu") -> None:
        """Load the weights; the search is then ours alone, and of the model's own settings only the symbols stay."""
        transformers = library(str(folder))
        kind = transformers.AutoModelForCausalLM if facts.is_language_model else transformers.AutoModelForSeq2SeqLM
        numbers = "float32" if device == "cpu" else "auto"  # as CTranslate2 has them; on a GPU as they were saved
        try:
            self.model: Any = kind.from_pretrained(str(folder), trust_remote_code=False, dtype=numbers)
            self.model.eval().to(device)
        except Exception as error:
            raise LskdError(
                f"{folder} cannot be loaded by transformers ({reason(error)}): give a folder with its weights, "
                "model.safetensors or pytorch_model.bin"
            ) from None
        self.facts, self.tokens, self.device = facts, tokens, device
        own = self.model.generation_config
        names = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
        symbols: dict[str, Any] = {name: getattr(own, name, None) for name in names}
        ends = symbols["eos_token_id"]
        self.ends: list[int] = [] if ends is None else list(ends) if isinstance(ends, list) else [ends]
        if symbols["pad_token_id"] is None and self.ends:
            symbols["pad_token_id"] = self.ends[0]
        self.pad: int = symbols["pad_token_id"] or 0
        self.forced: list[int] = tokens.tokenizer.convert_tokens_to_ids(tokens.start)
        if self.forced and symbols["decoder_start_token_id"] in (None, *self.forced):  # mBART-25 starts with it
            symbols["decoder_start_token_id"], self.forced = self.forced[0], []
        elif self.forced:
            symbols["forced_bos_token_id"] = self.forced[0]
        if facts.model_type == "marian":  # which starts with it, and never writes it
            symbols["bad_words_ids"] = [[self.pad]]
        self.model.generation_config = transformers.GenerationConfig(**symbols)

    def write(self, rows: Sequence[Sequence[int]], settings: DecodeSettings, most: int) -> list[list[Written]]:
        """The `nbest` translations of each row of ids, of at most `most` ids."""
        import torch

        inputs = self.padded(rows)
        search: dict[str, object] = {"num_beams": settings.beam, "length_penalty": settings.lenpen}
        search |= {"early_stopping": True} if settings.beam > 1 else {}
        if settings.sampling:
            search = {"do_sample": True, "temperature": settings.temperature, "top_k": settings.sampling_topk}
        forced = len(self.forced)  # written, too, with probability 1, and counted by the length penalty
        with torch.inference_mode():
            made = self.model.generate(
                **inputs,
                **search,
                num_return_sequences=settings.nbest,
                min_new_tokens=forced + 1,
                max_new_tokens=forced + most,
                return_dict_in_generate=True,
                output_scores=True,
            )
        begin = inputs["input_ids"].shape[1] if self.facts.is_language_model else 1
        indices = getattr(made, "beam_indices", None)
        steps = self.model.compute_transition_scores(made.sequences, made.scores, indices, normalize_logits=True)
        sequences = made.sequences[:, begin:].tolist()
        found = [self.written(ids, scores, settings.lenpen) for ids, scores in zip(sequences, steps, strict=True)]
        return [found[at : at + settings.nbest] for at in range(0, len(found), settings.nbest)]

    def written(self, ids: list[int], scores: Any, lenpen: float) -> Written:
        """A row of `generate` up to its end; `scores` are the log-probabilities of its ids."""
        end = next((at for at, each in enumerate(ids) if each in self.ends), len(ids))
        length = min(end + 1, len(ids))
        return Written(ids[len(self.forced) : end], float(scores[:length].sum()) / length**lenpen)

    def padded(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Rows as `generate` takes them: sources padded on the right, prompts on the left."""
        import torch

        width = max(map(len, rows))
        ids, real = torch.full((len(rows), width), self.pad), torch.zeros((len(rows), width), dtype=torch.long)
        for at, row in enumerate(rows):
            place = slice(width - len(row), width) if self.facts.is_language_model else slice(0, len(row))
            ids[at, place], real[at, place] = torch.tensor(row), 1
        inputs = {"input_ids": ids.to(self.device), "attention_mask": real.to(self.device)}
        return inputs
