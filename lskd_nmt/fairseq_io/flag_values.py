"""What the value of a fairseq flag may be: fairseq evaluates some of them as Python, so these must be literals."""

import ast
import json
import math
from collections.abc import Collection, Iterable
from itertools import pairwise

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io.literals import harmless, is_literal

# of fairseq: flags with two numbers, those whose text goes through eval(), those that are JSON
PAIRS = frozenset(("adam-betas", "adamax-betas", "lamb-betas", "adafactor-eps"))
EVALUATED = PAIRS | {
    "lr",
    "update-freq",
    "update-lr",
    "update-period",
    "wer-args",
    "character-filters",
    "adaptive-softmax-cutoff",
    "adaptive-input-cutoff",
    "encoder-layers",
    "decoder-layers",
    "encoder-attention",
    "decoder-attention",
    "self-attention",
    "project-input",
    "gated-attention",
    "downsample",
    "pretrained",
    "encoder-kernel-size-list",
    "decoder-kernel-size-list",
    "encoder-layers-to-keep",
    "decoder-layers-to-keep",
    "encoder-glu",
    "decoder-glu",
    "weight-softmax",
    "conv-feature-layers",
    "conv-aggregator-layers",
    "feature-encoder-spec",
    "input-layers",
    "conv-layers",
    "left-pad-source",
    "left-pad-target",
    "decoder-zero-init",
    "conv-dec-config",
    "vggblock-enc-config",
    "transformer-enc-config",
    "transformer-dec-config",
    "transformer-context",
    "transformer-sampling",
    "xformers-att-config",
    "encoder-xformers-att-config",
    "decoder-xformers-att-config",
    "latent-temp",
    "vq-temp",
    "model-overrides",
    "optimizer-overrides",
    "pipeline-balance",
    "pipeline-devices",
    "pipeline-encoder-balance",
    "pipeline-encoder-devices",
    "pipeline-decoder-balance",
    "pipeline-decoder-devices",
}
JSON = frozenset(("eval-bleu-args", "eval-bleu-detok-args"))
# they change no training
LOGGING = {
    "log-interval",
    "log-format",
    "log-file",
    "tensorboard-logdir",
    "wandb-project",
    "aim-repo",
    "aim-run-hash",
    "azureml-logging",
    "no-progress-bar",
}
# text that nothing evaluates, where a path or a name may look like Python
PATHS = LOGGING | {
    "user-dir",
    "save-dir",
    "restore-file",
    "finetune-from-model",
    "teacher-path",
    "teacher-data",
    "teacher-store",
    "hypotheses",
    "path",
    "train-subset",
    "valid-subset",
    "gen-subset",
    "distributed-init-method",
    "load-alignments",
    "encoder-embed-path",
    "decoder-embed-path",
    "quantization-config-path",
    "plasma-path",
    "results-path",
}
UNBOUNDED = frozenset({"clip-norm"})  # may be infinite


def require_value(flag: str, value: object) -> None:
    """Raise `ValueError`, with what the value must be, where fairseq would run it as code or not understand it.

    `value` is a number, a truth value, text, or a mapping that becomes JSON.
    """
    if isinstance(value, bool | dict) or value is None:
        return
    if not isinstance(value, int | float | str):
        raise ValueError("a number, true, false, or one line of text")
    text = str(value)
    if any(not (letter == "\t" or letter >= " ") for letter in text) or text.startswith("--"):
        raise ValueError("a number, or one line of text that is no flag")
    as_number = number(text)
    if as_number is not None and (math.isnan(as_number) or (math.isinf(as_number) and flag not in UNBOUNDED)):
        raise ValueError("a finite number")
    if flag in JSON:
        require_json(text)
    elif flag in EVALUATED:
        require_literal(flag, text)
    elif flag not in PATHS and not harmless(text):
        raise ValueError("a plain value, no Python expression")


def number(text: str) -> float | None:
    """The text as a number, if it is one."""
    try:
        return float(text)
    except (ValueError, OverflowError):
        return None


def require_json(text: str) -> None:
    """Raise `ValueError` unless the text is a JSON object."""
    try:
        good = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        good = False
    if not good:
        raise ValueError('a JSON object, {"beam": 1}, or a mapping')


def require_literal(flag: str, text: str) -> None:
    """Raise `ValueError` unless the text is made of literals; some flags take a pair of numbers."""
    what = "two numbers, (0.9, 0.98)" if flag in PAIRS else "a number, or a tuple or list of numbers, written out"
    if not is_literal(text):
        raise ValueError(what)
    if flag in PAIRS:
        try:
            pair = ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(what) from None
        of_numbers = isinstance(pair, tuple | list) and all(isinstance(each, int | float) for each in pair)
        if not of_numbers or len(pair) != 2 or not all(0 <= each < 1 for each in pair):
            raise ValueError(f"{what}, each from 0 and below 1")


def require_words(command: Iterable[str]) -> None:
    """Refuse a command with a flag whose value fairseq would run as code."""
    words = [*command, "--"]
    for word, after in pairwise(words):
        if word.startswith("--"):
            name, given, value = word[2:].partition("=")
            name = name.replace("_", "-")
            text = value if given else "" if after.startswith("--") else after
            good = name in PATHS | JSON or harmless(text)
            require(good, f"--{name} is {text[:80]!r}: give a plain value, no Python expression")


def without(command: Iterable[str], flags: Collection[str]) -> list[str]:
    """A command without some flags and their values."""
    kept, skipping = list[str](), False
    for word in command:
        if word.startswith("--"):
            skipping = word[2:].partition("=")[0] in flags
        if not skipping:
            kept.append(word)
    return kept
