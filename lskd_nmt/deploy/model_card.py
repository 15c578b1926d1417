"""The README.md of an exported model: what it is, learned from, scores and cost, as the run's own records have it.

What no record says is not made up: the card names what is missing. The licence is the user's to choose.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt import __version__
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.bootstrap import resampled
from lskd_nmt.evaluate.kept_statistics import Reading
from lskd_nmt.evaluate.metrics import described
from lskd_nmt.evaluate.records import Metrics, read_metrics
from lskd_nmt.experiment.records import PlannedModel, RunRecord
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_metrics import scored_of
from lskd_nmt.hf_io.students import KIND_NAMES, LONGEST, Student
from lskd_nmt.storage.files import read_json, sha256

UNKNOWN = "not known: the checkpoint is not the `model.pt` of a model of a run (`experiments/run.sh`). Fill this in."
ENDS = 40  # quantiles of which the first and the last leave 2.5 % beyond them
HOUR = 3600
SACREBLEU = frozenset({"sacrebleu", "sacremoses"})  # whose statistics take seconds


@dataclass(frozen=True)
class Recorded:
    """A model of a run, and where its records are."""

    run: Run
    model: PlannedModel

    @property
    def folder(self) -> Path:
        """The model's own."""
        return self.run.model_folder(self.model.name)

    def training(self, name: str) -> RunRecord | None:
        """What a model's training was and cost, if the run trained it."""
        return self.run.run_record(name) if (self.run.model_folder(name) / "run.json").is_file() else None

    def metrics(self, name: str) -> Metrics | None:
        """A model's scores, if it has any."""
        file = self.run.model_folder(name) / "metrics.json"
        return read_metrics(file) if file.is_file() else None


def recorded(checkpoint: Path) -> Recorded | None:
    """The model of a run whose published checkpoint this is, by the file's content; None if there is none."""
    place = checkpoint.resolve()
    for folder in place.parents[:2]:
        published, plan = folder / "model.pt", folder.parent.parent / "plan.json"
        if folder.parent.name == "models" and published.is_file() and plan.is_file():
            if not published.samefile(place) and sha256(published) != sha256(place):
                return None
            try:
                run = Run(folder.parent.parent)
                return Recorded(run, run.model(folder.name))
            except LskdError:
                return None  # a plan of another kind: a card is no reason to refuse an export
    return None


def model_card(checkpoint: Path, data: Path, student: Student, parameters: int, proof: Sequence[str]) -> str:
    """The whole card; `proof` are sentences that say what was proved of the export."""
    source, target = student.langs
    found = recorded(checkpoint)
    name = found.model.name if found else checkpoint.stem
    parts = [
        head(student),
        f"# {name}: {source} to {target}",
        f"A translation model of {shape(student)}, {parameters:,} parameters. It was trained on fairseq and exported "
        f"by lskd_nmt {__version__}; it is an {KIND_NAMES[student.kind]} of transformers.",
        "## Use",
        usage(student),
        "## Data",
        bullets(of_data(data, found)),
        "## Teacher and method",
        bullets(of_method(found)) if found else UNKNOWN,
        "## Scores",
        scores(found) if found else UNKNOWN,
        "## Cost of training",
        bullets(of_cost(found)) if found else UNKNOWN,
        "## What was proved of this export",
        bullets(proof),
        "## Licence",
        "Not chosen yet: whoever publishes this model does so, here and in `license` at the top, as the licences of "
        "data and teacher allow.",
    ]
    return "\n\n".join(parts) + "\n"


def head(student: Student) -> str:
    """The fields that the hub reads; `license` is left out on purpose."""
    langs = "".join(f"- {lang}\n" for lang in student.langs)
    tags = "".join(f"- {tag}\n" for tag in ("translation", "knowledge-distillation", "lskd_nmt"))
    fields = f"language:\n{langs}library_name: transformers\npipeline_tag: translation\ntags:\n{tags}"
    return f"---\n{fields}# license: choose one\n---"


def shape(student: Student) -> str:
    """Layers, width and heads in words."""
    settings = student.settings
    layers = f"{settings['encoder_layers']}+{settings['decoder_layers']} layers"
    norm = "pre-norm" if settings.get("encoder_normalize_before") else "post-norm"
    ffn = f"feed-forward layers of {settings['encoder_ffn_embed_dim']}"
    return (
        f"{layers} ({norm}), width {settings['encoder_embed_dim']}, {ffn}, {settings['encoder_attention_heads']} heads"
    )


def usage(student: Student) -> str:
    """How to translate, and what is not in the tokeniser."""
    most = student.positions[0]
    return f"""```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer, model = (each.from_pretrained("FOLDER") for each in (AutoTokenizer, AutoModelForSeq2SeqLM))
inputs = tokenizer(["A sentence.", "Another one."], return_tensors="pt", padding=True)
print(tokenizer.batch_decode(model.generate(**inputs), skip_special_tokens=True))
```

Give one sentence at a time, of at most {most} subwords with its end. A translation has at most {LONGEST} unless
`max_new_tokens` says otherwise. Text is taken as Unicode NFC with single spaces; symbols such as `</s>` in it are read
as special symbols."""


def of_data(data: Path, found: Recorded | None) -> Iterable[str]:
    """What the data folder's record and the plan say of the bitext."""
    prep = data.resolve().parent / "prep.json"
    if not prep.is_file():
        yield "Prepared by others: no record of corpus, cleaning and subwords. Fill this in."
        return
    facts = read_json(prep)
    said = {"corpus": facts.get("corpus"), "form": facts.get("form")}
    pairs = facts.get("pairs")
    if isinstance(pairs, Mapping):
        said |= {f"sentence pairs of {split}": f"{count:,}" for split, count in pairs.items()}
    said["symbols of the dictionary"] = facts.get("dictionary_symbols")
    hashes = facts.get("sha256")
    if isinstance(hashes, Mapping):
        said |= {f"SHA-256 of {name}": f"`{value}`" for name, value in hashes.items() if "train" in name}
    yield from (f"{name}: {value}" for name, value in said.items() if value is not None)
    if found and found.run.plan.config.seqkd is not None and found.model.hypotheses:
        yield f"the target side has translations of the teacher: {found.model.hypotheses}"


def of_method(found: Recorded) -> Iterable[str]:
    """Who taught it, and how, as the plan has it."""
    model = found.model
    yield f"role: {model.role}, `--arch {model.arch}`, seed {model.seed}"
    if model.teacher is None:
        yield "teacher: none"
    else:
        metrics = found.metrics(model.teacher)
        bleu = f", BLEU {metrics.scores['bleu'].score:.2f} on the same test set" if metrics else ""
        planned = [each for each in found.run.models if each.name == model.teacher]  # none if it is of another run
        what = "".join(f", {place_of(each.origin) if each.origin else f'`--arch {each.arch}`'}" for each in planned)
        yield f"teacher: {model.teacher}{what}{bleu}"
    facts = {
        "method": model.method,
        "level": model.kd_level,
        "temperature": model.temperature,
        "weight of the teacher's loss": model.kd_weight if model.teacher else None,
        "label smoothing of the teacher" if model.teacher else "label smoothing": model.label_smoothing,
        "translations that it learned": model.hypotheses,
        "of these at each update, drawn at random": model.hypotheses_drawn,
        "symbols of the teacher that were known, the most probable ones": model.top_k or None,
        "what became of the others": model.tail if model.top_k else None,
    }
    yield from (f"{name}: {value}" for name, value in facts.items() if value is not None)


def place_of(origin: str) -> str:
    """Where a model is from, without the folders of somebody's machine."""
    kind, _, place = origin.partition(":")
    return f"{kind}:{Path(place).name if Path(place).is_absolute() else place}"


def scores(found: Recorded) -> str:
    """A row for each metric with signature and interval."""
    metrics = found.metrics(found.model.name)
    if metrics is None:
        return "Not scored yet."
    rows = ["| metric | score | 95 % interval | signature |", "|---|---|---|---|"]
    for name, score in metrics.scores.items():
        low, high = interval(found, name) or ("", "")
        ends = f"{low:.2f} to {high:.2f}" if low != "" else "–"
        signature = score.signature.replace("|", "\\|")  # or a table would end its cell there
        rows.append(f"| {described(name).label} | {score.score:.2f} | {ends} | `{signature}` |")
    search = metrics.facts.decode or {}
    how = ", ".join(f"{name} {value}" for name, value in search.items())
    said = f"{metrics.facts.sentences} sentences of test{f', decoded with {how}' if how else ''}."
    return "\n".join([*rows, "", f"{said} Intervals are of a bootstrap of sentences, for one training."])


def interval(found: Recorded, name: str) -> tuple[float, float] | None:
    """The 95 % interval by resampling sentences; None where the scored text, or a program's scores of it, are gone."""
    entry = described(name)
    if not entry.by_program and not SACREBLEU.issuperset(entry.packages):
        return None
    try:
        scored = scored_of(found.run, found.model.name)
        signature = scored.metrics.scores[name].signature if entry.by_program else ""
        reading = Reading(name, scored.asked.data, signature)
        sample = resampled([reading.statistics(scored.asked.file)], reading.score)[0].tolist()
    except (LskdError, FileNotFoundError):
        return None
    ends = statistics.quantiles(sample, n=ENDS, method="inclusive")
    return ends[0], ends[-1]


def of_cost(found: Recorded) -> Iterable[str]:
    """What its training took, and that of its teacher."""
    for what, name in (("this model", found.model.name), ("its teacher", found.model.teacher)):
        record = found.training(name) if name else None
        if record is not None:
            numbers = (("wall", record.wall_seconds), ("CPU", record.cpu_seconds))
            hours = [f"{seconds / HOUR:.3g} {kind} hours" for kind, seconds in numbers if seconds is not None]
            if record.gpu_hours:
                hours.append(f"{record.gpu_hours:.3g} GPU hours")
            yield f"{what}: {', '.join(hours) or 'not measured'}"
    record = found.training(found.model.name)
    if record is None:
        yield "this model was trained elsewhere: its cost is not known"
    elif record.host:
        yield "on " + ", ".join(f"{name} {value}" for name, value in record.host.items())


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)
