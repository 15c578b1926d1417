"""The usual flags of a training and what their values may be, so that most commands are judged without fairseq.

fairseq takes four seconds to start; it is asked only about commands with a flag or value that is not in this table.
A test asks it for all of the table, in the version that constraints.txt pins.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from lskd_nmt.fairseq_io.flag_values import number


class Kind(NamedTuple):
    """What the text of a value must look like, between which numbers it lies, and that in words."""

    pattern: str
    low: float
    high: float
    what: str

    def fits(self, text: str) -> bool:
        """Whether this is a value."""
        return bool(re.fullmatch(self.pattern, text)) and (math.isnan(self.low) or self.low <= float(text) <= self.high)


NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+]?inf"
BELOW_ONE = math.nextafter(1, 0)


def whole(low: int) -> Kind:
    """A whole number from `low`."""
    return Kind(r"[+-]?\d{1,12}", low, 10**12, f"a whole number from {low}")


def real(low: float, high: float, what: str) -> Kind:
    """A number from `low` to `high`."""
    return Kind(NUMBER, low, high, what)


def one_of(*words: str) -> Kind:
    """One of some words."""
    return Kind("|".join(map(re.escape, words)), math.nan, math.nan, f"one of {', '.join(words)}")


ANY = Kind(r"[^-](.|\n)*|-[^-].*", math.nan, math.nan, "one value")
SWITCH = Kind("", math.nan, math.nan, "true or false")
SHARE = real(0, BELOW_ONE, "a number from 0 up to, not including, 1")
ABOVE_ZERO = real(math.ulp(0), 1e30, "a number above 0")
DETOKENISERS = ("moses", "nltk", "space")
# as `losses.options` has it, which needs torch
TEMPERATURE = real(1e-3, 1e5, "a number above 0, from 0.001 to 100000")
METRICS = ("bleu", "loss", "nll_loss", "ppl", "accuracy", "kd_loss")  # what validation measures

ARCHS = (
    "ls_transformer_tiny",
    "ls_transformer_iwslt_small",
    "ls_transformer_iwslt_small6",
    "ls_transformer_iwslt",
    "ls_transformer_base",
    "ls_transformer_big",
    "ls_transformer_6x2_tiny",
    "ls_transformer_6x4_small",
    "ls_transformer_6x2",
    "ls_transformer_12x1",
    "transformer",
    "transformer_iwslt_de_en",
    "transformer_wmt_en_de",
)
SIZES = (
    "encoder-layers",
    "decoder-layers",
    "encoder-embed-dim",
    "decoder-embed-dim",
    "encoder-ffn-embed-dim",
    "decoder-ffn-embed-dim",
    "encoder-attention-heads",
    "decoder-attention-heads",
    "max-tokens",
    "max-tokens-valid",
    "batch-size",
    "max-source-positions",
    "max-target-positions",
    "required-batch-size-multiple",
    "log-interval",
    "validate-interval",
    "save-interval",
)
COUNTS = (
    "max-epoch",
    "max-update",
    "warmup-updates",
    "num-workers",
    "save-interval-updates",
    "validate-interval-updates",
    "top-k",
    "hypotheses-drawn",
    "seed",
)
SWITCHES = (
    "eval-bleu",
    "maximize-best-checkpoint-metric",
    "no-epoch-checkpoints",
    "no-temperature-squared",
    "no-progress-bar",
    "share-all-embeddings",
    "share-decoder-input-output-embed",
    "encoder-normalize-before",
    "decoder-normalize-before",
    "disable-validation",
    "azureml-logging",
)
TEXTS = (
    "source-lang",
    "target-lang",
    "user-dir",
    "save-dir",
    "teacher-path",
    "teacher-store",
    "hypotheses",
    "finetune-from-model",
    "eval-bleu-args",
    "eval-bleu-detok-args",
    "adam-betas",
    "tensorboard-logdir",
    "wandb-project",
)
FLAGS: dict[str, Kind] = {
    "arch": one_of(*ARCHS),
    **dict.fromkeys(SIZES, whole(1)),
    **dict.fromkeys(COUNTS, whole(0)),
    **dict.fromkeys(("keep-last-epochs", "keep-best-checkpoints", "patience"), whole(-1)),
    **dict.fromkeys(("dropout", "attention-dropout", "activation-dropout", "label-smoothing"), SHARE),
    **dict.fromkeys(("weight-decay", "adam-eps"), real(0, 1e30, "a number from 0")),
    "warmup-init-lr": real(-1, 1e30, "a number"),
    "clip-norm": real(0, math.inf, "a number from 0"),
    "lr": ABOVE_ZERO,
    "temperature": TEMPERATURE,
    "kd-weight": real(0, 1, "a number from 0 to 1"),
    "update-freq": whole(1),
    "optimizer": one_of("adam"),
    "lr-scheduler": one_of("inverse_sqrt"),
    "criterion": one_of("kd_ls"),
    "best-checkpoint-metric": one_of(*METRICS),
    "eval-bleu-remove-bpe": one_of("sentencepiece"),
    "eval-bleu-detok": one_of(*DETOKENISERS),
    "log-format": one_of("json", "none", "simple", "tqdm"),
    "smoothing-over": one_of("others", "vocabulary"),
    "temper": one_of("both", "teacher"),
    "tail": one_of("dense", "bucket", "uniform", "renormalise"),
    "kd-level": one_of("word", "sequence", "both"),
    **dict.fromkeys(SWITCHES, SWITCH),
    **dict.fromkeys(TEXTS, ANY),
}
# keys of eval-bleu-args: how validation translates; fairseq looks at none of them before its first validation
NOT_NEGATIVE = real(0, 1e9, "a number from 0")
SEARCH: dict[str, Kind] = {
    "beam": whole(1),
    **dict.fromkeys(("max_len_a", "max_len_b", "min_len", "no_repeat_ngram_size"), NOT_NEGATIVE),
    **dict.fromkeys(
        ("lenpen", "unkpen", "diversity_rate", "diverse_beam_strength", "sampling_topp"), real(-1e9, 1e9, "a number")
    ),
    **dict.fromkeys(("sampling_topk", "diverse_beam_groups"), whole(-1)),
    "temperature": ABOVE_ZERO,
    **dict.fromkeys(("sampling", "unnormalized", "match_source_len"), SWITCH),
}
# keys that may have any value
OTHER_SEARCH_KEYS = ("tokenize", "constraints", "print_alignment", "score_reference", "prefix_allowed_tokens_fn")
# what these may be fairseq knows better than the table: other archs, optimizers, several learning rates
JUDGED_BY_FAIRSEQ = (
    "arch",
    "optimizer",
    "lr-scheduler",
    "lr",
    "update-freq",
    "eval-bleu-remove-bpe",
    "criterion",
    "log-format",
    *SIZES[:2],
)
LEAST = {"lr": 0, "update-freq": 1, "encoder-layers": 1, "decoder-layers": 1}  # of these, each number


def given(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The flags of a command with their values; a switch has an empty one."""
    for word, after in pairwise([*command, "--"]):
        if word.startswith("--"):
            yield word[2:], "" if after.startswith("--") else after


def misfit(command: Sequence[str]) -> tuple[str, str] | None:
    """The first flag of a command whose value is not what the table says, and what it must be."""
    for flag, value in given(command):
        kind = FLAGS.get(flag)
        if kind is not None and flag not in JUDGED_BY_FAIRSEQ and not kind.fits(value):
            return flag, f"is {value or 'true'}, it must be {kind.what}"
        numbers = [number(each) for each in value.strip("()[] ").split(",")] if flag in LEAST else []
        if any(each is not None and each < LEAST[flag] for each in numbers):
            return flag, f"is {value}, it must be a number from {LEAST[flag]}"
        wrong = search_misfit(value) if flag == "eval-bleu-args" else None
        if wrong is not None:
            return flag, f"has a wrong value: {wrong}"
    return None


def search_misfit(text: str, known_only: bool = True) -> str | None:
    """What is wrong with the JSON text of eval-bleu-args, as `beam is 0, it must be …`; None if nothing is.

    `known_only` refuses keys that fairseq does not know and passes over.
    """
    try:
        options = json.loads(text or "{}")
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        return f'{text[:60]} is no JSON object, such as {{"beam": 1}}'
    for name, value in options.items():
        kind = SEARCH.get(name)
        if kind is SWITCH:
            good = isinstance(value, bool) or value in (0, 1)
        else:
            good = kind is None or (
                isinstance(value, int | float) and not isinstance(value, bool) and kind.fits(str(value))
            )
        if kind is not None and not good:
            return f"{name} is {json.dumps(value)[:60]}, it must be {kind.what}"
        if known_only and kind is None and name not in OTHER_SEARCH_KEYS:
            near = difflib.get_close_matches(name, [*SEARCH, *OTHER_SEARCH_KEYS], n=1, cutoff=0)[0]
            return f"{name[:60]} is unknown, the nearest is {near}"
    return None


def all_known(command: Sequence[str]) -> bool:
    """Whether fairseq takes the command, as far as the table tells."""
    return all(flag in FLAGS and FLAGS[flag].fits(value) for flag, value in given(command))
