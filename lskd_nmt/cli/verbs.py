"""The table of all verbs of `lskd`: in which group `lskd --help` lists them, their older names, and an example of each.

The parsers are made in this folder's other files; `arrange` completes them from this table, which must name them all.
An example is a whole command; redirections (`< FILE > FILE`) stand at its end.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Verb:
    """What the list of verbs and the end of a verb's own help say; `aliases` are older names, which still work."""

    about: str
    example: str
    aliases: tuple[str, ...] = ()


GROUPS: Mapping[str, Mapping[str, Verb]] = {
    "prepare": {
        "doctor": Verb(
            "check installation, data, teacher, memory and disk",
            "lskd doctor --data data/iwslt14/bin --teacher-path teacher.pt --max-tokens 4096",
        ),
        "toy": Verb(
            "write a generated corpus of two languages",
            "lskd toy --source-lang en --target-lang de --train 20000 --out data/toy/raw",
        ),
        "prepare": Verb(
            "a corpus as fairseq's data: data-prep/prepare.sh",
            "lskd prepare --corpus files --source-lang en --target-lang de --train text/train --out data/my",
        ),
        "iwslt": Verb(
            "read a corpus out of an archive of TED talks",
            "lskd iwslt de-en.tgz --layout wit3 --source-lang en --target-lang de --out data/iwslt14/raw",
        ),
        "clean": Verb(
            "normalise a bitext and drop bad training pairs",
            "lskd clean --source-lang en --target-lang de --raw data/my/raw --out data/my/clean",
        ),
        "subwords": Verb(
            "learn a sentencepiece model and encode all splits",
            "lskd subwords --source-lang en --target-lang de --clean data/my/clean --vocab-size 8000 --out data/my",
        ),
        "adopt-data": Verb(
            "take the output of fairseq-preprocess as the data of a run",
            "lskd adopt-data --bin data-bin/wmt --source-lang en --target-lang de --out runs/wmt/data",
        ),
        "check-data": Verb(
            "prove that a prepared folder is whole",
            "lskd check-data --source-lang en --target-lang de --settings data/my/settings --out data/my",
        ),
    },
    "train": {
        "quickstart": Verb(
            "the whole pipeline on generated text, in some minutes",
            "lskd quickstart --jobs 2",
        ),
        "configs": Verb(
            "list the configs that come with the toolkit, or copy them",
            "lskd configs --copy configs",
        ),
        "run": Verb(
            "an experiment from its YAML, to the end: experiments/run.sh",
            "lskd run --config multi30k_grid --out runs/grid --device cpu",
        ),
        "plan": Verb(
            "make a run folder of an experiment's YAML",
            "lskd plan experiments/configs/quickstart.yaml --out runs/quickstart",
        ),
        "forecast": Verb(
            "what a run will cost, from a few updates of each training",
            "lskd forecast experiments/configs/quickstart.yaml --jobs 2 --device cpu",
        ),
        "graph": Verb(
            "draw who teaches whom in a run, and what is done",
            "lskd graph runs/quickstart --out graph",
        ),
    },
    "distil": {
        "import-teacher": Verb(
            "a Hugging Face model as a teacher of words, with its dictionary",
            "lskd import-teacher opus-mt-en-de --source-lang en --target-lang de --out teacher",
        ),
        "trim": Verb(
            "a model with the symbols alone that a text needs",
            "lskd trim --checkpoint teacher.pt --data data/my/bin --keep-for train.en train.de --out small",
        ),
        "init-student": Verb(
            "chosen layers of a teacher, for a student to start from",
            "lskd init-student --checkpoint teacher.pt --encoder 0,1 --decoder 0,1 --data data/my/bin --out init.pt",
        ),
        "teacher-store": Verb(
            "store a teacher's probabilities of every target token",
            "lskd teacher-store --teacher-path teacher.pt --data data/iwslt14/bin --top-k 8 --out store",
        ),
        "seqkd": Verb(
            "sequence level: decode with a teacher or import, select",
            "lskd seqkd decode --teacher-path teacher.pt --data data/iwslt14/bin --beam 5 --nbest 5 --out decoded",
        ),
    },
    "evaluate": {
        "table": Verb(
            "results of runs with intervals and tests, as tables and figures",
            "lskd table runs/quickstart --baseline plain --out tables",
        ),
        "adopt": Verb(
            "make a training done elsewhere a row of a run's table",
            "lskd adopt runs/quickstart --name marian --checkpoint other.pt",
        ),
        "score-set": Verb(
            "a further test set for a finished run, decoded and scored",
            "lskd score-set runs/quickstart --name news --source news.en --reference news.de",
        ),
        "curves": Verb(
            "draw the learning curves of a run",
            "lskd curves runs/quickstart --out figures",
        ),
        "report": Verb(
            "one static page of runs: tables, figures, sentences",
            "lskd report runs/quickstart --out page --sentences 500",
        ),
        "track": Verb(
            "log scores, costs and table in TensorBoard or wandb",
            "lskd track runs/quickstart --tensorboard-logdir logs",
        ),
    },
    "deploy": {
        "average": Verb(
            "average the weights of several checkpoints",
            "lskd average --folder checkpoints --last 5 --out model.pt",
        ),
        "export": Verb(
            "write a student that needs neither plugin nor teacher",
            "lskd export --checkpoint student.pt --data data/my/bin --to ctranslate2 --quantization int8 --out int8",
        ),
        "translate": Verb(
            "translate standard input with an exported model",
            "lskd translate int8 --beam 5 < text.en > text.de",
        ),
        "benchmark": Verb(
            "size, BLEU, speed and latency of several models",
            "lskd benchmark --data data/iwslt14/bin --models teacher=teacher.pt int8=int8 --out benchmark",
            ("compare",),
        ),
    },
    "explain": {
        "analyse": Verb(
            "every analysis below, of every model of a run",
            "lskd analyse runs/quickstart --tokens 120000 --dry-run",
        ),
        "features": Verb(
            "store a model's states and probabilities of a split",
            "lskd features --checkpoint student.pt --data data/iwslt14/bin --split valid --out features/student",
        ),
        "calibrate": Verb(
            "is a model right as often as it says?",
            "lskd calibrate features/student --out calibration.json",
        ),
        "confidence": Verb(
            "how sure several models are of the same tokens",
            "lskd confidence --models plain=features/plain kd=features/student --out confidence.json",
        ),
        "projection": Verb(
            "draw the states of three target words in a plane",
            "lskd projection --models plain=features/plain kd=features/student --tokens ▁two,▁three,▁house --out plane",
            ("project",),
        ),
        "diffusion-index": Verb(
            "do words move towards similar ones as T rises?",
            "lskd diffusion-index --teacher features/teacher --students 1=features/t1 64=features/t64 --out diffusion",
            ("diffuse",),
        ),
        "diagnose": Verb(
            "a teacher's tail, and what its student gets wrong",
            "lskd diagnose --teacher features/teacher --temperatures 1,2,64 --out diagnosis",
        ),
        "robustness": Verb(
            "loops, hallucinations, memorised sentences, and the like",
            "lskd robustness runs/quickstart --perturbations upper typo --out robustness",
        ),
    },
    "steps that experiments/run.sh calls": {
        "run-step": Verb(
            "do one step of the pipeline on one model",
            "lskd run-step runs/quickstart teacher-ls0.1-s1 train -- --cpu",
        ),
        "train-model": Verb(
            "run one model's training command",
            "lskd train-model --run runs/quickstart --model teacher-ls0.1-s1 -- --cpu",
            ("watch",),
        ),
        "decode-model": Verb(
            "run one model's decoding command on the test set",
            "lskd decode-model --run runs/quickstart --model teacher-ls0.1-s1 -- --cpu",
            ("generate",),
        ),
        "extract-hypotheses": Verb(
            "fairseq-generate's output as text, in the test's order",
            "lskd extract-hypotheses --run runs/quickstart --model teacher-ls0.1-s1",
            ("hyp",),
        ),
        "score": Verb(
            "score translations by BLEU, chrF or any other metric",
            "lskd score --run runs/quickstart --model teacher-ls0.1-s1 --metrics ter,chrf++",
        ),
    },
}

# Verbs that consist of verbs, which their own help lists.
INNER: Mapping[str, Mapping[str, Verb]] = {
    "seqkd": {
        "decode": Verb(
            "let the teacher translate the training source",
            "lskd seqkd decode --teacher hf:Helsinki-NLP/opus-mt-en-de --data data/iwslt14/bin --beam 5 --out decoded",
        ),
        "import": Verb(
            "take translations that were made elsewhere",
            "lskd seqkd import --source train.en --translations train.de --system my-translator --out decoded",
        ),
        "candidates": Verb(
            "write decoded translations for a program that scores them",
            "lskd seqkd candidates --decoded decoded --data data/iwslt14/bin --out candidates.jsonl",
        ),
        "select": Verb(
            "choose among decoded translations, and store them",
            "lskd seqkd select --decoded decoded --data data/iwslt14/bin --method interpolate --out hypotheses",
        ),
    },
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose help ends with lines that are printed as they are."""

    ending = ""

    def format_help(self) -> str:
        """The help of argparse, and the ending."""
        return super().format_help() + self.ending


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def arrange(root: Parser, verbs: Verbs) -> None:
    """End the help of `lskd` with the groups of verbs, and complete each verb."""
    root.ending = "".join(listed(group, members) for group, members in GROUPS.items())
    complete(verbs, {name: verb for members in GROUPS.values() for name, verb in members.items()})


def complete(verbs: Verbs, table: Mapping[str, Verb]) -> None:
    """Give each parser its example, and its older names."""
    for name, parser in list(verbs.choices.items()):
        parser.ending = f"\nexample:\n  {table[name].example}\n"
        verbs.choices.update(dict.fromkeys(table[name].aliases, parser))


def listed(group: str, members: Mapping[str, Verb]) -> str:
    """A group of verbs, a line each."""
    return "".join([f"\n{group}:\n", *(f"  {name:<20} {verb.about}\n" for name, verb in members.items())])
