"""The experiment's YAML: every key it may have, what each value must be, and one line for all that is wrong."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lskd_nmt.config_values import Check, average, choice, flags, integer, number, path, several, tail, truth, word
from lskd_nmt.errors import LskdError, require


@dataclass(frozen=True)
class Key:
    """One key of the config: how its value is checked, and its default (`required` has none)."""

    check: Check
    default: Any = None
    required: bool = False


label_smoothing = number(0, 1, "a number from 0 up to, not including, 1", high_included=False)
above_zero = number(0, math.inf, "a number above 0", low_included=False)
smoothing_over = Key(choice("others", "vocabulary"), "others")

CONFIG: dict[str, Any] = {
    "name": Key(word, required=True),
    "data": {
        "dir": Key(path),
        "corpus": Key(word),
        "source_lang": Key(word),
        "target_lang": Key(word),
        "train": Key(path),
        "valid": Key(path),
        "test": Key(path),
        "raw_dir": Key(path),
        "form": Key(choice("raw", "fairseq14")),
        "vocab_size": Key(integer),
        "pairs": Key(integer),
        "seed": Key(integer),
        "expected_counts": Key(str),
        "subwords": Key(choice("unigram", "bpe")),
        "max_words": Key(integer),
        "max_ratio": Key(number(0, math.inf, "a number from 1, or 0 for any")),
        "drop_empty": Key(truth),
        "keep_repeated": Key(truth),
        "workers": Key(integer),
    },
    "teacher": {
        "arch": Key(word, required=True),
        "label_smoothing": Key(several(label_smoothing), [0.1]),
        "smoothing_over": smoothing_over,
        "average": Key(average),
        "seed": Key(integer),  # students of all seeds learn from this teacher; else each from that of its own seed
        "run": Key(path),  # the run folder that has the teachers, which are not trained again
        "train": Key(flags, {}),
    },
    "student": {
        "arch": Key(word, required=True),
        "plain": Key(truth, True),
        "label_smoothing": Key(label_smoothing, 0.0),
        "smoothing_over": smoothing_over,
        "temperature": Key(several(above_zero), [1.0]),
        "kd_level": Key(several(choice("word", "sequence", "both")), ["word"]),
        "hypotheses": Key(several(choice("beam", "interpolate", "multi")), ["beam"]),
        "kd_weight": Key(several(number(0, 1, "a number above 0, at most 1", low_included=False)), [1.0]),
        "tail": Key(several(tail), ["dense"]),
        "store": Key(choice("none", "top-k", "features"), "none"),
        "temper": Key(choice("both", "teacher"), "both"),
        "temperature_squared": Key(truth, True),
        "average": Key(average),
        "train": Key(flags, {}),
    },
    "seqkd": {
        "engine": Key(choice("ctranslate2", "fairseq"), "ctranslate2"),
        "quantization": Key(word, "float32"),
        "beam": Key(integer, 5),
        "nbest": Key(integer, 1),
        "sampling": Key(truth, False),
        "temperature": Key(above_zero, 1.0),
        "sampling_topk": Key(integer),
        "similarity": Key(choice("bleu", "chrf"), "bleu"),
        "max_ratio": Key(number(1, math.inf, "a number from 1 (leave it out for any)")),
        "drop_copies": Key(truth, False),
        "shard_sentences": Key(integer, 1000),
    },
    "train": Key(flags, {}),
    "seeds": Key(several(integer), [1]),
    "decode": {
        "beam": Key(integer, 5),
        "lenpen": Key(number(-math.inf, math.inf, "a number"), 1.0),
        "max_len_a": Key(number(0, math.inf, "a number from 0"), 1.5),  # at most a · source length + b subwords
        "max_len_b": Key(integer, 20),
        "max_tokens": Key(integer, 4000),
    },
}


class UniqueKeys(yaml.SafeLoader):
    """YAML where a key that stands twice is an error instead of the last one winning."""


def mapping(loader: UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    """Build a mapping, refusing repeated keys."""
    pairs = [(loader.construct_object(key), loader.construct_object(value, deep=True)) for key, value in node.value]
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    require(not twice, f"line {node.start_mark.line + 1}: key '{twice[0] if twice else ''}' stands twice: keep one")
    return dict(pairs)


UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def read_config(file: str | Path) -> dict[str, Any]:
    """The config with defaults filled in and paths expanded; all complaints in one `LskdError`."""
    try:
        content = yaml.load(Path(file).read_text(encoding="utf-8"), Loader=UniqueKeys)
    except LskdError as error:
        raise LskdError(f"{file}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LskdError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    return resolve(content, str(file))


def resolve(content: Any, file: str = "config") -> dict[str, Any]:
    """`content` checked against `CONFIG`; see `read_config`."""
    require(isinstance(content, dict), f"{file} holds no 'key: value' lines: start from one of experiments/configs")
    complaints: list[str] = []
    config = resolve_section(content, CONFIG, "", complaints)
    if not complaints:
        complaints = data_complaints(config["data"]) + store_complaints(config) + seqkd_complaints(config)
    require(not complaints, f"{file}: {'; '.join(complaints)}")
    return config


def resolve_section(content: Any, keys: Mapping[str, Any], prefix: str, complaints: list[str]) -> dict[str, Any]:
    """One level of the config; what is wrong is appended to `complaints`."""
    if not isinstance(content, dict):
        complaints.append(f"{prefix.rstrip('.')} is {content!r}, it must hold 'key: value' lines")
        return {}
    for name in content:
        if name not in keys:
            near = difflib.get_close_matches(str(name), keys, n=1, cutoff=0)
            complaints.append(f"unknown key '{prefix}{name}', the nearest valid one is '{prefix}{near[0]}'")
    result: dict[str, Any] = {}
    for name, key in keys.items():
        if isinstance(key, dict):
            result[name] = resolve_section(content.get(name, {}), key, f"{prefix}{name}.", complaints)
        elif name in content and content[name] is not None:
            try:
                result[name] = key.check(content[name])
            except ValueError as error:
                complaints.append(f"{prefix}{name} is {content[name]!r}, it must be {error}")
        elif key.required:
            complaints.append(f"{prefix}{name} is missing")
        else:
            result[name] = key.default
    return result


def data_complaints(data: Mapping[str, Any]) -> list[str]:
    """What is wrong between the keys of `data`."""
    given = [name for name, value in data.items() if value is not None]
    if data["dir"] is not None:
        return [f"data.dir names a prepared folder, so data.{name} has no say: remove one" for name in given[1:]]
    if data["corpus"] is None:
        return ["data.corpus is missing: name a corpus, 'files' for your own, or data.dir for a prepared folder"]
    needed = ("source_lang", "target_lang", "train", "valid", "test") if data["corpus"] == "files" else ()
    return [f"data.{name} is missing, data.corpus 'files' needs it" for name in needed if data[name] is None]


def store_complaints(config: Mapping[str, Any]) -> list[str]:
    """What is wrong between the teachers' stores and those who read them."""
    section, teachers = config["student"], config["teacher"]
    complaints = []
    if section["store"] == "top-k" and "dense" in section["tail"]:
        complaints.append("student.tail has dense, and student.store is top-k: use features, or tails such as bucket:8")
    if section["store"] != "none" and set(section["kd_level"]) != {"word"}:
        complaints.append(f"student.store is {section['store']}, and student.kd_level is not word alone: use none")
    if teachers["run"] is not None and config["data"]["dir"] is None:
        complaints.append("data.dir is missing, teacher.run needs it: name the data folder of that run")
    return complaints


def seqkd_complaints(config: Mapping[str, Any]) -> list[str]:
    """What is wrong between the teacher's translations and those who learn them."""
    section, options = config["student"], config["seqkd"]
    if set(section["kd_level"]) == {"word"}:
        return []
    several = [method for method in section["hypotheses"] if method != "beam"]
    complaints = [f"student.hypotheses has {method}, and seqkd.nbest is 1: decode more hypotheses"
                  for method in several[:1] if options["nbest"] == 1]  # fmt: skip
    if options["nbest"] > options["beam"] and not options["sampling"]:
        complaints.append(
            f"seqkd.nbest is {options['nbest']} and seqkd.beam is {options['beam']}: give at most the beam"
        )
    if options["temperature"] != 1 and not options["sampling"]:
        complaints.append(
            f"seqkd.temperature is {options['temperature']:g} without seqkd.sampling: beam search has none"
        )
    return complaints
