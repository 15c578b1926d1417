"""A translation model of Hugging Face as a teacher of words: its weights, settings and symbols as fairseq has them.

What transformers computes differently is carried over in the weights, so that a plain `transformer` of fairseq gives
the same logits: positions of Marian's own layout are taken over as learned ones; the symbol that the decoder starts
with becomes the decoder's embedding of fairseq's `</s>`; a bias of the logits goes into the output projection.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lskd_nmt.errors import LskdError, reason, require
from lskd_nmt.hf_io import vocabularies
from lskd_nmt.hf_io.folders import CONFIG, library
from lskd_nmt.hf_io.vocabularies import EOS, Symbols, Vocabulary
from lskd_nmt.storage.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

NEVER = -200.0  # the logit of a symbol that is never predicted
ACTIVATIONS = {"relu": "relu", "silu": "swish", "swish": "swish", "gelu": "gelu", "gelu_new": "gelu_accurate"}
ACTIVATIONS |= {"tanh": "tanh"}
INSTEAD = "let it teach sequences instead: lskd seqkd decode --teacher hf:DIR"
FIRST = 2  # rows of fairseq's table of learned positions that come before the first position
Setting = str | int | float | bool


@dataclass(frozen=True)
class Kind:
    """What models of a type are, where transformers has it in code and not in their configuration."""

    symbols: Callable[[Path, Any, Sequence[str | None]], Symbols]
    norm_first: bool  # before each block, and once at the end
    learned_positions: bool  # those in the weights: fairseq computes others


KINDS: Mapping[str, Kind] = {
    "marian": Kind(vocabularies.marian, norm_first=False, learned_positions=True),
    "m2m_100": Kind(vocabularies.several_languages, norm_first=True, learned_positions=False),
    "fsmt": Kind(vocabularies.fsmt, norm_first=False, learned_positions=False),
}


@dataclass(frozen=True)
class WordTeacher:
    """A model in memory, and what fairseq needs to be it: settings by the names of its flags, weights by its names."""

    kind: str
    symbols: Symbols
    settings: dict[str, Setting]
    weights: "dict[str, Tensor]"
    never: list[int]  # the places of target symbols that the model does not have, or keeps out of translations
    model: Any  # transformers' own

    def logits(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> "list[Tensor]":
        """What transformers computes for pairs of fairseq's ids, each with its end.   -> (T, V) each, fairseq's order

        A symbol that is `never` predicted is -inf.
        """
        import torch

        config, (source, target) = self.model.config, (self.symbols.source, self.symbols.target)
        sources = [[source.ids[each] for each in row] for row, _ in pairs]
        starts = [[config.decoder_start_token_id, *(target.ids[each] for each in row[:-1])] for _, row in pairs]
        ids, real = padded(sources, config.pad_token_id)
        with torch.inference_mode():
            found = self.model(
                input_ids=ids,
                attention_mask=real,
                decoder_input_ids=padded(starts, config.pad_token_id)[0],
                use_cache=False,
            ).logits
        rows = [target.rows(one[: len(row)].T).T for one, row in zip(found, starts, strict=True)]
        for each in rows:
            each[:, self.never] = float("-inf")
        return rows

    def double(self) -> None:
        """Compute in 64 bits from now on."""
        self.model.double()
        if self.kind == "fsmt":  # its mask is the least number of the embedding's type, by way of 32 bits: -inf
            decoder = self.model.model.decoder
            decoder.embed_tokens = copy.deepcopy(decoder.embed_tokens).float()
            decoder.embed_tokens.register_forward_hook(lambda *called: called[-1].double())


def padded(rows: Sequence[Sequence[int | None]], pad: int) -> "tuple[Tensor, Tensor]":
    """Rows of ids padded on the right, and where they are real.   -> (B, T), (B, T) of 0 and 1"""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])


def load(folder: Path, langs: Sequence[str | None]) -> WordTeacher:
    """Open a model's folder; `langs` are its own names of the languages. What fairseq cannot compute is refused."""
    kind = read_json(folder / CONFIG).get("model_type")
    if kind not in KINDS:
        raise LskdError(
            f"{folder} is a model of type {kind}, and fairseq computes those of {', '.join(KINDS)} exactly: {INSTEAD}"
        )
    model = opened(folder)
    config, facts = model.config, KINDS[str(kind)]
    require(bool(config.is_encoder_decoder), f"{folder} is no encoder with a decoder: give a translation model")
    require(
        config.activation_function in ACTIVATIONS,
        f"{folder}: its activation_function is {config.activation_function}, which fairseq does not have: {INSTEAD}",
    )
    symbols = facts.symbols(folder, config, langs)
    for file in (*symbols.subwords, *symbols.tokeniser):
        require(file.is_file(), f"{folder} has no {file.name}, by which text is cut: {vocabularies.REMEDY}")
    state = {name.removeprefix("model."): tensor for name, tensor in model.state_dict().items()}
    never = [*symbols.target.missing, *banned(model, symbols.target)]
    weights = converted(state, config, symbols, facts, never)
    return WordTeacher(str(kind), symbols, settings(config, facts, weights), weights, never, model)


def require_direction(folder: Path, langs: tuple[str, str]) -> None:
    """Refuse a model that says that it translates from the second language to the first."""
    facts = [read_json(folder / name) for name in ("tokenizer_config.json", CONFIG) if (folder / name).is_file()]
    for each in facts:
        said = each.get("langs") or [each.get("source_lang"), each.get("target_lang")]
        require(said != [*reversed(langs)], f"{folder} translates {said[0]} to {said[1]}, not {langs[0]} to {langs[1]}")


def opened(folder: Path) -> Any:
    """transformers' model, in 32 bits; a folder that lacks some of its weights is refused."""
    import torch

    kind = library(str(folder)).AutoModelForSeq2SeqLM
    try:
        model, found = kind.from_pretrained(
            str(folder), trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:
        raise LskdError(
            f"{folder} cannot be loaded by transformers ({reason(error)}): give a folder with its weights, "
            "model.safetensors or pytorch_model.bin"
        ) from None
    missing = sorted(name for name in found["missing_keys"] if "embed_positions" not in name)
    require(not missing, f"{folder} lacks {len(missing)} of its weights ({', '.join(missing[:2])} …): fetch it again")
    return model.eval()


def banned(model: Any, target: Vocabulary) -> list[int]:
    """The places of target symbols that `bad_words_ids`, as Marian's padding, or a bias of -inf keeps out."""
    own = getattr(model.generation_config, "bad_words_ids", None) or getattr(model.config, "bad_words_ids", None) or []
    never = {row[0] for row in own if len(row) == 1}
    bias = getattr(model, "final_logits_bias", None)
    if bias is not None:
        never |= set(bias.flatten().isneginf().nonzero().flatten().tolist())
    return [place for place, number in enumerate(target.ids) if number in never]


def converted(
    state: "Mapping[str, Tensor]", config: Any, symbols: Symbols, facts: Kind, never: Sequence[int]
) -> "dict[str, Tensor]":
    """The weights by fairseq's names."""
    import torch

    layers = ("encoder.layers.", "decoder.layers.", "encoder.layer_norm.", "decoder.layer_norm.")
    weights = {name: tensor.clone() for name, tensor in state.items() if name.startswith(layers)}
    of_encoder, of_decoder = (state[f"{side}.embed_tokens.weight"] for side in ("encoder", "decoder"))
    output = state["lm_head.weight"] if "lm_head.weight" in state else state["decoder.output_projection.weight"]
    weights["encoder.embed_tokens.weight"] = symbols.source.rows(of_encoder)
    weights["decoder.embed_tokens.weight"] = symbols.target.rows(of_decoder)
    weights["decoder.embed_tokens.weight"][EOS] = of_decoder[config.decoder_start_token_id]  # fairseq starts with it
    weights["decoder.output_projection.weight"] = symbols.target.rows(output)
    bias = state.get("final_logits_bias", output.new_zeros(len(output))).reshape(-1, 1)
    bias = symbols.target.rows(bias).flatten()
    weights["decoder.output_projection.weight"][never] = 0
    bias[never] = NEVER
    if bool(bias.any()):
        fold(bias, weights, "decoder.layer_norm" if facts.norm_first else last_norm(config))
    tie(weights, symbols.source.symbols == symbols.target.symbols)
    for side in ("encoder", "decoder"):
        weights[f"{side}.version"] = torch.tensor([3.0])
        if facts.learned_positions:
            table = state[f"{side}.embed_positions.weight"]
            weights[f"{side}.embed_positions.weight"] = torch.cat([table.new_zeros(FIRST, table.shape[1]), table])
    return weights


def tie(weights: "dict[str, Tensor]", one_dictionary: bool) -> None:
    """Make one tensor of embeddings and output projection where they are equal, as far as fairseq can share them."""
    source, target = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    output = "decoder.output_projection.weight"
    if weights[target].equal(weights[output]):
        weights[output] = weights[target]
        if one_dictionary and weights[source].equal(weights[target]):
            weights[source] = weights[target]


def last_norm(config: Any) -> str:
    """The name of the layer norm whose output becomes logits, where there is none at the end."""
    return f"decoder.layers.{config.decoder_layers - 1}.final_layer_norm"


def fold(bias: "Tensor", weights: "dict[str, Tensor]", norm: str) -> None:
    """Put a bias of the logits into the output projection W, as fairseq's has none.

    The layer norm before it gives γ ⊙ n + β, where the D numbers of n have the mean 0. With γ' = β' = 1 its output
    n + 1 has the mean 1, so that W'(n + 1) = W(γ ⊙ n + β) + b for W' = W diag(γ) + (b + W(β - γ)) 1ᵀ / D.
    """
    import torch

    name = "decoder.output_projection.weight"
    weight, gamma, beta = (weights[each].double() for each in (name, f"{norm}.weight", f"{norm}.bias"))
    shift = bias.double() + weight @ (beta - gamma)
    weights[name] = (weight * gamma + shift[:, None] / weight.shape[1]).float()
    weights[f"{norm}.weight"] = torch.ones_like(weights[f"{norm}.weight"])
    weights[f"{norm}.bias"] = torch.ones_like(weights[f"{norm}.bias"])


def settings(config: Any, facts: Kind, weights: "Mapping[str, Tensor]") -> dict[str, Setting]:
    """The model's settings by the names that fairseq's transformer has for them."""
    found: dict[str, Setting] = {
        "activation_fn": ACTIVATIONS[config.activation_function],
        "no_scale_embedding": not config.scale_embedding,
        **{name: float(getattr(config, name)) for name in ("dropout", "attention_dropout", "activation_dropout")},
    }
    for side in ("encoder", "decoder"):
        found |= {
            f"{side}_embed_dim": config.d_model,
            f"{side}_layers": getattr(config, f"{side}_layers"),
            f"{side}_ffn_embed_dim": getattr(config, f"{side}_ffn_dim"),
            f"{side}_attention_heads": getattr(config, f"{side}_attention_heads"),
            f"{side}_normalize_before": facts.norm_first,
            f"{side}_learned_pos": facts.learned_positions,
        }
    found |= dict.fromkeys(("max_source_positions", "max_target_positions"), config.max_position_embeddings)
    of_encoder, of_decoder, output = (
        weights[name]
        for name in (
            "encoder.embed_tokens.weight",
            "decoder.embed_tokens.weight",
            "decoder.output_projection.weight",
        )
    )
    found["share_decoder_input_output_embed"] = of_decoder is output
    found["share_all_embeddings"] = of_encoder is of_decoder is output
    found |= {"decoder_output_dim": config.d_model, "decoder_input_dim": config.d_model}
    return found
