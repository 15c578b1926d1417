"""Settings of a file reach fairseq, which evaluates some of them as Python: what a checkpoint's may say.

`complaint` is asked of every checkpoint before anything is built from it.
"""

import re
from collections.abc import Iterator, Mapping

from lskd_nmt.fairseq_io import flag_values
from lskd_nmt.fairseq_io.literals import is_literal
from lskd_nmt.fairseq_io.types import CheckpointState

DEEPEST = 50  # mappings and lists within each other
MOST_POSITIONS = 1_000_000

# fairseq's models from text to text, by their names in its registry, and the tasks that build them
MODELS = frozenset(
    {
        "bart",
        "cmlm_transformer",
        "fconv",
        "fconv_self_att",
        "insertion_transformer",
        "iterative_nonautoregressive_transformer",
        "levenshtein_transformer",
        "lightconv",
        "lstm",
        "multilingual_transformer",
        "nacrf_transformer",
        "nonautoregressive_transformer",
        "transformer",
        "transformer_align",
    }
)
TASKS = frozenset(
    {
        "multilingual_translation",
        "online_backtranslation",
        "semisupervised_translation",
        "translation",
        "translation_from_pretrained_bart",
        "translation_from_pretrained_xlm",
        "translation_lev",
        "translation_multi_simple_epoch",
    }
)
# what fairseq evaluates where it is text: as flags, and in a checkpoint
EVALUATED = frozenset(flag.replace("-", "_") for flag in flag_values.EVALUATED)
REFERENCE = re.compile(r"\$\{[A-Za-z_][\w.]*\}")  # to another setting; OmegaConf knows more, such as ${oc.env:NAME}


def complaint(state: CheckpointState) -> str | None:
    """What is wrong with the settings of a checkpoint, or None: nothing is built of them before this has been asked."""
    largest = max((size for tensor in state["model"].values() for size in tensor.shape), default=0)
    most = {"layers": len(state["model"]), "dim": max(8192, 8 * largest), "positions": MOST_POSITIONS}
    for settings, is_flat in ((state.get("args"), True), (state.get("cfg"), False)):
        found = _wrong_settings(settings, is_flat, most) if settings else None
        if found:
            return found
    return None


def _wrong_settings(settings: object, is_flat: bool, most: Mapping[str, int]) -> str | None:
    """What is wrong with settings; flat ones, of an older fairseq, have those of model and task side by side."""
    plain = _plain(settings)
    if not isinstance(plain, Mapping):
        return "its settings are no settings"
    found = next((wrong for name, value in _leaves(plain) if (wrong := _wrong(name, value, most))), None)
    if found:
        return found
    for name in ("model", "task"):
        section = plain if is_flat else _plain(plain.get(name))
        if not isinstance(section, Mapping) or not section:
            return f"its settings lack the section {name}"
        # CTranslate2's converter takes the task that the model's settings name
        keys = ("task",) if name == "model" else ("_name", "task")
        found = (_unknown_model(section) if name == "model" else None) or _unknown_task(section, keys)
        if found:
            return found
    criterion = plain if is_flat else _plain(plain.get("criterion"))
    smoothing = criterion.get("label_smoothing") if isinstance(criterion, Mapping) else None
    return None if isinstance(smoothing, int | float | None) else "its setting label_smoothing is no number"


def _plain(value: object) -> object:
    """A mapping for a Namespace, anything else as it is."""
    from argparse import Namespace

    return vars(value) if isinstance(value, Namespace) else value


def _leaves(value: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Each value inside of nested settings with the name that it has there."""
    if depth > DEEPEST:
        yield name, ...
        return
    inner = _plain(value)
    if isinstance(inner, Mapping):
        for key, each in inner.items():
            yield "", key
            yield from _leaves(each, str(key), depth + 1)
    elif isinstance(inner, list | tuple | set):
        for each in inner:
            yield from _leaves(each, name, depth + 1)
    else:
        yield name, inner


def _wrong(name: str, value: object, most: Mapping[str, int]) -> str | None:
    """What is wrong with one value of the settings, or None; `most` are limits by the last part of a setting's name."""
    if value is ...:
        return f"its setting {name} is nested too deeply"
    if name == "pretrained" and value not in ("False", "None", "0", "", False, None):
        return "its setting pretrained names another checkpoint"
    if isinstance(value, str):
        if "${" in REFERENCE.sub("", value):
            return f"its setting {name} holds {_shown(value)}, which would be looked up outside of it"
        if name in EVALUATED and not is_literal(value):
            return f"its setting {name} is {_shown(value)}, which fairseq would run as Python, and is no literal"
        return None
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    limit = most.get(name.rpartition("_")[2], number)
    return f"its setting {name} is {value:g}, and its weights are not that large" if number > limit else None


def _shown(value: str) -> str:
    """The value as errors quote it, cut to 60 characters."""
    return repr(value if len(value) <= 60 else value[:59] + "…")


def _unknown_model(section: Mapping[str, object]) -> str | None:
    """What is wrong with the name of the model in its section of the settings, or None."""
    from fairseq.models import ARCH_MODEL_NAME_REGISTRY

    names = [section[key] for key in ("_name", "arch") if section.get(key) is not None]
    if not names:
        return "its settings name no arch"
    for name in names:
        model = ARCH_MODEL_NAME_REGISTRY.get(name, name) if isinstance(name, str) else None
        if model not in MODELS:
            return f"its arch is {_shown(str(name))}, and models of {', '.join(sorted(MODELS))} are read"
    return None


def _unknown_task(section: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    """What is wrong with a task's name under one of the keys; args of before there were tasks have none."""
    for name in map(section.get, keys):
        if name is not None and not (isinstance(name, str) and name in TASKS):
            return f"its task is {_shown(str(name))}, and those of {', '.join(sorted(TASKS))} are read"
    return None
