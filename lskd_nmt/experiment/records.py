"""The JSON files of a run folder as records: `plan.json`, `run.json`, `curve.json` and `decode.json`.

Each file is read and written here alone. Keys that older versions did not write have defaults, and what a file does
not have to say is left out of it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lskd_nmt.experiment.run_config import DecodeConfig, RunConfig
from lskd_nmt.storage.files import write_json
from lskd_nmt.storage.typed import AnyFloat, Json, absent, read_record, record, to_json

Number = int | float  # a whole number stays one when its file is written again
Command = tuple[str, ...]

# the keys of plan.json in their order
DATA_KEYS = ("folder", "corpus", "form", "source_lang", "target_lang", "tokenize", "options")
MODEL_KEYS = (
    *("name", "role", "teacher", "label_smoothing", "method", "temperature", "kd_weight"),
    *("kd_level", "hypotheses", "hypotheses_drawn", "tail", "top_k", "seqkd_commands", "store_command"),
    *("average", "arch", "seed", "train_command", "decode_command", "origin", "init_command"),
)

GIVEN = "given.json"  # of a model that the run does not train
SETS = "tests"  # in the run folder: test sets beside the data's own, each in a folder of its name
MAIN_SET = "test"  # what the data's own test set is called, unless the config gives it a name


@record
class Given:
    """A model's given.json: what is known of a model that the run did not train."""

    kind: str
    name: str  # of the file, the folder or the model, without folders before it
    sha256: str | None = None  # of a checkpoint, of translations that were made elsewhere, or of a prompt
    says: dict[str, Json] = field(default_factory=dict)  # what a checkpoint says of its training


@record
class PlannedData:
    """The data of a run: where it is, its languages, and how it is made."""

    folder: str  # from the run folder, or absolute
    source_lang: str
    target_lang: str
    corpus: str | None = None
    form: str = "raw"
    tokenize: str | None = None  # of BLEU, instead of the target language's own
    options: dict[str, Json] | None = None  # of data-prep/prepare.sh; None of a folder that was prepared before

    @property
    def langs(self) -> tuple[str, str]:
        """Source and target language."""
        return self.source_lang, self.target_lang


@record
class PlannedModel:
    """One model of a plan: what it is, and the commands that make it. Paths in them are relative to the run folder."""

    name: str
    role: Literal["teacher", "student"]
    seed: int
    teacher: str | None = None  # the name of the model that it learns of
    label_smoothing: float | None = None  # of the teacher: its own, or that of the one it learns of
    method: str | None = None  # None where settings are combined
    temperature: float | None = None
    kd_weight: float = 0.0
    kd_level: str | None = None  # word, sequence or both
    hypotheses: str | None = None  # which translations it learns: beam, mbr-3, …: see `choices`
    tail: str | None = None  # what becomes of symbols outside of the teacher's top k
    top_k: int | None = None  # 0: all symbols
    seqkd_commands: tuple[Command, ...] = ()  # of a teacher: they make the translations that its students learn
    store_command: Command = ()  # of a teacher: it writes the store that its students read
    average: dict[str, int] | None = None
    arch: str = ""
    train_command: Command = ()
    decode_command: Command = ()
    origin: str | None = absent()  # of a model that the run does not train: KIND:PLACE
    hypotheses_drawn: int | None = absent()  # of its translations at each update; None: all
    init_command: Command | None = absent()  # of a student that starts from layers of its teacher: it writes these

    @property
    def kind(self) -> str:
        """What is there already: a kind of teacher.from, adopted or adopted-text; empty for what the run trains."""
        return (self.origin or "").partition(":")[0]

    @property
    def published(self) -> str:
        """The file of its folder that says that the model is there: a checkpoint, or a record of another's."""
        return "model.pt" if self.kind in ("", "fairseq", "adopted") else GIVEN

    @property
    def is_adopted(self) -> bool:
        """Whether it was made outside of the run, and is a row of it."""
        return self.kind in ("adopted", "adopted-text")

    @property
    def is_scored(self) -> bool:
        """Whether it has translations of the test set, or can make them."""
        return self.origin is None or bool(self.decode_command) or self.kind == "adopted-text"

    @property
    def is_translator(self) -> bool:
        """Whether it can translate a test set that comes later."""
        return self.is_scored and self.kind != "adopted-text"

    @property
    def is_plain(self) -> bool:
        """Whether it is a student that learns of no teacher and by no method."""
        return self.role == "student" and self.teacher is None and self.method is None


@record
class Plan:
    """A run's plan: its config, and every model with its commands, teachers first."""

    name: str
    data: PlannedData
    models: tuple[PlannedModel, ...]
    lskd_nmt: str = ""  # the version that made it
    config: RunConfig = RunConfig()
    decode: DecodeConfig = DecodeConfig()
    prepared: dict[str, str] | None = None  # hashes of a data folder that was prepared before
    tests: tuple[str, ...] | None = None  # the names of the test sets, the main one first; None: the data's alone

    @property
    def set_names(self) -> tuple[str, ...]:
        """The names of the test sets, the main one first."""
        return self.tests or (MAIN_SET,)


@record
class Call:
    """One call that worked in a run folder."""

    command: str
    commit: str | None
    versions: dict[str, str]
    host: dict[str, Json]


@record
class Calls:
    """A run folder's own run.json."""

    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Costs:
    """What a process took; None where it was not measured."""

    wall_seconds: Number | None = None
    cpu_seconds: Number | None = None
    peak_memory_mb: Number | None = None  # the largest resident set of any one process
    gpu_hours: Number | None = None
    peak_gpu_memory_mb: Number | None = None
    words_per_second: Number | None = None


@record
class Attempt:
    """One start of a training: the command and its costs."""

    command: Command = ()
    commit: str | None = None
    exit_code: int = 0
    wall_seconds: Number | None = None
    cpu_seconds: Number | None = None
    peak_memory_mb: Number | None = None
    gpu_hours: Number | None = None
    peak_gpu_memory_mb: Number | None = None
    words_per_second: Number | None = None


@record
class RunRecord:
    """A model's run.json: what was trained on what, every attempt, and what they cost together."""

    name: str = ""
    seed: int = 1
    parameters: int | None = None
    data: dict[str, str] = field(default_factory=dict)  # hashes of the binarised files that were read
    versions: dict[str, str] = field(default_factory=dict)
    host: dict[str, Json] = field(default_factory=dict)
    updates_per_second: Number | None = None
    wall_seconds: Number | None = None
    cpu_seconds: Number | None = None
    gpu_hours: Number | None = None
    peak_memory_mb: Number | None = None
    peak_gpu_memory_mb: Number | None = None
    words_per_second: Number | None = None
    attempts: tuple[Attempt, ...] = ()


@record
class CurvePoint:
    """One epoch of a learning curve; None where the log had no such number."""

    epoch: int
    valid_loss: AnyFloat | None = None
    valid_nll_loss: AnyFloat | None = None
    valid_kd_loss: AnyFloat | None = None
    valid_ppl: AnyFloat | None = None
    valid_bleu: AnyFloat | None = None
    valid_accuracy: AnyFloat | None = None
    updates: int | None = None
    train_loss: AnyFloat | None = None
    train_nll_loss: AnyFloat | None = None
    train_kd_loss: AnyFloat | None = None
    train_ppl: AnyFloat | None = None
    train_bleu: AnyFloat | None = None
    train_accuracy: AnyFloat | None = None


@record
class DecodeRecord:
    """A model's decode.json: how the test set was decoded, and what that cost."""

    command: Command = ()
    commit: str | None = None
    wall_seconds: Number | None = None
    cpu_seconds: Number | None = None
    peak_memory_mb: Number | None = None
    gpu_hours: Number | None = None
    words_per_second: Number | None = None
    engine: str | None = None  # its name and version; None where a version of before decoded, with fairseq
    compute_type: str | None = None  # the type of CTranslate2's numbers
    reason: str | None = None  # why it was not CTranslate2 where the plan left that open
    check: dict[str, Json] | None = None  # how far the engines are apart, by a model of the same architecture


def plan_json(plan: Plan) -> dict[str, Json]:
    """A plan as plan.json has it."""
    data = to_json(plan.data)
    content: dict[str, Json] = {
        "name": plan.name,
        "lskd_nmt": plan.lskd_nmt,
        "config": to_json(plan.config),
        "data": {key: data[key] for key in DATA_KEYS if key != "tokenize" or plan.data.tokenize is not None},
        "decode": to_json(plan.decode),
        "models": [model_json(model) for model in plan.models],
    }
    if plan.prepared is not None:
        content["prepared"] = to_json(plan.prepared)
    return content if plan.tests is None else {**content, "tests": list(plan.tests)}


def model_json(model: PlannedModel) -> dict[str, Json]:
    """A model as plan.json has it: with the keys of its kind."""
    unwanted = {"method"} if model.method is None else set()
    if model.role == "student":
        unwanted |= {"seqkd_commands", "store_command"}
    if model.role == "teacher" or model.is_plain:
        unwanted |= {"kd_level", "hypotheses", "tail", "top_k"}
    content = to_json(model)
    return {key: content[key] for key in MODEL_KEYS if key in content and key not in unwanted}


def read_curve(file: Path) -> list[CurvePoint]:
    """A training's learning curve, an entry for each epoch in order."""
    return read_record(file, list[CurvePoint])


def write_curve(file: Path, curve: list[CurvePoint]) -> None:
    """Write a learning curve: each epoch with the numbers that it has."""
    write_json(file, [{name: value for name, value in to_json(point).items() if value is not None} for point in curve])
