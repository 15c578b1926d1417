"""The experiment's YAML: every key it may have, what each value must be, and one line for all that is wrong."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_args

from lskd_nmt.data import toy
from lskd_nmt.decode_settings import ENGINES, DecodeSettings
from lskd_nmt.errors import LskdError, require
from lskd_nmt.evaluate.metrics import METRICS
from lskd_nmt.experiment import method_files
from lskd_nmt.experiment.choice_rules import CHOICE_RULES, TEACHER, choice_settings
from lskd_nmt.experiment.choices import choosing, learned
from lskd_nmt.experiment.compatibility import EXPERIMENT_RULES, ExperimentSettings
from lskd_nmt.experiment.config_keys import Checks, Required, resolve_section
from lskd_nmt.experiment.config_values import (
    average,
    choice,
    commands,
    filters,
    flags,
    hub,
    init,
    integer,
    line,
    metric_name,
    monolingual,
    named_tests,
    number,
    origin,
    path,
    path_or,
    several,
    tail,
    text,
    truth,
    whole,
    word,
    word_or_none,
)
from lskd_nmt.experiment.records import MAIN_SET
from lskd_nmt.experiment.run_config import (
    DataConfig,
    RunConfig,
    SeqkdConfig,
    StudentConfig,
    TeacherConfig,
    brings_test,
)
from lskd_nmt.experiment.stock_data import is_stock
from lskd_nmt.losses.rule import complaints as broken
from lskd_nmt.losses.settings import Level, SmoothingOver, Temper
from lskd_nmt.storage.provenance import ROOT
from lskd_nmt.storage.typed import Json, from_json, to_json
from lskd_nmt.storage.yaml_file import read_yaml

label_smoothing = number(0, 1, "a number from 0 up to, not including, 1", high_included=False)
above_zero = number(0, math.inf, "a number above 0", low_included=False)
smoothing_over = choice(*get_args(SmoothingOver))

CONFIG: Checks = {
    "name": Required(word),
    "data": {
        "dir": path,
        "corpus": word,
        "source_lang": word,
        "target_lang": word,
        "train": path,
        "valid": path,
        "test": path,
        "tests": named_tests,  # NAME: PREFIX of PREFIX.SRC and PREFIX.TGT; several references: PREFIX.TGT.0, …
        "raw_dir": path,
        "form": choice("raw", "fairseq14", "tokenised"),
        "vocab_size": integer,
        "pairs": integer,
        "seed": integer,
        "expected_counts": str,
        "subwords": choice("unigram", "bpe"),
        "spm_sentences": integer,
        "max_words": integer,
        "max_ratio": number(0, math.inf, "a number from 1, or 0 for any"),
        "drop_empty": truth,
        "keep_repeated": truth,
        "filters": filters,  # what is not worth learning, see docs/data.md
        "workers": integer,
        "dictionary": path,  # of lskd import-teacher: its subwords and dictionaries instead of learned ones
        "spm": path,  # of a stock data-bin, whose sentencepiece model nobody else knows
        "tokenize": word,  # of BLEU, instead of the target language's own
    },
    "teacher": {
        "from": origin,  # one that is there already; "none" is also the whole section's value
        "data": path,  # where the dict.*.txt of a fairseq teacher are, if its checkpoint does not say
        "source_lang": line,  # as a Hugging Face or CTranslate2 model names its languages, such as eng_Latn
        "target_lang": line,
        "prefix": text,  # before every source, such as 'translate English to German: '
        "prompt": path,  # of a language model: a file with {source} where the source is to stand
        "tokenizer": hub,  # hf:DIR, of a CTranslate2 model that has none beside it
        "arch": word_or_none,
        "label_smoothing": several(label_smoothing),
        "smoothing_over": smoothing_over,
        "average": average,
        "seed": integer,  # students of all seeds learn from this teacher; else each from that of its own seed
        "run": path,  # the run folder that has the teachers, which are not trained again
        "train": flags,
    },
    "student": {
        "arch": Required(word),
        "plain": truth,
        "label_smoothing": label_smoothing,
        "smoothing_over": smoothing_over,
        "methods": method_files.named,  # files of flags, instead of the keys in methods.AXES
        "temperature": several(method_files.READ["temperature"]),
        "kd_level": several(choice(*get_args(Level))),
        "hypotheses": several(choosing),
        "hypotheses_drawn": several(whole),  # at an update, of a choice of several; 0: all
        "kd_weight": several(number(0, 1, "a number above 0, at most 1", low_included=False)),
        "tail": several(tail),
        "store": choice("none", "top-k", "features"),
        "temper": choice(*get_args(Temper)),
        "temperature_squared": truth,
        "average": average,
        "train": flags,
        "init": init,  # {from: teacher, encoder: [0, 3, 5], decoder: [0, 5]}: the start of students with a teacher
    },
    "seqkd": {
        "engine": choice(*ENGINES),
        "quantization": word,
        "beam": integer,
        "nbest": integer,
        "sampling": truth,
        "temperature": above_zero,
        "sampling_topk": integer,
        "similarity": choice("bleu", "chrf"),
        "max_ratio": number(1, math.inf, "a number from 1 (leave it out for any)"),
        "drop_copies": truth,
        "filters": filters,
        "shard_sentences": integer,
        "utility": choice("chrf", "bleu"),
        "aggregate": truth,
        "scores": path,
        "score_command": line,
        "score_batch": integer,
        "drop_worst": number(0, 1, "a share between 0 and 1", low_included=False, high_included=False),
        "min_score": number(-math.inf, math.inf, "a number"),
        "reverse": path,  # a model of the other direction drops the worst translations, see docs/filters.md
        "drop_worst_reverse": number(0, 1, "a share between 0 and 1", low_included=False, high_included=False),
        "forward": path_or(TEACHER),
        "monolingual": monolingual,  # {files: …, share: 0.5}: source text without a target side
    },
    "train": flags,
    "seeds": several(integer),
    "decode": {
        "engine": choice("auto", *ENGINES),  # auto: CTranslate2 where it translates as fairseq does
        "beam": integer,
        "lenpen": number(-math.inf, math.inf, "a number"),
        "max_len_a": number(0, math.inf, "a number from 0"),  # at most a · source length + b subwords
        "max_len_b": integer,
        "max_tokens": integer,
    },
    "metrics": several(metric_name),  # columns of the table, the main one first
    "metric_commands": commands,  # {comet22: "${COMET}/bin/python …"}: the programs of metrics that are not sacreBLEU's
    "track": {  # what is logged elsewhere: it changes no training
        "tensorboard": path,
        "wandb": line,
    },
}


DEFAULTS: Mapping[str, Json] = to_json(RunConfig())


def read_config(file: str | Path) -> RunConfig:
    """The config with defaults filled in and paths expanded; all complaints in one `LskdError`."""
    return resolve(method_files.loaded(read_yaml(file), Path(file)), str(file))


def resolve(content: Json, file: str = "config") -> RunConfig:
    """`content` checked against `CONFIG`; see `read_config`."""
    if not isinstance(content, dict):
        raise LskdError(f"{file} holds no 'key: value' lines: start from one of experiments/configs")
    complaints: list[str] = []
    found = resolve_section(with_origin(content), CONFIG, DEFAULTS, "", complaints)
    section = found["teacher"]
    if isinstance(section, dict) and not complaints:
        section["origin"] = section.pop("from")
        complaints += ["teacher.arch is missing"] * (section["origin"] is None and not section["arch"])
    require(not complaints, f"{file}: {'; '.join(complaints)}")
    config = from_json(RunConfig, found, file)
    settings = settings_of(config, method_files.given_axes(content["student"]))
    complaints = data_complaints(config.data) + broken(EXPERIMENT_RULES, settings)
    complaints += broken(CHOICE_RULES, choice_settings(config))
    complaints += metric_complaints(config.metrics or (), config.metric_commands or {})
    require(not complaints, f"{file}: {'; '.join(complaints)}")
    if not config.methods and config.teacher.kind != "none":
        return config
    chosen = to_json(config)
    chosen["student"] |= dict.fromkeys(method_files.AXES)
    return from_json(RunConfig, chosen, file)


def with_origin(content: dict[str, Json]) -> dict[str, Json]:
    """The content of a YAML, or of a plan's config, with the section of a teacher that is there already in one form."""
    section = content.get("teacher")
    if section == "none":
        return {**content, "teacher": {"from": "none"}}
    if not isinstance(section, dict) or "origin" not in section:
        return content
    return {**content, "teacher": {"from": section["origin"], **{k: v for k, v in section.items() if k != "origin"}}}


# keys of a folder of fairseq-preprocess
STOCK = ("dir", "tests", "source_lang", "target_lang", "form", "spm", "tokenize")


def data_complaints(data: DataConfig) -> list[str]:
    """What is wrong between the keys of `data`."""
    given = [each.name for each in fields(data) if getattr(data, each.name) is not None]
    if data.dir is not None:
        colon = f"data.dir is '{data.dir}', and to fairseq a colon ends a path: give one without, such as a link"
        others = [
            f"data.dir names a prepared folder, so data.{name} has no say: remove one"
            for name in given
            # the latter two are of scores
            if name not in (STOCK if is_stock(Path(data.dir)) else ("dir", "tests", "tokenize"))
        ]
        return [colon] * (":" in data.dir) + others + test_complaints(data)
    if data.corpus is None:
        return ["data.corpus is missing: name a corpus, 'files' for your own, or data.dir for a prepared folder"]
    return corpus_complaints(data, data.corpus) + test_complaints(data)


def test_complaints(data: DataConfig) -> list[str]:
    """What is wrong with the names of the test sets."""
    taken = MAIN_SET in (data.tests or {}) and brings_test(data)
    return [f"data.tests names '{MAIN_SET}', as the data's own test set is called: give it another name"] * taken


def metric_complaints(names: Sequence[str], programs: Mapping[str, str]) -> list[str]:
    """What is wrong between the metrics of an experiment and the commands of those that programs compute."""
    known = [name for name, entry in METRICS.items() if not entry.by_program or name in programs]
    found = [
        f"metric_commands.{name} is of a metric that sacreBLEU computes: remove it, or rename it"
        for name in programs
        if name in METRICS and not METRICS[name].by_program
    ]
    for name in names:
        if name in METRICS and name not in known:
            found.append(f"metrics has {name}, which a program computes: name its command as metric_commands.{name}")
        elif name not in METRICS and name not in programs:
            others = [each for each in METRICS if each not in known]
            found.append(
                f"metrics has '{name}', it must be one of {', '.join(known)}, or, with a command under "
                f"metric_commands, {', '.join(others)} or a name of your own"
            )
    return found


def languages(data: DataConfig) -> tuple[str, str]:
    """Source and target of a corpus: those given, else those of its name (iwslt_en_ru); toy's are en and de."""
    words = str(data.corpus).split("_")
    source, target = ("en", words[-1]) if len(words) > 2 else ("en", "de")
    return data.source_lang or source, data.target_lang or target


def corpus_complaints(data: DataConfig, corpus: str) -> list[str]:
    """What data-prep/prepare.sh would refuse of a corpus and its languages."""
    langs = languages(data)
    known = sorted(file.stem for file in (ROOT / "data-prep" / "corpora").glob("*.sh"))
    if known and corpus not in known:
        return [f"data.corpus is {corpus!r}, it must be one of {', '.join(known)}"]
    if data.form == "tokenised" or data.spm is not None:
        name = "form tokenised" if data.spm is None else "spm"
        return [f"data.{name} is of a stock data-bin, and data.corpus is {corpus}: remove it"]
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
    if data.max_ratio is not None and 0 < data.max_ratio < 1:
        complaints.append(f"data.max_ratio is {data.max_ratio:g}, it must be a number from 1, or 0 for any")
    if data.form == "fairseq14" and corpus != "iwslt14_en_de":
        complaints.append(f"data.form is fairseq14, the recipe of iwslt14_en_de, and data.corpus is {corpus}: use raw")
    tests = () if data.tests else ("test",)
    needed = ("source_lang", "target_lang", "train", "valid", *tests) if corpus == "files" else ()
    lacking = [name for name in needed if getattr(data, name) is None]
    return complaints + [f"data.{name} is missing, data.corpus 'files' needs it" for name in lacking]


def settings_of(config: RunConfig, axes: Sequence[str]) -> ExperimentSettings:
    """What the rules of `compatibility` ask; `axes` are the keys in the YAML that methods say as well."""
    student, seqkd, teacher = config.student, config.seqkd, config.teacher
    return ExperimentSettings(
        store=student.store,
        methods=bool(student.methods),
        axes=tuple(axes),
        tail=student.tail or (),
        kd_level=student.kd_level or (),
        hypotheses=student.hypotheses or (),
        most=max((learned(name, 1) for name in student.hypotheses or ()), default=1),
        nbest=seqkd.nbest,
        beam=seqkd.beam,
        sampling=seqkd.sampling,
        temperature=seqkd.temperature,
        shared_teachers=config.teacher.run is not None,
        prepared=config.data.dir is not None,
        origin=teacher.kind,
        trained=changed(teacher, TeacherConfig(), TRAINED),
        of_kind=tuple(name for name in OF_KIND if getattr(teacher, name) is not None),
        taught=tuple(name for name, method in config.methods.items() if method.teacher),
        probabilities=changed(student, StudentConfig(), PROBABILITIES),
        decoding=changed(seqkd, SeqkdConfig(), DECODING),
        engine=seqkd.engine,
        plain=student.plain,
        utility=seqkd.utility or "chrf",
        aggregate=bool(seqkd.aggregate),
        scores=tuple(name for name in ("scores", "score_command") if getattr(seqkd, name) is not None),
        drops=tuple(name for name in ("drop_worst", "min_score") if getattr(seqkd, name) is not None),
        monolingual=seqkd.monolingual is not None,
        init=student.init is not None,
        begins=tuple(flag for flag in ("finetune-from-model",) if flag in config.train | student.train),
        translated=seqkd.monolingual is not None and seqkd.monolingual.translations is not None,
    )


# keys of a teacher that is trained
TRAINED = ("arch", "label_smoothing", "smoothing_over", "average", "seed", "run", "train")
OF_KIND = ("data", "source_lang", "target_lang", "prefix", "prompt", "tokenizer")  # of one that is there already
PROBABILITIES = ("temperature", "tail", "temper", "temperature_squared", "store")  # what is read of probabilities
DECODING = tuple(name for name in SeqkdConfig.__dataclass_fields__ if name in DecodeSettings.__dataclass_fields__)


def changed(section: object, default: object, names: Sequence[str]) -> tuple[str, ...]:
    """The keys of a section whose values are not the defaults, nor None."""
    pairs = ((name, getattr(section, name)) for name in names)
    return tuple(name for name, value in pairs if value is not None and value != getattr(default, name))
