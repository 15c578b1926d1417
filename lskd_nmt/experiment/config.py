"""The experiment's YAML: every key it may have, what each value must be, and one line for all that is wrong."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lskd_nmt.data import toy
from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment import method_files
from lskd_nmt.experiment.config_keys import Key, resolve_section
from lskd_nmt.experiment.config_values import average, choice, flags, integer, number, path, several, tail, truth, word
from lskd_nmt.storage.provenance import ROOT
from lskd_nmt.storage.yaml_file import read_yaml

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
        "spm_sentences": Key(integer),
        "max_words": Key(integer),
        "max_ratio": Key(number(0, math.inf, "a number from 1, or 0 for any")),
        "drop_empty": Key(truth),
        "keep_repeated": Key(truth),
        "workers": Key(integer),
        "tokenize": Key(word),  # of BLEU, instead of the target language's own
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
        "methods": Key(method_files.named),  # files of flags, instead of the keys in methods.AXES
        "temperature": Key(several(method_files.READ["temperature"]), [1.0]),
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


def read_config(file: str | Path) -> dict[str, Any]:
    """The config with defaults filled in and paths expanded; all complaints in one `LskdError`."""
    return resolve(method_files.loaded(read_yaml(file), Path(file)), str(file))


def resolve(content: Any, file: str = "config") -> dict[str, Any]:
    """`content` checked against `CONFIG`; see `read_config`."""
    require(isinstance(content, dict), f"{file} holds no 'key: value' lines: start from one of experiments/configs")
    complaints: list[str] = []
    config = resolve_section(content, CONFIG, "", complaints)
    if not complaints:
        complaints = (
            method_files.complaints(content["student"]) + data_complaints(config["data"]) + store_complaints(config)
        )
        complaints += seqkd_complaints(config)
    require(not complaints, f"{file}: {'; '.join(complaints)}")
    if config["student"]["methods"]:
        config["student"] |= dict.fromkeys(method_files.AXES)
    return config


def data_complaints(data: Mapping[str, Any]) -> list[str]:
    """What is wrong between the keys of `data`."""
    given = [name for name, value in data.items() if value is not None and name != "tokenize"]  # that is of scores
    if data["dir"] is not None:
        colon = f"data.dir is '{data['dir']}', and to fairseq a colon ends a path: give one without, such as a link"
        others = [f"data.dir names a prepared folder, so data.{name} has no say: remove one" for name in given[1:]]
        return [colon] * (":" in data["dir"]) + others
    if data["corpus"] is None:
        return ["data.corpus is missing: name a corpus, 'files' for your own, or data.dir for a prepared folder"]
    return corpus_complaints(data)


def languages(data: Mapping[str, Any]) -> tuple[str, str]:
    """Source and target of a corpus: those given, else those of its name (iwslt_en_ru); toy's are en and de."""
    words = str(data["corpus"]).split("_")
    source, target = ("en", words[-1]) if len(words) > 2 else ("en", "de")
    return data["source_lang"] or source, data["target_lang"] or target


def corpus_complaints(data: Mapping[str, Any]) -> list[str]:
    """What data-prep/prepare.sh would refuse of a corpus and its languages."""
    corpus, langs = data["corpus"], languages(data)
    known = sorted(file.stem for file in (ROOT / "data-prep" / "corpora").glob("*.sh"))
    if known and corpus not in known:
        return [f"data.corpus is {corpus!r}, it must be one of {', '.join(known)}"]
    complaints = [
        f"data.{side}_lang is '{lang}', it must be a code such as en"
        for side, lang in zip(("source", "target"), langs, strict=True)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", lang)
    ]
    if langs[0] == langs[1]:
        complaints.append(f"data.source_lang and data.target_lang are both {langs[0]}: give two languages")
    elif corpus == "toy":
        try:
            toy.require_languages(*langs)
        except LskdError as error:
            complaints.append(f"data.corpus is toy: {error}")
    if data["max_ratio"] is not None and 0 < data["max_ratio"] < 1:
        complaints.append(f"data.max_ratio is {data['max_ratio']:g}, it must be a number from 1, or 0 for any")
    if data["form"] == "fairseq14" and corpus != "iwslt14_en_de":
        complaints.append(f"data.form is fairseq14, the recipe of iwslt14_en_de, and data.corpus is {corpus}: use raw")
    needed = ("source_lang", "target_lang", "train", "valid", "test") if corpus == "files" else ()
    lacking = [name for name in needed if data[name] is None]
    return complaints + [f"data.{name} is missing, data.corpus 'files' needs it" for name in lacking]


def store_complaints(config: Mapping[str, Any]) -> list[str]:
    """What is wrong between the teachers' stores and those who read them."""
    section, teachers = config["student"], config["teacher"]
    complaints = []
    if section["store"] == "top-k" and section["methods"]:
        complaints.append("student.store is top-k, and student.methods are given: use features, or none")
    elif section["store"] == "top-k" and "dense" in section["tail"]:
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
    complaints = [
        f"student.hypotheses has {method}, and seqkd.nbest is 1: decode more hypotheses"
        for method in several[:1]
        if options["nbest"] == 1
    ]
    if options["nbest"] > options["beam"] and not options["sampling"]:
        complaints.append(
            f"seqkd.nbest is {options['nbest']} and seqkd.beam is {options['beam']}: give at most the beam"
        )
    if options["temperature"] != 1 and not options["sampling"]:
        complaints.append(
            f"seqkd.temperature is {options['temperature']:g} without seqkd.sampling: beam search has none"
        )
    return complaints
