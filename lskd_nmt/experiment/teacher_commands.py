"""The commands that make what students read of a teacher: its translations, and its store."""

from decimal import Decimal
from itertools import pairwise

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.experiment.choice_rules import TEACHER
from lskd_nmt.experiment.choices import method_of
from lskd_nmt.experiment.distillations import levels
from lskd_nmt.experiment.records import Command, PlannedData
from lskd_nmt.experiment.run_config import Flags, RunConfig, SeqkdConfig
from lskd_nmt.experiment.scripts import words_of
from lskd_nmt.fairseq_io.flag_values import without
from lskd_nmt.storage.typed import to_json

TEST = "decoded-test"  # in the folder of a teacher that gives text: its translations of the test set


def store_command(name: str, config: RunConfig, data: PlannedData) -> Command:
    """How a teacher's store is written; nothing if its students run it beside them."""
    section = config.student
    readers = [method for method in config.methods.values() if method.teacher and not method.live]
    if section.store == "none" or (section.methods and not readers):
        return ()
    size: Flags = {"keep": section.store}
    if section.store == "top-k":
        size |= {
            "top-k": max(int(mode.partition(":")[2]) for mode in section.tail or ()),
            "temperatures": ",".join(f"{t:g}" for t in section.temperature or ()),
        }
    flags: Flags = {
        "teacher-path": f"models/{name}/model.pt",
        "teacher-data": config.teacher.data,
        "data": f"{data.folder}/bin",
        "source-lang": data.source_lang,
        "target-lang": data.target_lang,
        **size,
        "out": f"models/{name}/store",
    }
    return ("lskd", "teacher-store", *words_of(flags))


def seqkd_commands(name: str, config: RunConfig, data: PlannedData) -> tuple[Command, ...]:
    """How a teacher's hypotheses are decoded, or read, and chosen; none if no student learns from them."""
    folder, options = f"models/{name}/hypotheses", to_json(config.seqkd)
    known = DecodeSettings.__dataclass_fields__
    DecodeSettings(**{option: value for option, value in options.items() if option in known and value is not None})
    chosen = dict.fromkeys(hypotheses for _, hypotheses in levels(config.student) if hypotheses)
    if not chosen:
        return ()
    choosing: list[Flags] = [
        {
            "decoded": f"{folder}/decoded",
            **mixed(folder, config),
            **binarised(data),
            "out": f"{folder}/{kind}",
            **choice_of(kind, config, data),
            **reverse_of(name, config.seqkd),
        }
        for kind in chosen
    ]
    decoding = [translating(name, config, data), *monolingual(name, config, data)]
    steps = [*decoding, *(("select", each) for each in choosing)]
    return tuple(("lskd", "seqkd", step, *words_of(flags)) for step, flags in steps)


def choice_of(kind: str, config: RunConfig, data: PlannedData) -> Flags:
    """The flags of `lskd seqkd select` that say which translations are taken: beam, mbr-3, …"""
    (method, count), section = method_of(kind), config.seqkd
    similarity = section.similarity if method == "interpolate" else None
    found: Flags = {"method": method, "similarity": similarity, "max-ratio": section.max_ratio}
    found |= {"drop-copies": section.drop_copies}
    if "bleu" in (similarity, section.utility if method == "mbr" else None):
        found["tokenize"] = data.tokenize
    found |= {"hypotheses": count, "filters": section.filters}
    if method == "mbr":
        found |= {"utility": section.utility, "aggregate": section.aggregate}
    lowest = None if section.min_score is None else f"{Decimal(repr(section.min_score)):f}"  # -1e-05 would be a flag
    found |= {"drop-worst": section.drop_worst, "min-score": lowest}
    if method == "best-score" or section.drop_worst is not None or section.min_score is not None:
        found |= {"scores": section.scores, "score-command": section.score_command, "score-batch": section.score_batch}
    return found


def as_read(command: Command) -> Command:
    """A command of `lskd seqkd` without the flags that earlier plans gave to `select`, and that it did not read."""
    if "select" not in command[:3]:
        return command
    flags = dict(pairwise(command))
    similarity, utility = flags.get("--similarity", "bleu"), flags.get("--utility", "chrf")
    compared = {"interpolate": similarity, "mbr": utility}.get(flags.get("--method", ""))
    is_read = {"similarity": flags.get("--method") == "interpolate", "tokenize": compared == "bleu"}
    is_read["score-batch"] = "--score-command" in flags
    return tuple(without(command, [flag for flag, read in is_read.items() if not read]))


def reverse_of(name: str, section: SeqkdConfig) -> Flags:
    """The flags that drop the worst translations by a model of the other direction, alone or with `name`, a teacher."""
    forward = f"models/{name}/model.pt" if section.forward == TEACHER else section.forward
    worst = section.drop_worst_reverse
    return {"reverse-model": section.reverse, "drop-worst-reverse": worst, "forward-model": forward}


def binarised(data: PlannedData) -> Flags:
    """The flags that name the binarised data and its languages."""
    return {"data": f"{data.folder}/bin", "source-lang": data.source_lang, "target-lang": data.target_lang}


def translating(name: str, config: RunConfig, data: PlannedData) -> tuple[str, Flags]:
    """How translations of the training source are made, or those that are there read: a step of `lskd seqkd`."""
    out = f"models/{name}/hypotheses/decoded"
    if config.teacher.kind == "translations":
        source = f"{data.folder}/clean/train.{data.source_lang}"
        return "import", {"source": source, "translations": config.teacher.place, "out": out}
    return "decode", {**translator(name, config), **binarised(data), "out": out, **search_of(config)}


def search_of(config: RunConfig) -> Flags:
    """How a teacher searches for translations of the training source."""
    options = to_json(config.seqkd)
    search = ("engine", "quantization", "beam", "nbest", "sampling", "sampling_topk", "shard_sentences")
    if config.teacher.kind == "ct2" and options["quantization"] == SeqkdConfig().quantization:
        options["quantization"] = None  # as it was converted
    return {
        **{option.replace("_", "-"): options[option] for option in search},
        "temperature": config.seqkd.temperature if config.seqkd.sampling else None,
        **lengths(config),
    }


def monolingual(name: str, config: RunConfig, data: PlannedData) -> list[tuple[str, Flags]]:
    """How text without a target side is translated, or its translations read: a step for each file."""
    text = config.seqkd.monolingual
    if text is None:
        return []
    steps: list[tuple[str, Flags]] = []
    for number, file in enumerate(text.files):
        out = monolingual_folder(f"models/{name}/hypotheses", number)
        if text.translations is not None:
            steps.append(("import", {"source": file, "translations": text.translations[number], "out": out}))
            continue
        flags = {**translator(name, config), "source": file, **binarised(data), "out": out, **search_of(config)}
        steps.append(("decode", flags))
    return steps


def monolingual_folder(folder: str, number: int) -> str:
    """Where the translations of a file of monolingual text are, under those of a teacher."""
    return f"{folder}/monolingual-{number + 1}"


def mixed(folder: str, config: RunConfig) -> Flags:
    """The flags of `lskd seqkd select` that take monolingual text beside the data."""
    text = config.seqkd.monolingual
    if text is None:
        return {}
    folders = (monolingual_folder(folder, number) for number in range(len(text.files)))
    return {"monolingual": ":".join(folders), "share": text.share}


def corpus(source: str, hypotheses: str | None, config: RunConfig, data: PlannedData) -> str:
    """The binarised corpus of a student: the data's, or that of chosen translations, which has monolingual text."""
    if hypotheses is None or config.seqkd.monolingual is None:
        return f"{data.folder}/bin"
    return f"models/{source}/hypotheses/{hypotheses}/bin"


def translator(name: str, config: RunConfig) -> Flags:
    """The flags of `lskd seqkd decode` that name a teacher."""
    section = config.teacher
    if section.kind not in ("hf", "ct2"):
        return {"teacher-path": f"models/{name}/model.pt", "teacher-data": section.data}
    return {
        "teacher": section.origin,
        "teacher-source-lang": section.source_lang,
        "teacher-target-lang": section.target_lang,
        "teacher-prefix": section.prefix,
        "teacher-tokenizer": section.tokenizer,
        "prompt": section.prompt,
    }


def lengths(config: RunConfig) -> Flags:
    """How long a translation may be, and what its length counts."""
    decode = config.decode
    return {"max-len-a": decode.max_len_a, "max-len-b": decode.max_len_b, "lenpen": decode.lenpen}


def test_command(name: str, config: RunConfig, data: PlannedData) -> Command:
    """How a teacher that gives text translates the test set; nothing where its translations are there already."""
    if config.teacher.kind == "translations":
        return ()
    flags = {
        **translator(name, config),
        **binarised(data),
        "split": "test",
        "out": f"models/{name}/{TEST}",
        "engine": config.seqkd.engine,
        "quantization": search_of(config)["quantization"],
        "beam": config.decode.beam,
        **lengths(config),
    }
    return ("lskd", "seqkd", "decode", *words_of(flags))
